/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * body_text.h - the strings of a JSON body: those that are passed over, and the model's name.
 *
 * A part of body.h. Escapes and control bytes are checked in every string, UTF-8 and surrogates
 * only in the model's name.
 */
#ifndef KEYFILTER_BODY_TEXT_H
#define KEYFILTER_BODY_TEXT_H

#include "body_state.h"

#define KF_BODY_PAIRS 8 /* of words that are passed over in one step */

/* ---- strings that are passed over ----------------------------------------------------------- */

/* The backslash and what follows it, in a string that is passed over; @left bytes from it on. */
KF_INLINE long kf_body_escape_over(struct kf_body *b, __u64 word, __u32 left)
{
	__u8 byte = (__u8)(word >> 8);

	if (left < 2)
		return kf_body_pass(b, KF_BODY_AT_ESCAPE);
	if (byte == 'u') {
		if (left < 6) {
			b->used += 2;
			b->item = 4;
			return kf_body_go(b, KF_BODY_AT_HEX);
		}
		if (kf_body_not_hex(word >> 16) & kf_swar_low(4))
			return kf_body_fault(b, KF_BODY_FAULT_ESCAPE);
		b->used += 6;
		return KF_BODY_ON;
	}
	b->used += 2;
	switch (byte) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return KF_BODY_ON;
	default:
		return kf_body_fault(b, KF_BODY_FAULT_ESCAPE);
	}
}

/* In a string that is passed over. */
KF_INLINE long kf_body_text(struct kf_body_run *run)
{
	struct kf_body *b = run->b;
	__u32 left = run->len - b->used, count = 0;
	const __u8 *at = kf_body_at(run, b->used);
	__u64 first = 0, second = 0, mask;

#pragma GCC unroll 8
	for (int i = 0; i < KF_BODY_PAIRS; i++) {
		first = kf_swar_load(at + 16 * i);
		second = kf_swar_load(at + 16 * i + 8);
		if (kf_body_special(first) | kf_body_special(second))
			break;
		count += 16;
	}
	mask = kf_body_special(first);
	if (!mask) {
		first = second;
		mask = kf_body_special(second);
		count += 8;
	}
	count = mask ? count + (__u32)kf_swar_first(mask) : 16 * KF_BODY_PAIRS;
	if (count >= left) {
		b->used = (__u16)run->len;
		return KF_BODY_STOP;
	}
	b->used = (__u16)(b->used + count);
	if (!mask)
		return KF_BODY_ON;
	at = kf_body_at(run, b->used);
	if (*at == '"')
		return kf_body_pass(b, (enum kf_body_at)b->text);
	if (*at == '\\')
		return kf_body_escape_over(b, kf_swar_load(at), left - count);
	return kf_body_fault(b, KF_BODY_FAULT_CONTROL);
}

/* ---- the model's name ----------------------------------------------------------------------- */

KF_INLINE void kf_body_model_begin(struct kf_body *b, const __u64 secret[2])
{
	kf_sip_begin(&b->sip, secret);
	b->rest = 0;
	b->len = 0;
	b->item = 0;
}

/* The next @count bytes of the name, 0 to 8, are in @word, which is zero above them. */
KF_INLINE long kf_body_model_add(struct kf_body *b, __u64 word, __u32 count)
{
	__u32 have = b->len & 7;

	if (b->len + count > KF_BODY_MODEL_MAX)
		return kf_body_fault(b, KF_BODY_FAULT_MODEL_VALUE);
	b->len = (__u8)(b->len + count);
	b->rest |= word << (have * 8);
	if (have + count >= 8) {
		kf_sip_word(&b->sip, b->rest);
		b->rest = have ? word >> (64 - have * 8) : 0;
	}
	return KF_BODY_ON;
}

/* The name is complete; what kf_keyhash() makes of it becomes the tag. */
KF_INLINE long kf_body_model_end(struct kf_body *b)
{
	__u64 tag[2];

	if (!b->len)
		return kf_body_fault(b, KF_BODY_FAULT_MODEL_VALUE);
	kf_sip_word(&b->sip, b->rest | (__u64)b->len << 56);
	kf_sip_end(&b->sip, tag);
	b->tag[0] = tag[0];
	b->tag[1] = tag[1];
	b->member = KF_BODY_NONE;
	return kf_body_pass(b, KF_BODY_AT_COMMA);
}

/* What may follow in a character of more than one byte (RFC 3629 section 4): kf_body.item. */
enum kf_body_utf8 {
	KF_BODY_UTF8_NONE,
	KF_BODY_UTF8_ONE, /* so many more */
	KF_BODY_UTF8_TWO,
	KF_BODY_UTF8_THREE,
	KF_BODY_UTF8_E0, /* behind this byte */
	KF_BODY_UTF8_ED,
	KF_BODY_UTF8_F0,
	KF_BODY_UTF8_F4,
};

