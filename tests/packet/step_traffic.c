// SPDX-License-Identifier: GPL-2.0-only
/* Steps that send packets, and that say what became of them. */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/http1.h>

#include "steps.h"
#include "told.h"

void kf_check(struct kf_case *c, const struct kf_expect *expect)
{
	bool pass = strcmp(expect->verdict, "drop") != 0;
	bool untouched = strcmp(expect->verdict, "untouched") == 0;
	const char *reason = kf_reason_name(c->ran.reason);

	if (c->ran.passed != pass)
		kf_fail(c, "%s, wanted %s (%s)", c->ran.passed ? "passed" : "dropped",
			expect->verdict, reason);
	if (strcmp(untouched ? "none" : expect->reason, reason) != 0)
		kf_fail(c, "counted as %s, wanted %s (event %s, detail %s)", reason, expect->reason,
			kf_reason_name(c->ran.event),
			c->ran.detail < 0 ? "-" : kf_detail_name(c->ran.detail));
	if (*expect->detail &&
	    (c->ran.detail < 0 || strcmp(expect->detail, kf_detail_name(c->ran.detail)) != 0))
		kf_fail(c, "detail %s, wanted %s",
			c->ran.detail < 0 ? "none" : kf_detail_name(c->ran.detail), expect->detail);
}

static void kf_send(struct kf_case *c, const struct kf_frame_spec *spec)
{
	static _Alignas(4) uint8_t room[2 + KF_FRAME_MAX];
	uint8_t *frame = room + 2; /* so that the IP header is aligned, as drivers do it */
	size_t len = kf_frame_build(spec, frame);

	if (!len)
		errx(1, "%s:%d: the frame does not fit", c->file, c->line);
	kf_told_before(c, spec);
	if (spec->reverse)
		kf_world_egress(c->world, frame, len, &c->ran);
	else if (spec->ethertype == KF_ETHERTYPE_ANSWER && c->hook == KF_HOOK_TC)
		kf_world_answer(c->world, frame, len, &c->ran);
	else
		kf_world_ingress(c->world, c->hook, frame, len, &c->ran);
	c->same = c->ran.len == len && memcmp(c->ran.frame, frame, len) == 0;
	kf_told_after(c);
}

struct kf_frame_spec kf_spec_in(const struct kf_case *c, const uint8_t *data, size_t len)
{
	struct kf_frame_spec spec = c->spec;

	spec.seq = KF_CLIENT_ISN + c->next;
	spec.ack = KF_SERVER_ISN;
	spec.data = data;
	spec.len = len;
	return spec;
}

void kf_in(struct kf_case *c, const uint8_t *data, size_t len, const char *fields)
{
	struct kf_frame_spec spec = kf_spec_in(c, data, len);
	uint32_t end;

	kf_fields_read(c, fields, &spec);
	kf_send(c, &spec);
	end = spec.seq + (uint32_t)len - KF_CLIENT_ISN;
	if (end > c->next)
		c->next = end;
}

static void kf_out(struct kf_case *c, const uint8_t *data, size_t len, const char *fields)
{
	struct kf_frame_spec spec = kf_spec_in(c, data, len);

	spec.reverse = true;
	spec.seq = KF_SERVER_ISN;
	spec.ack = KF_CLIENT_ISN + c->next;
	kf_fields_read(c, fields, &spec);
	kf_send(c, &spec);
}

void kf_handshake(struct kf_case *c)
{
	c->next = 0;
	c->responded = 0;
	kf_out(c, NULL, 0, "seq=+0xffffffff flags=syn,ack");
	kf_in(c, NULL, 0, "");
}

void kf_end(struct kf_case *c)
{
	kf_out(c, NULL, 0, "flags=rst,ack");
}

/* ---- steps ----------------------------------------------------------------------------------- */

void kf_step_handshake(struct kf_case *c, const char *at)
{
	(void)at;
	kf_handshake(c);
}

void kf_step_in(struct kf_case *c, const char *at)
{
	static struct kf_data data;
	struct kf_expect expect;

	kf_expect_read(c, kf_data_read(c, at, &data), &expect);
	kf_in(c, data.bytes, data.len, at);
	kf_check(c, &expect);
}

void kf_step_out(struct kf_case *c, const char *at)
{
	static struct kf_data data;
	const char *rest;

	rest = kf_data_read(c, at, &data);
	kf_out(c, data.bytes, data.len, at);
	if (c->ran.passed == (strcmp(rest, " => drop") == 0))
		kf_fail(c, "egress %s it", c->ran.passed ? "passed" : "dropped");
}

