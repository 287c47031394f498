/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * digest.h - what was judged is what the backend reads.
 *
 * A segment can pass this filter and still be thrown away by the stack behind it: a wrong checksum,
 * an old timestamp, a closed window. Its sender may then "retransmit" other bytes under the same
 * sequence numbers. So a keyed digest of every judged stretch is kept until the backend
 * acknowledges it, and a retransmission must carry the same bytes. NH (RFC 4418 section 5.2) over
 * blocks of 1,024 bytes, chained by multiplication; the sender never sees a digest and has one try,
 * after which its flow is refused.
 */
#ifndef KEYFILTER_DIGEST_H
#define KEYFILTER_DIGEST_H

#include <keyfilter/swar.h>

#include "flow.h"
#include "head.h"
#include "maps.bpf.h"

#define KF_DIGEST_BLOCK	 (8 * KF_DIGEST_WORDS)
#define KF_DIGEST_BLOCKS 513 /* 512 KiB: as large as BIG TCP makes a packet */

static __always_inline __u64 kf_digest_word(__u64 word, __u64 key)
{
	return (__u64)((__u32)word + (__u32)key) * (__u32)((word >> 32) + (key >> 32));
}

#define KF_DIGEST_STRIDE 64 /* bytes a step: eight words */

struct kf_digest_block {
	const __u8 *buf;
	const __u64 *secret;
	__u64 sum;
	__u32 len;
	__u32 pad;
};

/* The last words: what lies behind the end is garbage, and counts as zeros. */
static __always_inline __u64 kf_digest_rest(const __u8 *buf, const __u64 *secret, __u32 left)
{
	__u64 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < KF_DIGEST_STRIDE; i += 8) {
		__u64 word = kf_swar_load(buf + i);

		if (left < i + 8)
			word &= left > i ? kf_swar_low(left - i) : 0;
		sum += kf_digest_word(word, secret[i / 8]);
	}
	return sum;
}

static long kf_digest_stride(__u32 index, void *context)
{
	struct kf_digest_block *block = context;
	__u32 at = (index & (KF_DIGEST_BLOCK / KF_DIGEST_STRIDE - 1)) * KF_DIGEST_STRIDE;
	const __u64 *secret = block->secret + at / 8;
	const __u8 *buf = block->buf + at;
	__u64 sum = 0;

	if (at + KF_DIGEST_STRIDE > block->len) {
		if (at < block->len)
			block->sum += kf_digest_rest(buf, secret, block->len - at);
		return 1;
	}
#pragma unroll
	for (__u32 i = 0; i < KF_DIGEST_STRIDE; i += 8)
		sum += kf_digest_word(kf_swar_load(buf + i), secret[i / 8]);
	block->sum += sum;
	return 0;
}

/* @len is at most KF_DIGEST_BLOCK; @buf may be read to the end of the block. */
static __always_inline __u64 kf_digest_one(const __u8 *buf, __u32 len,
					   const struct kf_config *config)
{
	struct kf_digest_block block = {
		.buf = buf,
		.secret = config->digest_secret,
		.sum = len,
		.len = len,
	};

	kf_loop(KF_DIGEST_BLOCK / KF_DIGEST_STRIDE, kf_digest_stride, &block);
	return block.sum;
}

struct kf_digest_walk {
	KF_CTX *ctx;
	__u8 *buf;
	const struct kf_config *config;
	__u64 digest;
	__u32 offset;
	__u32 left;
};

static __always_inline __u64 kf_digest_chain(__u64 digest, __u64 block, __u64 secret)
{
	digest = (digest ^ block) * (secret | 1);
	return digest ^ digest >> 32;
}

static long kf_digest_step(__u32 index, void *context)
{
	struct kf_digest_walk *walk = context;
	__u32 len = walk->left > KF_DIGEST_BLOCK ? KF_DIGEST_BLOCK : walk->left;

	if (!len)
		return 1;
	len = kf_length(len, KF_DIGEST_BLOCK);
	if (kf_ctx_load(walk->ctx, walk->offset, walk->buf, len))
		return 1;
	walk->digest = kf_digest_chain(walk->digest, kf_digest_one(walk->buf, len, walk->config),
				       walk->config->flow_secret[5]);
	walk->offset += len;
	walk->left -= len;
	return 0;
}

/* Of @len bytes of the frame from @offset on; they go through this CPU's scratch. */
__noinline __u64 kf_digest_of(KF_CTX *ctx, __u32 offset, __u32 len)
{
	struct kf_head *scratch = kf_head_scratch(KF_SCRATCH_DIGESTED);
	struct kf_digest_walk walk = {
		.ctx = ctx,
		.config = kf_config_get(),
		.offset = offset,
		.left = len,
	};

	if (!scratch || !walk.config)
		return 0;
	walk.buf = scratch->buf;
	kf_loop(KF_DIGEST_BLOCKS, kf_digest_step, &walk);
	return walk.digest;
}

/* The same for the first @len bytes of this CPU's scratch; at most KF_DIGEST_BLOCK. */
__noinline __u64 kf_digest_scratch(__u32 len)
{
	struct kf_head *scratch = kf_head_scratch_of(KF_SCRATCH_REQUEST);
	struct kf_config *config = kf_config_get();

	if (!scratch || !config)
		return 0;
	return kf_digest_chain(0, kf_digest_one(scratch->buf, len, config), config->flow_secret[5]);
}

#endif /* KEYFILTER_DIGEST_H */
