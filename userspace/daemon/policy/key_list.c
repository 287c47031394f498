// SPDX-License-Identifier: GPL-2.0-only
#include "policy/key_list.h"

#include <errno.h>
#include <string.h>

#include "policy/policy.h"

void kf_policy_key_list_set(struct kf_key_list *list, const struct kf_cidr *blocks, uint32_t count)
{
	list->any = !count;
	list->count = count;
	for (uint32_t i = 0; i < count; i++)
		list->blocks[i] = blocks[i];
}

static bool covers(const struct kf_cidr *by, const struct kf_cidr *cidr)
{
	return kf_cidr_covers(by, cidr) && kf_cidr_is_v4(by) == kf_cidr_is_v4(cidr);
}

static bool is_covered(const struct kf_cidr *cidr, const struct kf_key_list *by)
{
	for (uint32_t i = 0; i < by->count; i++)
		if (covers(&by->blocks[i], cidr))
			return true;
	return by->any;
}

static bool covers_one(const struct kf_cidr *cidr, const struct kf_key_list *of)
{
	for (uint32_t i = 0; i < of->count; i++)
		if (covers(cidr, &of->blocks[i]))
			return true;
	return of->any;
}

static bool has(const struct kf_key_list *list, const struct kf_cidr *cidr)
{
	for (uint32_t i = 0; i < list->count; i++)
		if (kf_cidr_equal(&list->blocks[i], cidr))
			return true;
	return false;
}

static void add_common(const struct kf_key_list *from, const struct kf_key_list *with,
		       struct kf_key_list *out)
{
	for (uint32_t i = 0; i < from->count; i++)
		if (is_covered(&from->blocks[i], with) && !has(out, &from->blocks[i]) &&
		    out->count < KF_KEY_LIST_MAX)
			out->blocks[out->count++] = from->blocks[i];
}

/* Blocks nest or are apart: what is in both are the blocks of each inside one of the other. */
void kf_policy_key_list_meet(const struct kf_key_list *a, const struct kf_key_list *b,
			     struct kf_key_list *out)
{
	out->any = a->any && b->any;
	out->count = 0;
	add_common(a, b, out);
	add_common(b, a, out);
}

bool kf_policy_key_list_equal(const struct kf_key_list *a, const struct kf_key_list *b)
{
	if (a->any != b->any || a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (!has(b, &a->blocks[i]))
			return false;
	return true;
}

/* ---- into the kernel ------------------------------------------------------------------------- */

int kf_policy_key_list_put(struct kf_policy *policy, uint32_t slot, const struct kf_cidr *cidr)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	const uint8_t one = 1;
	uint32_t count = kf_policy_compile_allow(slot, cidr, prefixes);
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = kf_maps_put(policy->maps, KF_MAP_kf_key_allow, &prefixes[i], &one);
	return err;
}

/* Is @prefix one of the entries of a block in @list? */
static bool is_needed(const struct kf_key_prefix *prefix, const struct kf_cidr *list,
		      uint32_t count)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = kf_policy_compile_allow(prefix->slot, &list[i], prefixes);

		for (uint32_t j = 0; j < n; j++)
			if (!memcmp(&prefixes[j], prefix, sizeof(*prefix)))
				return true;
	}
	return false;
}

int kf_policy_key_list_delete(struct kf_policy *policy, uint32_t slot, const struct kf_cidr *cidr,
			      const struct kf_cidr *keep, uint32_t keep_count)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];
	uint32_t count = kf_policy_compile_allow(slot, cidr, prefixes);
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++) {
		if (is_needed(&prefixes[i], keep, keep_count))
			continue;
		err = kf_maps_delete(policy->maps, KF_MAP_kf_key_allow, &prefixes[i]);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

static int delete_block(struct kf_policy *policy, uint32_t slot, const struct kf_cidr *cidr,
			const struct kf_key_list *keep)
{
	return kf_policy_key_list_delete(policy, slot, cidr, keep->blocks, keep->count);
}

/* Blocks that overlap none of @to go first: that makes room, and they have to go in any case. */
static int delete_apart(struct kf_policy *policy, uint32_t slot, const struct kf_key_list *from,
			const struct kf_key_list *to)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < from->count; i++)
		if (!is_covered(&from->blocks[i], to) && !covers_one(&from->blocks[i], to))
			err = delete_block(policy, slot, &from->blocks[i], to);
	return err;
}

static bool is_full(int err)
{
	return err == -ENOSPC || err == -E2BIG || err == -ENOMEM;
}

/* @gone: so many of @from have been deleted for want of room. */
static int put_block(struct kf_policy *policy, uint32_t slot, const struct kf_cidr *cidr,
		     const struct kf_key_list *from, const struct kf_key_list *to, uint32_t *gone)
{
	int err = kf_policy_key_list_put(policy, slot, cidr);

	while (is_full(err) && *gone < from->count) {
		const struct kf_cidr *doomed = &from->blocks[(*gone)++];

		if (has(to, doomed))
			continue;
		err = delete_block(policy, slot, doomed, to);
		if (!err)
			err = kf_policy_key_list_put(policy, slot, cidr);
	}
	return err;
}

static int delete_rest(struct kf_policy *policy, uint32_t slot, const struct kf_key_list *from,
		       const struct kf_key_list *to)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < from->count; i++)
		if (!has(to, &from->blocks[i]))
			err = delete_block(policy, slot, &from->blocks[i], to);
	return err;
}

/* To no list at all: the flag goes before the entries. From none: it comes after them. */
int kf_policy_key_list_apply(struct kf_policy *policy, uint32_t slot,
			     const struct kf_key_list *from, const struct kf_key_list *to)
{
	uint32_t gone = 0;
	int err;

	if (to->any)
		kf_maps_slot_flags(policy->maps, slot, 0);
	err = to->any ? 0 : delete_apart(policy, slot, from, to);
	for (uint32_t i = 0; !err && i < to->count; i++)
		err = put_block(policy, slot, &to->blocks[i], from, to, &gone);
	if (err)
		return err;
	if (!to->any)
		kf_maps_slot_flags(policy->maps, slot, KF_KEY_HAS_ALLOWLIST);
	return delete_rest(policy, slot, from, to);
}
