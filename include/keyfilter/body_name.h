/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * body_name.h - the names of members at the levels that decide.
 *
 * A part of body.h. These levels are the object itself, stream_options and generationConfig. A name
 * there is compared byte by byte; one that would be a member's but for the case of its letters is
 * refused, for Go's encoding/json and .NET take it for that member.
 */
#ifndef KEYFILTER_BODY_NAME_H
#define KEYFILTER_BODY_NAME_H

#include "body_state.h"

#define KF_BODY_NAME_MAX 24 /* bytes kept of one */

/* Words of a name. */
#define KF_T KF_SWAR_TEXT

/*
 * Returns @member_ where the name is these three words, KF_BODY_OTHER_CASE where it differs in bit
 * 0x20 alone: upper case from lower, and some bytes that are no letters and harm nobody.
 */
#define KF_BODY_TRY(member_, first, second, third)                                                 \
	do {                                                                                       \
		__u64 differs_ = (name[0] ^ (first)) | (name[1] ^ (second)) | (name[2] ^ (third)); \
                                                                                                   \
		if (!differs_)                                                                     \
			return KF_BODY_##member_;                                                  \
		if (!(differs_ & ~KF_SWAR(0x20)))                                                  \
			return KF_BODY_OTHER_CASE;                                                 \
	} while (0)

/* Which member of the whole object has the @len bytes of @name? */
KF_INLINE enum kf_body_member kf_body_name_top(const __u64 name[3], __u32 len)
{
	switch (len) {
	case 1:
		KF_BODY_TRY(N, 'n', 0, 0);
		break;
	case 4:
		KF_BODY_TRY(CHOOSER, KF_T('l', 'o', 'r', 'a', 0, 0, 0, 0), 0, 0);
		break;
	case 5:
		KF_BODY_TRY(MODEL, KF_T('m', 'o', 'd', 'e', 'l', 0, 0, 0), 0, 0);
		break;
	case 6:
		KF_BODY_TRY(STREAM, KF_T('s', 't', 'r', 'e', 'a', 'm', 0, 0), 0, 0);
		KF_BODY_TRY(PROMPT, KF_T('p', 'r', 'o', 'm', 'p', 't', 0, 0), 0, 0);
		KF_BODY_TRY(CHOOSER, KF_T('m', 'o', 'd', 'e', 'l', 's', 0, 0), 0, 0);
		break;
	case 7:
		KF_BODY_TRY(BEST_OF, KF_T('b', 'e', 's', 't', '_', 'o', 'f', 0), 0, 0);
		break;
	case 9:
		KF_BODY_TRY(PREDICT, KF_T('n', '_', 'p', 'r', 'e', 'd', 'i', 'c'), 't', 0);
		KF_BODY_TRY(CHOOSER, KF_T('l', 'o', 'r', 'a', '_', 'p', 'a', 't'), 'h', 0);
		KF_BODY_TRY(CHOOSER, KF_T('f', 'a', 'l', 'l', 'b', 'a', 'c', 'k'), 's', 0);
		break;
	case 10:
		KF_BODY_TRY(MAX_TOKENS, KF_T('m', 'a', 'x', '_', 't', 'o', 'k', 'e'),
			    KF_T('n', 's', 0, 0, 0, 0, 0, 0), 0);
		KF_BODY_TRY(CHOOSER, KF_T('a', 'd', 'a', 'p', 't', 'e', 'r', '_'),
			    KF_T('i', 'd', 0, 0, 0, 0, 0, 0), 0);
		break;
	case 14:
		KF_BODY_TRY(STREAM_OPTIONS, KF_T('s', 't', 'r', 'e', 'a', 'm', '_', 'o'),
			    KF_T('p', 't', 'i', 'o', 'n', 's', 0, 0), 0);
		break;
	case 16:
		KF_BODY_TRY(GENERATION, KF_T('g', 'e', 'n', 'e', 'r', 'a', 't', 'i'),
			    KF_T('o', 'n', 'C', 'o', 'n', 'f', 'i', 'g'), 0);
		break;
	case 17:
		KF_BODY_TRY(MAX_OUTPUT, KF_T('m', 'a', 'x', '_', 'o', 'u', 't', 'p'),
			    KF_T('u', 't', '_', 't', 'o', 'k', 'e', 'n'), 's');
		KF_BODY_TRY(GENERATION, KF_T('g', 'e', 'n', 'e', 'r', 'a', 't', 'i'),
			    KF_T('o', 'n', '_', 'c', 'o', 'n', 'f', 'i'), 'g');
		break;
	case 21:
		KF_BODY_TRY(MAX_COMPLETION, KF_T('m', 'a', 'x', '_', 'c', 'o', 'm', 'p'),
			    KF_T('l', 'e', 't', 'i', 'o', 'n', '_', 't'),
			    KF_T('o', 'k', 'e', 'n', 's', 0, 0, 0));
		break;
	}
	return KF_BODY_NONE;
}