void kf_step_responds(struct kf_case *c, const char *at)
{
	static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	char fields[96];

	snprintf(fields, sizeof(fields), "seq=+%u %s", c->responded, at);
	c->responded += sizeof(response) - 1;
	kf_out(c, (const uint8_t *)response, sizeof(response) - 1, fields);
}

void kf_step_sees(struct kf_case *c, const char *at)
{
	static struct kf_data data;
	const uint8_t *payload;
	size_t len;

	kf_data_read(c, at, &data);
	if (!kf_frame_sound(c->ran.frame, c->ran.len)) {
		kf_fail(c, "lengths or checksums are wrong");
		return;
	}
	len = kf_frame_payload(c->ran.frame, &payload);
	if (len != data.len || memcmp(payload, data.bytes, len) != 0)
		kf_fail(c, "left: %.*s", (int)len, payload);
}

static const struct kf_expect kf_partial = { "pass", "head_partial", "" };

void kf_step_splits(struct kf_case *c, const char *at)
{
	static struct kf_data data;
	struct kf_expect expect;

	kf_expect_read(c, kf_data_read(c, at, &data), &expect);
	for (size_t cut = 1; cut < data.len && !c->failed; cut++) {
		c->spec.client_port = 20000 + cut;
		kf_handshake(c);
		kf_in(c, data.bytes, cut, "");
		kf_check(c, &kf_partial);
		kf_in(c, data.bytes + cut, data.len - cut, "");
		kf_check(c, &expect);
		if (c->failed)
			kf_fail(c, "... when cut at byte %zu", cut);
		kf_end(c);
	}
}

void kf_step_shuffles(struct kf_case *c, const char *at)
{
	static const char orders[][4] = { "021", "102", "120", "201", "210" };
	static struct kf_data data;
	struct kf_expect expect;
	size_t third, from, len;
	char seq[32];

	kf_expect_read(c, kf_data_read(c, at, &data), &expect);
	third = data.len / 3;
	for (size_t order = 0; order < 5 && !c->failed; order++) {
		c->spec.client_port = 20000 + order;
		kf_handshake(c);
		for (int i = 0; i < 3; i++) {
			from = (orders[order][i] - '0') * third;
			len = from == 2 * third ? data.len - from : third;
			snprintf(seq, sizeof(seq), "seq=+%zu", from);
			kf_in(c, data.bytes + from, len, seq);
			kf_check(c, i < 2 ? &kf_partial : &expect);
		}
		if (c->failed)
			kf_fail(c, "... in the order %s", orders[order]);
	}
}

/* The frame that left is the one that came. */
void kf_step_same(struct kf_case *c, const char *at)
{
	(void)at;
	if (!c->same)
		kf_fail(c, "the frame was changed");
}

void kf_step_flows(struct kf_case *c, const char *at)
{
	unsigned int flows = kf_world_flows(c->world);

	if (flows != (unsigned int)atoi(at))
		kf_fail(c, "%u flows, wanted %s", flows, at);
}

void kf_step_state(struct kf_case *c, const char *at)
{
	if (strcmp(at, "unsynced") == 0)
		kf_world_flow_state(c->world, KF_FLOW_UNSYNCED);
	else if (strcmp(at, "closed") == 0)
		kf_world_flow_state(c->world, KF_FLOW_CLOSED);
	else
		errx(1, "%s:%d: state %s?", c->file, c->line, at);
}

/* ---- the frames to come ---------------------------------------------------------------------- */

void kf_step_ext(struct kf_case *c, const char *at)
{
	for (int i = 0; i < 16 && *at; i++) {
		c->spec.extensions[i] = strtoul(at, (char **)&at, 0);
		at += *at == ',';
	}
}

void kf_step_ip(struct kf_case *c, const char *at)
{
	c->spec.ipv6 = *at == '6';
}

void kf_step_vlans(struct kf_case *c, const char *at)
{
	c->spec.vlans = atoi(at);
}

void kf_step_ipoptions(struct kf_case *c, const char *at)
{
	c->spec.ip_options = atoi(at);
}

void kf_step_client(struct kf_case *c, const char *at)
{
	c->spec.client_host = atoi(at);
}

void kf_step_net(struct kf_case *c, const char *at)
{
	c->spec.client_net = atoi(at);
}

void kf_step_port(struct kf_case *c, const char *at)
{
	c->spec.client_port = atoi(at);
}

void kf_step_to(struct kf_case *c, const char *at)
{
	c->spec.server_port = atoi(at);
}
