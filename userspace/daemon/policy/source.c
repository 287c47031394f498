// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change of one block changes the effective times of all blocks that it covers. What closes is in
 * the kernel before it is durable, what opens after it, whether that takes one slice or thousands.
 */
#include "policy/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "policy/policy.h"
#include "policy/source_refresh.h"
#include "why.h"

struct kf_source_change {
	LIST_ENTRY(kf_source_change) entry; /* of policy->source_changes */
	struct kf_policy *policy;
	struct kf_source_row row; /* as it is to be; of a removal, what is removed now */
	struct kf_source_row before;
	bool removes;
	bool was_there; /* @before is what the store had */
	bool removed;	/* one of the two actions at least */
	bool was_held;	/* and so a refresh more is due when nothing is */
	enum { BEGIN, CLOSE, OPEN, RELEASE } phase;
	struct kf_policy_source_refresh refresh;
};

/* After a failure: what is not as it is to be now is so later. */
static void bring_back(struct kf_policy *policy, const struct kf_cidr *cidr)
{
	int err;

	kf_store_rollback(policy->store);
	err = kf_policy_source_refresh(policy, cidr);
	if (err)
		kf_policy_mend_note(policy, KF_MEND_SOURCES, err);
}

static int explain_maps(int err, struct kf_why *why)
{
	if (err == -E2BIG || err == -ENOSPC)
		return kf_why_set(why, -ENOSPC,
				  "the kernel has no place for another source; remove some, or "
				  "raise sources_max and start again after `keyfilterd --unload`");
	return kf_why_set(why, err,
			  "the kernel did not take the source: %s; it is as before; if memory is "
			  "short, free some",
			  strerror(-err));
}

static int explain_store(struct kf_policy *policy, int err, struct kf_why *why)
{
	return kf_why_set(why, err, "cannot store the source: %s; %s, %s",
			  kf_store_error(policy->store),
			  kf_store_is_unsure(policy->store)
				  ? "it is not known whether the change is stored; until it is, "
				    "the kernel goes by what was before"
				  : "it is as before",
			  kf_store_mend(err));
}

/* ---- what closes ----------------------------------------------------------------------------- */

/* The kernel refuses, and goes on so whatever else is changed: see hold.h. */
static int hold(struct kf_source_change *change, int err, struct kf_why *why)
{
	struct kf_policy *policy = change->policy;

	if (kf_policy_hold_source_add(policy->holds, &change->row))
		kf_log_error(
			"no memory to remember that a source is to stay closed; close it again");
	return kf_why_set(why, err,
			  "the kernel has the change, but it is %s: %s; %s and do it again",
			  kf_store_is_unsure(policy->store) ? "not known whether it is stored"
							    : "not durable and a restart undoes it",
			  kf_store_error(policy->store), kf_store_mend(err));
}

/* Nothing is held of it any more. Where that was more than what is stored now, it opens. */
static int release(struct kf_source_change *change)
{
	kf_policy_hold_source_drop(change->policy->holds, &change->row.cidr, change->row.action);
	if (!change->was_held)
		return 0;
	kf_policy_source_refresh_begin(&change->refresh, &change->row.cidr);
	change->phase = RELEASE;
	return 1;
}

/* Goes on with the refresh alone: nothing else is to be done behind it. */
static int release_on(struct kf_source_change *change)
{
	int more = kf_policy_source_refresh_some(change->policy, &change->refresh);

	if (more < 0)
		kf_policy_mend_note(change->policy, KF_MEND_SOURCES, more);
	return more > 0;
}

/* The change into the store, not yet durable. */
static int store_row(struct kf_source_change *change)
{
	struct kf_store *store = change->policy->store;
	int err = kf_store_begin(store);

	if (err)
		return err;
	return change->removes
		       ? kf_store_source_remove(store, &change->row.cidr, change->row.action)
		       : kf_store_source_put(store, &change->row, NULL);
}

/*
 * A few blocks are refreshed within the transaction. Where there are more, what closes is held
 * instead, so that whatever else is changed between the slices leaves closed what is closed. It
 * begins anew, for the entry of an allowance that is held stays, and has to say that it is over.
 */
static int close_more(struct kf_source_change *change, struct kf_why *why)
{
	struct kf_policy *policy = change->policy;
	int err;

	kf_store_rollback(policy->store);
	err = kf_policy_hold_source_add(policy->holds, &change->row);
	if (err) {
		bring_back(policy, &change->row.cidr);
		return explain_maps(err, why);
	}
	kf_policy_source_refresh_begin(&change->refresh, &change->row.cidr);
	change->phase = CLOSE;
	return 1;
}

