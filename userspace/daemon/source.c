// SPDX-License-Identifier: GPL-2.0-only
/*
 * A change of one block changes the effective times of all blocks that it covers. They are compiled
 * anew from the store, inside the transaction that changes it, so that the kernel can have them
 * before or after they are durable, as the change demands.
 */
#include "source.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "cut.h"
#include "log.h"
#include "reconcile.h"
#include "why.h"

struct change {
	struct kf_reconcile *reconcile;
	struct kf_clock clock;
	struct kf_policy_walk walk;
	const struct kf_cidr *cidr;
	bool gave_cidr; /* the block itself is still there */
	bool gave_v4;	/* and so is ::ffff:0:0/96 */
};

static void as_prefix(const struct kf_cidr *cidr, struct kf_prefix *prefix)
{
	memset(prefix, 0, sizeof(*prefix));
	prefix->prefix_len = cidr->prefix_len;
	memcpy(prefix->addr, cidr->addr, sizeof(prefix->addr));
}

static int put_entry(struct kf_maps *maps, enum kf_map map, const void *key,
		     const struct kf_source *source)
{
	struct kf_source have;

	if (!kf_maps_get(maps, map, key, &have) && map == KF_MAP_kf_hosts &&
	    !memcmp(&have, source, sizeof(have)))
		return 0;
	return kf_maps_put(maps, map, key, source);
}

/* The flag goes first: with it and without an entry the programs only look once more. */
static int give_entry(void *context, const struct kf_policy_source *entry)
{
	struct change *change = context;
	struct kf_maps *maps = change->reconcile->maps;
	struct kf_prefix prefix;

	if (kf_cidr_equal(&entry->cidr, change->cidr))
		change->gave_cidr = true;
	if (kf_cidr_equal(&entry->cidr, &kf_policy_v4))
		change->gave_v4 = true;
	if (entry->cidr.prefix_len == KF_CIDR_BITS) {
		kf_maps_config_flags(maps, KF_CONFIG_HOSTS, 0);
		return put_entry(maps, KF_MAP_kf_hosts, entry->cidr.addr, &entry->source);
	}
	kf_maps_config_flags(maps, KF_CONFIG_PREFIXES, 0);
	as_prefix(&entry->cidr, &prefix);
	return put_entry(maps, KF_MAP_kf_prefixes, &prefix, &entry->source);
}

/* Takes a place in the kernel for @cidr with what holds for it already, so that nothing changes. */
static int reserve_entry(struct kf_maps *maps, const struct kf_cidr *cidr)
{
	bool is_host = cidr->prefix_len == KF_CIDR_BITS;
	struct kf_source holds = { 0 };
	struct kf_prefix prefix;
	int err;

	as_prefix(cidr, &prefix);
	if (is_host && !kf_maps_get(maps, KF_MAP_kf_hosts, cidr->addr, &holds))
		return 0;
	err = kf_maps_get(maps, KF_MAP_kf_prefixes, &prefix, &holds);
	if (err && err != -ENOENT)
		return err;
	kf_maps_config_flags(maps, is_host ? KF_CONFIG_HOSTS : KF_CONFIG_PREFIXES, 0);
	return is_host ? kf_maps_put(maps, KF_MAP_kf_hosts, cidr->addr, &holds)
		       : kf_maps_put(maps, KF_MAP_kf_prefixes, &prefix, &holds);
}

/*
 * What is durable next must never be more than there is room for, or no start would succeed. A
 * block around IPv4 needs a second place: see struct kf_policy_walk.
 */
static int reserve(struct kf_maps *maps, const struct kf_cidr *cidr)
{
	int err = reserve_entry(maps, cidr);

	if (err || kf_cidr_is_v4(cidr) || !kf_cidr_covers(cidr, &kf_policy_v4))
		return err;
	return reserve_entry(maps, &kf_policy_v4);
}

static int delete_entry(struct kf_maps *maps, const struct kf_cidr *cidr)
{
	struct kf_prefix prefix;
	int err;

	as_prefix(cidr, &prefix);
	err = cidr->prefix_len == KF_CIDR_BITS ? kf_maps_delete(maps, KF_MAP_kf_hosts, cidr->addr)
					       : kf_maps_delete(maps, KF_MAP_kf_prefixes, &prefix);
	return err == -ENOENT ? 0 : err;
}

static int walk_row(void *context, const struct kf_source_row *row)
{
	struct change *change = context;

	return kf_policy_walk_next(&change->walk, row);
}

static int feed_rows(struct change *change)
{
	struct kf_reconcile *reconcile = change->reconcile;
	struct kf_hold_feed feed;
	int err;

	change->walk.quiet = true;
	kf_hold_feed_begin(&feed, reconcile->holds, KF_HOLD_ABOVE, change->cidr, walk_row, change);
	err = kf_store_source_above(reconcile->store, change->cidr, kf_hold_feed_row, &feed);
	err = err ?: kf_hold_feed_finish(&feed);
	change->walk.quiet = false;
	kf_hold_feed_begin(&feed, reconcile->holds, KF_HOLD_UNDER, change->cidr, walk_row, change);
	err = err ?: kf_store_source_under(reconcile->store, change->cidr, kf_hold_feed_row, &feed);
	return err ?: kf_hold_feed_finish(&feed);
}

