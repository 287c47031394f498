/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * head.h - stage 5: collect a request head and read it.
 *
 * A head that lies in one segment is read from the CPU's scratch. One that goes on in the next
 * segment moves to a place of its own behind the scratch places of kf_heads, until its blank line
 * arrives. Its pieces are passed on meanwhile, all but the last: the backend never holds the whole
 * head before it was judged. A place belongs to the flow whose cookie it carries, and may be taken
 * over once its deadline has passed: a client that never finishes keeps nobody else out.
 */
#ifndef KEYFILTER_HEAD_H
#define KEYFILTER_HEAD_H

#include "flow.h"
#include "maps.bpf.h"

#define KF_HEAD_FIRST	 1024 /* bytes read at first: nearly all heads are shorter */
#define KF_HEAD_SEGMENTS 64
#define KF_HEAD_TRIES	 64

/* Global, so that the verifier reads the parser once, not at each call. */
__noinline int kf_head_parse(struct kf_head *head, __u32 len)
{
	if (!head)
		return KF_HTTP1_MALFORMED;
	return kf_http1_parse(&head->http1, head->buf, len);
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
	__u32 place;
	__u32 pad;
};

/* Who moves the deadline has the place. */
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
	if (deadline && search->now < deadline + KF_NSEC_PER_SEC)
		return 0;
	if (__sync_val_compare_and_swap(&head->deadline_ns, deadline,
					search->now + search->config->head_timeout_ns) != deadline)
		return 0;
	search->head = head;
	return 1;
}

/* The same for all of an IPv4 address or an IPv6 /64. */
static __always_inline __u64 kf_head_start(const struct kf_config *config,
					   const struct kf_packet *p)
{
	struct kf_flow_key source = {};

	__builtin_memcpy(source.client, p->key.client, 16);
	if (p->ipv6)
		__builtin_memset(source.client + 8, 0, 8);
	return kf_flow_hash(config->flow_secret, &source) >> 32;
}

/* A place of @flow's own, or NULL. */
static __always_inline struct kf_head *kf_head_reserve(const struct kf_packet *p,
						       struct kf_flow *flow)
{
	struct kf_head_search search = {
		.config = kf_config_get(),
		.now = bpf_ktime_get_coarse_ns(),
	};

	if (!search.config)
		return NULL;
	search.start = kf_head_start(search.config, p);
	kf_loop(KF_HEAD_TRIES, kf_head_try, &search);
	if (!search.head)
		return NULL;
	search.head->owner = flow->cookie;
	flow->head = search.place;
	return search.head;
}

/* The place that @flow reserved, if it still is its own. */
static __always_inline struct kf_head *kf_head_of(const struct kf_flow *flow)
{
	struct kf_head *head = kf_head_at(flow->head);

	if (!head || head->owner != flow->cookie || bpf_ktime_get_coarse_ns() >= head->deadline_ns)
		return NULL;
	return head;
}

static __always_inline void kf_head_release(struct kf_flow *flow)
{
	struct kf_head *head;

	if (!flow->head)
		return;
	head = kf_head_of(flow);
	if (head) {
		head->owner = 0;
		*(volatile __u64 *)&head->deadline_ns = 0;
	}
	flow->head = 0;
}

#endif /* KEYFILTER_HEAD_H */