static int close_failed(struct kf_source_change *change, int err, struct kf_why *why)
{
	kf_policy_revoke(change->policy, KF_REVOKED_SOURCES);
	bring_back(change->policy, &change->row.cidr);
	return explain_maps(err, why);
}

/*
 * The kernel has it before it is durable: a crash in between leaves it closed until the next start.
 * change->row: what closes; the time of an allowance that is removed is 0.
 */
static int close_first(struct kf_source_change *change, struct kf_why *why)
{
	struct kf_policy *policy = change->policy;
	int more;

	change->was_held =
		kf_policy_hold_source_is(policy->holds, &change->row.cidr, change->row.action);
	kf_policy_source_refresh_begin(&change->refresh, &change->row.cidr);
	more = kf_policy_source_refresh_some(policy, &change->refresh);
	if (more < 0)
		return close_failed(change, more, why);
	if (more)
		return close_more(change, why);
	kf_policy_revoke(policy, KF_REVOKED_SOURCES);
	more = kf_store_commit(policy->store);
	if (more) {
		more = hold(change, more, why);
		bring_back(policy, &change->row.cidr);
		return more;
	}
	return release(change);
}

/* The entry of an allowance that is removed goes last: until it is durable it keeps its place. */
static int close_on(struct kf_source_change *change, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = change->policy->store;
	struct kf_policy *policy = change->policy;
	int more = kf_policy_source_refresh_some(policy, &change->refresh);
	int err;

	if (more > 0)
		return 1;
	if (more < 0) {
		if (!change->was_held)
			kf_policy_hold_source_drop(policy->holds, &change->row.cidr,
						   change->row.action);
		return close_failed(change, more, why);
	}
	kf_policy_revoke(policy, KF_REVOKED_SOURCES);
	err = store_row(change);
	if (!err)
		err = kf_store_commit(open);
	if (err)
		return hold(change, err, why);
	more = release(change);
	err = kf_policy_source_settle(policy, &change->row.cidr);
	if (err)
		kf_policy_mend_note(policy, KF_MEND_SOURCES, err);
	return more;
}

/* ---- what opens ------------------------------------------------------------------------------ */

/* An error is no change: what is stored is taken back. */
static int take_back(struct kf_source_change *change, int err, struct kf_why *why)
{
	struct kf_policy *policy = change->policy;
	int undone = change->was_there ? kf_store_source_put(policy->store, &change->before, NULL)
				       : kf_store_source_remove(policy->store, &change->row.cidr,
								change->row.action);

	if (undone)
		kf_policy_mend_note(policy, KF_MEND_SOURCES, err);
	bring_back(policy, &change->row.cidr);
	return undone ? kf_why_set(why, err,
				   "the kernel did not take the source: %s; it is stored, and "
				   "tried again until the kernel has it",
				   strerror(-err))
		      : explain_maps(err, why);
}

static int open_on(struct kf_source_change *change, struct kf_why *why)
{
	int more = kf_policy_source_refresh_some(change->policy, &change->refresh);

	return more < 0 ? take_back(change, more, why) : more;
}

/*
 * It is durable before the kernel opens. Where the store had nothing of it, a place in the kernel
 * is taken first.
 */
static int open_last(struct kf_source_change *change, struct kf_why *why)
{
	struct kf_policy *policy = change->policy;
	const struct kf_cidr *cidr = &change->row.cidr;
	int err = change->was_there ? 0 : kf_policy_source_reserve(policy->maps, cidr);

	if (err) {
		bring_back(policy, cidr); /* one place of two may be taken */
		return explain_maps(err, why);
	}
	err = kf_store_commit(policy->store);
	if (err) {
		bring_back(policy, cidr);
		return explain_store(policy, err, why);
	}
	kf_policy_hold_source_drop(policy->holds, cidr, change->row.action);
	kf_policy_source_refresh_begin(&change->refresh, cidr);
	change->phase = OPEN;
	return open_on(change, why);
}

/* ---- a change -------------------------------------------------------------------------------- */

/* Does it close? Of a denial only what makes it shorter opens, of an allowance all but that. */
static bool closes(const struct kf_source_change *change)
{
	bool shortens = change->removes ||
			(change->was_there && change->before.expires > change->row.expires);

	return (change->row.action == KF_SOURCE_DENY) != shortens;
}

/* A denial that is only held is not stored: it goes from the kernel alone. */
static int remove_held(struct kf_source_change *change)
{
	if (change->row.action != KF_SOURCE_DENY ||
	    !kf_policy_hold_source_is(change->policy->holds, &change->row.cidr, KF_SOURCE_DENY))
		return -ENOENT;
	change->was_held = true;
	return release(change);
}