KF_INLINE enum kf_body_utf8 kf_body_utf8_lead(__u8 byte)
{
	if (byte < 0xe0)
		return byte < 0xc2 ? KF_BODY_UTF8_NONE : KF_BODY_UTF8_ONE;
	if (byte < 0xf0)
		return byte == 0xe0   ? KF_BODY_UTF8_E0
		       : byte == 0xed ? KF_BODY_UTF8_ED
				      : KF_BODY_UTF8_TWO;
	if (byte > 0xf4)
		return KF_BODY_UTF8_NONE;
	return byte == 0xf0 ? KF_BODY_UTF8_F0 : byte == 0xf4 ? KF_BODY_UTF8_F4 : KF_BODY_UTF8_THREE;
}

/* A byte of a character that is not ASCII. */
KF_INLINE long kf_body_model_wide(struct kf_body *b, __u8 byte)
{
	__u8 low = 0x80, high = 0xbf;

	if (!b->item) {
		b->item = (__u8)kf_body_utf8_lead(byte);
		if (!b->item)
			return kf_body_fault(b, KF_BODY_FAULT_MODEL_VALUE);
	} else {
		if (b->item == KF_BODY_UTF8_E0)
			low = 0xa0;
		else if (b->item == KF_BODY_UTF8_F0)
			low = 0x90;
		else if (b->item == KF_BODY_UTF8_ED)
			high = 0x9f;
		else if (b->item == KF_BODY_UTF8_F4)
			high = 0x8f;
		if (byte < low || byte > high)
			return kf_body_fault(b, KF_BODY_FAULT_MODEL_VALUE);
		if (b->item >= KF_BODY_UTF8_F0)
			b->item = KF_BODY_UTF8_TWO;
		else if (b->item >= KF_BODY_UTF8_E0)
			b->item = KF_BODY_UTF8_ONE;
		else
			b->item--;
	}
	b->used++;
	return kf_body_model_add(b, byte, 1);
}

/* In the model's name. */
KF_INLINE long kf_body_model(struct kf_body_run *run)
{
	struct kf_body *b = run->b;
	const __u8 *at = kf_body_at(run, b->used);
	__u64 word = kf_swar_load(at);
	__u32 count = kf_body_run(kf_body_special(word & ~KF_SWAR_HIGH) | (word & KF_SWAR_HIGH),
				  run->len - b->used);

	if (b->item)
		return kf_body_model_wide(b, *at);
	if (count) {
		b->used = (__u16)(b->used + count);
		return kf_body_model_add(b, word & kf_swar_low(count), count);
	}
	if (*at >= 0x80)
		return kf_body_model_wide(b, *at);
	if (*at == '"')
		return kf_body_model_end(b);
	if (*at == '\\')
		return kf_body_pass(b, KF_BODY_AT_ESCAPE);
	return kf_body_fault(b, KF_BODY_FAULT_CONTROL);
}

/* ---- escapes, byte by byte ------------------------------------------------------------------ */

/* The character @code stands in the model's name as an escape. */
KF_INLINE long kf_body_model_escaped(struct kf_body *b, __u32 code)
{
	b->state = KF_BODY_AT_MODEL;
	if (code < 0x20 || (code >= 0xd800 && code < 0xe000))
		return kf_body_fault(b, KF_BODY_FAULT_MODEL_VALUE);
	if (code < 0x80)
		return kf_body_model_add(b, code, 1);
	if (code < 0x800)
		return kf_body_model_add(b, (0xc0 | code >> 6) | (0x80 | (code & 0x3f)) << 8, 2);
	return kf_body_model_add(b,
				 (0xe0 | code >> 12) | (0x80 | (code >> 6 & 0x3f)) << 8 |
					 (0x80 | (code & 0x3f)) << 16,
				 3);
}

/* Behind a backslash. */
KF_INLINE long kf_body_escape(struct kf_body *b, __u8 byte)
{
	_Bool model = b->text == KF_BODY_AT_MODEL;

	switch (byte) {
	case 'u':
		b->item = 4;
		b->code = 0;
		return kf_body_pass(b, KF_BODY_AT_HEX);
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		if (model)
			return kf_body_fault(b, KF_BODY_FAULT_MODEL_VALUE);
		break;
	case '"':
	case '\\':
	case '/':
		break;
	default:
		return kf_body_fault(b, KF_BODY_FAULT_ESCAPE);
	}
	b->used++;
	return model ? kf_body_model_escaped(b, byte) : kf_body_go(b, KF_BODY_AT_TEXT);
}

/* One of the four digits behind \u. */
KF_INLINE long kf_body_hex(struct kf_body *b, __u8 byte)
{
	__u8 lower = byte | 0x20, digit = (__u8)(byte - '0'), letter = (__u8)(lower - 'a');

	if (digit > 9 && letter > 5)
		return kf_body_fault(b, KF_BODY_FAULT_ESCAPE);
	b->code = (__u16)(b->code << 4 | (digit > 9 ? letter + 10 : digit));
	b->used++;
	if (--b->item)
		return KF_BODY_ON;
	return b->text == KF_BODY_AT_MODEL ? kf_body_model_escaped(b, b->code)
					   : kf_body_go(b, KF_BODY_AT_TEXT);
}

#endif /* KEYFILTER_BODY_TEXT_H */
