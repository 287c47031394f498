/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * head.h - stage 5: collect a request head and read it.
 *
 * A head that lies in one segment is read from the CPU's scratch. One that goes on in the next
 * segment moves to a place of its own behind the scratch places of kf_heads, until its blank line
 * arrives. Its pieces are passed on meanwhile, all but the last: the backend never holds the whole
 * head before it was judged.
 *
 * A place belongs to the flow whose cookie it carries. A source has a share of KF_HEAD_TRIES
 * places. Where all of them are taken it gets the first one that has been idle for KF_HEAD_IDLE_NS,
 * so a client that never finishes keeps nobody else out; where there is room it may take its time.
 */
#ifndef KEYFILTER_HEAD_H
#define KEYFILTER_HEAD_H

#include "flow.h"
#include "maps.bpf.h"

#define KF_HEAD_FIRST	 1024 /* bytes read at first: nearly all heads are shorter */
#define KF_HEAD_SEGMENTS 64
#define KF_HEAD_TRIES	 64
#define KF_HEAD_IDLE_NS	 KF_NSEC_PER_SEC

/* Global, so that the verifier reads the parser once, not at each call. */
__noinline int kf_head_parse(struct kf_head *head, __u32 len)
{
	if (!head)
		return KF_HTTP1_MALFORMED;
	return kf_http1_parse(&head->http1, head->buf, len);
}

/* Does `upgrade:` stand at @at of @head, in whatever case? The colon has the bit of lower case. */
static __always_inline bool kf_head_is_upgrade(const struct kf_head *head, __u32 at)
{
	const __u64 name = KF_SWAR_TEXT('u', 'p', 'g', 'r', 'a', 'd', 'e', ':');

	return (kf_http1_word(head->buf, at) | KF_HTTP1_LOWER) == name;
}

/*
 * In the first @len bytes of a head that goes on: where does a line begin that is `Upgrade`, and
 * whose value has begun, but not for a websocket if @websocket? 0: it does not end so.
 */
static __always_inline __u32 kf_head_upgrade_open(const struct kf_head *head, __u32 len,
						  bool websocket)
{
	const struct kf_http1 *h = &head->http1;
	__u32 start = h->state > KF_HTTP1_AT_FIELD ? h->line_off : h->cursor, at = start + 8;
	__u8 first;

	if (h->state < KF_HTTP1_AT_FIELD || at >= len || !kf_head_is_upgrade(head, start))
		return 0;
	first = kf_http1_byte(head->buf, at);
	if (first == ' ')
		first = at + 1 < len ? kf_http1_byte(head->buf, at + 1) : ' ';
	return first == ' ' || (websocket && (first | 0x20) == 'w') ? 0 : start;
}

/* Loads up to @avail bytes of the frame to @head->buf + @at; returns how many, 0 if it cannot. */
static __always_inline __u32 kf_head_load(KF_CTX *ctx, __u32 offset, struct kf_head *head, __u32 at,
					  __u32 avail, __u32 most)
{
	__u32 len = avail > most ? most : avail;

	if (!len || len > KF_HEAD_MAX || at >= KF_HEAD_MAX)
		return 0;
	at &= KF_HEAD_MAX - 1;
	KF_LAUNDER(at);
	len = kf_length(len, KF_HEAD_MAX);
	if (kf_ctx_load(ctx, offset, head->buf + at, len))
		return 0;
	return len;
}

struct kf_head_search {
	const struct kf_config *config;
	struct kf_head *head;
	__u64 start;
	__u64 now;
	__u64 spare; /* a place whose deadline is up to this far away may be taken */
	__u32 place;
	__u32 pad;
};

/* The CPU that moves the deadline has the place. */
static long kf_head_try(__u32 index, void *context)
{
	struct kf_head_search *search = context;
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

/* The same for all of an IPv4 address or an IPv6 /48, which is what one customer gets. */
static __always_inline __u64 kf_head_start(const struct kf_config *config,
					   const struct kf_packet *p)
{
	struct kf_flow_key source = {};

	__builtin_memcpy(source.client, p->key.client, 16);
	if (p->ipv6)
		__builtin_memset(source.client + 6, 0, 10);
	return kf_flow_hash(config->flow_secret, &source) >> 32;
}

/* A place of @flow's own, which has none, or NULL. Global, so that it is verified once. */
__noinline int kf_head_reserve(struct kf_packet *p, struct kf_flow *flow)
{
	struct kf_head_search search = {
		.config = kf_config_get(),
		.now = bpf_ktime_get_coarse_ns(),
	};

	if (!p || !flow || !search.config)
		return -1;
	search.start = kf_head_start(search.config, p);
	kf_loop(KF_HEAD_TRIES, kf_head_try, &search);
	if (!search.head && search.config->head_timeout_ns > KF_HEAD_IDLE_NS) {
		search.spare = search.config->head_timeout_ns - KF_HEAD_IDLE_NS;
		kf_loop(KF_HEAD_TRIES, kf_head_try, &search);
	}
	if (!search.head)
		return -1;
	search.head->owner = flow->cookie;
	search.head->len = 0;
	search.head->segments = 0;
	search.head->neutral = 0;
	search.head->ahead_to = 0;
	search.head->frames_first = 0;
	search.head->frames_next = 0;
	*(volatile __u64 *)&search.head->deadline_ns = search.now + search.config->head_timeout_ns;
	*(volatile __u32 *)&flow->head = (flow->head & ~KF_FLOW_HEAD_PLACE) | search.place;
	return 0;
}

/*
 * The place that @flow reserved, if it still is its own: from now on for as long as at the
 * beginning, for its client goes on. A CPU that takes the place for another flow moves the deadline
 * first.
 */
static __always_inline struct kf_head *kf_head_of(const struct kf_flow *flow)
{
	struct kf_config *config = kf_config_get();
	__u32 place = kf_head_place(flow);
	struct kf_head *head = kf_head_at(place);
	__u64 deadline;

	if (!head || !place || !config)
		return NULL;
	deadline = *(volatile __u64 *)&head->deadline_ns;
	if (head->owner != flow->cookie || deadline == KF_HEAD_MOVING)
		return NULL;
	if (__sync_val_compare_and_swap(&head->deadline_ns, deadline,
					bpf_ktime_get_coarse_ns() + config->head_timeout_ns) !=
	    deadline)
		return NULL;
	return head;
}

#endif /* KEYFILTER_HEAD_H */
