// SPDX-License-Identifier: GPL-2.0-only
#include "policy/key_many.h"

#include <errno.h>
#include <stdlib.h>

#include "base/work.h"
#include "cleanup.h"
#include "policy/key_change.h"
#include "policy/model.h"
#include "why.h"

#define AT_ONCE 32 /* keys in a transaction */

struct kf_key_many {
	struct kf_policy *policy;
	enum kf_key_action action;
	struct kf_key_query query;
	const struct kf_policy_key_edit *edit;
	uint64_t found, changed;
	uint32_t count; /* rows of the slice */
	struct kf_key_row rows[AT_ONCE];
	struct kf_key_state states[AT_ONCE];
};

KF_CLEANUP_DEFINE(struct kf_key_many, kf_policy_key_many_close)

int kf_policy_key_many_open(struct kf_key_many **out, struct kf_policy *policy,
			    enum kf_key_action action, const struct kf_key_query *query,
			    const struct kf_policy_key_edit *edit, struct kf_why *why)
{
	_cleanup_(kf_policy_key_many_closep) struct kf_key_many *many = calloc(1, sizeof(*many));
	int err;

	if (policy->many)
		return kf_why_set(why, -EBUSY,
				  "another request changes many keys; wait until it is done");
	if (!many)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	many->policy = policy;
	many->action = action;
	many->query = *query;
	many->edit = edit;
	err = kf_store_key_last(policy->store, &many->query.last);
	if (err)
		return kf_why_set(
			why, err,
			"cannot read the keys: %s; see to the disk of the state directory",
			kf_store_error(policy->store));
	many->query.after = 0;
	policy->many = many;
	*out = TAKE_PTR(many);
	return 0;
}

void kf_policy_key_many_close(struct kf_key_many *many)
{
	if (many && many->policy && many->policy->many == many)
		many->policy->many = NULL;
	free(many);
}

bool kf_policy_key_many_is_for(const struct kf_key_many *many, uint32_t group)
{
	return many && many->edit && many->edit->set_group && many->edit->group == group;
}

bool kf_policy_key_many_has_models(const struct kf_key_many *many, uint32_t models)
{
	return many && many->edit && many->edit->set_models && many->edit->models == models;
}

void kf_policy_key_many_counts(const struct kf_key_many *many, uint64_t *found, uint64_t *changed)
{
	*found = many->found;
	*changed = many->changed;
}

/* ---- a slice --------------------------------------------------------------------------------- */

static int append_row(void *context, const struct kf_key_row *row)
{
	struct kf_key_many *many = context;

	many->rows[many->count++] = *row;
	return 0;
}

static int read_slice(struct kf_key_many *many, struct kf_why *why)
{
	int err;

	many->count = 0;
	many->query.limit = many->action == KF_KEY_ACTION_EDIT ? 1 : AT_ONCE;
	err = kf_store_key_list(many->policy->store, &many->query, append_row, many);
	if (err)
		return kf_why_set(
			why, err,
			"cannot read the keys: %s; see to the disk of the state directory",
			kf_store_error(many->policy->store));
	return 0;
}

/* Is there anything to do about the key? What is held of one is let go of by enabling it. */
static bool is_concerned(const struct kf_key_many *many, const struct kf_key_state *state)
{
	switch (many->action) {
	case KF_KEY_ACTION_ENABLE:
		return state->row.disabled || state->hold.what;
	case KF_KEY_ACTION_DISABLE:
		return !state->row.disabled;
	default:
		return true;
	}
}

/* Reads the keys of the slice that are to be changed; the first so many states are theirs. */
static int read_states(struct kf_key_many *many, uint32_t *count, struct kf_why *why)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < many->count; i++) {
		struct kf_key_state *state = &many->states[n];
		int err = kf_policy_key_change_find(many->policy, many->rows[i].id, state, why);

		if (err)
			return err;
		if (is_concerned(many, state))
			n++;
	}
	*count = n;
	return 0;
}

static int store_states(struct kf_key_many *many, uint32_t count)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = many->policy->store;
	int err = kf_store_begin(open);

	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_policy_key_change_store(many->policy, many->action, &many->states[i]);
	return err ? err : kf_store_commit(open);
}

/* All of the slice are closed before any is stored, and stored in one transaction. */
static int change_states(struct kf_key_many *many, uint32_t count, struct kf_why *why)
{
	int err;

	for (uint32_t i = 0; i < count; i++)
		kf_policy_key_change_close(many->policy, many->action, &many->states[i]);
	err = count ? store_states(many, count) : 0;
	for (uint32_t i = 0; i < count; i++) {
		if (err)
			kf_policy_key_change_fail(many->policy, many->action, err, &many->states[i],
						  why);
		else
			kf_policy_key_change_end(many->policy, many->action, &many->states[i]);
	}
	return err;
}

static int edit_row(struct kf_key_many *many, struct kf_why *why)
{
	int err = kf_policy_key_edit(many->policy, many->rows[0].id, many->edit, why);

	many->changed += !err;
	return err;
}

static int change_slice(struct kf_key_many *many, struct kf_why *why)
{
	uint32_t count = 0;
	int err;

	if (many->action == KF_KEY_ACTION_EDIT)
		return edit_row(many, why);
	err = read_states(many, &count, why);
	if (!err)
		err = change_states(many, count, why);
	many->changed += err ? 0 : count;
	return err;
}

int kf_policy_key_many_step(struct kf_key_many *many, struct kf_why *why)
{
	int err = read_slice(many, why);

	if (err || !many->count)
		return err;
	many->found += many->count;
	many->query.after = many->rows[many->count - 1].seq;
	err = change_slice(many, why);
	return err ? err : 1;
}
