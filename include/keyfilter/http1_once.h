/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * http1_once.h - the fields that decide: each may stand once, and what its value says.
 *
 * The values themselves are read by http1_value.h and http1_connection.h.
 */
#ifndef KEYFILTER_HTTP1_ONCE_H
#define KEYFILTER_HTTP1_ONCE_H

#include "http1_connection.h"
#include "http1_media.h"
#include "http1_state.h"
#include "http1_value.h"

/* The cause to name when @field is met again; KF_DETAIL_NONE where that is no fault. */
KF_INLINE enum kf_detail kf_http1_twice(__u32 field)
{
	/* not 16 or 32 bytes: clang would put it into .rodata.cst16, whose BTF no kernel takes */
	static const __u8 twice[17] = {
		[KF_FIELD_AUTHORIZATION] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_X_API_KEY] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_API_KEY] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_X_GOOG] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_WEBSOCKET_PROTOCOL] = KF_DETAIL_KEY_TWICE,
		[KF_FIELD_HOST] = KF_DETAIL_HOST_TWICE,
		[KF_FIELD_CONTENT_LENGTH] = KF_DETAIL_LENGTH_TWICE,
		[KF_FIELD_TRANSFER_ENCODING] = KF_DETAIL_ENCODING_TWICE,
		[KF_FIELD_EXPECT] = KF_DETAIL_EXPECT,
		[KF_FIELD_UPGRADE] = KF_DETAIL_UPGRADE_TWICE,
	};

	return (enum kf_detail)twice[field & 15];
}

/* The source that @field is, if it may give a key here, or 0. */
KF_INLINE __u8 kf_http1_source(const struct kf_http1 *h, __u32 field)
{
	_Static_assert(1u << (KF_FIELD_AUTHORIZATION - 1) == KF_KEY_BEARER, "order");
	_Static_assert(1u << (KF_FIELD_X_API_KEY - 1) == KF_KEY_X_API_KEY, "order");
	_Static_assert(1u << (KF_FIELD_API_KEY - 1) == KF_KEY_API_KEY, "order");
	_Static_assert(1u << (KF_FIELD_X_GOOG - 1) == KF_KEY_X_GOOG, "order");
	_Static_assert(1u << (KF_FIELD_QUERY - 1) == KF_KEY_QUERY, "order");
	_Static_assert(1u << (KF_FIELD_WEBSOCKET_PROTOCOL - 1) == KF_KEY_WEBSOCKET, "order");

	return (__u8)((1u << ((field - 1) & 31)) & h->key_sources);
}

/* The line of a field that decides is complete; its value is @t, with white space around. */
KF_INLINE long kf_http1_value(struct kf_http1 *h, const __u8 *buf, __u32 field,
			      struct kf_http1_text t)
{
	enum kf_detail twice = kf_http1_twice(field);
	__u8 source;

	if (kf_http1_again(h, field) && twice)
		return kf_http1_fault(h, twice);
	kf_http1_trim(h, buf, &t);
	if (field == KF_FIELD_WEBSOCKET_PROTOCOL) /* not the line's value, but a key in it */
		return kf_http1_key(h, buf, KF_KEY_WEBSOCKET, t);
	if (field <= KF_FIELD_X_GOOG) {
		source = kf_http1_source(h, field);
		if (!source || (source == KF_KEY_BEARER && !kf_http1_bearer(h, buf, &t)))
			return KF_HTTP1_ON;
		return kf_http1_value_key(h, buf, source, t);
	}
	switch (field) {
	case KF_FIELD_HOST:
		return kf_http1_value_host(h, buf, t);
	case KF_FIELD_CONTENT_LENGTH:
		return kf_http1_value_length(h, buf, t);
	case KF_FIELD_CONNECTION:
		return kf_http1_value_connection(h, buf, t);
	case KF_FIELD_TRANSFER_ENCODING:
		return kf_http1_value_transfer(h, buf, t);
	case KF_FIELD_EXPECT:
		return kf_http1_value_expect(h, buf, t);
	case KF_FIELD_UPGRADE:
		return kf_http1_value_upgrade(h, buf, t);
	case KF_FIELD_CONTENT_TYPE:
		return kf_http1_value_type(h, buf, t);
	default:
		return kf_http1_value_encoding(h, buf, t);
	}
}

/* The line that began at h->line_off and went on over several steps is complete before @end. */
static __attribute__((noinline)) long kf_http1_value_late(struct kf_http1 *h, const __u8 *buf,
							  __u32 end)
{
	struct kf_http1_text t = { .off = h->value_off, .end = end };

	return kf_http1_value(h, buf, h->field & 15, t);
}

#endif /* KEYFILTER_HTTP1_ONCE_H */
