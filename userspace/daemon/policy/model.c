// SPDX-License-Identifier: GPL-2.0-only
#include "policy/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/keyhash.h>

#include "cleanup.h"
#include "ledger/usage.h"
#include "maps/diff.h"
#include "policy/group.h"
#include "policy/key_batch.h"
#include "policy/key_many.h"
#include "policy/policy.h"
#include "why.h"

static const uint8_t one = 1;

/* ---- what a set stands for ------------------------------------------------------------------- */

/* The next name or pattern of *@names into @name; false: there is none. */
static bool next_name(const char **names, char name[static KF_MODEL_NAME_SIZE])
{
	size_t len = strcspn(*names, "\n");

	if (!len || len >= KF_MODEL_NAME_SIZE)
		return false;
	memcpy(name, *names, len);
	name[len] = '\0';
	*names += len + ((*names)[len] == '\n');
	return true;
}

static bool is_pattern(const char *name)
{
	size_t len = strlen(name);

	return len && name[len - 1] == '*';
}

static bool pattern_has(const char *pattern, const char *name)
{
	return is_pattern(pattern) && !strncmp(pattern, name, strlen(pattern) - 1);
}

/* How a set of @names has the model @name. */
enum kf_model_had { NOT_HAD, BY_PATTERN, BY_NAME };

static enum kf_model_had set_has(const char *names, const char *name)
{
	enum kf_model_had had = NOT_HAD;
	char each[KF_MODEL_NAME_SIZE];

	while (next_name(&names, each)) {
		if (!strcmp(each, name))
			return BY_NAME;
		if (pattern_has(each, name))
			had = BY_PATTERN;
	}
	return had;
}

/* The known models of a pattern that are not named, or had by an earlier pattern, themselves. */
struct resolving {
	const char *names;
	const char *pattern;
	kf_model_fn fn;
	void *context;
};

static int give_known(void *context, const char *name)
{
	struct resolving *r = context;
	const char *names = r->names;
	char each[KF_MODEL_NAME_SIZE];

	while (next_name(&names, each)) {
		if (!strcmp(each, name))
			return 0;
		if (!strcmp(each, r->pattern))
			break;
		if (pattern_has(each, name))
			return 0;
	}
	return set_has(r->names, name) == BY_NAME ? 0 : r->fn(r->context, name);
}

