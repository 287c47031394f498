/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key.h - stages 6 and 7: from a request's key to a verdict.
 *
 * The key's tag leads to its slot; the slot says the rest. A revocation is one store into the
 * slot's status, which each request loads. The slot's tag is compared, so that a slot given to
 * another key meanwhile is not mistaken for this one.
 */
#ifndef KEYFILTER_KEY_H
#define KEYFILTER_KEY_H

#include <keyfilter/keyhash.h>
#include <keyfilter/keystate.h>

#include "group.h"
#include "maps.bpf.h"
#include "packet.h"
#include "wallet.h"

static __always_inline bool kf_key_tag_equal(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

static __always_inline bool kf_key_address_allowed(__u32 slot, const __u8 *client)
{
	struct kf_key_prefix prefix = { .prefix_len = 32 + 128, .slot = slot };

	__builtin_memcpy(prefix.addr, client, sizeof(prefix.addr));
	return bpf_map_lookup_elem(&kf_key_allow, &prefix) != NULL;
}

/* May the key of @slot be used now, from this address? KF_REASON_ADMITTED or why not. */
static __always_inline int kf_key_policy(const struct kf_slot *slot, __u32 index,
					 const __u8 *client, __u64 now)
{
	int reason = kf_keystate_live(slot, now);

	if (reason != KF_REASON_ADMITTED)
		return reason;
	if ((slot->flags & KF_KEY_HAS_ALLOWLIST) && !kf_key_address_allowed(index, client))
		return KF_REASON_IP_NOT_ALLOWED;
	return KF_REASON_ADMITTED;
}

#define KF_RATE_TRIES 32

/*
 * The generic cell rate algorithm (ITU-T I.371): a request conforms unless it comes earlier than
 * its theoretical arrival time by more than the burst. It takes its place by one compare-and-swap,
 * so that no number of CPUs admits one too many; a CPU that loses the race until its tries are used
 * up refuses the request.
 */
static __always_inline int kf_key_rate(struct kf_slot *slot, __u64 now, struct kf_walk *w)
{
	__u64 interval = slot->rate_interval_ns;
	__u32 rate_slot = slot->rate_slot;
	struct kf_slot *home = slot;
	__u64 early = 0;

	if (!interval)
		return KF_REASON_ADMITTED;
	if (rate_slot != w->slot)
		home = bpf_map_lookup_elem(&kf_slots, &rate_slot);
	if (!home)
		return KF_REASON_RATE_LIMITED;
	for (int i = 0; i < KF_RATE_TRIES; i++) {
		__u64 tat = *(volatile __u64 *)&home->rate_tat_ns;
		__u64 start = tat > now ? tat : now;

		if (start - now > slot->rate_burst_ns) {
			early = start - now - slot->rate_burst_ns;
			break;
		}
		if (__sync_val_compare_and_swap(&home->rate_tat_ns, tat, start + interval) == tat)
			return KF_REASON_ADMITTED;
	}
	/* rounded up: the request is admitted then, unless others of the key came first */
	w->retry_after = early / KF_NSEC_PER_SEC + 1;
	return KF_REASON_RATE_LIMITED;
}

/* The request of the key of @slot was judged at @now. */
static __always_inline void kf_key_count(struct kf_slot *slot, int reason, __u64 now)
{
	if (reason == KF_REASON_ADMITTED) {
		__sync_fetch_and_add(&slot->requests_admitted, 1);
		slot->last_used_ns = now;
	} else {
		__sync_fetch_and_add(&slot->requests_refused, 1);
	}
}

/*
 * The tag of a key of another length than that of ours, into w->tag. Its length was compared with
 * KF_KEY_MOST before (kf_key_shape()), and is masked for the verifier. Global, so that the loop is
 * verified once.
 */
__noinline int kf_key_hash_imported(struct kf_head *head, struct kf_walk *w)
{
	struct kf_config *config = kf_config_get();

	if (!head || !w || !config)
		return 0;
	kf_keyhash_most(config->secret, head->buf + kf_http1_bound(head->http1.key_off),
			head->http1.key_len & 127, (__u8 *)w->tag);
	return 0;
}

/*
 * Judges the request whose head is in @head; leaves the key's slot, where there is one, and when to
 * come again, where that helps, in @w; and whether the content has to be judged, too: it is counted
 * then.
 */
static __always_inline int kf_key_judge(struct kf_head *head, const __u8 *client, struct kf_walk *w)
{
	const struct kf_http1 *http1 = &head->http1;
	__u64 tag[2];
	struct kf_config *config;
	struct kf_slot *slot;
	const __u8 *key;
	__u32 *found;
	__u64 now;
	int reason;

	if (!http1->key_len)
		return KF_REASON_NO_KEY;
	key = head->buf + kf_http1_bound(http1->key_off);
	if (!kf_key_shape(key, http1->key_len))
		return KF_REASON_UNKNOWN_KEY;
	config = kf_config_get();
	if (!config)
		return KF_REASON_UNKNOWN_KEY;
	if (http1->key_len == KF_KEY_LEN) {
		kf_keyhash_51(config->secret, key, (__u8 *)tag);
	} else {
		kf_key_hash_imported(head, w);
		tag[0] = w->tag[0];
		tag[1] = w->tag[1];
	}
	found = bpf_map_lookup_elem(&kf_tags, tag);
	if (!found)
		return KF_REASON_UNKNOWN_KEY;
	slot = bpf_map_lookup_elem(&kf_slots, found);
	if (!slot || !kf_key_tag_equal(slot->tag, (const __u8 *)tag))
		return KF_REASON_UNKNOWN_KEY;
	w->slot = *found;
	now = bpf_ktime_get_boot_ns();
	reason = kf_key_policy(slot, w->slot, client, now);
	if (reason == KF_REASON_ADMITTED)
		reason = kf_wallet_judge(slot);
	if (reason == KF_REASON_ADMITTED)
		reason = kf_group_judge(slot, kf_http1_protocols(http1));
	if (reason == KF_REASON_ADMITTED)
		reason = kf_group_judge_model(slot, head, w);
	if (reason == KF_REASON_ADMITTED)
		reason = kf_key_rate(slot, now, w);
	if (reason != KF_REASON_ADMITTED)
		w->content = 0;
	if (!w->content)
		kf_key_count(slot, reason, now);
	return reason;
}

/* What a flow keeps of its key's tag, to know the slot's next owner from it. */
static __always_inline __u16 kf_key_slot_check(__u32 index)
{
	struct kf_slot *slot = bpf_map_lookup_elem(&kf_slots, &index);

	return slot ? *(__u16 *)slot->tag : 0;
}

/* The slot that a flow's key had, NULL where it is another key's by now. */
static __always_inline struct kf_slot *kf_key_slot(__u32 index, __u16 check)
{
	struct kf_slot *slot = bpf_map_lookup_elem(&kf_slots, &index);

	return slot && kf_keystate_is(slot, check) ? slot : NULL;
}

/*
 * May the key go on with a stream of @protocol that it was admitted to? KF_REASON_ADMITTED or why
 * not. @index, @check: as for kf_key_slot().
 */
static __always_inline int kf_key_still(__u32 index, __u16 check, const __u8 *client, __u8 protocol)
{
	struct kf_slot *slot = kf_key_slot(index, check);
	int reason;

	if (!slot)
		return KF_REASON_UNKNOWN_KEY;
	reason = kf_key_policy(slot, index, client, bpf_ktime_get_boot_ns());
	return reason == KF_REASON_ADMITTED ? kf_group_judge(slot, 1u << (protocol & 31)) : reason;
}

/* The same for each packet of a running response: by status and end alone. */
static __always_inline int kf_key_live(__u32 index, __u16 check)
{
	struct kf_slot *slot = kf_key_slot(index, check);

	if (!slot)
		return KF_REASON_UNKNOWN_KEY;
	return kf_keystate_live(slot, slot->expires_ns == KF_NEVER ? 0 : bpf_ktime_get_boot_ns());
}

#endif /* KEYFILTER_KEY_H */
