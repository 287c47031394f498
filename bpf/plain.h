/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * plain.h - makes a segment the plain TCP that this filter can follow.
 *
 * A SYN loses the options that would carry the stream another way (Multipath TCP, Fast Open, and
 * what else would: see kf_plain_is_foreign()), and the data that it brings. Both ends then go on as
 * with a peer that knows none of it: the options are answered by nothing, the data is sent again
 * behind the handshake, at once, and is judged there. A keep-alive probe loses its byte.
 *
 * Options become no-operations, so that no length changes.
 */
#ifndef KEYFILTER_PLAIN_H
#define KEYFILTER_PLAIN_H

#include "flow.h"
#include "packet.h"
#include "trim.h"

#define KF_TCPOPT_MPTCP	     30 /* RFC 8684 section 3: MP_CAPABLE and MP_JOIN alike */
#define KF_TCPOPT_FAST_OPEN  34 /* RFC 7413 section 4.1.1 */
#define KF_TCPOPT_ENO	     69 /* RFC 8547: encryption */
#define KF_TCPOPT_EXPERIMENT 253

/*
 * All experiments (kinds 253 and 254, RFC 6994) are: the older Fast Open is one of them, and the
 * SMC-R of Linux, which moves the stream to another network.
 */
static __always_inline bool kf_plain_is_foreign(__u8 kind)
{
	return kind == KF_TCPOPT_MPTCP || kind == KF_TCPOPT_FAST_OPEN || kind == KF_TCPOPT_ENO ||
	       kind == KF_TCPOPT_EXPERIMENT || kind == KF_TCPOPT_EXPERIMENT + 1;
}

static long kf_plain_find_step(__u32 index, void *context)
{
	struct kf_options *options = context;
	__u8 kind = kf_options_next(options);

	options->found |= kf_plain_is_foreign(kind);
	return kind == KF_OPTION_EOL || options->found;
}

/* The walk that erases the foreign options, a byte at a time. */
struct kf_plain_erase {
	struct kf_options options;
	__u32 next;    /* where the option ends that the byte is in, */
	__u32 foreign; /* 1: and that one goes */
};

static long kf_plain_erase_step(__u32 index, void *context)
{
	struct kf_plain_erase *erase = context;
	__u8 kind;

	if (index == erase->next) {
		erase->options.at = index;
		kind = kf_options_next(&erase->options);
		if (kind == KF_OPTION_EOL)
			return 1;
		erase->foreign = kf_plain_is_foreign(kind);
		erase->next = erase->options.at;
	}
	if (erase->foreign && index < KF_OPTIONS_MAX)
		erase->options.bytes[index] = KF_OPTION_NOP;
	return 0;
}

/*
 * The checksum field of @p, a SYN without data whose header has these options, becomes the one for
 * @after. It stays as it is where it is partial: the sum of the pseudo header, which the whole
 * segment's is by chance once in 65,536 times, so that is asked too.
 */
static __always_inline long kf_plain_check(KF_CTX *ctx, const struct kf_packet *p, void *before,
					   void *after)
{
	__u32 len = p->payload_offset - p->l4_offset;
	__u64 pseudo = kf_csum_pseudo(p, len), sum;
	struct tcphdr tcp;
	__u16 check;

	if (kf_ctx_load(ctx, p->l4_offset, &tcp, sizeof(tcp)))
		return -1;
	check = tcp.check;
	sum = pseudo + (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&tcp, sizeof(tcp), 0) +
	      (__u32)bpf_csum_diff(NULL, 0, before, KF_OPTIONS_MAX, 0);
	if (check == kf_csum_fold(pseudo) && kf_csum_fold(sum) != 0xffff)
		return 0;
	sum = (__u32)bpf_csum_diff(before, KF_OPTIONS_MAX, after, KF_OPTIONS_MAX, (__u16)~check);
	check = ~kf_csum_fold(sum);
	return kf_ctx_store(ctx, p->l4_offset + offsetof(struct tcphdr, check), &check,
			    sizeof(check));
}

/* The foreign options of @p, which may have none, become no-operations. 0 or -1. */
__noinline int kf_plain_options(KF_CTX *ctx, struct kf_packet *p)
{
	struct kf_plain_erase erase = {};
	__u8 before[KF_OPTIONS_MAX];
	__u32 at, len;

	if (!p)
		return -1;
	at = p->l4_offset + sizeof(struct tcphdr);
	len = p->payload_offset - at;
	if (!len || len > KF_OPTIONS_MAX)
		return 0;
	if (kf_options_load(ctx, at, len, &erase.options))
		return -1;
	kf_loop(KF_OPTIONS_MAX, kf_plain_find_step, &erase.options);
	if (!erase.options.found)
		return 0;
	__builtin_memcpy(before, erase.options.bytes, sizeof(before));
	kf_loop(KF_OPTIONS_MAX, kf_plain_erase_step, &erase);
	if (kf_plain_check(ctx, p, before, erase.options.bytes))
		return -1;
	return kf_ctx_store(ctx, at, erase.options.bytes, kf_length(len, 64)) ? -1 : 0;
}

/* Takes the payload off. 0 or -1. */
static __always_inline int kf_plain_data(KF_CTX *ctx, struct kf_packet *p)
{
	if (p->payload_len && kf_trim(ctx, p, 0))
		return -1;
	p->payload_len = 0;
	return 0;
}

/*
 * In monitor mode too: the stream could not be watched otherwise. 0, or the detail (enum kf_detail)
 * with which the SYN is refused.
 */
__noinline int kf_plain_syn(KF_CTX *ctx, struct kf_packet *p)
{
	if (!p)
		return 0;
	if (kf_plain_data(ctx, p))
		return KF_DETAIL_DATA_ON_SYN;
	return kf_plain_options(ctx, p) ? KF_DETAIL_MPTCP : 0;
}

/*
 * Is @p the probe of a client that has said nothing yet: one byte, whatever it is, in front of the
 * stream (RFC 9293 section 3.8.4)? The backend answers it as well without the byte, as most stacks
 * send it. With it, it might take it for the first one of the stream: a SYN cookie leaves that
 * number open by three.
 */
static __always_inline bool kf_plain_is_probe(const struct kf_packet *p)
{
	const __u8 more = KF_TCP_SYN | KF_TCP_FIN | KF_TCP_RST | KF_TCP_URG;
	struct kf_flow *flow;

	if (p->payload_len != 1 || (p->tcp_flags & more))
		return false;
	flow = bpf_map_lookup_elem(&kf_flows, &p->key);
	return flow && flow->out.first && !(flow->flags & KF_FLOW_LONG) &&
	       p->seq + 1 == flow->in.first;
}

#endif /* KEYFILTER_PLAIN_H */
