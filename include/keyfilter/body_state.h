/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * body_state.h - what is known of one JSON request body: the result and where its reader stands.
 *
 * Written by the body_*.h parts only. See body.h for the contract and for what is refused.
 */
#ifndef KEYFILTER_BODY_STATE_H
#define KEYFILTER_BODY_STATE_H

#include <linux/types.h>
#include "keyhash.h"
#include "loop.h"
#include "swar.h"

#define KF_BODY_PAGE	    16384u		 /* bytes in one buffer */
#define KF_BODY_BUFFER	    (KF_BODY_PAGE + 192) /* the buffer always has this capacity */
#define KF_BODY_DEPTH_MAX   128			 /* objects and arrays in one another */
#define KF_BODY_MODEL_MAX   255		/* bytes of the model's name, without its escapes */
#define KF_BODY_COUNT_MAX   0x7fffffffu /* tokens: some servers keep 32 bits, -1 for no limit */
#define KF_BODY_CHOICES_MAX 0xffffu	/* of n, best_of and the prompts in one request */

/* X(enumerator suffix, name shown to operators) */
#define KF_BODY_FAULTS(X)                                                                          \
	X(NONE, "none")                                                                            \
	X(NOT_OBJECT, "body_not_object") /* it begins with something else than an object */        \
	X(SYNTAX, "body_syntax")	 /* a byte that RFC 8259 does not have there */            \
	X(CONTROL, "body_control")	 /* a control byte in a string */                          \
	X(ESCAPE, "body_escape")	 /* an escape that RFC 8259 does not have */               \
	X(DEPTH, "body_depth")		 /* over KF_BODY_DEPTH_MAX */                              \
	X(TRAILING, "body_trailing")	 /* more than white space behind the object */             \
	X(TRUNCATED, "body_truncated")	 /* it ends before the object does */                      \
	X(NAME, "body_name")		 /* a name that may decide has an escape or no ASCII */    \
	X(NAME_CASE, "body_name_case")	 /* a name that decides, in other letters */               \
	X(MODEL_TWICE, "body_model_twice")                                                         \
	X(MODEL_VALUE, "body_model_value")     /* empty, too long, or no plain UTF-8 */            \
	X(MODEL_MISSING, "body_model_missing") /* where the endpoint needs one */                  \
	X(MEMBER_TWICE, "body_member_twice")   /* another one that decides */                      \
	X(TYPE, "body_type")		       /* a value of the wrong type */                     \
	X(COUNT, "body_count")		       /* negative, no whole number, or too large */

/* clang-format off */
enum kf_body_fault {
#define KF_BODY_ENUMERATOR(suffix, name) KF_BODY_FAULT_##suffix,
	KF_BODY_FAULTS(KF_BODY_ENUMERATOR)
#undef KF_BODY_ENUMERATOR
	KF_BODY_FAULT_COUNT_OF
};
/* clang-format on */

/* Where the reader stands. */
enum kf_body_at {
	/* between two tokens, where white space may stand: before */
	KF_BODY_AT_START,      /* the object */
	KF_BODY_AT_NAME_FIRST, /* a name, or the end of an empty object */
	KF_BODY_AT_NAME,
	KF_BODY_AT_COLON,
	KF_BODY_AT_VALUE_FIRST, /* a value, or the end of an empty array */
	KF_BODY_AT_VALUE,
	KF_BODY_AT_COMMA, /* a comma, or the end of what the value before it is in */
	KF_BODY_AT_END,	  /* nothing */
	/* in a number, behind */
	KF_BODY_AT_MINUS,
	KF_BODY_AT_ZERO, /* a zero that is the first digit */
	KF_BODY_AT_DIGIT,
	KF_BODY_AT_POINT,
	KF_BODY_AT_FRACTION, /* a digit behind the point */
	KF_BODY_AT_E,
	KF_BODY_AT_E_SIGN,
	KF_BODY_AT_EXPONENT, /* a digit of it */
	/* in true, false or null */
	KF_BODY_AT_LITERAL,
	/* in a string */
	KF_BODY_AT_TEXT,
	KF_BODY_AT_MEMBER, /* the name of a member that may decide */
	KF_BODY_AT_MODEL,  /* the model's name */
	KF_BODY_AT_ESCAPE, /* behind a backslash */
	KF_BODY_AT_HEX,	   /* behind \u */
	KF_BODY_AT_FAULT,
};

/* The members that decide. The value of the first ones may be of any type. */
enum kf_body_member {
	KF_BODY_NONE,
	KF_BODY_PROMPT,	 /* an array of prompts multiplies the output, as n does */
	KF_BODY_CHOOSER, /* chooses a model or an adapter beside `model`: models, fallbacks, lora...
			  */
	KF_BODY_MODEL,
	KF_BODY_STREAM_OPTIONS,
	KF_BODY_GENERATION, /* generationConfig */
	KF_BODY_STREAM,
	KF_BODY_INCLUDE_USAGE, /* in stream_options */
	KF_BODY_MAX_TOKENS,    /* counts from here on, in the order of kf_body.tokens */
	KF_BODY_MAX_COMPLETION,
	KF_BODY_MAX_OUTPUT, /* maxOutputTokens in generationConfig, too */
	KF_BODY_PREDICT,    /* llama.cpp reads n_predict before max_tokens */
	KF_BODY_N,	    /* candidateCount in generationConfig, too */
	KF_BODY_BEST_OF,
	KF_BODY_OTHER_CASE, /* no member: what differs from one in its letters only */
};

