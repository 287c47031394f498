/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * body_value.h - what stands between the strings of a JSON body: values, brackets, punctuation.
 *
 * A part of body.h. All of RFC 8259's grammar is checked, wherever it stands.
 */
#ifndef KEYFILTER_BODY_VALUE_H
#define KEYFILTER_BODY_VALUE_H

#include "body_name.h"
#include "body_text.h"

/* ---- objects and arrays --------------------------------------------------------------------- */

/* An object begins, or an array. What comes at depth 1 says whether names in it decide. */
KF_INLINE long kf_body_open(struct kf_body *b, _Bool object)
{
	if (b->depth >= KF_BODY_DEPTH_MAX)
		return kf_body_fault(b, KF_BODY_FAULT_DEPTH);
	if (b->depth == 1)
		b->inside = b->member;
	b->member = KF_BODY_NONE;
	b->nest[1] = b->nest[1] << 1 | b->nest[0] >> 63;
	b->nest[0] = b->nest[0] << 1 | object;
	b->depth++;
	return kf_body_pass(b, object ? KF_BODY_AT_NAME_FIRST : KF_BODY_AT_VALUE_FIRST);
}

/* It ends, as @object says. */
KF_INLINE long kf_body_close(struct kf_body *b, _Bool object)
{
	if ((b->nest[0] & 1) != object)
		return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	b->nest[0] = b->nest[0] >> 1 | b->nest[1] << 63;
	b->nest[1] >>= 1;
	b->depth--;
	return kf_body_pass(b, b->depth ? KF_BODY_AT_COMMA : KF_BODY_AT_END);
}

/* ---- values --------------------------------------------------------------------------------- */

/* Is a number, and a whole one, to be read now? */
KF_INLINE _Bool kf_body_is_count(const struct kf_body *b)
{
	return b->member >= KF_BODY_MAX_TOKENS;
}

/* May the value of the member be of any type? */
KF_INLINE _Bool kf_body_is_any(const struct kf_body *b)
{
	return b->member <= KF_BODY_CHOOSER;
}

/* A string or an array begins: it is a prompt if it stands in the array `prompt`. */
KF_INLINE _Bool kf_body_prompt(struct kf_body *b)
{
	if (b->depth != 2 || b->inside != KF_BODY_PROMPT || b->nest[0] & 1)
		return 1;
	return ++b->prompts;
}

/* A string begins that is a value. */
KF_INLINE long kf_body_string(struct kf_body_run *run)
{
	struct kf_body *b = run->b;

	if (b->member == KF_BODY_MODEL) {
		kf_body_model_begin(b, run->secret);
		b->text = KF_BODY_AT_MODEL;
		return kf_body_pass(b, KF_BODY_AT_MODEL);
	}
	if (!kf_body_is_any(b))
		return kf_body_fault(b, KF_BODY_FAULT_TYPE);
	if (!kf_body_prompt(b))
		return kf_body_fault(b, KF_BODY_FAULT_COUNT);
	b->member = KF_BODY_NONE;
	b->text = KF_BODY_AT_COMMA;
	return kf_body_pass(b, KF_BODY_AT_TEXT);
}

/* An object or an array begins that is a value. */
KF_INLINE long kf_body_nested(struct kf_body *b, _Bool object)
{
	_Bool options = b->member == KF_BODY_STREAM_OPTIONS || b->member == KF_BODY_GENERATION;

	if (!kf_body_is_any(b) && !(object && options))
		return kf_body_fault(b, KF_BODY_FAULT_TYPE);
	if (!object && !kf_body_prompt(b))
		return kf_body_fault(b, KF_BODY_FAULT_COUNT);
	return kf_body_open(b, object);
}

/* A number begins. */
KF_INLINE long kf_body_number_begin(struct kf_body *b, __u8 byte)
{
	if (!kf_body_is_any(b) && !kf_body_is_count(b))
		return kf_body_fault(b, KF_BODY_FAULT_TYPE);
	if (byte == '-') {
		if (kf_body_is_count(b))
			return kf_body_fault(b, KF_BODY_FAULT_COUNT);
		return kf_body_pass(b, KF_BODY_AT_MINUS);
	}
	if (kf_body_is_count(b))
		b->name[0] = byte - '0';
	return kf_body_pass(b, byte == '0' ? KF_BODY_AT_ZERO : KF_BODY_AT_DIGIT);
}