/* The same in generationConfig, which may be written as in protobuf's JSON or in its text. */
KF_INLINE enum kf_body_member kf_body_name_generation(const __u64 name[3], __u32 len)
{
	switch (len) {
	case 14:
		KF_BODY_TRY(N, KF_T('c', 'a', 'n', 'd', 'i', 'd', 'a', 't'),
			    KF_T('e', 'C', 'o', 'u', 'n', 't', 0, 0), 0);
		break;
	case 15:
		KF_BODY_TRY(N, KF_T('c', 'a', 'n', 'd', 'i', 'd', 'a', 't'),
			    KF_T('e', '_', 'c', 'o', 'u', 'n', 't', 0), 0);
		KF_BODY_TRY(MAX_OUTPUT, KF_T('m', 'a', 'x', 'O', 'u', 't', 'p', 'u'),
			    KF_T('t', 'T', 'o', 'k', 'e', 'n', 's', 0), 0);
		break;
	case 17:
		KF_BODY_TRY(MAX_OUTPUT, KF_T('m', 'a', 'x', '_', 'o', 'u', 't', 'p'),
			    KF_T('u', 't', '_', 't', 'o', 'k', 'e', 'n'), 's');
		break;
	}
	return KF_BODY_NONE;
}

/* The same in stream_options. */
KF_INLINE enum kf_body_member kf_body_name_options(const __u64 name[3], __u32 len)
{
	if (len == 13)
		KF_BODY_TRY(INCLUDE_USAGE, KF_T('i', 'n', 'c', 'l', 'u', 'd', 'e', '_'),
			    KF_T('u', 's', 'a', 'g', 'e', 0, 0, 0), 0);
	return KF_BODY_NONE;
}

#undef KF_BODY_TRY
#undef KF_T

/* Are the names decisive where the reader stands, in an object? */
KF_INLINE _Bool kf_body_name_decides(const struct kf_body *b)
{
	return b->depth == 1 || (b->depth == 2 && (b->inside == KF_BODY_STREAM_OPTIONS ||
						   b->inside == KF_BODY_GENERATION));
}

KF_INLINE void kf_body_name_begin(struct kf_body *b)
{
	b->name[0] = 0;
	b->name[1] = 0;
	b->name[2] = 0;
	b->item = 0;
}

/* The name is complete. */
KF_INLINE long kf_body_name_end(struct kf_body *b)
{
	enum kf_body_member member;

	if (b->depth == 1)
		member = kf_body_name_top(b->name, b->item);
	else if (b->inside == KF_BODY_GENERATION)
		member = kf_body_name_generation(b->name, b->item);
	else
		member = kf_body_name_options(b->name, b->item);
	if (member == KF_BODY_OTHER_CASE)
		return kf_body_fault(b, KF_BODY_FAULT_NAME_CASE);
	if (member != KF_BODY_NONE && member != KF_BODY_CHOOSER && b->seen >> member & 1)
		return kf_body_fault(b, member == KF_BODY_MODEL ? KF_BODY_FAULT_MODEL_TWICE
								: KF_BODY_FAULT_MEMBER_TWICE);
	b->seen |= 1u << member & ~1u;
	b->member = (__u8)member;
	b->name[0] = 0; /* of a count */
	return kf_body_pass(b, KF_BODY_AT_COLON);
}

/* The next @count bytes of the name, 0 to 8, are in @word, which is zero above them. */
KF_INLINE void kf_body_name_add(struct kf_body *b, __u64 word, __u32 count)
{
	__u32 have = b->item, shift = (have & 7) * 8;
	__u64 over = shift ? word >> (64 - shift) : 0;

	word <<= shift;
	if (have < 8) {
		b->name[0] |= word;
		b->name[1] |= over;
	} else if (have < 16) {
		b->name[1] |= word;
		b->name[2] |= over;
	} else if (have < KF_BODY_NAME_MAX) {
		b->name[2] |= word;
	}
	b->item = (__u8)(have > KF_BODY_NAME_MAX ? have : have + count);
}

/* In the name. */
KF_INLINE long kf_body_name(struct kf_body_run *run)
{
	struct kf_body *b = run->b;
	const __u8 *at = kf_body_at(run, b->used);
	__u32 left = run->len - b->used;
	__u64 word = kf_swar_load(at);
	__u32 count =
		kf_body_run(kf_body_special(word & ~KF_SWAR_HIGH) | (word & KF_SWAR_HIGH), left);
	__u8 byte;

	kf_body_name_add(b, word & kf_swar_low(count), count);
	b->used = (__u16)(b->used + count);
	if (count == 8 || count == left)
		return KF_BODY_ON;
	byte = *kf_body_at(run, b->used);
	if (byte == '"')
		return kf_body_name_end(b);
	return kf_body_fault(b, byte < 0x20 ? KF_BODY_FAULT_CONTROL : KF_BODY_FAULT_NAME);
}

#endif /* KEYFILTER_BODY_NAME_H */
