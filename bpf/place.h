/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * place.h - the places of kf_heads: how a flow takes one, finds it again, and gives it back.
 *
 * A place belongs to the flow whose cookie it carries. A source has a share of KF_PLACE_TRIES
 * places. Where all of them are taken it gets the first one that has been idle for
 * KF_PLACE_IDLE_NS, so a client that never finishes keeps nobody else out; where there is room it
 * may take its time.
 */
#ifndef KEYFILTER_PLACE_H
#define KEYFILTER_PLACE_H

#include <keyfilter/flowhash.h>

#include "maps.bpf.h"
#include "packet.h"

#define KF_PLACE_TRIES	 64
#define KF_PLACE_PAGES	 256 /* tries for one of the places of a single request, see pages.h */
#define KF_PLACE_IDLE_NS KF_NSEC_PER_SEC

static __always_inline __u32 kf_place_of(const struct kf_flow *flow)
{
	return *(volatile const __u32 *)&flow->head & KF_FLOW_HEAD_PLACE;
}

/*
 * Gives back the place of number @place, unless it has become another flow's: that moves the
 * deadline, and never back to a value that it had.
 */
static __always_inline void kf_place_free(__u32 place, __u64 owner)
{
	struct kf_head *head = kf_head_at(place);
	__u64 deadline;

	if (!head)
		return;
	deadline = *(volatile __u64 *)&head->deadline_ns;
	if (*(volatile __u64 *)&head->owner != owner || deadline == KF_HEAD_MOVING ||
	    __sync_val_compare_and_swap(&head->deadline_ns, deadline, KF_HEAD_MOVING) != deadline)
		return;
	*(volatile __u64 *)&head->owner = 0;
	*(volatile __u64 *)&head->deadline_ns = 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

struct kf_place_pages {
	struct kf_head *head;
	__u64 owner;
	__u32 first, end;
};

static long kf_place_pages_step(__u32 index, void *context)
{
	struct kf_place_pages *walk = context;
	__u32 page = walk->first + index, *place;

	if (page >= walk->end)
		return 1;
	page &= KF_PAGES - 1;
	KF_LAUNDER(page);
	place = &walk->head->pages[page & (KF_PAGES - 1)];
	if (*place)
		kf_place_free(*place, walk->owner);
	*place = 0;
	return 0;
}

/* Gives back the pages of @head, a place of @flow, that come before the page @end (pages.h). */
__noinline int kf_place_pages_free(struct kf_flow *flow, struct kf_head *head, __u32 end)
{
	struct kf_place_pages walk = { .head = head, .end = end };

	if (!flow || !head)
		return 0;
	walk.owner = flow->cookie;
	walk.first = head->pages_first;
	if (walk.end > head->pages_end)
		walk.end = head->pages_end;
	kf_loop(KF_PAGES, kf_place_pages_step, &walk);
	if (head->pages_first < walk.end)
		head->pages_first = walk.end;
	return 0;
}

/* ---- a flow's place -------------------------------------------------------------------------- */

/*
 * Ends the taking that @taken, read from flow->head, stands for. False where that is over already:
 * ingress and egress both give places back, and the flow may have taken the same one anew since.
 * The CPU that takes the number off the flow gives the place back, and the pages with it.
 */
static __always_inline bool kf_place_give_back(struct kf_flow *flow, __u32 taken)
{
	__u32 none = (taken | KF_FLOW_HEAD_PLACE) + 1;
	struct kf_head *head;

	if (!(taken & KF_FLOW_HEAD_PLACE) ||
	    __sync_val_compare_and_swap(&flow->head, taken, none) != taken)
		return false;
	head = kf_head_at(taken & KF_FLOW_HEAD_PLACE);
	if (head && head->pages_end && *(volatile __u64 *)&head->owner == flow->cookie)
		kf_place_pages_free(flow, head, head->pages_end);
	kf_place_free(taken & KF_FLOW_HEAD_PLACE, flow->cookie);
	return true;
}

/* Gives the flow's place in kf_heads back, whatever is in it. */
__noinline int kf_place_release(struct kf_flow *flow)
{
	if (!flow)
		return 0;
	return kf_place_give_back(flow, *(volatile __u32 *)&flow->head);
}

struct kf_place_search {
	const struct kf_config *config;
	struct kf_head *head;
	__u64 start;
	__u64 now;
	__u64 spare; /* a place whose deadline is up to this far away may be taken */
	__u32 place;
	__u32 pad;
};

/* The CPU that moves the deadline has the place. */
static long kf_place_try(__u32 index, void *context)
{
	struct kf_place_search *search = context;
	__u32 heads = search->config->heads;
	struct kf_head *head;
	__u64 deadline;

	if (!heads)
		return 1;
	search->place = search->config->cpus + (__u32)(search->start + index) % heads;
	head = kf_head_at(search->place);
	if (!head)
		return 1;
	deadline = *(volatile __u64 *)&head->deadline_ns;
	if (deadline == KF_HEAD_MOVING || (deadline && search->now + search->spare < deadline))
		return 0;
	if (__sync_val_compare_and_swap(&head->deadline_ns, deadline, KF_HEAD_MOVING) != deadline)
		return 0;
	search->head = head;
	return 1;
}

/*
 * Where the places of a source begin: of an IPv4 address or an IPv6 /48, which is what one customer
 * gets.
 */
static __always_inline __u64 kf_place_start(const struct kf_config *config,
					    const struct kf_packet *p)
{
	struct kf_flow_key source = {};

	__builtin_memcpy(source.client, p->key.client, 16);
	if (p->ipv6)
		__builtin_memset(source.client + 6, 0, 10);
	return kf_flow_hash(config->flow_secret, &source) >> 32;
}

/* Takes one of the first @tries places of the source for @flow: its number; 0: there is none. */
__noinline __u32 kf_place_get(struct kf_packet *p, struct kf_flow *flow, __u32 tries)
{
	struct kf_place_search search = {
		.config = kf_config_get(),
		.now = bpf_ktime_get_coarse_ns(),
	};

	if (!p || !flow || !search.config)
		return 0;
	search.start = kf_place_start(search.config, p);
	kf_loop(tries, kf_place_try, &search);
	if (!search.head && search.config->head_timeout_ns > KF_PLACE_IDLE_NS) {
		search.spare = search.config->head_timeout_ns - KF_PLACE_IDLE_NS;
		kf_loop(tries, kf_place_try, &search);
	}
	if (!search.head)
		return 0;
	search.head->owner = flow->cookie;
	search.head->len = 0;
	search.head->segments = 0;
	search.head->neutral = 0;
	search.head->ahead_to = 0;
	search.head->frames_first = 0;
	search.head->frames_next = 0;
	search.head->content_state = 0;
	search.head->pages_first = 0;
	search.head->pages_end = 0;
	*(volatile __u64 *)&search.head->deadline_ns = search.now + search.config->head_timeout_ns;
	return search.place;
}

/* Takes a place for @flow, which has none. 0, or -1: there is none to be had. */
static __always_inline int kf_place_take(struct kf_packet *p, struct kf_flow *flow)
{
	__u32 place = kf_place_get(p, flow, KF_PLACE_TRIES);

	if (!place)
		return -1;
	*(volatile __u32 *)&flow->head = (flow->head & ~KF_FLOW_HEAD_PLACE) | place;
	return 0;
}

/*
 * The place of number @place, if it still is that of @owner: from now on for as long as at the
 * beginning, for its client goes on. A CPU that takes the place for another flow moves the deadline
 * first.
 */
static __always_inline struct kf_head *kf_place_hold(__u32 place, __u64 owner)
{
	struct kf_config *config = kf_config_get();
	struct kf_head *head = kf_head_at(place);
	__u64 deadline;

	if (!head || !place || !config)
		return NULL;
	deadline = *(volatile __u64 *)&head->deadline_ns;
	if (head->owner != owner || deadline == KF_HEAD_MOVING)
		return NULL;
	if (__sync_val_compare_and_swap(&head->deadline_ns, deadline,
					bpf_ktime_get_coarse_ns() + config->head_timeout_ns) !=
	    deadline)
		return NULL;
	return head;
}

/* The place that @flow has taken, if it still is its own. */
static __always_inline struct kf_head *kf_place_find(const struct kf_flow *flow)
{
	return kf_place_hold(kf_place_of(flow), flow->cookie);
}

#endif /* KEYFILTER_PLACE_H */
