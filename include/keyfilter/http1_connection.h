/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_connection.h - which field a name is, and the names in a Connection field.
 *
 * Source: RFC 9110 section 7.6.1.
 */
#ifndef KEYFILTER_HTTP1_CONNECTION_H
#define KEYFILTER_HTTP1_CONNECTION_H

#include "http1_char.h"
#include "http1_names.h"
#include "http1_state.h"
#include "http1_value.h"
#include "swar.h"

/* The field whose name, in lower case and padded with zeros, is these three words. */
KF_INLINE __u32 kf_http1_lookup(__u64 first, __u64 second, __u64 third)
{
	const struct kf_http1_name *name;
	__u64 slot = ((first ^ second) * KF_HTTP1_NAME_HASH) >> 60;

	name = &kf_http1_names[slot & 15];
	if (name->word[0] != first || name->word[1] != second || name->word[2] != third)
		return KF_FIELD_NONE;
	return (__u32)name->field;
}

/* ---- names byte by byte, for Connection's tokens and odd field names ------------------------- */

KF_INLINE void kf_http1_name_begin(struct kf_http1 *h)
{
	h->name[0] = h->name[1] = h->name[2] = h->name[3] = 0;
	h->name_len = 0;
	h->odd_name = 0;
}

KF_INLINE void kf_http1_name_add(struct kf_http1 *h, __u8 c)
{
	__u32 place = h->name_len;
	__u8 folded = kf_http1_char_fold(c);

	h->odd_name |= folded != (c | 0x20);
	if (place >= 32)
		return;
	h->name[place >> 3 & 3] |= (__u64)folded << (place * 8 & 63);
	h->name_len = place + 1;
}

KF_INLINE __u32 kf_http1_name_field(const struct kf_http1 *h)
{
	return h->name[3] ? KF_FIELD_NONE : kf_http1_lookup(h->name[0], h->name[1], h->name[2]);
}

/* ---- Connection (RFC 9110 section 7.6.1) ----------------------------------------------------- */

/*
 * A field named here is removed by the next hop, after we have judged the request by it: naming one
 * that decides changes what the backend sees. `upgrade` and `close` are what the field is for.
 */
KF_INLINE long kf_http1_connection_token(struct kf_http1 *h)
{
	__u32 field;

	if (!h->name_len)
		return KF_HTTP1_ON;
	field = kf_http1_name_field(h);
	if (field != KF_FIELD_NONE && field != KF_FIELD_UPGRADE)
		return kf_http1_fault(h, KF_DETAIL_CONNECTION);
	if (field == KF_FIELD_UPGRADE)
		h->connection_upgrade = 1;
	if (h->name[0] == KF_SWAR_TEXT('c', 'l', 'o', 's', 'e', 0, 0, 0))
		h->connection_close = 1;
	if (h->name[0] == KF_SWAR_TEXT('k', 'e', 'e', 'p', '-', 'a', 'l', 'i') &&
	    h->name[1] == KF_SWAR_TEXT('v', 'e', 0, 0, 0, 0, 0, 0))
		h->connection_keep_alive = 1;
	kf_http1_name_begin(h);
	return KF_HTTP1_ON;
}

static long kf_http1_connection_step(unsigned int index, void *context)
{
	struct kf_http1_run *run = context;
	struct kf_http1 *h = run->h;
	__u8 c = kf_http1_byte(run->buf, h->value_off);

	(void)index;
	if (h->value_off >= h->value_end) {
		kf_http1_connection_token(h);
		return KF_HTTP1_STOP;
	}
	h->value_off++;
	if (c == ',' || kf_http1_is_space(c))
		return kf_http1_connection_token(h);
	if (!kf_http1_char_is(c, KF_CHAR_TOKEN))
		return kf_http1_fault(h, KF_DETAIL_CONNECTION);
	kf_http1_name_add(h, c);
	return KF_HTTP1_ON;
}

KF_INLINE long kf_http1_value_connection(struct kf_http1 *h, const __u8 *buf,
					 struct kf_http1_text t)
{
	struct kf_http1_run run = { .h = h, .buf = buf };
	__u32 len = t.end - t.off;
	__u64 word = kf_http1_word(buf, t.off) | KF_HTTP1_LOWER;
	__u64 rest = kf_http1_word(buf, t.off + 8) | KF_HTTP1_LOWER;

	/* what every client sends, at once */
	if (len == 10 && word == KF_SWAR_TEXT('k', 'e', 'e', 'p', '-', 'a', 'l', 'i') &&
	    (rest & kf_swar_low(2)) == KF_SWAR_TEXT('v', 'e', 0, 0, 0, 0, 0, 0)) {
		h->connection_keep_alive = 1;
		return KF_HTTP1_ON;
	}
	h->value_off = t.off;
	h->value_end = t.end;
	kf_http1_name_begin(h);
	kf_loop(KF_HEAD_MAX, kf_http1_connection_step, &run);
	return h->state == KF_HTTP1_AT_FAULT ? KF_HTTP1_STOP : KF_HTTP1_ON;
}

#endif /* KEYFILTER_HTTP1_CONNECTION_H */