/* The first byte of a value. */
KF_INLINE long kf_body_value(struct kf_body_run *run, __u8 byte)
{
	struct kf_body *b = run->b;
	_Bool flag = b->member == KF_BODY_STREAM || b->member == KF_BODY_INCLUDE_USAGE;

	if (byte == '"')
		return kf_body_string(run);
	if (byte == '{' || byte == '[')
		return kf_body_nested(b, byte == '{');
	if (byte == '-' || (byte >= '0' && byte <= '9'))
		return kf_body_number_begin(b, byte);
	if (byte != 't' && byte != 'f' && byte != 'n')
		return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	if (byte == 'n' ? b->member == KF_BODY_MODEL : !kf_body_is_any(b) && !flag)
		return kf_body_fault(b, KF_BODY_FAULT_TYPE);
	b->code = byte;
	b->item = 1;
	return kf_body_pass(b, KF_BODY_AT_LITERAL);
}

/* ---- literals ------------------------------------------------------------------------------- */

/* In true, false or null. */
KF_INLINE long kf_body_literal(struct kf_body_run *run)
{
	struct kf_body *b = run->b;
	__u64 text = b->code == 't'   ? KF_SWAR_TEXT('t', 'r', 'u', 'e', 0, 0, 0, 0)
		     : b->code == 'f' ? KF_SWAR_TEXT('f', 'a', 'l', 's', 'e', 0, 0, 0)
				      : KF_SWAR_TEXT('n', 'u', 'l', 'l', 0, 0, 0, 0);
	__u32 whole = b->code == 'f' ? 5 : 4, left = run->len - b->used;
	__u32 count = whole - b->item;

	if (count > left)
		count = left;
	if ((kf_swar_load(kf_body_at(run, b->used)) ^ text >> (b->item & 7) * 8) &
	    kf_swar_low(count))
		return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	b->used = (__u16)(b->used + count);
	b->item = (__u8)(b->item + count);
	if (b->item < whole)
		return KF_BODY_ON;
	if (b->code == 't') {
		b->stream |= b->member == KF_BODY_STREAM;
		b->usage |= b->member == KF_BODY_INCLUDE_USAGE;
	}
	b->member = KF_BODY_NONE;
	return kf_body_go(b, KF_BODY_AT_COMMA);
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* A further digit of a count. */
KF_INLINE long kf_body_count_digit(struct kf_body *b, __u8 byte)
{
	__u64 value = b->name[0] * 10 + (byte - '0');
	_Bool choices = b->member >= KF_BODY_N;

	if (value > (choices ? KF_BODY_CHOICES_MAX : KF_BODY_COUNT_MAX))
		return kf_body_fault(b, KF_BODY_FAULT_COUNT);
	b->name[0] = value;
	return kf_body_pass(b, KF_BODY_AT_DIGIT);
}

/* A digit in a number, or the first of more. */
KF_INLINE long kf_body_digit(struct kf_body_run *run, __u8 byte)
{
	struct kf_body *b = run->b;

	switch (b->state) {
	case KF_BODY_AT_MINUS:
		return kf_body_pass(b, byte == '0' ? KF_BODY_AT_ZERO : KF_BODY_AT_DIGIT);
	case KF_BODY_AT_ZERO:
		return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	case KF_BODY_AT_DIGIT:
		if (kf_body_is_count(b))
			return kf_body_count_digit(b, byte);
		break;
	case KF_BODY_AT_POINT:
		b->state = KF_BODY_AT_FRACTION;
		break;
	case KF_BODY_AT_E:
	case KF_BODY_AT_E_SIGN:
		b->state = KF_BODY_AT_EXPONENT;
		break;
	}
	b->used = (__u16)(b->used +
			  kf_body_run(kf_body_not_digit(kf_swar_load(kf_body_at(run, b->used))),
				      run->len - b->used));
	return KF_BODY_ON;
}

/* A number ends before the next byte. */
KF_INLINE void kf_body_number_end(struct kf_body *b)
{
	__u32 value = (__u32)b->name[0];

	switch (b->member) {
	case KF_BODY_MAX_TOKENS:
		b->tokens[0] = value;
		break;
	case KF_BODY_MAX_COMPLETION:
		b->tokens[1] = value;
		break;
	case KF_BODY_MAX_OUTPUT:
		b->tokens[2] = value;
		break;
	case KF_BODY_PREDICT:
		b->tokens[3] = value;
		break;
	case KF_BODY_N:
		b->n = (__u16)value;
		break;
	case KF_BODY_BEST_OF:
		b->best_of = (__u16)value;
		break;
	}
	b->member = KF_BODY_NONE;
	b->state = KF_BODY_AT_COMMA;
}

/* In a number: passes @byte, or ends the number before it. */
KF_INLINE long kf_body_number(struct kf_body_run *run, __u8 byte)
{
	struct kf_body *b = run->b;
	_Bool integer = b->state == KF_BODY_AT_ZERO || b->state == KF_BODY_AT_DIGIT;
	_Bool point = byte == '.', e = (byte | 0x20) == 'e';

	if (byte >= '0' && byte <= '9')
		return kf_body_digit(run, byte);
	if ((point && integer) || (e && (integer || b->state == KF_BODY_AT_FRACTION))) {
		if (kf_body_is_count(b))
			return kf_body_fault(b, KF_BODY_FAULT_COUNT);
		return kf_body_pass(b, point ? KF_BODY_AT_POINT : KF_BODY_AT_E);
	}
	if (b->state == KF_BODY_AT_E && (byte == '+' || byte == '-'))
		return kf_body_pass(b, KF_BODY_AT_E_SIGN);
	if (!integer && b->state != KF_BODY_AT_FRACTION && b->state != KF_BODY_AT_EXPONENT)
		return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	kf_body_number_end(b);
	return KF_BODY_ON;
}

/* ---- punctuation ---------------------------------------------------------------------------- */

/* White space between two tokens: one byte of it, and all the spaces of an indentation. */
KF_INLINE long kf_body_space(struct kf_body_run *run)
{
	struct kf_body *b = run->b;
	__u32 left = run->len - b->used - 1;
	__u64 other = kf_swar_load(kf_body_at(run, b->used) + 1) ^ KF_SWAR(' ');

	other = (((other & ~KF_SWAR_HIGH) + KF_SWAR(0x7f)) | other) & KF_SWAR_HIGH;
	b->used = (__u16)(b->used + 1 + kf_body_run(other, left));
	return KF_BODY_ON;
}

/* A name begins. */
KF_INLINE long kf_body_name_open(struct kf_body *b)
{
	if (kf_body_name_decides(b)) {
		kf_body_name_begin(b);
		return kf_body_pass(b, KF_BODY_AT_MEMBER);
	}
	b->text = KF_BODY_AT_COLON;
	return kf_body_pass(b, KF_BODY_AT_TEXT);
}

/* Behind a value. */
KF_INLINE long kf_body_comma(struct kf_body *b, __u8 byte)
{
	if (byte == ',')
		return kf_body_pass(b, b->nest[0] & 1 ? KF_BODY_AT_NAME : KF_BODY_AT_VALUE);
	if (byte == '}' || byte == ']')
		return kf_body_close(b, byte == '}');
	return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
}

/* Any byte that is in no string. */
KF_INLINE long kf_body_between(struct kf_body_run *run)
{
	struct kf_body *b = run->b;
	__u8 byte = *kf_body_at(run, b->used);

	if (b->state == KF_BODY_AT_LITERAL)
		return kf_body_literal(run);
	if (b->state >= KF_BODY_AT_MINUS)
		return kf_body_number(run, byte);
	if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t')
		return kf_body_space(run);
	switch (b->state) {
	case KF_BODY_AT_START:
		return byte == '{' ? kf_body_open(b, 1)
				   : kf_body_fault(b, KF_BODY_FAULT_NOT_OBJECT);
	case KF_BODY_AT_NAME_FIRST:
	case KF_BODY_AT_NAME:
		if (byte == '"')
			return kf_body_name_open(b);
		if (byte == '}' && b->state == KF_BODY_AT_NAME_FIRST)
			return kf_body_close(b, 1);
		return kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	case KF_BODY_AT_COLON:
		return byte == ':' ? kf_body_pass(b, KF_BODY_AT_VALUE)
				   : kf_body_fault(b, KF_BODY_FAULT_SYNTAX);
	case KF_BODY_AT_VALUE_FIRST:
		if (byte == ']')
			return kf_body_close(b, 0);
		return kf_body_value(run, byte);
	case KF_BODY_AT_VALUE:
		return kf_body_value(run, byte);
	case KF_BODY_AT_COMMA:
		return kf_body_comma(b, byte);
	default:
		return kf_body_fault(b, KF_BODY_FAULT_TRAILING);
	}
}

#endif /* KEYFILTER_BODY_VALUE_H */