#define KF_BODY_CAPS (KF_BODY_N - KF_BODY_MAX_TOKENS)

struct kf_body {
	union {
		struct { /* while the model's name is read */
			struct kf_sip sip;
			__u64 rest; /* its bytes that are no whole word yet */
		};
		struct {
			__u64 tag[2]; /* kf_keyhash() of the model's name */
			/* the reader's own; of the name that is read, first byte lowest */
			__u64 name[3]; /* and [0] is the value of a count that is read */
		};
	};
	__u64 nest[2]; /* lowest bit: 1 in an object, 0 in an array; then what that is in */
	__u32 tokens[KF_BODY_CAPS]; /* max_tokens and its kin; 0: not there, null or 0 */
	__u32 seen;		    /* 1 << enum kf_body_member */
	__u16 n;
	__u16 best_of;
	__u16 prompts; /* in the array `prompt` */
	__u16 used;    /* the next byte to read in this call's buffer */
	__u16 code;    /* of an escape, so far; of a literal its first letter */
	__u8 depth;
	__u8 state;  /* enum kf_body_at */
	__u8 member; /* enum kf_body_member whose value is being read */
	__u8 inside; /* at depth 2 and below: the member of depth 1 that it is in */
	__u8 text;   /* the state behind the string that is read */
	__u8 item;   /* bytes of this name or literal, digits of this escape to come, ... */
	__u8 len;    /* bytes of the model's name so far */
	__u8 stream; /* it is true */
	__u8 usage;  /* stream_options.include_usage is true */
	__u8 fault;  /* enum kf_body_fault */
};
_Static_assert(sizeof(struct kf_body) == 96, "struct kf_body changed its size");

/* What a step is given; on the stack of kf_body_parse(). */
struct kf_body_run {
	struct kf_body *b;
	const __u64 *secret;
	const __u8 *buf;
	__u32 len; /* of the buffer, up to the end of what is read in this call */
	__u32 pad;
};

/* What a step returns. */
#define KF_BODY_ON   0
#define KF_BODY_STOP 1

KF_INLINE long kf_body_fault(struct kf_body *b, enum kf_body_fault fault)
{
	b->fault = (__u8)fault;
	b->state = KF_BODY_AT_FAULT;
	return KF_BODY_STOP;
}

KF_INLINE long kf_body_go(struct kf_body *b, enum kf_body_at state)
{
	b->state = (__u8)state;
	return KF_BODY_ON;
}

/* The next byte has been read, and the reader stands in @state. */
KF_INLINE long kf_body_pass(struct kf_body *b, enum kf_body_at state)
{
	b->used++;
	b->state = (__u8)state;
	return KF_BODY_ON;
}

/* Where @offset is in the buffer; masked for the verifier, laundered lest the compiler drop that.
 */
KF_INLINE const __u8 *kf_body_at(const struct kf_body_run *run, __u64 offset)
{
	offset &= KF_BODY_PAGE - 1;
	KF_LAUNDER(offset);
	return run->buf + offset;
}

/* ---- eight bytes at a time ------------------------------------------------------------------ */

/*
 * A quote, a backslash or a control byte. Only the first mark is exact: behind one a borrow may
 * mark others. All control bytes and the quote, and nothing else, are below 0x21 with bit 1 turned.
 */
KF_INLINE __u64 kf_body_special(__u64 word)
{
	return (((word ^ KF_SWAR(0x02)) - KF_SWAR(0x21)) | ((word ^ KF_SWAR('\\')) - KF_SWAR(1))) &
	       ~word & KF_SWAR_HIGH;
}

/* Not a digit. */
KF_INLINE __u64 kf_body_not_digit(__u64 word)
{
	__u64 seven = word & ~KF_SWAR_HIGH;

	return (~(KF_SWAR_FROM(seven, '0') & ~KF_SWAR_OVER(seven, '9')) | word) & KF_SWAR_HIGH;
}

/* Not a hexadecimal digit. */
KF_INLINE __u64 kf_body_not_hex(__u64 word)
{
	__u64 lower = (word & ~KF_SWAR_HIGH) | KF_SWAR(0x20);
	__u64 letter = KF_SWAR_FROM(lower, 'a') & ~KF_SWAR_OVER(lower, 'f');

	return kf_body_not_digit(word) & (~letter | word);
}

/* Bytes before the first one marked in @mask, at most 8 and at most @left. */
KF_INLINE __u32 kf_body_run(__u64 mask, __u32 left)
{
	__u32 count = mask ? (__u32)kf_swar_first(mask) : 8;

	return count < left ? count : left;
}

#endif /* KEYFILTER_BODY_STATE_H */
