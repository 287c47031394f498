// SPDX-License-Identifier: GPL-2.0-only
#include "policy/group.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <keyfilter/http1_state.h>

#include "cleanup.h"
#include "policy/key_batch.h"
#include "policy/key_many.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "why.h"

#define COUNTED 10000 /* keys, before an error says "more than" */

bool kf_policy_group_holds_models(const struct kf_policy *policy, uint32_t set)
{
	for (uint32_t i = 1; i < KF_GROUPS_MAX; i++)
		if (policy->groups_held[i].models && policy->groups_held[i].set == set)
			return true;
	return false;
}

uint32_t kf_policy_group_protocols(const struct kf_policy *policy, uint32_t index)
{
	return index ? kf_maps_group(policy->maps, index)->protocols : KF_PROTOCOLS_ALL;
}

/* As it is stored, less what is held. */
static void write_record(struct kf_policy *policy, const struct kf_group_row *row)
{
	const struct kf_group_held *held = &policy->groups_held[row->index];

	kf_maps_group_models(policy->maps, row->index, held->models ? held->set : row->models);
	kf_maps_group_protocols(policy->maps, row->index,
				row->protocols & (uint32_t)~held->protocols);
}

static void let_go(struct kf_policy *policy, uint32_t index)
{
	policy->groups_held[index] = (struct kf_group_held){ 0 };
}

static int explain(struct kf_policy *policy, int err, const char *name, struct kf_why *why)
{
	switch (err) {
	case -EEXIST:
		return kf_why_set(why, err,
				  "there is a group %s already; give another name, or change that "
				  "one with `keyfilterctl group edit %s`",
				  name, name);
	case -ENOENT:
		return kf_why_set(why, err, "there is no group %s; see keyfilterctl group list",
				  name);
	case -E2BIG:
		return kf_why_set(why, err,
				  "there is no room for group %s, %d are there; delete one", name,
				  KF_GROUPS_MAX - 1);
	default:
		return kf_why_set(why, err, "cannot store group %s: %s; %s, %s", name,
				  kf_store_error(policy->store),
				  kf_store_is_unsure(policy->store)
					  ? "it is not known whether the change is stored; until "
					    "it is, the kernel goes by what refuses more"
					  : "it is as before",
				  kf_store_mend(err));
	}
}

/* Durable first: a crash in between is mended by the next start, and no key is in it yet. */
int kf_policy_group_add(struct kf_policy *policy, struct kf_group_row *row, struct kf_why *why)
{
	int err = kf_store_group_add(policy->store, row);

	if (err)
		return explain(policy, err, row->name, why);
	let_go(policy, row->index);
	write_record(policy, row);
	return 0;
}

/* The kernel stays as narrow as was asked: what was taken away is held until it is durable. */
static int hold(struct kf_policy *policy, int err, const struct kf_group_row *old,
		const struct kf_group_row *row, struct kf_why *why)
{
	struct kf_group_held *held = &policy->groups_held[old->index];
	uint32_t taken = old->protocols & ~row->protocols;
	bool models = row->models && row->models != old->models;

	if (!taken && !models)
		return explain(policy, err, row->name, why);
	held->protocols |= (uint8_t)taken;
	if (models) {
		held->models = true;
		held->set = row->models;
	}
	return kf_why_set(why, err,
			  "the kernel refuses what was taken from group %s, but it is %s: %s; %s "
			  "and do it again",
			  row->name,
			  kf_store_is_unsure(policy->store)
				  ? "not known whether that is stored"
				  : "not durable and a restart would admit it again",
			  kf_store_error(policy->store), kf_store_mend(err));
}

/*
 * The kernel narrows, the store has it, the kernel widens. A crash after the first leaves the
 * kernel narrower than both the old row and the new one; the next start mends it.
 */
int kf_policy_group_edit(struct kf_policy *policy, const struct kf_group_row *row,
			 struct kf_why *why)
{
	struct kf_group_row old;
	int err = kf_store_group_get(policy->store, row->name, &old);

	if (err)
		return explain(policy, err, row->name, why);
	kf_maps_group_protocols(policy->maps, old.index,
				kf_policy_group_protocols(policy, old.index) & row->protocols);
	if (row->models)
		kf_maps_group_models(policy->maps, old.index, row->models);
	err = kf_store_group_update(policy->store, row);
	if (err)
		return hold(policy, err, &old, row, why);
	let_go(policy, old.index);
	kf_maps_group_protocols(policy->maps, old.index, row->protocols);
	kf_maps_group_models(policy->maps, old.index, row->models);
	if (row->models != old.models)
		kf_policy_model_release(policy, old.models);
	return 0;
}

