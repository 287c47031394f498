/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_char.h - classes of single characters, for the paths where eight at a time will not do.
 *
 * Owned by http1.h and chunk.h. One table, read-only; bytes of 0x80 and above are in no class.
 * Sources: RFC 9110 section 5.6.2 (token), 5.6.4 (quoted-string). Path and query are wider than RFC
 * 3986: clients send `{ } | ^ [ ]` and quotes as they are, and no server makes anything else of
 * them; some take '\\' for '/', and some end a target at '#'.
 */
#ifndef KEYFILTER_HTTP1_CHAR_H
#define KEYFILTER_HTTP1_CHAR_H

#include <linux/types.h>
#include "detail.h"
#include "loop.h"

#define KF_CHAR_TOKEN	   0x01u /* tchar */
#define KF_CHAR_PATH	   0x02u /* visible ASCII, but not '%', '#', '?' and '\\' */
#define KF_CHAR_QUERY	   0x04u /* visible ASCII, but not '%' and '#' */
#define KF_CHAR_UNRESERVED 0x08u /* RFC 3986 section 2.3 */
#define KF_CHAR_ALNUM	   0x10u
#define KF_CHAR_HEX	   0x20u
#define KF_CHAR_QUOTED	   0x40u /* qdtext, without obs-text */

#define KF_C_ALPHA	   0x5f /* letters: all but HEX */
#define KF_C_HEX	   0x7f /* digits and A-F: all */

/* clang-format off */
static const __u8 kf_http1_chars[128] = {
	['\t'] = 0x40,
	/*  SP ! " # $ % & ' ( ) * + , - . / */
	[0x20] = 0x40, 0x47, 0x06, 0x41, 0x47, 0x41, 0x47, 0x47,
	[0x28] = 0x46, 0x46, 0x47, 0x47, 0x46, 0x4f, 0x4f, 0x46,
	['0'] = KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX,
	['5'] = KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX,
	/* : ; < = > ? @ */
	[':'] = 0x46, 0x46, 0x46, 0x46, 0x46, 0x44, 0x46,
	['A'] = KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX,
	['G'] = KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA,
	['N'] = KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA,
	['U'] = KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA,
	/* [ \ ] ^ _ ` */
	['['] = 0x46, 0x04, 0x46, 0x47, 0x4f, 0x47,
	['a'] = KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX, KF_C_HEX,
	['g'] = KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA,
	['n'] = KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA,
	['u'] = KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA, KF_C_ALPHA,
	/* { | } ~ */
	['{'] = 0x46, 0x47, 0x46, 0x4f,
};
/* clang-format on */

#undef KF_C_ALPHA
#undef KF_C_HEX

/* Whether @c is in one of the classes @classes. */
KF_INLINE _Bool kf_http1_char_is(__u8 c, __u32 classes)
{
	return c < 0x80 && (kf_http1_chars[c & 0x7f] & classes);
}

/* @c as it counts in a comparison of names: lower case; all that is no letter or digit a '-'. */
KF_INLINE __u8 kf_http1_char_fold(__u8 c)
{
	return kf_http1_char_is(c, KF_CHAR_ALNUM) ? c | 0x20 : '-';
}

/* The value of a hexadecimal digit. */
KF_INLINE __u32 kf_http1_char_hex(__u8 c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/*
 * The cause to name for a byte that may not stand where it stands; @otherwise if it is printable.
 */
KF_INLINE enum kf_detail kf_http1_char_detail(__u8 c, enum kf_detail otherwise)
{
	if (c == '\n')
		return KF_DETAIL_BARE_LF;
	if (c == '\r')
		return KF_DETAIL_BARE_CR;
	if (c == 0x7f || (c < 0x20 && c != '\t'))
		return KF_DETAIL_CONTROL_BYTE;
	return otherwise;
}

#endif /* KEYFILTER_HTTP1_CHAR_H */
