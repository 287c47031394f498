/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * detail.h - why a request was called malformed, or its body not readable: a name for each cause.
 *
 * The reason a client sees is `malformed` or `unsupported_body` (design, section 6); the detail is
 * what operators see in events and counters. Written by the readers (http1.h, chunk.h) and by the
 * transport stages of the BPF pipeline, read by userspace. The numbers travel in events: append,
 * never renumber.
 */
#ifndef KEYFILTER_DETAIL_H
#define KEYFILTER_DETAIL_H

/* X(enumerator suffix, name shown to operators) */
#define KF_DETAILS(X)                                                                              \
	X(NONE, "none")                                                                            \
	/* bytes and lines */                                                                      \
	X(BARE_LF, "bare_lf")                                                                      \
	X(BARE_CR, "bare_cr")                                                                      \
	X(CONTROL_BYTE, "control_byte")                                                            \
	X(OBS_FOLD, "obs_fold")                                                                    \
	X(SPACE_BEFORE_COLON, "space_before_colon")                                                \
	X(FIELD_NAME, "field_name")                                                                \
	X(FIELD_ALIAS, "field_alias")                                                              \
	/* request line */                                                                         \
	X(REQUEST_LINE, "request_line")                                                            \
	X(TLS, "tls")                                                                              \
	X(HTTP2_PREFACE, "http2_preface")                                                          \
	X(METHOD_CONNECT, "method_connect")                                                        \
	X(TARGET, "target")                                                                        \
	X(TARGET_SEGMENT, "target_segment")                                                        \
	X(TARGET_ENCODING, "target_encoding")                                                      \
	X(QUERY, "query")                                                                          \
	X(VERSION, "version")                                                                      \
	/* fields that decide */                                                                   \
	X(HOST, "host")                                                                            \
	X(HOST_MISSING, "host_missing")                                                            \
	X(HOST_TWICE, "host_twice")                                                                \
	X(KEY_BYTES, "key_bytes")                                                                  \
	X(KEY_TWICE, "key_twice")                                                                  \
	X(KEYS_DISAGREE, "keys_disagree")                                                          \
	X(LENGTH_TWICE, "length_twice")                                                            \
	X(LENGTH_NOT_DIGITS, "length_not_digits")                                                  \
	X(LENGTH_OVERFLOW, "length_overflow")                                                      \
	X(LENGTH_AND_ENCODING, "length_and_encoding")                                              \
	X(TRANSFER_ENCODING, "transfer_encoding")                                                  \
	X(ENCODING_TWICE, "encoding_twice")                                                        \
	X(EXPECT, "expect")                                                                        \
	X(UPGRADE_TWICE, "upgrade_twice")                                                          \
	X(CONNECTION, "connection")                                                                \
	/* chunked bodies */                                                                       \
	X(CHUNK_SIZE, "chunk_size")                                                                \
	X(CHUNK_EXTENSION, "chunk_extension")                                                      \
	X(CHUNK_DATA_END, "chunk_data_end")                                                        \
	X(CHUNK_TRAILER, "chunk_trailer")                                                          \
	X(CHUNK_TRAILER_FIELD, "chunk_trailer_field")                                              \
	X(CHUNK_TRAILER_SIZE, "chunk_trailer_size")                                                \
	/* transport: written by the pipeline, not by the readers */                               \
	X(DATA_ON_SYN, "data_on_syn")                                                              \
	X(URGENT, "urgent")                                                                        \
	X(MPTCP, "mptcp")                                                                          \
	X(FRAGMENT, "fragment")                                                                    \
	X(OVERLAP_DIFFERS, "overlap_differs")                                                      \
	X(TOO_MANY_SEGMENTS, "too_many_segments")                                                  \
	X(TCP_HEADER, "tcp_header")                                                                \
	X(UPGRADE_SPLIT, "upgrade_split")                                                          \
	X(ADDRESS, "address")                                                                      \
	X(TRUNCATED, "truncated")                                                                  \
	X(RESPONSE_UNKNOWN, "response_unknown")                                                    \
	X(RESPONSE_STRAY, "response_stray")                                                        \
	X(SOURCE_ROUTE, "source_route")                                                            \
	/* limits that weak servers have, and what they would take for something else */           \
	X(CHUNK_TOO_LARGE, "chunk_too_large")                                                      \
	X(METHOD, "method")                                                                        \
	X(CONTENT, "content")                                                                      \
	X(EMPTY_LINES, "empty_lines")                                                              \
	X(TARGET_EMPTY_SEGMENT, "target_empty_segment")                                            \
	X(HOST_DISAGREES, "host_disagrees")                                                        \
	/* of body_not_readable: written by the pipeline */                                        \
	X(BODY_EMPTY, "body_empty")                                                                \
	X(BODY_ENCODED, "body_encoded")                                                            \
	X(BODY_MEDIA, "body_media")                                                                \
	X(BODY_TOO_LARGE, "body_too_large")                                                        \
	X(BODY_CHOOSER, "body_chooser")                                                            \
	/* ... and by the reader of body.h, in the order of its faults */                          \
	X(BODY_NOT_OBJECT, "body_not_object")                                                      \
	X(BODY_SYNTAX, "body_syntax")                                                              \
	X(BODY_CONTROL, "body_control")                                                            \
	X(BODY_ESCAPE, "body_escape")                                                              \
	X(BODY_DEPTH, "body_depth")                                                                \
	X(BODY_TRAILING, "body_trailing")                                                          \
	X(BODY_TRUNCATED, "body_truncated")                                                        \
	X(BODY_NAME, "body_name")                                                                  \
	X(BODY_NAME_CASE, "body_name_case")                                                        \
	X(BODY_MODEL_TWICE, "body_model_twice")                                                    \
	X(BODY_MODEL_VALUE, "body_model_value")                                                    \
	X(BODY_MODEL_MISSING, "body_model_missing")                                                \
	X(BODY_MEMBER_TWICE, "body_member_twice")                                                  \
	X(BODY_TYPE, "body_type")                                                                  \
	X(BODY_COUNT, "body_count")

/* clang-format off */
enum kf_detail {
#define KF_DETAIL_ENUMERATOR(suffix, name) KF_DETAIL_##suffix,
	KF_DETAILS(KF_DETAIL_ENUMERATOR)
#undef KF_DETAIL_ENUMERATOR
	KF_DETAIL_COUNT
};
/* clang-format on */

#ifndef __bpf__
/* The name of @detail; "unknown" for a number of a newer layout. Static storage. */
static inline const char *kf_detail_name(unsigned int detail)
{
	static const char *const names[] = {
#define KF_DETAIL_NAME(suffix, name) name,
		KF_DETAILS(KF_DETAIL_NAME)
#undef KF_DETAIL_NAME
	};

	return detail < KF_DETAIL_COUNT ? names[detail] : "unknown";
}
#endif

#endif /* KEYFILTER_DETAIL_H */