/* -ENOTEMPTY where keys are in it, or on their way into it. */
static int check_empty(struct kf_policy *policy, const struct kf_group_row *row, struct kf_why *why)
{
	uint64_t keys = 0;
	int err = kf_store_group_keys(policy->store, row->index, COUNTED + 1, &keys);

	if (err)
		return explain(policy, err, row->name, why);
	if (keys)
		return kf_why_set(
			why, -ENOTEMPTY,
			"%s%llu key%s in group %s; put %s into another with `keyfilterctl key edit "
			"ID --group`, or delete %s (`keyfilterctl key list --group %s` names %s)",
			keys > COUNTED ? "more than " : "",
			(unsigned long long)(keys > COUNTED ? COUNTED : keys),
			keys == 1 ? " is" : "s are", row->name, keys == 1 ? "it" : "them",
			keys == 1 ? "it" : "them", row->name, keys == 1 ? "it" : "them");
	if (kf_policy_key_batch_is_for(policy->making, row->index) ||
	    kf_policy_key_many_is_for(policy->many, row->index))
		return kf_why_set(why, -ENOTEMPTY,
				  "keys are being put into group %s; wait until that is done",
				  row->name);
	if (kf_policy_hold_has_group(policy->holds, row->index))
		return kf_why_set(why, -ENOTEMPTY,
				  "a key was put into group %s, and that is not durable yet; edit "
				  "that key again (`keyfilterctl status` names it)",
				  row->name);
	return 0;
}

int kf_policy_group_remove(struct kf_policy *policy, const char *name, struct kf_why *why)
{
	struct kf_group_row row;
	int err = kf_store_group_get(policy->store, name, &row);

	if (err)
		return explain(policy, err, name, why);
	err = check_empty(policy, &row, why);
	if (err)
		return err;
	err = kf_store_group_remove(policy->store, name);
	if (err)
		return explain(policy, err, name, why);
	let_go(policy, row.index);
	kf_maps_group_protocols(policy->maps, row.index, 0);
	kf_maps_group_models(policy->maps, row.index, 0);
	kf_policy_model_release(policy, row.models);
	return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct wanted {
	struct kf_policy *policy;
	bool there[KF_GROUPS_MAX];
};

static int want_group(void *context, const struct kf_group_row *row)
{
	struct wanted *wanted = context;
	struct kf_group_held *held = &wanted->policy->groups_held[row->index];

	wanted->there[row->index] = true;
	held->protocols &= (uint8_t)row->protocols;
	held->models = held->models && held->set != row->models;
	write_record(wanted->policy, row);
	return 0;
}

/* A place without a group admits nothing, whatever slot may name it. */
int kf_policy_group_reconcile(struct kf_policy *policy)
{
	struct wanted wanted = { .policy = policy };
	int err = kf_store_group_each(policy->store, want_group, &wanted);

	for (uint32_t i = 1; !err && i < KF_GROUPS_MAX; i++) {
		if (wanted.there[i])
			continue;
		let_go(policy, i);
		kf_maps_group_protocols(policy->maps, i, 0);
		kf_maps_group_models(policy->maps, i, 0);
	}
	return err;
}

static bool is_held(const struct kf_policy *policy, uint32_t index)
{
	return policy->groups_held[index].protocols || policy->groups_held[index].models;
}

struct describing {
	const struct kf_policy *policy;
	kf_group_held_fn fn;
	void *context;
};

static int describe_group(void *context, const struct kf_group_row *row)
{
	struct describing *describing = context;
	char text[256];

	if (!is_held(describing->policy, row->index))
		return 0;
	snprintf(text, sizeof(text),
		 "group %s: the kernel refuses what was taken from it, but that is not durable, "
		 "and a restart admits it again; edit it again",
		 row->name);
	describing->fn(describing->context, text);
	return 0;
}

void kf_policy_group_describe(const struct kf_policy *policy, kf_group_held_fn fn, void *context)
{
	struct describing describing = { .policy = policy, .fn = fn, .context = context };

	for (uint32_t i = 1; i < KF_GROUPS_MAX; i++) {
		if (!is_held(policy, i))
			continue;
		kf_store_group_each(policy->store, describe_group, &describing);
		return;
	}
}
