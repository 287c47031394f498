/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * handshake.h - a flow begins: has the client really shaken hands?
 *
 * It has where it acknowledges the SYN-ACK that egress saw (kf_embryos), or where the local socket
 * is established and has not received a byte yet. Either proves that the client receives what is
 * sent to its address, so no address can be framed, and tells the client's first sequence number,
 * so that no byte of the stream goes unread. Where the table of flows is full new connections are
 * refused.
 */
#ifndef KEYFILTER_HANDSHAKE_H
#define KEYFILTER_HANDSHAKE_H

#include <asm-generic/errno-base.h>

#include "flow.h"

static __always_inline struct kf_embryo *kf_handshake_at(const struct kf_config *config, __u64 hash)
{
	__u32 index = (hash >> 32) & config->embryo_mask;

	return bpf_map_lookup_elem(&kf_embryos, &index);
}

/* Both numbers in one load, so that no half of another handshake is read. */
static __always_inline __u64 kf_handshake_numbers(__u32 client_first, __u32 server_first)
{
	return (__u64)server_first << 32 | client_first;
}

static __always_inline void kf_handshake_store(struct kf_embryo *embryo, __u64 hash, __u64 numbers)
{
	*(volatile __u64 *)&embryo->cookie = 0;
	*(volatile __u64 *)&embryo->client_first = numbers;
	*(volatile __u64 *)&embryo->cookie = hash;
}

/* The handshake that @p completes, or NULL. */
static __always_inline struct kf_embryo *kf_handshake_find(const struct kf_config *config,
							   __u64 hash, const struct kf_packet *p,
							   __u32 *client_first)
{
	struct kf_embryo *embryo = kf_handshake_at(config, hash);
	__u64 numbers;

	if (!embryo || *(volatile __u64 *)&embryo->cookie != hash)
		return NULL;
	numbers = *(volatile __u64 *)&embryo->client_first;
	if (*(volatile __u64 *)&embryo->cookie != hash || numbers >> 32 != p->ack)
		return NULL;
	*client_first = numbers;
	return embryo;
}

/*
 * Makes the flow that the ingress packet in this CPU's scratch proves, unless another CPU just has.
 * 0, or why there is none: no proof (NO_FLOW), no room (FLOWS_FULL).
 */
static __noinline int kf_handshake_complete(KF_CTX *ctx)
{
	struct kf_scratch *scratch = kf_scratch_get(KF_INGRESS);
	struct kf_config *config = kf_config_get();
	struct kf_embryo *embryo;
	struct kf_packet *p;
	struct kf_flow *fresh;
	__u32 client_first = 0;
	__u64 hash;
	long err;

	if (!config || !scratch)
		return KF_REASON_NO_FLOW;
	p = &scratch->packet;
	hash = kf_flow_hash(config->flow_secret, &p->key);
	embryo = kf_handshake_find(config, hash, p, &client_first);
	if (!embryo && !kf_socket_start(ctx, p, &client_first))
		return KF_REASON_NO_FLOW;
	fresh = &scratch->flow;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->cookie = hash;
	fresh->slot = KF_SLOT_NONE;
	fresh->service = p->service;
	fresh->in.first = client_first;
	fresh->head = p->ack & ~KF_FLOW_HEAD_PLACE; /* not as an older flow of this element began */
	fresh->out.first = p->ack;
	fresh->in.resume_seq = client_first;
	fresh->judged.seq = client_first;
	fresh->in.acked_seq = client_first;
	fresh->judged.from = client_first;
	fresh->out.seq = p->ack;
	fresh->out.low = p->ack;
	fresh->response.seq = p->ack;
	fresh->source_generation = config->source_generation;
	fresh->seen = kf_flow_now();
	err = bpf_map_update_elem(&kf_flows, &p->key, fresh, BPF_NOEXIST);
	/* one handshake makes one flow: a second one would read the stream anew */
	if (!err && embryo)
		embryo->cookie = 0;
	return err == -E2BIG ? KF_REASON_FLOWS_FULL : 0;
}

#endif /* KEYFILTER_HANDSHAKE_H */
