/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * body.h - reads the JSON body of one request, strictly: its model, and what bounds its output.
 *
 * Contract: kf_body_begin(), then kf_body_parse() over the body's bytes, without chunk framing, cut
 * anywhere; kf_body_end() behind the last one. All it needs is struct kf_body (in the kernel: a map
 * value; the caller sees to it that one CPU at a time is in here); no byte is kept or looked at
 * twice, and no result depends on how the bytes were cut. Bytes of the buffer behind the length are
 * loaded, and never decide anything.
 *
 * Results, once it has returned KF_BODY_WHOLE: kf_body_has(b, KF_BODY_MODEL) and b->tag;
 * b->tokens[], where 0 is as good as nothing (some servers take 0 for "not given"); b->stream,
 * b->usage; kf_body_choices(), the factor of the output. The model is kept as its tag,
 * kf_keyhash() of the name without its escapes: what is looked up is a whole name among those that
 * the controller has resolved, and 16 bytes of key serve for names of any length. It is a keyed
 * hash, because some servers take any name and find a model by a part of it: with a hash that
 * clients can compute, two names with one tag could be searched for, an allowed one and another.
 * KF_BODY_CHOOSER says that the body chooses a model, or an adapter, by another member beside.
 *
 * Checked everywhere: the grammar of RFC 8259. A parser that reads comments, single quotes, NaN,
 * trailing commas, control bytes in strings or odd escapes can find another end of a string or
 * another member than one that does not; there is no such doubt about what is left. Of all
 * that encoders write NaN only, and Infinity: Python's, for a float that is no number. Depth, too:
 * KF_BODY_DEPTH_MAX is what serde_json reads.
 *
 * Checked only where it decides, since good clients send it elsewhere and no parser finds another
 * structure for it:
 * - names. In the object itself, stream_options and generationConfig a name must be plain ASCII
 *   without an escape; another spelling of one that decides is refused (Go and .NET ignore case;
 *   Go takes U+017F for s and U+212A for k as well), and so is a second one, since some parsers
 *   take the first, some the last. In messages, tools and schemas names may be anything, twice.
 * - UTF-8 and surrogates, in the model's name. Escapes are decoded there (PHP writes "\/", .NET
 *   "\u002B"); an empty name is refused, as vLLM takes that for its default model.
 * - numbers: counts are whole, not negative and below a limit that fits into 31 bits. null is as
 *   good as absent, as SDKs send it.
 *
 * Left to the caller, who has the head: a Content-Encoding; a charset in Content-Type that is not
 * UTF-8; which of the counts bound an endpoint's output. The parts: body_state.h holds the result
 * struct, body_text.h reads strings, body_name.h the names that decide, body_value.h all between.
 */
#ifndef KEYFILTER_BODY_H
#define KEYFILTER_BODY_H

#include "body_state.h"
#include "body_value.h"

enum kf_body_result {
	KF_BODY_MORE,	 /* no fault so far, and the object goes on */
	KF_BODY_WHOLE,	 /* no fault so far, and the object is complete */
	KF_BODY_REFUSED, /* b->fault says why */
};

KF_INLINE void kf_body_begin(struct kf_body *b)
{
	__builtin_memset(b, 0, sizeof(*b));
}

/* Bytes between two strings in one step: `,` or `:` and a quote, mostly. */
#define KF_BODY_ROUNDS 3

/* One step: what stands between two strings, and a piece of the string behind it. */
static long kf_body_step(unsigned int index, void *context)
{
	struct kf_body_run *run = context;
	struct kf_body *b = run->b;

	(void)index;
	for (int i = 0; i < KF_BODY_ROUNDS && b->state < KF_BODY_AT_TEXT; i++) {
		if (b->used >= run->len)
			return KF_BODY_STOP;
		if (kf_body_between(run))
			return KF_BODY_STOP;
	}
	if (b->used >= run->len)
		return KF_BODY_STOP;
	switch (b->state) {
	case KF_BODY_AT_TEXT:
		return kf_body_text(run);
	case KF_BODY_AT_MEMBER:
		return kf_body_name(run);
	case KF_BODY_AT_MODEL:
		return kf_body_model(run);
	case KF_BODY_AT_ESCAPE:
		return kf_body_escape(b, *kf_body_at(run, b->used));
	case KF_BODY_AT_HEX:
		return kf_body_hex(b, *kf_body_at(run, b->used));
	default:
		return KF_BODY_ON;
	}
}

/*
 * Reads on in the bytes from @from to @to, at most KF_BODY_PAGE, of @buf: more is KF_BODY_REFUSED.
 * @buf has room for KF_BODY_BUFFER bytes; @secret is that of the models' tags. Every step reads a
 * byte or ends a number before one. Once it has returned KF_BODY_REFUSED, it returns that again
 * until kf_body_begin().
 */
KF_INLINE enum kf_body_result kf_body_parse(struct kf_body *b, const __u64 secret[2],
					    const __u8 *buf, __u32 from, __u32 to)
{
	struct kf_body_run run = { .b = b, .secret = secret, .buf = buf, .len = to };

	b->used = (__u16)from;
	if (from > to || to > KF_BODY_PAGE)
		kf_body_fault(b, KF_BODY_FAULT_TRUNCATED);
	if (b->state != KF_BODY_AT_FAULT)
		kf_loop(2 * (to - from) + 1, kf_body_step, &run);
	if (b->state == KF_BODY_AT_FAULT)
		return KF_BODY_REFUSED;
	return b->state == KF_BODY_AT_END ? KF_BODY_WHOLE : KF_BODY_MORE;
}

/* Did the body have @member, and once only? Its value may have been null, but not a model's. */
KF_INLINE _Bool kf_body_has(const struct kf_body *b, enum kf_body_member member)
{
	return b->seen >> member & 1;
}

/* The body is over; @needs_model where the endpoint needs one. What is at fault with it. */
KF_INLINE enum kf_body_fault kf_body_end(struct kf_body *b, _Bool needs_model)
{
	if (b->state == KF_BODY_AT_FAULT)
		return (enum kf_body_fault)b->fault;
	if (b->state != KF_BODY_AT_END)
		kf_body_fault(b, KF_BODY_FAULT_TRUNCATED);
	else if (needs_model && !kf_body_has(b, KF_BODY_MODEL))
		kf_body_fault(b, KF_BODY_FAULT_MODEL_MISSING);
	return (enum kf_body_fault)b->fault;
}

/* How many outputs the backend may make of it, each as long as its cap: below 2^32. */
KF_INLINE __u64 kf_body_choices(const struct kf_body *b)
{
	__u64 each = b->n > b->best_of ? b->n : b->best_of;

	return (each ?: 1) * (b->prompts ?: 1);
}

#ifndef __bpf__
/* The name of @fault, as operators see it. Static storage. */
static inline const char *kf_body_fault_name(unsigned int fault)
{
	static const char *const names[] = {
#define KF_BODY_NAME(suffix, name) name,
		KF_BODY_FAULTS(KF_BODY_NAME)
#undef KF_BODY_NAME
	};

	return fault < KF_BODY_FAULT_COUNT_OF ? names[fault] : "unknown";
}
#endif

#endif /* KEYFILTER_BODY_H */