/*
 * Brings @cidr and what it covers to what the store (or the open transaction) says, and what is
 * held beyond it. What is put is right by itself; only then entries go: what they covered falls to
 * the block around them.
 */
static int refresh(struct kf_reconcile *reconcile, const struct kf_cidr *cidr)
{
	struct change change = { .reconcile = reconcile, .cidr = cidr };
	int err;

	change.clock = kf_reconcile_time(reconcile);
	kf_policy_walk_begin(&change.walk, &change.clock, cidr, give_entry, &change);
	err = feed_rows(&change);
	if (!err)
		err = kf_policy_walk_finish(&change.walk);
	if (!err && !change.gave_cidr)
		err = delete_entry(reconcile->maps, cidr);
	if (!err && !change.gave_v4 && kf_cidr_covers(cidr, &kf_policy_v4))
		err = delete_entry(reconcile->maps, &kf_policy_v4);
	kf_maps_sources_changed(reconcile->maps); /* on failure too: some may be written */
	return err;
}

/* After a failure: what is not as it is to be now is so later. */
static void bring_back(struct kf_reconcile *reconcile, const struct kf_cidr *cidr)
{
	int err;

	kf_store_rollback(reconcile->store);
	err = refresh(reconcile, cidr);
	if (err)
		kf_mend_note(reconcile, KF_MEND_SOURCES, err);
}

static int explain_maps(int err, struct kf_why *why)
{
	if (err == -E2BIG || err == -ENOSPC)
		return kf_why_set(
			why, -ENOSPC,
			"the kernel has no place for another source; remove some, "
			"or raise sources_max and start again after `keyfilterd --unload`");
	return kf_why_set(why, err,
			  "the kernel did not take the source: %s; it is as before; if memory is "
			  "short, free some",
			  strerror(-err));
}

static int explain_store(struct kf_reconcile *reconcile, int err, struct kf_why *why)
{
	return kf_why_set(
		why, err, "cannot store the source: %s; %s, %s", kf_store_error(reconcile->store),
		kf_store_is_unsure(reconcile->store)
			? "it is not known whether the change is stored; until it is, the "
			  "kernel goes by what was before"
			: "it is as before",
		kf_store_mend(err));
}

/* The kernel refuses, and goes on so whatever else is changed: see hold.h. */
static int hold(struct kf_reconcile *reconcile, int err, const struct kf_source_row *row,
		struct kf_why *why)
{
	if (kf_hold_source_add(reconcile->holds, row))
		kf_log_error(
			"no memory to remember that a source is to stay closed; close it again");
	bring_back(reconcile, &row->cidr);
	return kf_why_set(
		why, err, "the kernel has the change, but it is %s: %s; %s and do it again",
		kf_store_is_unsure(reconcile->store) ? "not known whether it is stored"
						     : "not durable and a restart undoes it",
		kf_store_error(reconcile->store), kf_store_mend(err));
}

/*
 * The kernel has it before it is durable: a crash in between leaves it closed until the next start.
 * @row: what closes; the time of an allowance that is removed is 0.
 */
static int close_first(struct kf_reconcile *reconcile, const struct kf_source_row *row,
		       struct kf_why *why)
{
	int err = refresh(reconcile, &row->cidr);

	reconcile->revoked |= KF_CUT_SOURCES;
	if (err) {
		bring_back(reconcile, &row->cidr);
		return explain_maps(err, why);
	}
	err = kf_store_commit(reconcile->store);
	if (err)
		return hold(reconcile, err, row, why);
	if (kf_hold_source_drop(reconcile->holds, &row->cidr, row->action))
		bring_back(reconcile, &row->cidr);
	return 0;
}

/* An error is no change: what is stored is taken back. */
static int take_back(struct kf_reconcile *reconcile, int err, const struct kf_source_row *row,
		     const struct kf_source_row *before, struct kf_why *why)
{
	int undone = before ? kf_store_source_put(reconcile->store, before, NULL)
			    : kf_store_source_remove(reconcile->store, &row->cidr, row->action);

	if (undone)
		kf_mend_note(reconcile, KF_MEND_SOURCES, err);
	bring_back(reconcile, &row->cidr);
	return undone ? kf_why_set(
				why, err,
				"the kernel did not take the source: %s; it is stored, and tried "
				"again until the kernel has it",
				strerror(-err))
		      : explain_maps(err, why);
}

/*
 * It is durable before the kernel opens. @row: what opens, as it is to be or was; @before: what the
 * store had of it, NULL: nothing, and then a place in the kernel is taken first.
 */
