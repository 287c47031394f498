/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * model.h - the model that a request's head asks for: in the path, or in the query.
 *
 * kf_model_find() reads the target of a head that kf_http1_parse() has found to be a request, in
 * the same buffer. All it needs is struct kf_model (in the kernel: a map value); no cursor is kept
 * between calls. The model is its tag, kf_keyhash() of the name without its encodings, as body.h
 * has it.
 *
 * Where a name stands, whatever the letters' case:
 * - in the path, behind the first segment `models` and before the last ':', encoded or not
 *   (Gemini's /v1beta/models/M:generateContent; a name with '/' in it is taken whole), or the
 *   segment behind `deployments` or `engines` (Azure's /openai/deployments/M/...);
 * - in the query, as `model` or `deployment` (?model=M, for WebSockets).
 * A request of a method without content, unless it asks for a WebSocket, calls no model by its
 * path: GET of /v1beta/models/M tells what M is.
 *
 * A name in the query decides where the request has no content. Where it has, servers go by its
 * body, and kf_model_is_sure() is false. It is false for a name in the path, too: a server that
 * finds its endpoint by how a path begins or ends goes by the body. That may name a model as well,
 * and then both are judged, unless it is the same one (kf_model_find_resource()).
 *
 * What two servers could read differently is KF_MODEL_UNCLEAR: two names, a name without a value,
 * a parameter whose own name is encoded, an encoded '/' behind `models`, `deployments` or
 * `engines`, a last ':' that is encoded behind one that is not, a '+' in a name in the query, ';'
 * beside it, `model[`, an encoding that is none, a control byte, an empty name, one over
 * KF_BODY_MODEL_MAX bytes; in the path `deployments` or `engines` behind an encoded '/', a name
 * behind `models` that no ':' ends (/v2/models/M/infer), segments behind the method that follows
 * the ':'.
 */
#ifndef KEYFILTER_MODEL_H
#define KEYFILTER_MODEL_H

#include "body_state.h"
#include "body_text.h"
#include "http1_path.h"
#include "http1_state.h"

enum kf_model_found {
	KF_MODEL_NONE,	  /* the head names none */
	KF_MODEL_NAMED,	  /* one: kf_model.name.tag */
	KF_MODEL_UNCLEAR, /* which one cannot be said */
};

enum kf_model_place {
	KF_MODEL_NOWHERE,
	KF_MODEL_BEFORE_COLON, /* it ends before the path's last ':' */
	KF_MODEL_SEGMENT,
};

struct kf_model {
	struct kf_body name; /* as the reader of bodies makes a tag of a name */
	__u32 cursor;
	__u32 end; /* of the target, or of the name */
	__u32 path_end;
	__u32 path_off; /* of the name in the path */
	__u32 path_name_end;
	__u32 colon;	 /* the path's last one, encoded or not */
	__u32 raw_colon; /* ... the last that is not encoded */
	__u32 slash;	 /* its last '/', encoded or not */
	__u32 query_off;
	__u32 query_name_end; /* 0: it has not ended */
	__u8 place;	      /* enum kf_model_place */
	__u8 in_name;	      /* in the query: no '=' yet in this parameter */
	__u8 unclear;
	__u8 hidden; /* an encoded '/' stands before the segment that is read */
};

struct kf_model_run {
	struct kf_model *m;
	const struct kf_http1 *h;
	const __u8 *buf;
	__u64 query; /* 1: the name that is read stands in the query */
};

/* May the request call a model? If its head names none, its body does. */
KF_INLINE _Bool kf_model_is_called(const struct kf_http1 *h)
{
	return !(KF_METHODS_BARE >> (h->method & 31) & 1) || h->upgrade == KF_UPGRADE_WEBSOCKET;
}

/*
 * Of what is KF_MODEL_NAMED: is it the model that the server will take, whatever the body says? A
 * form is no JSON to any server; those that are sent one at such a path (Azure's transcriptions) go
 * by the path.
 */
KF_INLINE _Bool kf_model_is_sure(const struct kf_model *m, const struct kf_http1 *h)
{
	return !(h->chunked || h->content_length) ||
	       (!m->query_off && h->media == KF_MEDIA_FORM && !h->content_encoded);
}

/* ---- where it stands ------------------------------------------------------------------------- */

/* Does a segment of the path begin at @off, behind a '/', encoded or not? */
KF_INLINE _Bool kf_model_begins(const struct kf_http1 *h, const __u8 *buf, __u32 off)
{
	return kf_http1_byte(buf, off - 1) == '/' ||
	       kf_http1_path_ends(h, buf, off, KF_SWAR_TEXT('%', '2', 'f', 0, 0, 0, 0, 0), 3);
}

/* What the segment that ends before @off says of the one behind it. */
KF_INLINE enum kf_model_place kf_model_announced(const struct kf_http1 *h, const __u8 *buf,
						 __u32 off)
{
	const __u64 models = KF_SWAR_TEXT('m', 'o', 'd', 'e', 'l', 's', 0, 0);
	const __u64 engines = KF_SWAR_TEXT('e', 'n', 'g', 'i', 'n', 'e', 's', 0);
	const __u64 before = KF_SWAR_TEXT('d', 'e', 'p', 0, 0, 0, 0, 0);
	const __u64 deployments = KF_SWAR_TEXT('l', 'o', 'y', 'm', 'e', 'n', 't', 's');

	if (kf_http1_path_ends(h, buf, off, models, 6))
		return KF_MODEL_BEFORE_COLON;
	if (kf_http1_path_ends(h, buf, off, engines, 7))
		return kf_model_begins(h, buf, off - 7) ? KF_MODEL_SEGMENT : KF_MODEL_NOWHERE;
	if (kf_http1_path_ends(h, buf, off, deployments, 8) &&
	    kf_http1_path_ends(h, buf, off - 8, before, 3) && kf_model_begins(h, buf, off - 11))
		return KF_MODEL_SEGMENT;
	return KF_MODEL_NOWHERE;
}

/* The segment before the '/' at @off is over. */
KF_INLINE void kf_model_slash(struct kf_model *m, const struct kf_http1 *h, const __u8 *buf,
			      __u32 off)
{
	_Bool hidden = m->hidden;
	enum kf_model_place place;

	m->slash = off;
	m->hidden = 0;
	if (m->place == KF_MODEL_BEFORE_COLON)
		return;
	place = kf_model_announced(h, buf, off);
	/* a second name, or one that only servers which decode the path first see */
	if (place && (m->place || hidden))
		m->unclear = 1;
	if (m->place && m->path_name_end > off)
		m->path_name_end = off;
	if (m->place || !place)
		return;
	m->place = (__u8)place;
	m->path_off = off + 1;
}

/* The '%' at @off of the path: some servers decode the whole path before they take it apart. */
KF_INLINE void kf_model_path_escape(struct kf_model *m, const struct kf_http1 *h, const __u8 *buf,
				    __u32 off)
{
	__u32 byte = kf_http1_escape(buf, m->end, off);

	if (byte == ':')
		m->colon = off;
	if (byte != '/')
		return;
	m->slash = off;
	m->hidden = 1;
	if (m->place != KF_MODEL_BEFORE_COLON && kf_model_announced(h, buf, off))
		m->unclear = 1;
}

/* The parameter before @off is over, at the byte @c. */
KF_INLINE void kf_model_parameter_end(struct kf_model *m, __u32 off, __u8 c)
{
	if (!m->query_off || m->query_name_end)
		return;
	m->query_name_end = off;
	if (c == ';')
		m->unclear = 1;
}

/* A parameter begins at @off, behind the byte @c. */
KF_INLINE void kf_model_parameter(struct kf_model *m, const __u8 *buf, __u32 off, __u8 c)
{
	const __u64 model = KF_SWAR_TEXT('m', 'o', 'd', 'e', 'l', 0, 0, 0);
	const __u64 first = KF_SWAR_TEXT('d', 'e', 'p', 'l', 'o', 'y', 'm', 'e');
	const __u64 second = KF_SWAR_TEXT('n', 't', 0, 0, 0, 0, 0, 0);
	__u64 word = kf_http1_word(buf, off) | KF_HTTP1_LOWER;
	__u64 next = kf_http1_word(buf, off + 8) | KF_HTTP1_LOWER;
	__u32 at;
	__u8 end;

	m->in_name = 1;
	if ((word & kf_swar_low(5)) == model)
		at = off + 5;
	else if (word == first && (next & kf_swar_low(2)) == second)
		at = off + 10;
	else
		return;
	end = kf_http1_byte(buf, at);
	/* to some servers `model[]` is `model` */
	if (end != '=' && end != '&' && end != ';' && end != ' ' && end != '[')
		return; /* another name, which begins so */
	if (end != '=' || c == ';' || m->query_off)
		m->unclear = 1;
	m->query_off = at + 1;
}

KF_INLINE void kf_model_query(struct kf_model *m, const __u8 *buf, __u32 off, __u8 c)
{
	if (c == '&' || c == ';' || off == m->path_end) {
		kf_model_parameter_end(m, off, c);
		kf_model_parameter(m, buf, off + 1, c);
	} else if (c == '=') {
		m->in_name = 0;
	} else if ((c == '%' || c == '+') && m->in_name) {
		m->unclear = 1;
	}
}

/* To the next byte that matters. */
static long kf_model_step(unsigned int index, void *context)
{
	struct kf_model_run *run = context;
	struct kf_model *m = run->m;
	__u32 off = m->cursor;
	__u64 word = kf_http1_word(run->buf, off);
	__u64 mask = kf_swar_not_target(word) |
		     (KF_SWAR_IS(word & ~KF_SWAR_HIGH, '/') & ~word & KF_SWAR_HIGH);
	__u8 c;

	(void)index;
	off += mask ? (__u32)kf_swar_first(mask) : 8;
	m->cursor = off;
	if (off >= m->end)
		return KF_HTTP1_STOP;
	if (!mask)
		return KF_HTTP1_ON;
	m->cursor = off + 1;
	c = kf_http1_byte(run->buf, off);
	if (off >= m->path_end)
		kf_model_query(m, run->buf, off, c);
	else if (c == '/')
		kf_model_slash(m, run->h, run->buf, off);
	else if (c == '%')
		kf_model_path_escape(m, run->h, run->buf, off);
	else if (c == ':')
		m->colon = m->raw_colon = off;
	return KF_HTTP1_ON;
}

/* ---- its name -------------------------------------------------------------------------------- */

/* The '%' or '+' at @off of the name. */
KF_INLINE long kf_model_special(const struct kf_model_run *run, __u32 off)
{
	struct kf_model *m = run->m;
	__u32 byte = '+';

	m->cursor = off + 1;
	if (kf_http1_byte(run->buf, off) == '%') {
		byte = kf_http1_escape(run->buf, m->end, off);
		m->cursor = off + 3;
	} else if (run->query) {
		byte = KF_HTTP1_ESCAPE_BAD; /* a blank to most */
	}
	if (byte < 0x20 || byte == 0x7f || byte > 0xff)
		return kf_body_fault(&m->name, KF_BODY_FAULT_MODEL_VALUE);
	return kf_body_model_add(&m->name, byte, 1);
}

static long kf_model_name_step(unsigned int index, void *context)
{
	struct kf_model_run *run = context;
	struct kf_model *m = run->m;
	__u32 off = m->cursor, count;
	__u64 word = kf_http1_word(run->buf, off), seven = word & ~KF_SWAR_HIGH;
	__u64 mask = (KF_SWAR_IS(seven, '%') | KF_SWAR_IS(seven, '+')) & ~word & KF_SWAR_HIGH;

	(void)index;
	if (off >= m->end)
		return KF_BODY_STOP;
	count = kf_body_run(mask, m->end - off);
	if (!count)
		return kf_model_special(run, off);
	m->cursor = off + count;
	return kf_body_model_add(&m->name, word & kf_swar_low(count), count);
}

/* The name from @off to @end becomes a tag; with `models/` before it where @prefix says so. */
KF_INLINE enum kf_model_found kf_model_hash(struct kf_model_run *run, const __u64 secret[2],
					    __u32 off, __u32 end, _Bool prefix)
{
	const __u64 models = KF_SWAR_TEXT('m', 'o', 'd', 'e', 'l', 's', '/', 0);
	struct kf_model *m = run->m;

	m->cursor = off;
	m->end = end;
	kf_body_model_begin(&m->name, secret);
	if (prefix)
		kf_body_model_add(&m->name, models, 7);
	kf_loop(KF_BODY_MODEL_MAX + 8, kf_model_name_step, run);
	if (m->name.state == KF_BODY_AT_FAULT || m->cursor < end)
		return KF_MODEL_UNCLEAR;
	kf_body_model_end(&m->name);
	return m->name.state == KF_BODY_AT_FAULT ? KF_MODEL_UNCLEAR : KF_MODEL_NAMED;
}

/*
 * Of a name behind `models`: could a server find another one? Where there is no ':' behind it;
 * where those that decode the path first find another last ':' than those that do not; where more
 * follows the method.
 */
KF_INLINE _Bool kf_model_is_split(const struct kf_model *m)
{
	if (m->place != KF_MODEL_BEFORE_COLON)
		return 0;
	if (m->colon < m->path_off)
		return m->path_off < m->path_end;
	return (m->raw_colon >= m->path_off && m->raw_colon != m->colon) ||
	       (m->slash > m->colon && m->slash + 1 < m->path_end);
}

/* @h: of the request whose head is in @buf. @secret is that of the models' tags. */
KF_INLINE enum kf_model_found kf_model_find(struct kf_model *m, const struct kf_http1 *h,
					    const __u8 *buf, const __u64 secret[2])
{
	struct kf_model_run run = { .m = m, .h = h, .buf = buf };
	__u32 end;
	_Bool path;

	__builtin_memset(m, 0, sizeof(*m));
	m->cursor = h->target_off;
	m->end = h->target_off + h->target_len;
	m->path_end = m->path_name_end = h->target_off + h->path_len;
	end = m->end;
	kf_loop(KF_HTTP1_LINE_MAX, kf_model_step, &run);
	kf_model_parameter_end(m, end, '&');
	if (m->place == KF_MODEL_BEFORE_COLON)
		m->path_name_end = m->colon;
	path = m->place && m->path_name_end >= m->path_off && kf_model_is_called(h);
	if (m->unclear || (path && m->query_off) || (kf_model_is_called(h) && kf_model_is_split(m)))
		return KF_MODEL_UNCLEAR;
	run.query = !!m->query_off;
	if (m->query_off)
		return kf_model_hash(&run, secret, m->query_off, m->query_name_end, 0);
	return path ? kf_model_hash(&run, secret, m->path_off, m->path_name_end, 0) : KF_MODEL_NONE;
}

/*
 * Gemini's clients name the model of a path once more in the body of some requests (embedContent),
 * as `models/M`: the tag of that, in m->name.tag. For what kf_model_find() has found last, in a
 * path behind `models`; otherwise it makes no tag, and is false.
 */
KF_INLINE _Bool kf_model_find_resource(struct kf_model *m, const struct kf_http1 *h,
				       const __u8 *buf, const __u64 secret[2])
{
	struct kf_model_run run = { .m = m, .h = h, .buf = buf };

	return !m->query_off && m->place == KF_MODEL_BEFORE_COLON &&
	       kf_model_hash(&run, secret, m->path_off, m->path_name_end, 1) == KF_MODEL_NAMED;
}

#endif /* KEYFILTER_MODEL_H */
