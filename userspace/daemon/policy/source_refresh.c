// SPDX-License-Identifier: GPL-2.0-only
#include "policy/source_refresh.h"

#include <errno.h>
#include <string.h>

#include "policy/policy.h"

struct walk {
	struct kf_policy *policy;
	struct kf_clock clock;
	struct kf_policy_walk compiled;
	struct kf_hold_feed feed;
	struct kf_cidr last; /* block that was fed last */
	uint32_t rows;
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
	struct kf_maps *maps = context;
	struct kf_prefix prefix;

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
int kf_policy_source_reserve(struct kf_maps *maps, const struct kf_cidr *cidr)
{
	int err = reserve_entry(maps, cidr);

	if (err || kf_cidr_is_v4(cidr) || !kf_cidr_covers(cidr, &kf_policy_compile_v4))
		return err;
	return reserve_entry(maps, &kf_policy_compile_v4);
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

/* ---- deletion -------------------------------------------------------------------------------- */

static int note_row(void *context, const struct kf_source_row *row)
{
	*(bool *)context = true;
	return 0;
}

/* Is there a row, stored or held, of exactly this block? */
static int is_there(struct kf_policy *policy, const struct kf_cidr *cidr, bool *there)
{
	struct kf_source_row row;
	int err;

	*there = kf_policy_hold_source_is(policy->holds, cidr, KF_SOURCE_DENY);
	for (int action = KF_SOURCE_DENY; !*there && action <= KF_SOURCE_ALLOW; action++) {
		err = kf_store_source_get(policy->store, cidr, action, &row);
		if (err && err != -ENOENT)
			return err;
		*there = !err;
	}
	return 0;
}

/* Is there an IPv6 block around IPv4? Then ::ffff:0:0/96 has an entry of its own. */
static int is_shielded(struct kf_policy *policy, bool *shielded)
{
	struct kf_hold_feed feed;
	int err;

	*shielded = false;
	kf_policy_hold_feed_begin(&feed, policy->holds, KF_HOLD_ABOVE, &kf_policy_compile_v4,
				  note_row, shielded);
	err = kf_store_source_above(policy->store, &kf_policy_compile_v4, kf_policy_hold_feed_row,
				    &feed);
	return err ? err : kf_policy_hold_feed_finish(&feed);
}

int kf_policy_source_settle(struct kf_policy *policy, const struct kf_cidr *cidr)
{
	bool there, shielded;
	int err = is_there(policy, cidr, &there);

	if (!err && !there && !kf_cidr_equal(cidr, &kf_policy_compile_v4))
		err = delete_entry(policy->maps, cidr);
	if (err || !kf_cidr_covers(cidr, &kf_policy_compile_v4))
		return err;
	err = is_there(policy, &kf_policy_compile_v4, &there);
	if (!err)
		err = is_shielded(policy, &shielded);
	return err || there || shielded ? err : delete_entry(policy->maps, &kf_policy_compile_v4);
}

/* ---- the walk -------------------------------------------------------------------------------- */

static int walk_row(void *context, const struct kf_source_row *row)
{
	struct walk *walk = context;

	return kf_policy_compile_walk_next(&walk->compiled, row);
}

static int feed_row(void *context, const struct kf_source_row *row)
{
	struct walk *walk = context;

	walk->rows++;
	walk->last = row->cidr;
	return kf_policy_hold_feed_row(&walk->feed, row);
}

/* What is around the block that comes first, which gives it and what it covers their times. */
static int feed_above(struct walk *walk, const struct kf_cidr *from)
{
	const struct kf_policy *policy = walk->policy;
	struct kf_hold_feed feed;
	int err;

	walk->compiled.quiet = true;
	kf_policy_hold_feed_begin(&feed, policy->holds, KF_HOLD_ABOVE, from, walk_row, walk);
	err = kf_store_source_above(policy->store, from, kf_policy_hold_feed_row, &feed);
	if (!err)
		err = kf_policy_hold_feed_finish(&feed);
	walk->compiled.quiet = false;
	return err;
}

static int feed_some(struct walk *walk, const struct kf_policy_source_refresh *refresh)
{
	const struct kf_policy *policy = walk->policy;

	kf_policy_hold_feed_begin(&walk->feed, policy->holds, KF_HOLD_UNDER, &refresh->cidr,
				  walk_row, walk);
	kf_policy_hold_feed_from(&walk->feed, &refresh->from);
	return kf_store_source_under(policy->store, &refresh->cidr, &refresh->from,
				     policy->sources_at_once, feed_row, walk);
}

void kf_policy_source_refresh_begin(struct kf_policy_source_refresh *refresh,
				    const struct kf_cidr *cidr)
{
	*refresh = (struct kf_policy_source_refresh){ .cidr = *cidr, .from = *cidr };
}

/*
 * The last block that was fed may have a second row, and is not given out: the next slice begins
 * with it. What is put is right by itself; only at the end entries go: what they covered falls to
 * the block around them.
 */
static int refresh_some(struct kf_policy *policy, struct kf_policy_source_refresh *refresh)
{
	struct walk walk = { .policy = policy };
	int err;

	walk.clock = kf_policy_time(policy);
	kf_policy_compile_walk_begin(&walk.compiled, &walk.clock, &refresh->cidr, give_entry,
				     policy->maps);
	kf_policy_compile_walk_from(&walk.compiled, &refresh->from);
	err = feed_above(&walk, &refresh->from);
	if (!err)
		err = feed_some(&walk, refresh);
	if (!err && walk.rows == policy->sources_at_once) {
		refresh->from = walk.last;
		return 1;
	}
	if (!err)
		err = kf_policy_hold_feed_finish(&walk.feed);
	if (!err)
		err = kf_policy_compile_walk_finish(&walk.compiled);
	return err ? err : kf_policy_source_settle(policy, &refresh->cidr);
}

int kf_policy_source_refresh_some(struct kf_policy *policy,
				  struct kf_policy_source_refresh *refresh)
{
	int more = refresh_some(policy, refresh);

	if (more <= 0)
		kf_maps_sources_changed(policy->maps); /* on failure too: some may be written */
	return more;
}

int kf_policy_source_refresh(struct kf_policy *policy, const struct kf_cidr *cidr)
{
	struct kf_policy_source_refresh refresh;
	int more;

	kf_policy_source_refresh_begin(&refresh, cidr);
	do
		more = kf_policy_source_refresh_some(policy, &refresh);
	while (more > 0);
	return more;
}
