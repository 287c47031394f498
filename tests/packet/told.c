// SPDX-License-Identifier: GPL-2.0-only
#include "told.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KF_TOLD_WAIT_MS 200 /* for what has to come */
#define KF_FLAG_FIN	0x01
#define KF_FLAG_RST	0x04

/* ---- what was sent --------------------------------------------------------------------------- */

static bool kf_told_is_reset(const struct kf_case *c, const struct kf_sent *sent)
{
	uint16_t type = kf_frame_ethertype(sent->frame);

	return (type == 0x0800 || type == 0x86dd) &&
	       (sent->frame[kf_frame_l4(&c->last) + 13] & KF_FLAG_RST);
}

/* What comes in is the case's own frame, or a RST for the backend. */
static void kf_told_gather(struct kf_case *c, int wait_ms)
{
	while (c->pendings < KF_PENDING &&
	       kf_wire_next(c->wire, wait_ms, &c->pending[c->pendings])) {
		if (c->pending[c->pendings].out || kf_told_is_reset(c, &c->pending[c->pendings])) {
			c->pendings++;
			wait_ms = 0;
		}
	}
}

static bool kf_told_take(struct kf_case *c, bool out, struct kf_sent *sent)
{
	for (int tries = 0; tries < 2; tries++) {
		for (size_t i = 0; i < c->pendings; i++) {
			if (c->pending[i].out != out)
				continue;
			*sent = c->pending[i];
			c->pendings--;
			memmove(&c->pending[i], &c->pending[i + 1],
				(c->pendings - i) * sizeof(*sent));
			return true;
		}
		kf_told_gather(c, KF_TOLD_WAIT_MS);
	}
	return false;
}

void kf_told_settle(struct kf_case *c)
{
	kf_told_gather(c, 0);
	if (c->pendings && c->refuse != KF_REFUSE_DROP && !c->failed)
		kf_fail(c, "a frame to the %s that no step expects, flags %02x",
			c->pending[0].out ? "client" : "backend",
			c->pending[0].frame[kf_frame_l4(&c->last) + 13]);
	c->pendings = 0;
}

void kf_told_before(struct kf_case *c, const struct kf_frame_spec *spec)
{
	kf_told_settle(c);
	c->last = *spec;
}

void kf_told_after(struct kf_case *c)
{
	struct kf_sent *sent = &c->pending[c->pendings];

	if (c->ran.request_id) {
		c->request_id = c->ran.request_id;
		c->detail = c->ran.event == KF_REASON_MALFORMED ||
					    c->ran.event == KF_REASON_BODY_NOT_READABLE
				    ? c->ran.detail
				    : 0;
	}
	if (!c->ran.redirected || c->ran.len > sizeof(sent->frame))
		return;
	memset(sent, 0, sizeof(*sent));
	sent->len = c->ran.len;
	memcpy(sent->frame, c->ran.frame, c->ran.len);
	c->pendings++;
}

/* ---- what was expected ----------------------------------------------------------------------- */

/* A frame of ours, in answer to the last one. */
static struct kf_frame_spec kf_told_spec(const struct kf_case *c, bool to_client)
{
	struct kf_frame_spec spec = {
		.vlans = c->last.vlans,
		.ipv6 = c->last.ipv6,
		.reverse = to_client,
		.ip_options = c->last.ip_options,
		.client_host = c->last.client_host,
		.client_net = c->last.client_net,
		.server_host = c->last.server_host,
		.client_port = c->last.client_port,
		.server_port = c->last.server_port,
		.ours = true,
	};

	for (int i = 0; i < 16 && c->last.extensions[i]; i++)
		spec.extensions[i] = IPPROTO_DSTOPTS;
	return spec;
}

/* The client's timestamps, if it sent some, change places; those of the backend stay. */
static void kf_told_timestamps(const struct kf_case *c, struct kf_frame_spec *spec)
{
	static const uint8_t start[] = { 1, 1, 8, 10 };
	size_t len = c->last.tcp_options_len;

	if (len < 12)
		return;
	memcpy(spec->tcp_options, start, 4);
	memcpy(spec->tcp_options + 4, c->last.tcp_options + len - (c->last.reverse ? 8 : 4), 4);
	memcpy(spec->tcp_options + 8, c->last.tcp_options + len - (c->last.reverse ? 4 : 8), 4);
	spec->tcp_options_len = 12;
}

static void kf_told_compare(struct kf_case *c, const struct kf_frame_spec *spec,
			    const struct kf_sent *sent)
{
	static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX];
	uint8_t *wanted = room + 2; /* so that the IP header is aligned */
	size_t len = kf_frame_build(spec, wanted), at = 0, l4 = kf_frame_l4(spec);

	if (sent->len == len && memcmp(sent->frame, wanted, len) == 0)
		return;
	while (at < len && at < sent->len && sent->frame[at] == wanted[at])
		at++;
	kf_fail(c, "to the %s%s: %zu bytes, wanted %zu; they differ at byte %zu, %+zd of TCP",
		spec->reverse ? "client" : "backend", sent->partial ? " (partial)" : "", sent->len,
		len, at, (ssize_t)at - (ssize_t)l4);
	for (size_t i = 0; i < l4 + 32 && i < len; i++)
		fprintf(stderr, "%s%02x/%02x", i % 16 ? " " : "\n  ", sent->frame[i], wanted[i]);
	fputc('\n', stderr);
}

