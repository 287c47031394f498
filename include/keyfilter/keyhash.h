/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keyhash.h - the tag of a key: its SipHash (sip.h) under the installation's secret.
 *
 * The controller hashes a key when it is created, the kernel when it is used; only tags are stored.
 * Pure functions, no state.
 */
#ifndef KEYFILTER_KEYHASH_H
#define KEYFILTER_KEYHASH_H

#include <linux/types.h>
#include "sip.h"
#include "swar.h"

#define KF_KEY_LEN     51 /* "sk-" and 48 characters of base62 */
#define KF_KEY_LEAST   20 /* bytes of a key that others have made, "sk-" and ... */
#define KF_KEY_MOST    120
#define KF_KEY_PREFIX  3
#define KF_KEY_TAG_LEN 16

/*
 * The tag of a key of exactly KF_KEY_LEN bytes, for the kernel: no loop, no branch. Reads
 * KF_KEY_LEN + 5 bytes at @key; the last five do not count. @tag must be aligned to 8 bytes: it is
 * written as two words.
 */
KF_INLINE void kf_keyhash_51(const __u64 secret[2], const __u8 *key, __u8 tag[KF_KEY_TAG_LEN])
{
	struct kf_sip s;

	kf_sip_begin(&s, secret);
#pragma GCC unroll 6
	for (int i = 0; i < KF_KEY_LEN / 8; i++)
		kf_sip_word(&s, kf_swar_load(key + 8 * i));
	kf_sip_word(&s, (kf_swar_load(key + KF_KEY_LEN / 8 * 8) & kf_swar_low(KF_KEY_LEN % 8)) |
				(__u64)KF_KEY_LEN << 56);
	kf_sip_end(&s, (__u64 *)tag);
}

/*
 * The tag of a key of at most KF_KEY_MOST bytes, for the kernel. Reads KF_KEY_MOST + 8 bytes at
 * @key; those behind the first @len do not count. @tag: as above.
 */
KF_INLINE void kf_keyhash_most(const __u64 secret[2], const __u8 *key, __u32 len,
			       __u8 tag[KF_KEY_TAG_LEN])
{
	struct kf_sip s;
	__u32 i;

	kf_sip_begin(&s, secret);
#ifdef __bpf__
#pragma clang loop unroll(disable)
#endif
	for (i = 0; i < KF_KEY_MOST / 8 && 8 * i + 8 <= len; i++)
		kf_sip_word(&s, kf_swar_load(key + 8 * i));
	kf_sip_word(&s, (kf_swar_load(key + 8 * i) & kf_swar_low(len & 7)) | (__u64)len << 56);
	kf_sip_end(&s, (__u64 *)tag);
}

#ifndef __bpf__
/* The tag of the @len bytes at @key, of any length and alignment; @tag has 16 bytes. */
static inline void kf_keyhash(const __u64 secret[2], const __u8 *key, __u32 len,
			      __u8 tag[KF_KEY_TAG_LEN])
{
	__u64 words[2], last = (__u64)len << 56;
	struct kf_sip s;
	__u32 i;

	kf_sip_begin(&s, secret);
	for (i = 0; len - i >= 8; i += 8)
		kf_sip_word(&s, kf_swar_load(key + i));
	for (__u32 shift = 0; i < len; i++, shift += 8)
		last |= (__u64)key[i] << shift;
	kf_sip_word(&s, last);
	kf_sip_end(&s, words);
	__builtin_memcpy(tag, words, 16);
}
#endif

/*
 * Whether this can be one of our keys, or an imported one: its length and its prefix. Reads 8 bytes
 * at @key if the length is right. The rest is not checked: what is no key has no tag in the maps.
 */
KF_INLINE _Bool kf_key_shape(const __u8 *key, __u32 len)
{
	return len >= KF_KEY_LEAST && len <= KF_KEY_MOST &&
	       (kf_swar_load(key) & kf_swar_low(KF_KEY_PREFIX)) ==
		       KF_SWAR_TEXT('s', 'k', '-', 0, 0, 0, 0, 0);
}

#endif /* KEYFILTER_KEYHASH_H */