/* One change of a block at a time: what another one has begun is finished first. */
static bool must_wait(const struct kf_source_change *change)
{
	const struct kf_source_change *other;

	LIST_FOREACH(other, &change->policy->source_changes, entry) {
		if (other != change && other->phase != BEGIN &&
		    kf_cidr_equal(&other->row.cidr, &change->row.cidr))
			return true;
	}
	return false;
}

static int begin(struct kf_source_change *change, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = change->policy->store;
	int err = kf_store_source_get(open, &change->row.cidr, change->row.action, &change->before);

	change->was_there = !err;
	if (err == -ENOENT && change->removes)
		return remove_held(change);
	err = err == -ENOENT ? 0 : err;
	if (!err)
		err = store_row(change);
	if (err)
		return explain_store(change->policy, err, why);
	return closes(change) ? close_first(change, why) : open_last(change, why);
}

static int step(struct kf_source_change *change, struct kf_why *why)
{
	switch (change->phase) {
	case CLOSE:
		return close_on(change, why);
	case OPEN:
		return open_on(change, why);
	case RELEASE:
		return release_on(change);
	default:
		return must_wait(change) ? 1 : begin(change, why);
	}
}

/*
 * The end of an allowance closes and the end of a denial opens, so they are two changes. A denial
 * that goes together with an allowance is still in force while that goes.
 */
static int remove_next(struct kf_source_change *change, int result, struct kf_why *why)
{
	char text[KF_CIDR_TEXT];

	if (result && result != -ENOENT)
		return result;
	change->removed = change->removed || !result;
	if (change->row.action == KF_SOURCE_ALLOW) {
		change->row.action = KF_SOURCE_DENY;
		change->phase = BEGIN;
		return 1;
	}
	if (change->removed)
		return 0;
	kf_cidr_format(&change->row.cidr, text);
	return kf_why_set(why, -ENOENT,
			  "%s is neither denied nor allowed; see keyfilterctl source list", text);
}

int kf_policy_source_change_step(struct kf_source_change *change, struct kf_why *why)
{
	int more = step(change, why);

	return more > 0 || !change->removes ? more : remove_next(change, more, why);
}

static int open_change(struct kf_source_change **out, struct kf_policy *policy,
		       const struct kf_source_row *row, bool removes)
{
	struct kf_source_change *change = calloc(1, sizeof(*change));

	if (!change)
		return -ENOMEM;
	change->policy = policy;
	change->row = *row;
	change->removes = removes;
	LIST_INSERT_HEAD(&policy->source_changes, change, entry);
	*out = change;
	return 0;
}

int kf_policy_source_change_put(struct kf_source_change **out, struct kf_policy *policy,
				const struct kf_source_row *row)
{
	return open_change(out, policy, row, false);
}

int kf_policy_source_change_remove(struct kf_source_change **out, struct kf_policy *policy,
				   const struct kf_cidr *cidr)
{
	const struct kf_source_row row = { .cidr = *cidr, .action = KF_SOURCE_ALLOW };

	return open_change(out, policy, &row, true);
}

bool kf_policy_source_change_replaced(const struct kf_source_change *change)
{
	return change->was_there;
}

bool kf_policy_source_change_is_stored(const struct kf_source_change *change)
{
	return change->removed || change->phase == OPEN || change->phase == RELEASE;
}

void kf_policy_source_change_close(struct kf_source_change *change)
{
	if (!change)
		return;
	LIST_REMOVE(change, entry);
	free(change);
}
KF_CLEANUP_DEFINE(struct kf_source_change, kf_policy_source_change_close)

bool kf_policy_source_is_changing(const struct kf_policy *policy, const struct kf_cidr *cidr)
{
	const struct kf_source_change *change;

	LIST_FOREACH(change, &policy->source_changes, entry) {
		if (change->phase == CLOSE && kf_cidr_equal(&change->row.cidr, cidr))
			return true;
	}
	return false;
}

static int run(struct kf_source_change *change, struct kf_why *why)
{
	int more;

	do
		more = kf_policy_source_change_step(change, why);
	while (more > 0);
	return more;
}

int kf_policy_source_put(struct kf_policy *policy, const struct kf_source_row *row, bool *replaced,
			 struct kf_why *why)
{
	_cleanup_(kf_policy_source_change_closep) struct kf_source_change *change = NULL;
	int err = kf_policy_source_change_put(&change, policy, row);

	if (!err)
		err = run(change, why);
	if (!err && replaced)
		*replaced = change->was_there;
	return err;
}

int kf_policy_source_remove(struct kf_policy *policy, const struct kf_cidr *cidr,
			    struct kf_why *why)
{
	_cleanup_(kf_policy_source_change_closep) struct kf_source_change *change = NULL;
	int err = kf_policy_source_change_remove(&change, policy, cidr);

	return err ? err : run(change, why);
}