/* A checksum must be what the kernel takes it for: partial, or complete. */
static void kf_told_check(struct kf_case *c, const struct kf_frame_spec *spec)
{
	struct kf_frame_spec wanted = *spec;
	struct kf_sent sent;

	if (!kf_told_take(c, spec->reverse, &sent)) {
		kf_fail(c, "nothing was sent to the %s", spec->reverse ? "client" : "backend");
		return;
	}
	wanted.partial = sent.partial;
	kf_told_compare(c, &wanted, &sent);
}

/* On egress the backend's segment itself becomes what its client hears. */
static void kf_told_check_passed(struct kf_case *c, const struct kf_frame_spec *spec)
{
	struct kf_sent sent = { .out = true, .len = c->ran.len };

	memcpy(sent.frame, c->ran.frame, sizeof(sent.frame));
	if (!c->ran.passed)
		kf_fail(c, "nothing was sent to the client");
	else
		kf_told_compare(c, spec, &sent);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* NAME=N in @at, or @otherwise. */
static unsigned int kf_told_option(const char *at, const char *name, unsigned int otherwise)
{
	const char *found = strstr(at, name);

	return found ? strtoul(found + strlen(name), NULL, 0) : otherwise;
}

/* answers REASON [protocol=N] [retry=N] [head=1] [seq=+N] [ack=+N] */
void kf_step_answers(struct kf_case *c, const char *at)
{
	struct kf_frame_spec spec = kf_told_spec(c, true);
	char text[1024], name[32] = "";
	int reason, used = 0;

	sscanf(at, "%31s%n", name, &used);
	reason = kf_reason_of(name);
	if (reason < 0)
		errx(1, "%s:%d: no reason %s", c->file, c->line, name);
	spec.data = (uint8_t *)text;
	spec.len = kf_world_text(reason, c->detail, kf_told_option(at, "protocol=", 0),
				 c->request_id, kf_told_option(at, "retry=", 0), text);
	if (kf_told_option(at, "head=", 0))
		spec.len = kf_world_text_head(reason);
	spec.seq = c->last.reverse ? c->last.seq : c->last.ack;
	spec.ack = c->last.seq + c->last.len + !!(c->last.flags & KF_FLAG_FIN);
	if (c->last.reverse)
		spec.ack = c->last.ack;
	spec.flags = 0x19;
	kf_told_timestamps(c, &spec);
	at = strstr(at, "seq=") ? strstr(at, "seq=") : strstr(at, "ack=");
	if (at)
		kf_fields_read(c, at, &spec);
	c->end = spec.seq + spec.len + 1;
	if (c->last.reverse)
		kf_told_check_passed(c, &spec);
	else
		kf_told_check(c, &spec);
}

/* acks +N: a bare one */
void kf_step_acks(struct kf_case *c, const char *at)
{
	struct kf_frame_spec spec = kf_told_spec(c, true);

	spec.seq = c->last.ack;
	spec.ack = KF_CLIENT_ISN + strtoul(at, NULL, 0);
	spec.flags = 0x10;
	kf_told_timestamps(c, &spec);
	kf_told_check(c, &spec);
}

/* resets client | backend [seq=+N] */
void kf_step_resets(struct kf_case *c, const char *at)
{
	bool to_client = strncmp(at, "client", 6) == 0;
	struct kf_frame_spec spec = kf_told_spec(c, to_client);

	spec.flags = KF_FLAG_RST;
	spec.seq = to_client ? c->last.ack : c->last.seq;
	if (c->last.reverse)
		spec.seq = to_client ? c->last.seq : c->last.ack;
	at += strcspn(at, " ");
	kf_fields_read(c, at, &spec);
	if (!to_client || !c->last.reverse) {
		kf_told_check(c, &spec);
		return;
	}
	spec.flags = 0x14;
	spec.ack = c->last.ack;
	kf_told_check_passed(c, &spec);
}

/* @at goes past @word, if it begins with that. */
static bool kf_told_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len + strspn(*at + len, " ");
	return true;
}

/* wire [native] [partial] [FIELD=VALUE ...] "DATA": as `in`, through programs that are attached */
void kf_step_wire(struct kf_case *c, const char *at)
{
	enum kf_wire_mode mode = kf_told_word(&at, "native") ? KF_WIRE_NATIVE : KF_WIRE_GENERIC;
	bool partial = kf_told_word(&at, "partial");
	static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX];
	uint8_t *frame = room + 2;
	static struct kf_data data;
	struct kf_frame_spec spec;
	size_t len;

	kf_data_read(c, at, &data);
	spec = kf_spec_in(c, data.bytes, data.len);
	kf_fields_read(c, at, &spec);
	kf_told_before(c, &spec);
	spec.partial = partial;
	len = kf_frame_build(&spec, frame);
	kf_wire_send(c->wire, c->world, c->hook == KF_HOOK_TC ? KF_WIRE_TC : mode, frame, len,
		     partial, kf_frame_l4(&spec));
	memset(&c->ran, 0, offsetof(struct kf_ran, frame));
	kf_world_events(c->world, &c->ran);
	kf_told_after(c);
	c->next = spec.seq + spec.len - KF_CLIENT_ISN;
}

/* aged MS[,SECONDS[,BYTES]]: the answer was sent that long ago, the first one SECONDS ago */
void kf_step_aged(struct kf_case *c, const char *at)
{
	unsigned int ms = 0, seconds = 0, bytes = 0;

	if (sscanf(at, "%u,%u,%u", &ms, &seconds, &bytes) < 1)
		errx(1, "%s:%d: MS,SECONDS,BYTES?", c->file, c->line);
	kf_world_answer_age(c->world, ms, seconds, bytes);
}