static int open_last(struct kf_reconcile *reconcile, const struct kf_source_row *row,
		     const struct kf_source_row *before, struct kf_why *why)
{
	int err = before ? 0 : reserve(reconcile->maps, &row->cidr);

	if (err) {
		bring_back(reconcile, &row->cidr); /* one place of two may be taken */
		return explain_maps(err, why);
	}
	err = kf_store_commit(reconcile->store);
	if (err) {
		bring_back(reconcile, &row->cidr);
		return explain_store(reconcile, err, why);
	}
	kf_hold_source_drop(reconcile->holds, &row->cidr, row->action);
	err = refresh(reconcile, &row->cidr);
	return err ? take_back(reconcile, err, row, before, why) : 0;
}

/* Does it close? Of a denial only what makes it shorter opens, of an allowance all but that. */
static bool closes(const struct kf_source_row *row, const struct kf_source_row *before)
{
	bool shortens = before && before->expires > row->expires;

	return (row->action == KF_SOURCE_DENY) != shortens;
}

int kf_source_put(struct kf_reconcile *reconcile, const struct kf_source_row *row, bool *replaced,
		  struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	struct kf_source_row found;
	const struct kf_source_row *before = NULL;
	bool was_there;
	int err = kf_store_source_get(open, &row->cidr, row->action, &found);

	if (!err)
		before = &found;
	err = err == -ENOENT ? 0 : err;
	err = err ?: kf_store_begin(open);
	err = err ?: kf_store_source_put(open, row, &was_there);
	if (err)
		return explain_store(reconcile, err, why);
	err = closes(row, before) ? close_first(reconcile, row, why)
				  : open_last(reconcile, row, before, why);
	if (!err && replaced)
		*replaced = was_there;
	return err;
}

/* A denial that is only held is not stored: it goes from the kernel alone. */
static int remove_held(struct kf_reconcile *reconcile, const struct kf_cidr *cidr,
		       enum kf_source_action action)
{
	if (action != KF_SOURCE_DENY || !kf_hold_source_drop(reconcile->holds, cidr, action))
		return -ENOENT;
	bring_back(reconcile, cidr);
	return 0;
}

/*
 * The end of an allowance closes and the end of a denial opens, so they are two changes. A denial
 * that goes together with an allowance is still in force while that goes.
 */
static int remove_action(struct kf_reconcile *reconcile, const struct kf_cidr *cidr,
			 enum kf_source_action action, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	struct kf_source_row row;
	int err = kf_store_source_get(open, cidr, action, &row);

	if (err == -ENOENT)
		return remove_held(reconcile, cidr, action);
	err = err ?: kf_store_begin(open);
	err = err ?: kf_store_source_remove(open, cidr, action);
	if (err)
		return explain_store(reconcile, err, why);
	if (action == KF_SOURCE_DENY)
		return open_last(reconcile, &row, &row, why);
	row.expires = 0;
	return close_first(reconcile, &row, why);
}

int kf_source_remove(struct kf_reconcile *reconcile, const struct kf_cidr *cidr, struct kf_why *why)
{
	char text[KF_CIDR_TEXT];
	int allow, deny;

	allow = remove_action(reconcile, cidr, KF_SOURCE_ALLOW, why);
	if (allow && allow != -ENOENT)
		return allow;
	deny = remove_action(reconcile, cidr, KF_SOURCE_DENY, why);
	if (deny != -ENOENT)
		return deny;
	if (!allow)
		return 0;
	kf_cidr_format(cidr, text);
	return kf_why_set(why, -ENOENT,
			  "%s is neither denied nor allowed; see keyfilterctl source list", text);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

struct expired {
	struct kf_source_row *rows;
	uint32_t count;
};

static int collect(void *context, const struct kf_source_row *row)
{
	struct expired *expired = context;

	expired->rows[expired->count++] = *row;
	return 0;
}

/* Rows go by the earlier time: one that is gone does not come back when the clock is corrected. */
static int64_t over_by(const struct kf_reconcile *reconcile)
{
	const struct kf_clock now = kf_reconcile_time(reconcile);

	return now.wall_ns - now.doubt_ns;
}

/*
 * The programs have gone by the times already, so nothing opens or closes here. Durable in one
 * transaction; entries that a crash leaves in the maps are in force no longer, and go at the start.
 */
int kf_source_expire(struct kf_reconcile *reconcile, uint32_t limit)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	_cleanup_free_ struct kf_source_row *rows = calloc(limit, sizeof(*rows));
	struct expired expired = { .rows = rows };
	int64_t now = over_by(reconcile);
	struct kf_cidr held;
	int err;

	if (!rows)
		return -ENOMEM;
	while (kf_hold_source_expire(reconcile->holds, now, &held))
		bring_back(reconcile, &held);
	err = kf_store_source_expired(reconcile->store, now, limit, collect, &expired);
	if (err || !expired.count)
		return err;
	err = kf_store_begin(reconcile->store);
	for (uint32_t i = 0; !err && i < expired.count; i++)
		err = kf_store_source_remove(reconcile->store, &rows[i].cidr, rows[i].action);
	if (!err)
		err = kf_store_commit(reconcile->store);
	reconcile->revoked |= KF_CUT_SOURCES; /* an allowance may have ended */
	for (uint32_t i = 0; !err && i < expired.count; i++)
		bring_back(reconcile, &rows[i].cidr);
	return err ?: expired.count == limit;
}
