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

/*
 * Brings @cidr and what it covers to what the store (or the open transaction) says. What is put is
 * right by itself; only then entries go: what they covered falls to the block around them.
 */
static int refresh(struct kf_reconcile *reconcile, const struct kf_cidr *cidr)
{
	struct change change = { .reconcile = reconcile, .cidr = cidr };
	int err;

	change.clock = kf_reconcile_now();
	kf_policy_walk_begin(&change.walk, &change.clock, cidr, give_entry, &change);
	change.walk.quiet = true;
	err = kf_store_source_above(reconcile->store, cidr, walk_row, &change);
	change.walk.quiet = false;
	if (!err)
		err = kf_store_source_under(reconcile->store, cidr, walk_row, &change);
	if (!err)
		err = kf_policy_walk_finish(&change.walk);
	if (!err && !change.gave_cidr)
		err = delete_entry(reconcile->maps, cidr);
	if (!err && !change.gave_v4 && kf_cidr_covers(cidr, &kf_policy_v4))
		err = delete_entry(reconcile->maps, &kf_policy_v4);
	kf_maps_sources_changed(reconcile->maps); /* on failure too: some may be written */
	return err;
}

static int explain(struct kf_reconcile *reconcile, int err, bool stored, struct kf_why *why)
{
	if (err == -E2BIG || (stored && err == -ENOSPC))
		return kf_why_set(why, -ENOSPC,
				  "the kernel has no place for another source; remove some, "
				  "or raise sources_max");
	if (stored)
		return kf_why_set(why, err,
				  "the kernel did not take the source: %s; see the kernel log, "
				  "and restart keyfilterd",
				  strerror(-err));
	return kf_why_set(why, err,
			  "cannot store the source: %s; see to the disk of the state directory",
			  kf_store_error(reconcile->store));
}

/* The kernel has it before it is durable: a crash in between leaves it closed until the next start.
 */
static int close_first(struct kf_reconcile *reconcile, const struct kf_cidr *cidr,
		       struct kf_why *why)
{
	int err = refresh(reconcile, cidr);

	reconcile->revoked |= KF_CUT_SOURCES;
	if (err) {
		kf_store_rollback(reconcile->store);
		refresh(reconcile, cidr);
		return explain(reconcile, err, true, why);
	}
	err = kf_store_commit(reconcile->store);
	if (err)
		return kf_why_set(why, err,
				  "the kernel has the change, but it is not durable and a "
				  "restart undoes it: %s; see to the disk and do it again",
				  kf_store_error(reconcile->store));
	return 0;
}

/*
 * It is durable before the kernel opens. @added: a row that is new and, where the kernel has no
 * place for it, is taken back; NULL: none.
 */
static int open_last(struct kf_reconcile *reconcile, const struct kf_cidr *cidr,
		     const struct kf_source_row *added, struct kf_why *why)
{
	int err = added ? reserve(reconcile->maps, cidr) : 0;

	if (err) {
		kf_store_rollback(reconcile->store);
		refresh(reconcile, cidr); /* one place of two may be taken */
		return explain(reconcile, err, true, why);
	}
	err = kf_store_commit(reconcile->store);
	if (err) {
		refresh(reconcile, cidr);
		return explain(reconcile, err, false, why);
	}
	err = refresh(reconcile, cidr);
	if (!err)
		return 0;
	if (added && !kf_store_source_remove(reconcile->store, cidr, added->action))
		refresh(reconcile, cidr);
	return explain(reconcile, err, true, why);
}

/* Does @row shorten an allowance? Then it closes, although it allows. */
static bool shortens(struct kf_store *store, const struct kf_source_row *row)
{
	struct kf_source_row before;

	return !kf_store_source_get(store, &row->cidr, row->action, &before) &&
	       before.expires > row->expires;
}

int kf_source_put(struct kf_reconcile *reconcile, const struct kf_source_row *row, bool *replaced,
		  struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	bool closes = (row->action == KF_SOURCE_DENY) != shortens(reconcile->store, row);
	bool was_there;
	int err;

	err = kf_store_begin(reconcile->store);
	if (!err)
		err = kf_store_source_put(reconcile->store, row, &was_there);
	if (err)
		return explain(reconcile, err, false, why);
	err = closes ? close_first(reconcile, &row->cidr, why)
		     : open_last(reconcile, &row->cidr, was_there ? NULL : row, why);
	if (!err && replaced)
		*replaced = was_there;
	return err;
}

/*
 * The end of an allowance closes and the end of a denial opens, so they are two changes. A denial
 * that goes together with an allowance is still in force while that goes.
 */
static int remove_action(struct kf_reconcile *reconcile, const struct kf_cidr *cidr,
			 enum kf_source_action action, struct kf_why *why)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	int err;

	err = kf_store_begin(reconcile->store);
	if (!err)
		err = kf_store_source_remove(reconcile->store, cidr, action);
	if (err == -ENOENT)
		return err;
	if (err)
		return explain(reconcile, err, false, why);
	return action == KF_SOURCE_ALLOW ? close_first(reconcile, cidr, why)
					 : open_last(reconcile, cidr, NULL, why);
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

/*
 * The programs have gone by the times already, so nothing opens or closes here. Durable in one
 * transaction; entries that a crash leaves in the maps are in force no longer, and go at the start.
 */
int kf_source_expire(struct kf_reconcile *reconcile, uint32_t limit)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = reconcile->store;
	_cleanup_free_ struct kf_source_row *rows = calloc(limit, sizeof(*rows));
	struct expired expired = { .rows = rows };
	int64_t now = kf_reconcile_now().wall_ns;
	int err;

	if (!rows)
		return -ENOMEM;
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
		err = refresh(reconcile, &rows[i].cidr);
	return err;
}
