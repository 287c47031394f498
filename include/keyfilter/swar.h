/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * swar.h - eight bytes of text at a time in one 64-bit word.
 *
 * Owned by the readers of http1.h and keyhash.h; compiled into the BPF object, the unit tests and
 * the fuzzers. A "mask" has bit 7 of each byte that answers the question and no other bit; byte 0
 * of a word is the byte at the lowest address, so little-endian machines only. No function here
 * touches anything but its arguments.
 */
#ifndef KEYFILTER_SWAR_H
#define KEYFILTER_SWAR_H

#include <linux/types.h>
#include "loop.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "swar.h reads words as little-endian"
#endif

#define KF_SWAR(byte) (0x0101010101010101ull * (byte)) /* @byte in each place */
#define KF_SWAR_HIGH  KF_SWAR(0x80)

/* Up to 8 characters as a word: what kf_swar_load() returns for them. */
#define KF_SWAR_TEXT4(a, b, c, d)                                                                  \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24)
#define KF_SWAR_TEXT(a, b, c, d, e, f, g, h)                                                       \
	(KF_SWAR_TEXT4(a, b, c, d) | KF_SWAR_TEXT4(e, f, g, h) << 32)

/* Hides from the compiler what it knows of @value: where that knowledge makes worse BPF code. */
#define KF_LAUNDER(value) asm volatile("" : "+r"(value))

/*
 * The 8 bytes at @at, of any alignment. clang for BPF splits an 8-byte load from a byte array into
 * eight byte loads unless it does not know where the pointer comes from.
 */
KF_INLINE __u64 kf_swar_load(const __u8 *at)
{
#ifdef __bpf__
	KF_LAUNDER(at);
	return *(const __u64 *)at;
#else
	__u64 word;

	__builtin_memcpy(&word, at, sizeof(word));
	return word;
#endif
}

/* A word that holds the low @count bytes, 0 to 8, and zeros above. */
KF_INLINE __u64 kf_swar_low(__u32 count)
{
	return count >= 8 ? ~0ull : (1ull << (count * 8 & 63)) - 1;
}

/* All bits of the bytes below the first one marked in @mask; @mask is not 0. */
KF_INLINE __u64 kf_swar_below(__u64 mask)
{
	__u64 lowest = mask & -mask;

	return (lowest >> 7) - 1;
}

/*
 * Which byte, 0 to 7, is the first one marked in @mask; @mask is not 0. BPF has no ctz: times a
 * power of 256 moves the byte that holds the answer to the top. The `& 7` is for the verifier.
 */
KF_INLINE __u64 kf_swar_first(__u64 mask)
{
	return (((mask & -mask) >> 7) * 0x0001020304050607ull >> 56) & 7;
}

/* ---- classes: exact in every byte, no carry from one byte into the next ---------------------- */

/* Helpers on words whose bytes are all below 0x80; they leave the answer in bit 7. */
#define KF_SWAR_FROM(word, byte) ((word) + KF_SWAR(0x80 - (byte)))	   /* byte or above */
#define KF_SWAR_OVER(word, byte) ((word) + KF_SWAR(0x7f - (byte)))	   /* above byte */
#define KF_SWAR_IS(word, byte)	 (KF_SWAR_HIGH - ((word) ^ KF_SWAR(byte))) /* exactly byte */

KF_INLINE __u64 kf_swar_alpha(__u64 seven)
{
	__u64 lower = seven | KF_SWAR(0x20);

	return KF_SWAR_FROM(lower, 'a') & ~KF_SWAR_OVER(lower, 'z');
}

/* Not one of A-Z a-z 0-9 and '-': what nearly all field names are made of. */
KF_INLINE __u64 kf_swar_not_name(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;
	__u64 digit = KF_SWAR_FROM(seven, '0') & ~KF_SWAR_OVER(seven, '9');
	__u64 good = kf_swar_alpha(seven) | digit | KF_SWAR_IS(seven, '-');

	return (~good | word) & KF_SWAR_HIGH;
}

/* Not one of A-Z a-z 0-9 and '-', '.', '/': what nearly all targets are made of. */
KF_INLINE __u64 kf_swar_not_target(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;
	__u64 range = KF_SWAR_FROM(seven, '-') & ~KF_SWAR_OVER(seven, '9');

	return (~(kf_swar_alpha(seven) | range) | word) & KF_SWAR_HIGH;
}

/* A '.' or '/' whose next byte is '.' or '/' too; the last byte of the word has no next. */
KF_INLINE __u64 kf_swar_dot_slash_pair(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;
	__u64 either = KF_SWAR_IS(seven | KF_SWAR(0x01), '/') & ~word & KF_SWAR_HIGH;

	return either & (either >> 8);
}

/* Not one of A-Z a-z 0-9 and '-', '.', '_', ':', '[', ']'. */
KF_INLINE __u64 kf_swar_not_host(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;
	__u64 range = KF_SWAR_FROM(seven, '-') & ~KF_SWAR_OVER(seven, ':');
	__u64 others = KF_SWAR_IS(seven, '_') | KF_SWAR_IS(seven, '[') | KF_SWAR_IS(seven, ']');
	__u64 good = (kf_swar_alpha(seven) | range | others) & ~KF_SWAR_IS(seven, '/');

	return (~good | word) & KF_SWAR_HIGH;
}

/* A control byte, HTAB and DEL included. */
KF_INLINE __u64 kf_swar_control(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;

	return (~KF_SWAR_FROM(seven, 0x20) | KF_SWAR_FROM(seven, 0x7f)) & ~word & KF_SWAR_HIGH;
}

/* Not a visible ASCII byte (VCHAR, RFC 5234 appendix B.1). */
KF_INLINE __u64 kf_swar_not_vchar(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;

	return (~KF_SWAR_FROM(seven, 0x21) | KF_SWAR_FROM(seven, 0x7f) | word) & KF_SWAR_HIGH;
}

#endif /* KEYFILTER_SWAR_H */
