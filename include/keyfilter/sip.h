/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sip.h - SipHash-2-4 with 128 bits of output, a word of 8 bytes at a time.
 *
 * Source: J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the
 * 128-bit variant of their reference code (github.com/veorq/SipHash).
 */
#ifndef KEYFILTER_SIP_H
#define KEYFILTER_SIP_H

#include <linux/types.h>
#include "loop.h"

struct kf_sip {
	__u64 v0, v1, v2, v3;
};

#define KF_ROTL(word, bits) ((word) << (bits) | (word) >> (64 - (bits)))

KF_INLINE void kf_sip_round(struct kf_sip *s)
{
	s->v0 += s->v1;
	s->v1 = KF_ROTL(s->v1, 13) ^ s->v0;
	s->v0 = KF_ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = KF_ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = KF_ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = KF_ROTL(s->v1, 17) ^ s->v2;
	s->v2 = KF_ROTL(s->v2, 32);
}

KF_INLINE void kf_sip_begin(struct kf_sip *s, const __u64 secret[2])
{
	s->v0 = secret[0] ^ 0x736f6d6570736575ull;
	s->v1 = secret[1] ^ 0x646f72616e646f6dull ^ 0xee; /* 0xee: 128 bits of output */
	s->v2 = secret[0] ^ 0x6c7967656e657261ull;
	s->v3 = secret[1] ^ 0x7465646279746573ull;
}

KF_INLINE void kf_sip_word(struct kf_sip *s, __u64 word)
{
	s->v3 ^= word;
	kf_sip_round(s);
	kf_sip_round(s);
	s->v0 ^= word;
}

KF_INLINE void kf_sip_end(struct kf_sip *s, __u64 tag[2])
{
	s->v2 ^= 0xee;
	for (int i = 0; i < 4; i++)
		kf_sip_round(s);
	tag[0] = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
	s->v1 ^= 0xdd;
	for (int i = 0; i < 4; i++)
		kf_sip_round(s);
	tag[1] = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif /* KEYFILTER_SIP_H */
