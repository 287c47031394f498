/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reply.h - the answer of our own in the place of a response: its text, its numbers, its segment.
 *
 * On ingress the client's segment becomes the answer, on egress the backend's does. Under the
 * flow's lock. An answer is one segment, with a FIN.
 */
#ifndef KEYFILTER_REPLY_H
#define KEYFILTER_REPLY_H

#include "flow.h"
#include "turn.h"

#define KF_REPLY_TEXT_MASK 1023

/* The clock of kf_flow.answer.ms: about milliseconds. */
static __always_inline __u32 kf_reply_ms(void)
{
	return bpf_ktime_get_coarse_ns() >> 20;
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Room for @digits bytes at @off of @len? Then it can be used as an index. */
static __always_inline bool kf_reply_field(__u32 off, __u32 digits, __u32 len)
{
	return off && off + digits <= len;
}

/* In loops, not unrolled: the stack of 512 bytes has no room for what clang would keep of them. */
static __always_inline void kf_reply_id(__u8 *text, __u64 id)
{
#pragma clang loop unroll(disable)
	for (int i = KF_ANSWER_ID_DIGITS - 1; i >= 0; i--) {
		__u8 digit = id & 15;

		text[i] = digit + (digit < 10 ? '0' : 'a' - 10);
		id >>= 4;
	}
}

/* Right-aligned, with spaces before, which the value of a field may have. */
static __always_inline void kf_reply_retry(__u8 *text, __u32 seconds)
{
#pragma clang loop unroll(disable)
	for (int i = KF_ANSWER_RETRY_DIGITS - 1; i >= 0; i--) {
		text[i] = seconds || i == KF_ANSWER_RETRY_DIGITS - 1 ? '0' + seconds % 10 : ' ';
		seconds /= 10;
	}
}

/* Writes the answer for @flow to the payload of the image. Its length; 0: there is none. */
__noinline int kf_reply_compose(struct kf_flow *flow)
{
	struct kf_turn_image *image = kf_turn_begin();
	struct kf_answer *answer;
	__u32 index, len, off;

	if (!flow || !image)
		return 0;
	index = kf_answer_index(flow->answer.reason, flow->answer.detail, flow->answer.protocol);
	answer = bpf_map_lookup_elem(&kf_answers, &index);
	if (!answer)
		return 0;
	len = flow->answer.flags & KF_ANSWER_NO_BODY ? answer->head_len : answer->len;
	if (!len || len > KF_ANSWER_TEXT_MAX)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < KF_ANSWER_TEXT_MAX; i += 8)
		*(__u64 *)(image->payload + i) = *(__u64 *)(answer->text + i);
	off = answer->id_off;
	KF_LAUNDER(off);
	if (kf_reply_field(off, KF_ANSWER_ID_DIGITS, len))
		kf_reply_id(image->payload + (off & KF_REPLY_TEXT_MASK), flow->answer.request_id);
	off = answer->retry_off;
	KF_LAUNDER(off);
	if (kf_reply_field(off, KF_ANSWER_RETRY_DIGITS, len))
		kf_reply_retry(image->payload + (off & KF_REPLY_TEXT_MASK),
			       flow->answer.retry_after);
	off = len;
	KF_LAUNDER(off);
	off &= KF_REPLY_TEXT_MASK;
	__builtin_memset(image->payload + off, 0,
			 4); /* for the checksum, which takes whole words */
	return len;
}

/* ---- the segment ----------------------------------------------------------------------------- */

/*
 * Would an answer of @len bytes fit in the place of @p? A frame that is too long would be dropped
 * on the way out, and nobody would hear of it.
 */
static __always_inline bool kf_reply_fits(struct __sk_buff *skb, const struct kf_packet *p,
					  __u32 len)
{
	__u32 mtu = 0;

	len += p->l4_offset + sizeof(struct kf_turn_tcp);
	return !bpf_check_mtu(skb, 0, &mtu, (__s32)(len - skb->len), 0);
}

/* Makes @t the answer that was begun on @flow, in place of @p, which is still in the frame. */
static __always_inline void kf_reply_turn(struct __sk_buff *skb, struct kf_packet *p,
					  const struct kf_flow *flow, struct kf_turn *t)
{
	t->seq = flow->answer.seq;
	t->ack = flow->answer.ack;
	t->payload_len = flow->answer.len;
	t->flags = KF_TCP_PSH | KF_TCP_ACK | KF_TCP_FIN;
	t->to_client = 1;
	kf_turn_timestamps(skb, p, t);
}

/*
 * The answer of @len bytes, in the image, takes the numbers from @seq on, where all that the
 * backend has sent must end. False where it has sent more meanwhile, on another CPU: such a CPU
 * moves out.seq first and then looks at the state (kf_egress_is_late()), while here the state
 * comes first. So one of the two sees the other, and the client never gets pieces of both.
 */
static __always_inline bool kf_reply_begin(struct kf_flow *flow, __u32 len, __u32 seq, __u32 ack)
{
	__u8 before = flow->state;

	*(volatile __u8 *)&flow->state = KF_FLOW_ANSWERED;
	if (__sync_val_compare_and_swap(&flow->out.seq, seq, seq + len + 1) != seq) {
		*(volatile __u8 *)&flow->state = before;
		return false;
	}
	/* what an old segment does not acknowledge, the client has been told long ago */
	flow->answer.ack = kf_seq_before(ack, flow->in.acked_seq) ? flow->in.acked_seq : ack;
	flow->answer.seq = seq;
	flow->answer.len = len;
	flow->answer.ms = kf_reply_ms();
	flow->answer.since = kf_flow_now();
	kf_place_release(flow); /* nothing that was judged passes again */
	return true;
}

#endif /* KEYFILTER_REPLY_H */
