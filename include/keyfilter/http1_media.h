/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_media.h - Content-Type: is the content JSON in UTF-8, or what else?
 *
 * A body is read for keys that may use some models only, and a server reads it as Content-Type
 * says: a form, or JSON in a character set in which other bytes are quotes (UTF-7), holds other
 * members than the JSON that body.h reads. So what is not plainly JSON in UTF-8 is KF_MEDIA_FORM
 * or KF_MEDIA_OTHER, and nothing is read into it.
 */
#ifndef KEYFILTER_HTTP1_MEDIA_H
#define KEYFILTER_HTTP1_MEDIA_H

#include "http1_state.h"
#include "http1_value.h"
#include "swar.h"

/*
 * Is the value from @off up to @end a parameter `charset=utf-8`, with or without quotes, behind the
 * semicolon at @off and at most a space on each side of that?
 */
KF_INLINE _Bool kf_http1_media_utf8(const __u8 *buf, __u32 off, __u32 end)
{
	const __u64 charset = KF_SWAR_TEXT('c', 'h', 'a', 'r', 's', 'e', 't', '=');
	const __u64 plain = KF_SWAR_TEXT('u', 't', 'f', '-', '8', 0, 0, 0);
	const __u64 quoted = KF_SWAR_TEXT('"', 'u', 't', 'f', '-', '8', '"', 0);
	__u64 word;

	off += kf_http1_byte(buf, off) == ' ';
	if (kf_http1_byte(buf, off) != ';')
		return 0;
	off++;
	off += kf_http1_byte(buf, off) == ' ';
	if ((kf_http1_word(buf, off) | KF_HTTP1_LOWER) != charset)
		return 0;
	off += 8;
	word = kf_http1_word(buf, off) | KF_HTTP1_LOWER;
	return (end == off + 5 && (word & kf_swar_low(5)) == plain) ||
	       (end == off + 7 && (word & kf_swar_low(7)) == quoted);
}

/* Is it `multipart/form-data`, with whatever parameters? */
KF_INLINE _Bool kf_http1_media_form(const __u8 *buf, __u32 off)
{
	const __u64 first = KF_SWAR_TEXT('m', 'u', 'l', 't', 'i', 'p', 'a', 'r');
	const __u64 second = KF_SWAR_TEXT('t', '/', 'f', 'o', 'r', 'm', '-', 'd');
	const __u64 third = KF_SWAR_TEXT('a', 't', 'a', 0, 0, 0, 0, 0);

	return (kf_http1_word(buf, off) | KF_HTTP1_LOWER) == first &&
	       (kf_http1_word(buf, off + 8) | KF_HTTP1_LOWER) == second &&
	       ((kf_http1_word(buf, off + 16) | KF_HTTP1_LOWER) & kf_swar_low(3)) == third;
}

KF_INLINE long kf_http1_value_type(struct kf_http1 *h, const __u8 *buf, struct kf_http1_text t)
{
	const __u64 first = KF_SWAR_TEXT('a', 'p', 'p', 'l', 'i', 'c', 'a', 't');
	const __u64 second = KF_SWAR_TEXT('i', 'o', 'n', '/', 'j', 's', 'o', 'n');
	__u32 len = t.end - t.off;
	_Bool json = len >= 16 && (kf_http1_word(buf, t.off) | KF_HTTP1_LOWER) == first &&
		     (kf_http1_word(buf, t.off + 8) | KF_HTTP1_LOWER) == second &&
		     (len == 16 || kf_http1_media_utf8(buf, t.off + 16, t.end));

	if (h->media == KF_MEDIA_NONE && len >= 19 && kf_http1_media_form(buf, t.off)) {
		h->media = KF_MEDIA_FORM;
		return KF_HTTP1_ON;
	}
	h->media = json && h->media == KF_MEDIA_NONE ? KF_MEDIA_JSON : KF_MEDIA_OTHER;
	return KF_HTTP1_ON;
}

#endif /* KEYFILTER_HTTP1_MEDIA_H */
