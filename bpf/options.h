/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * options.h - a walk over the options of a header: IPv4's (RFC 791) or TCP's (RFC 9293
 * section 3.2).
 */
#ifndef KEYFILTER_OPTIONS_H
#define KEYFILTER_OPTIONS_H

#include "maps.bpf.h"

#define KF_OPTIONS_MAX 40 /* bytes that either header has room for */

/* An option is a kind, a length and its data; these two are a kind alone. */
#define KF_OPTION_EOL 0
#define KF_OPTION_NOP 1

struct kf_options {
	__u8 bytes[64];
	__u32 at;
	__u32 len;
	__u32 found; /* a kind that was looked for is among them */
};

/*
 * The kind of the option at options->at, and on to the next one; KF_OPTION_EOL where there is none,
 * or none that a stack would read.
 */
static __always_inline __u8 kf_options_next(struct kf_options *options)
{
	__u32 at = options->at;
	__u8 kind, len;

	KF_LAUNDER(at);
	if (at >= options->len || at >= sizeof(options->bytes) - 1)
		return KF_OPTION_EOL;
	kind = options->bytes[at];
	options->at = at + 1;
	if (kind == KF_OPTION_EOL || kind == KF_OPTION_NOP)
		return kind;
	len = options->bytes[at + 1];
	options->at = at + len;
	return len < 2 || at + len > options->len ? KF_OPTION_EOL : kind;
}

/* @len bytes of the frame, 1 to KF_OPTIONS_MAX, from @offset on, to be walked. 0 or an error. */
static __always_inline long kf_options_load(KF_CTX *ctx, __u32 offset, __u32 len,
					    struct kf_options *options)
{
	options->at = 0;
	options->len = len;
	return kf_ctx_load(ctx, offset, options->bytes, kf_length(len, sizeof(options->bytes)));
}

#endif /* KEYFILTER_OPTIONS_H */