int kf_policy_model_resolve(struct kf_store *store, const char *names, kf_model_fn fn,
			    void *context)
{
	struct resolving r = { .names = names, .fn = fn, .context = context };
	char name[KF_MODEL_NAME_SIZE], prefix[KF_MODEL_NAME_SIZE];
	int err = 0;

	while (!err && next_name(&names, name)) {
		if (!is_pattern(name)) {
			err = fn(context, name);
			continue;
		}
		r.pattern = name;
		memcpy(prefix, name, sizeof(prefix));
		prefix[strlen(prefix) - 1] = '\0';
		err = kf_store_model_each(store, prefix, give_known, &r);
	}
	return err;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static void make_entry(const struct kf_policy *policy, uint32_t set, const char *name,
		       struct kf_set_model *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->set = set;
	kf_keyhash(policy->secret->key, (const __u8 *)name, (__u32)strlen(name), entry->tag);
}

/* A set that is being changed in the kernel. */
struct target {
	struct kf_policy *policy;
	uint32_t set;
};

static int put_model(void *context, const char *name)
{
	struct target *target = context;
	struct kf_set_model entry;

	make_entry(target->policy, target->set, name, &entry);
	return kf_maps_put(target->policy->maps, KF_MAP_kf_models, &entry, &one);
}

static int delete_model(void *context, const char *name)
{
	struct target *target = context;
	struct kf_set_model entry;
	int err;

	make_entry(target->policy, target->set, name, &entry);
	err = kf_maps_delete(target->policy->maps, KF_MAP_kf_models, &entry);
	return err == -ENOENT ? 0 : err;
}

struct wanted_models {
	struct kf_policy *policy;
	struct kf_mapdiff diff;
	uint32_t set;
};

static int want_model(void *context, const char *name)
{
	struct wanted_models *wanted = context;
	struct kf_set_model entry;

	make_entry(wanted->policy, wanted->set, name, &entry);
	return kf_maps_diff_want(&wanted->diff, &entry, &one);
}

static int want_set(void *context, const struct kf_model_set_row *row)
{
	struct wanted_models *wanted = context;

	wanted->set = row->index;
	return kf_policy_model_resolve(wanted->policy->store, row->names, want_model, wanted);
}

static void wanted_end(struct wanted_models *wanted)
{
	kf_maps_diff_end(&wanted->diff);
}

static int want_priced(void *context, const struct kf_model_row *row)
{
	struct wanted_models *wanted = context;

	wanted->set = KF_MODELS_PRICED;
	return kf_ledger_usage_is_priced(row) ? want_model(wanted, row->name) : 0;
}

int kf_policy_model_reconcile(struct kf_policy *policy)
{
	_cleanup_(wanted_end) struct wanted_models wanted = { .policy = policy };
	int err;

	kf_maps_diff_begin(&wanted.diff, policy->maps, KF_MAP_kf_models,
			   sizeof(struct kf_set_model), sizeof(one));
	err = kf_store_model_set_each(policy->store, want_set, &wanted);
	if (!err)
		err = kf_store_model_rows(policy->store, want_priced, &wanted);
	if (!err)
		err = kf_maps_diff_read(&wanted.diff);
	if (!err)
		err = kf_maps_diff_delete(&wanted.diff);
	return err ? err : kf_maps_diff_put(&wanted.diff);
}

/* ---- words ----------------------------------------------------------------------------------- */

static int explain(struct kf_policy *policy, int err, const char *name, struct kf_why *why)
{
	switch (err) {
	case -EEXIST:
		return kf_why_set(why, err,
				  "the model %s is known already; see keyfilterctl model list",
				  name);
	case -ENOENT:
		return kf_why_set(why, err, "there is no model %s; see keyfilterctl model list",
				  name);
	default:
		return kf_why_set(why, err, "cannot store the models: %s; %s, %s",
				  kf_store_error(policy->store),
				  kf_store_is_unsure(policy->store)
					  ? "it is not known whether the change is stored"
					  : "it is as before",
				  kf_store_mend(err));
	}
}

static int explain_maps(int err, struct kf_why *why)
{
	if (err == -E2BIG || err == -ENOSPC)
		return kf_why_set(why, -E2BIG,
				  "there is no room for more than %d models in all sets together; "
				  "give fewer, or wider patterns, or the same ones to more keys",
				  KF_MODELS_MAX);
	return kf_why_set(why, err,
			  "the kernel did not take the models: %s; it is as before; if memory is "
			  "short, free some",
			  strerror(-err));
}

/* ---- known models ---------------------------------------------------------------------------- */

struct spreading {
	struct kf_policy *policy;
	const char *name;
	kf_model_fn change; /* put_model or delete_model */
};

static int spread_to_set(void *context, const struct kf_model_set_row *row)
{
	struct spreading *spreading = context;
	struct target target = { .policy = spreading->policy, .set = row->index };

	if (set_has(row->names, spreading->name) != BY_PATTERN)
		return 0;
	return spreading->change(&target, spreading->name);
}

static int spread(struct kf_policy *policy, const char *name, kf_model_fn change)
{
	struct spreading spreading = { .policy = policy, .name = name, .change = change };

	return kf_store_model_set_each(policy->store, spread_to_set, &spreading);
}

/* Keys that draw on money may call the model @name, or no longer. */
static int set_priced(struct kf_policy *policy, const char *name, bool priced)
{
	struct target target = { .policy = policy, .set = KF_MODELS_PRICED };

	return priced ? put_model(&target, name) : delete_model(&target, name);
}

/* Durable first: a crash in between is mended by the next start. */
int kf_policy_model_add(struct kf_policy *policy, const struct kf_model_row *row,
			struct kf_why *why)
{
	const char *name = row->name;
	int err = kf_store_model_add(policy->store, row);

	if (err)
		return explain(policy, err, name, why);
	err = spread(policy, name, put_model);
	if (!err)
		err = set_priced(policy, name, kf_ledger_usage_is_priced(row));
	if (!err)
		return 0;
	if (kf_store_model_remove(policy->store, name) || spread(policy, name, delete_model) ||
	    set_priced(policy, name, false))
		kf_policy_mend_note(policy, KF_MEND_MODELS, err);
	return explain_maps(err, why);
}

int kf_policy_model_edit(struct kf_policy *policy, const struct kf_model_row *row,
			 struct kf_why *why)
{
	struct kf_model_row before;
	int err = kf_store_model_get(policy->store, row->name, &before);

	if (!err)
		err = kf_store_model_update(policy->store, row);
	if (err)
		return explain(policy, err, row->name, why);
	err = set_priced(policy, row->name, kf_ledger_usage_is_priced(row));
	if (!err)
		return 0;
	if (kf_store_model_update(policy->store, &before) ||
	    set_priced(policy, row->name, kf_ledger_usage_is_priced(&before)))
		kf_policy_mend_note(policy, KF_MEND_MODELS, err);
	return explain_maps(err, why);
}

int kf_policy_model_remove(struct kf_policy *policy, const char *name, struct kf_why *why)
{
	int err = kf_store_model_remove(policy->store, name), unpriced;

	if (err)
		return explain(policy, err, name, why);
	err = spread(policy, name, delete_model);
	unpriced = set_priced(policy, name, false);
	if (!err)
		err = unpriced;
	if (err)
		kf_policy_mend_note(policy, KF_MEND_MODELS, err);
	return err ? kf_why_set(why, err,
				"the kernel did not let go of the model %s: %s; it is stored, and "
				"tried again until that is done; if memory is short, free some",
				name, strerror(-err))
		   : 0;
}

_Static_assert(KF_PRICE_TOP <= INT64_MAX / (KF_MULTIPLIER_TOP / KF_MULTIPLIER_ONE),
	       "a price by a multiplier is 64 bits");

int64_t kf_policy_model_price(int64_t price, int64_t multiplier)
{
	__int128 exact = (__int128)price * multiplier;

	return (int64_t)((exact + KF_MULTIPLIER_ONE - 1) / KF_MULTIPLIER_ONE);
}

/* ---- sets ------------------------------------------------------------------------------------ */

int kf_policy_model_take(struct kf_policy *policy, const char *names, uint32_t *set,
			 struct kf_why *why)
{
	struct target target = { .policy = policy };
	int err = *names ? kf_store_model_set_find(policy->store, names, set) : 0;

	if (!*names)
		*set = 0;
	if (err != -ENOENT)
		return err ? explain(policy, err, "", why) : 0;
	err = kf_store_model_set_add(policy->store, names, &target.set);
	if (err)
		return explain(policy, err, "", why);
	err = kf_policy_model_resolve(policy->store, names, put_model, &target);
	if (err) {
		kf_policy_model_release(policy, target.set);
		return explain_maps(err, why);
	}
	*set = target.set;
	return 0;
}

/* What cannot be removed now goes at the next start. */
void kf_policy_model_release(struct kf_policy *policy, uint32_t set)
{
	_cleanup_free_ struct kf_model_set_row *row = malloc(sizeof(*row));
	struct target target = { .policy = policy, .set = set };
	bool used = true;
	int err;

	if (!set || !row || kf_store_model_set_used(policy->store, set, &used) || used ||
	    kf_policy_hold_has_models(policy->holds, set) ||
	    kf_policy_group_holds_models(policy, set) ||
	    kf_policy_key_batch_has_models(policy->making, set) ||
	    kf_policy_key_many_has_models(policy->many, set))
		return;
	if (kf_store_model_set_get(policy->store, set, row) ||
	    kf_store_model_set_remove(policy->store, set))
		return;
	err = kf_policy_model_resolve(policy->store, row->names, delete_model, &target);
	if (err)
		kf_policy_mend_note(policy, KF_MEND_MODELS, err);
}
