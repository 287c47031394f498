/* SPDX-License-Identifier: GPL-2.0-only */
/* clang-format off */
/*
 * http1_names.h - the names of the fields that decide, each in a place of its own.
 *
 * Made by scripts/http1_names.py, which has the names; tests/unit/http1_names_test.sh compares.
 */
#ifndef KEYFILTER_HTTP1_NAMES_H
#define KEYFILTER_HTTP1_NAMES_H

#include "http1_state.h"
#include "swar.h"

struct kf_http1_name {
	__u64 word[3]; /* lower case, first byte lowest */
	__u64 field;   /* enum kf_http1_field */
};

#define KF_HTTP1_NAME_HASH 0x467008c7b209e3feull

#define KF_T KF_SWAR_TEXT
static const struct kf_http1_name kf_http1_names[16] = {
	/* x-goog-api-key */
	[0] = { { KF_T('x', '-', 'g', 'o', 'o', 'g', '-', 'a'),
		    KF_T('p', 'i', '-', 'k', 'e', 'y', 0, 0) },
		KF_FIELD_X_GOOG },
	/* content-encoding */
	[2] = { { KF_T('c', 'o', 'n', 't', 'e', 'n', 't', '-'),
		    KF_T('e', 'n', 'c', 'o', 'd', 'i', 'n', 'g') },
		KF_FIELD_CONTENT_ENCODING },
	/* transfer-encoding */
	[3] = { { KF_T('t', 'r', 'a', 'n', 's', 'f', 'e', 'r'),
		    KF_T('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n'),
		    KF_T('g', 0, 0, 0, 0, 0, 0, 0) },
		KF_FIELD_TRANSFER_ENCODING },
	/* expect */
	[4] = { { KF_T('e', 'x', 'p', 'e', 'c', 't', 0, 0) },
		KF_FIELD_EXPECT },
	/* content-length */
	[5] = { { KF_T('c', 'o', 'n', 't', 'e', 'n', 't', '-'),
		    KF_T('l', 'e', 'n', 'g', 't', 'h', 0, 0) },
		KF_FIELD_CONTENT_LENGTH },
	/* api-key */
	[7] = { { KF_T('a', 'p', 'i', '-', 'k', 'e', 'y', 0) },
		KF_FIELD_API_KEY },
	/* authorization */
	[8] = { { KF_T('a', 'u', 't', 'h', 'o', 'r', 'i', 'z'),
		    KF_T('a', 't', 'i', 'o', 'n', 0, 0, 0) },
		KF_FIELD_AUTHORIZATION },
	/* host */
	[9] = { { KF_T('h', 'o', 's', 't', 0, 0, 0, 0) },
		KF_FIELD_HOST },
	/* sec-websocket-protocol */
	[10] = { { KF_T('s', 'e', 'c', '-', 'w', 'e', 'b', 's'),
		    KF_T('o', 'c', 'k', 'e', 't', '-', 'p', 'r'),
		    KF_T('o', 't', 'o', 'c', 'o', 'l', 0, 0) },
		KF_FIELD_WEBSOCKET_PROTOCOL },
	/* content-type */
	[11] = { { KF_T('c', 'o', 'n', 't', 'e', 'n', 't', '-'),
		    KF_T('t', 'y', 'p', 'e', 0, 0, 0, 0) },
		KF_FIELD_CONTENT_TYPE },
	/* connection */
	[13] = { { KF_T('c', 'o', 'n', 'n', 'e', 'c', 't', 'i'),
		    KF_T('o', 'n', 0, 0, 0, 0, 0, 0) },
		KF_FIELD_CONNECTION },
	/* x-api-key */
	[14] = { { KF_T('x', '-', 'a', 'p', 'i', '-', 'k', 'e'),
		    KF_T('y', 0, 0, 0, 0, 0, 0, 0) },
		KF_FIELD_X_API_KEY },
	/* upgrade */
	[15] = { { KF_T('u', 'p', 'g', 'r', 'a', 'd', 'e', 0) },
		KF_FIELD_UPGRADE },
};
#undef KF_T

#endif /* KEYFILTER_HTTP1_NAMES_H */
