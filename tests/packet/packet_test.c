// SPDX-License-Identifier: GPL-2.0-only
/* clang-format off */
/*
 * packet_test - runs the packet cases: description, packets in, verdict and reason out.
 *
 *   packet_test [OBJECT_DIR FILE.case...]
 *
 * Without arguments: the objects of $KF_BUILD (build) and all of tests/packet/cases.
 *
 * Every case runs twice, through XDP and through TC ingress. A line of a case is one step:
 *
 *   case TEXT                      a new world: service any:8000, one good key, no flows
 *   mode monitor | refuse reply|reset|drop | unanswered | websocket | keys MASK | listen HOST
 *   method NAME                    the service adds it
 *   heads N | ip 4|6 | vlans N | ext N,N | ipoptions N | client HOST | net N (the client's /64)
 *   port N | to PORT
 *   handshake                      SYN-ACK out, ACK in
 *   in [FIELD=VALUE ...] "DATA" => pass|drop|untouched REASON [DETAIL]
 *   out [FIELD=VALUE ...] "DATA" [=> drop]   acknowledges all the client sent, unless ack=+N
 *   responds [FIELD=VALUE ...]     out with a whole response of 38 bytes, behind those before
 *   wire [native] [partial] [FIELD=VALUE ...] "DATA"   as in, with the programs attached
 *   raw [FIELD=VALUE ...] "DATA" => pass|drop|untouched REASON [DETAIL]      (raw.h)
 *   options HEX [partial]          of the frame that left, with its checksum (raw.h)
 *   sees "DATA"                    what the last `in` left: payload, lengths and checksums
 *   same                           the frame was not touched
 *   answers REASON [protocol=N] [retry=N] [head=1] [seq=+N] [ack=+N]
 *   acks +N | resets client | resets backend [seq=+N]     what the last frame led to (told.h)
 *   aged MS,SECONDS,BYTES          the answer was sent so long ago, so much came since
 *   splits "DATA" => ...           DATA cut in two at every byte, each on a connection of its own
 *   shuffles "DATA" => ...         DATA in three pieces, a connection for each wrong order
 *   key STATE | key allow ADDR/BITS | key expires-in MS | key rate MS,BURST
 *   key group N | group N PROTOCOL...   the key is in that group; its keys may use these
 *   key models SET | group-models N SET | models SET NAME   it may call those of the set; NAME is
 *   source deny|allow ADDR/BITS [MS]
 *   sleep MS | state NAME | flows N
 *   penalty FAILURES,WINDOW,TIME,MAX (s) | syn-rate MS,BURST
 *   succeeds N                     N admitted requests, a connection each
 *   fails N => SECONDS             N refused connections; a penalty is raised by the last, or none
 *   place FAILURES,SUCCESSES,LEVEL|none   what is known of the client's source
 *   age SECONDS | forgive | crowd N,SECONDS | strangers N | sets N      (abuse.h)
 *
 * FIELDs: seq=+N and ack=+N count from the first byte of the stream; flags=syn,ack (fin, rst, psh,
 * urg), doff=N, pad=N, frag=N, more=1, opts=HEX (TCP options), partial=1, host=N, ts=N,N, latets=N,N,
 * ether=HEX; ack=end: all of the answer.
 * In DATA: \r \n \t \0 \" \\ \xHH, $KEY, $TWO (another good one), $BAD, {N*c}; $TCP and $OTH are TCP
 * headers, to the service's port and to another one. A packet that is dropped without being known to
 * be any service's has the reason unread_headers or unread_routed (enum kf_unread_why).
 */
/* clang-format on */
#include <arpa/inet.h>
#include <stdarg.h>
#include <err.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <keyfilter/http1.h>
#include <keyfilter/penaltystate.h>

#include "abuse.h"
#include "case.h"
#include "frame.h"
#include "raw.h"
#include "told.h"
#include "wire.h"
#include "world.h"

static const char *kf_reason_name(int reason)
{
	static const char *const names[] = {
#define X(symbol, name, class, status) name,
		KF_REASONS(X)
#undef X
	};

	if (reason == KF_RAN_UNREAD_HEADERS)
		return "unread_headers";
	if (reason == KF_RAN_UNREAD_ROUTED)
		return "unread_routed";
	return reason == -1 ? "none" : reason < 0 ? "several" : names[reason];
}

int kf_reason_of(const char *name)
{
	for (int reason = 0; reason < KF_REASON_COUNT; reason++)
		if (strcmp(kf_reason_name(reason), name) == 0)
			return reason;
	return -1;
}

void kf_fail(struct kf_case *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s:%d: [%s] %s: ", c->file, c->line, c->hook == KF_HOOK_XDP ? "xdp" : "tc",
		c->title);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	c->failed = true;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void kf_data_add(struct kf_data *data, int byte, size_t times)
{
	while (times-- && data->len < sizeof(data->bytes))
		data->bytes[data->len++] = byte;
}

static const char *kf_data_escape(const char *at, struct kf_data *data)
{
	static const char from[] = "rnt0\"\\", to[] = "\r\n\t\0\"\\";
	const char *found;
	char hex[3] = "";

	if (*at == 'x') {
		memcpy(hex, at + 1, 2);
		kf_data_add(data, strtol(hex, NULL, 16), 1);
		return at + 3;
	}
	found = strchr(from, *at);
	if (!found)
		errx(1, "unknown escape \\%c", *at);
	kf_data_add(data, to[found - from], 1);
	return at + 1;
}

/* A TCP header, of an ACK, from the client to @port. */
static void kf_data_tcp(struct kf_data *data, int port)
{
	const uint8_t header[20] = {
		40000 >> 8, 40000 & 255, port >> 8, port & 255, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10
	};

	for (size_t i = 0; i < sizeof(header); i++)
		kf_data_add(data, header[i], 1);
}

static const char *kf_data_name(struct kf_case *c, const char *at, struct kf_data *data)
{
	const char *key = kf_world_key(c->world);

	if (strncmp(at, "$KEY", 4) == 0) {
		for (size_t i = 0; i < 51; i++)
			kf_data_add(data, key[i], 1);
	} else if (strncmp(at, "$TWO", 4) == 0) {
		for (size_t i = 0; i < 51; i++)
			kf_data_add(data, KF_WORLD_SECOND[i], 1);
	} else if (strncmp(at, "$BAD", 4) == 0) {
		for (size_t i = 0; i < 51; i++)
			kf_data_add(data, i < 3 ? key[i] : 'x', 1);
	} else if (strncmp(at, "$TCP", 4) == 0) {
		kf_data_tcp(data, 8000);
	} else if (strncmp(at, "$OTH", 4) == 0) {
		kf_data_tcp(data, 8001);
	} else {
		kf_data_add(data, '$', 1);
		return at + 1;
	}
	return at + 4;
}

static const char *kf_data_repeat(const char *at, struct kf_data *data)
{
	size_t times;
	char byte;
	int used = 0;

	if (sscanf(at, "{%zu*%c}%n", &times, &byte, &used) != 2 || !used) {
		kf_data_add(data, '{', 1);
		return at + 1;
	}
	kf_data_add(data, byte, times);
	return at + used;
}

const char *kf_data_read(struct kf_case *c, const char *at, struct kf_data *data)
{
	data->len = 0;
	at = strchr(at, '"');
	if (!at)
		errx(1, "%s:%d: no \"DATA\"", c->file, c->line);
	for (at++; *at != '"';) {
		if (!*at)
			errx(1, "%s:%d: DATA has no end", c->file, c->line);
		if (*at == '\\')
			at = kf_data_escape(at + 1, data);
		else if (*at == '$')
			at = kf_data_name(c, at, data);
		else if (*at == '{')
			at = kf_data_repeat(at, data);
		else
			kf_data_add(data, *at++, 1);
	}
	return at + 1;
}

void kf_expect_read(struct kf_case *c, const char *at, struct kf_expect *expect)
{
	memset(expect, 0, sizeof(*expect));
	if (sscanf(at, " => %15s %31s %31s", expect->verdict, expect->reason, expect->detail) < 2)
		errx(1, "%s:%d: what is expected?", c->file, c->line);
}

/* VALUE,ECHO; alone and aligned, as most stacks send them, or behind another option. */
static void kf_field_timestamps(struct kf_frame_spec *spec, const char *value, bool late)
{
	uint8_t *at = spec->tcp_options;
	uint32_t times[2];
	char *rest;

	times[0] = htonl(strtoul(value, &rest, 0));
	times[1] = htonl(strtoul(rest + (*rest == ','), NULL, 0));
	memcpy(at, late ? "\x05\x0a\0\0\0\0\0\0\0\0" : "\x01\x01", late ? 10 : 2);
	at += late ? 10 : 2;
	memcpy(at, "\x08\x0a", 2);
	memcpy(at + 2, times, 8);
	spec->tcp_options_len = late ? 20 : 12;
}

static void kf_field_options(struct kf_frame_spec *spec, const char *hex)
{
	unsigned int byte;

	spec->tcp_options_len = 0;
	for (; sscanf(hex, "%2x", &byte) == 1 && spec->tcp_options_len < 40; hex += 2)
		spec->tcp_options[spec->tcp_options_len++] = byte;
}

/* Names of flags, separated by commas; they stand as their bits do in RFC 9293 section 3.1. */
static uint8_t kf_flags_read(const struct kf_case *c, const char *value)
{
	static const char names[][4] = { "fin", "syn", "rst", "psh", "ack", "urg" };
	uint8_t flags = 0, before;

	for (; *value; value += 3 + (value[3] == ',')) {
		before = flags;
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
			if (strncmp(value, names[i], 3) == 0)
				flags |= 1u << i;
		if (flags == before || (value[3] && value[3] != ','))
			errx(1, "%s:%d: flags=%s? names of flags, each once", c->file, c->line,
			     value);
	}
	return flags;
}

static void kf_field_set(struct kf_case *c, struct kf_frame_spec *spec, const char *name,
			 const char *value)
{
	unsigned long n = strtoul(value + (*value == '+'), NULL, 0);

	if (strcmp(name, "ack") == 0 && strcmp(value, "end") == 0)
		spec->ack = c->end;
	else if (strcmp(name, "ts") == 0 || strcmp(name, "latets") == 0)
		kf_field_timestamps(spec, value, *name == 'l');
	else if (strcmp(name, "ether") == 0)
		spec->ethertype = strtoul(value, NULL, 16);
	else if (strcmp(name, "seq") == 0)
		spec->seq = (spec->reverse ? KF_SERVER_ISN : KF_CLIENT_ISN) + n;
	else if (strcmp(name, "ack") == 0)
		spec->ack = (spec->reverse ? KF_CLIENT_ISN : KF_SERVER_ISN) + n;
	else if (strcmp(name, "flags") == 0)
		spec->flags = kf_flags_read(c, value);
	else if (strcmp(name, "doff") == 0)
		spec->doff = n;
	else if (strcmp(name, "pad") == 0)
		spec->padding = n;
	else if (strcmp(name, "frag") == 0)
		spec->fragment = n;
	else if (strcmp(name, "more") == 0)
		spec->more_fragments = n;
	else if (strcmp(name, "host") == 0)
		spec->client_host = n;
	else if (strcmp(name, "partial") == 0)
		spec->partial = n;
	else if (strcmp(name, "opts") == 0)
		kf_field_options(spec, value);
	else
		errx(1, "%s:%d: unknown field %s", c->file, c->line, name);
}

void kf_fields_read(struct kf_case *c, const char *at, struct kf_frame_spec *spec)
{
	char name[16], value[96];
	int used;

	while (sscanf(at, " %15[a-z]=%95[^ \"]%n", name, value, &used) == 2) {
		kf_field_set(c, spec, name, value);
		at += used;
	}
}

/* ---- steps ----------------------------------------------------------------------------------- */

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

static void kf_in(struct kf_case *c, const uint8_t *data, size_t len, const char *fields)
{
	struct kf_frame_spec spec = kf_spec_in(c, data, len);

	kf_fields_read(c, fields, &spec);
	kf_send(c, &spec);
	if (spec.seq + len - KF_CLIENT_ISN > c->next)
		c->next = spec.seq + len - KF_CLIENT_ISN;
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

static void kf_handshake(struct kf_case *c)
{
	c->next = 0;
	c->responded = 0;
	kf_out(c, NULL, 0, "seq=+0xffffffff flags=syn,ack");
	kf_in(c, NULL, 0, "");
}

static void kf_step_in(struct kf_case *c, const char *at)
{
	static struct kf_data data;
	struct kf_expect expect;

	kf_expect_read(c, kf_data_read(c, at, &data), &expect);
	kf_in(c, data.bytes, data.len, at);
	kf_check(c, &expect);
}

static void kf_step_out(struct kf_case *c, const char *at)
{
	static struct kf_data data;
	const char *rest;

	rest = kf_data_read(c, at, &data);
	kf_out(c, data.bytes, data.len, at);
	if (c->ran.passed == (strcmp(rest, " => drop") == 0))
		kf_fail(c, "egress %s it", c->ran.passed ? "passed" : "dropped");
}

static void kf_step_responds(struct kf_case *c, const char *at)
{
	static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	char fields[96];

	snprintf(fields, sizeof(fields), "seq=+%u %s", c->responded, at);
	c->responded += sizeof(response) - 1;
	kf_out(c, (const uint8_t *)response, sizeof(response) - 1, fields);
}

static void kf_step_sees(struct kf_case *c, const char *at)
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

/* The backend ends the connection, so that a case of many never fills the table of flows. */
static void kf_end(struct kf_case *c)
{
	kf_out(c, NULL, 0, "flags=rst,ack");
}

static void kf_step_splits(struct kf_case *c, const char *at)
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

static void kf_step_shuffles(struct kf_case *c, const char *at)
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

static void kf_address_read(struct kf_case *c, const char *text, uint8_t addr[16],
			    unsigned int *bits)
{
	char address[64] = "";

	if (sscanf(text, "%63[^/]/%u", address, bits) != 2)
		errx(1, "%s:%d: ADDR/BITS?", c->file, c->line);
	memset(addr, 0, 16);
	if (inet_pton(AF_INET6, address, addr) == 1)
		return;
	addr[10] = addr[11] = 0xff;
	*bits += 96;
	if (inet_pton(AF_INET, address, addr + 12) != 1)
		errx(1, "%s:%d: not an address: %s", c->file, c->line, address);
}

static void kf_step_key(struct kf_case *c, const char *at)
{
	static const struct {
		const char *name;
		enum kf_key_status status;
	} states[] = { { "enabled", KF_KEY_ENABLED },
		       { "disabled", KF_KEY_DISABLED },
		       { "deleted", KF_KEY_DELETED },
		       { "free", KF_KEY_FREE } };
	struct kf_slot *slot = kf_world_slot(c->world);
	char word[32] = "", rest[64] = "";
	uint8_t addr[16];
	unsigned int bits;

	sscanf(at, "%31s %63s", word, rest);
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (strcmp(word, states[i].name) == 0) {
			slot->status = states[i].status;
			return;
		}
	}
	if (strcmp(word, "allow") == 0) {
		kf_address_read(c, rest, addr, &bits);
		kf_world_allow(c->world, addr, bits);
	} else if (strcmp(word, "expires-in") == 0) {
		slot->expires_ns = kf_world_now() + atol(rest) * 1000000;
	} else if (strcmp(word, "rate") == 0) {
		slot->rate_interval_ns = atol(rest) * 1000000;
		slot->rate_burst_ns = slot->rate_interval_ns * (atol(strchr(rest, ',') + 1) - 1);
	} else if (strcmp(word, "group") == 0) {
		slot->group = strtoul(rest, NULL, 0);
	} else if (strcmp(word, "models") == 0) {
		slot->models = strtoul(rest, NULL, 0);
	} else if (strcmp(word, "other-owner") == 0) {
		slot->tag[3] ^= 1;
	} else {
		errx(1, "%s:%d: key %s?", c->file, c->line, word);
	}
}

/* "group N PROTOCOL..." */
static void kf_step_group(struct kf_case *c, const char *at)
{
	static const char *const names[] = { "openai", "anthropic", "gemini" };
	uint32_t protocols = 0;

	for (size_t i = 0; i < 3; i++)
		if (strstr(at, names[i]))
			protocols |= 1u << i;
	kf_world_group(c->world, strtoul(at, NULL, 0), protocols);
}

/* "models SET NAME" */
static void kf_step_models(struct kf_case *c, const char *at)
{
	char name[256] = "";
	uint32_t set;

	if (sscanf(at, "%u %255s", &set, name) != 2)
		errx(1, "%s:%d: models SET NAME?", c->file, c->line);
	kf_world_model(c->world, set, name);
}

static void kf_step_group_models(struct kf_case *c, const char *at)
{
	uint32_t group, set;

	if (sscanf(at, "%u %u", &group, &set) != 2)
		errx(1, "%s:%d: group-models N SET?", c->file, c->line);
	kf_world_group_models(c->world, group, set);
}

static void kf_step_source(struct kf_case *c, const char *at)
{
	char action[16] = "", text[64] = "";
	struct kf_source source = {};
	uint64_t until = KF_NEVER;
	uint8_t addr[16];
	unsigned int bits;
	long ms;

	if (sscanf(at, "%15s %63s %ld", action, text, &ms) == 3)
		until = kf_world_now() + ms * 1000000;
	kf_address_read(c, text, addr, &bits);
	if (strcmp(action, "allow") == 0)
		source.allow_until = until;
	if (strcmp(action, "allow") != 0 || strstr(at, "denied"))
		source.deny_until = until;
	kf_world_source(c->world, addr, bits, &source);
}

static void kf_step_sleep(struct kf_case *c, const char *at)
{
	struct timespec time = { .tv_nsec = atol(at) * 1000000 };

	(void)c;
	nanosleep(&time, NULL);
}

static void kf_step_state(struct kf_case *c, const char *at)
{
	if (strcmp(at, "unsynced") == 0)
		kf_world_flow_state(c->world, KF_FLOW_UNSYNCED);
	else if (strcmp(at, "closed") == 0)
		kf_world_flow_state(c->world, KF_FLOW_CLOSED);
	else
		errx(1, "%s:%d: state %s?", c->file, c->line, at);
}

static void kf_step_flows(struct kf_case *c, const char *at)
{
	unsigned int flows = kf_world_flows(c->world);

	if (flows != (unsigned int)atoi(at))
		kf_fail(c, "%u flows, wanted %s", flows, at);
}

static void kf_renew(struct kf_case *c)
{
	kf_world_reset(c->world, c->mode, c->flags, c->keys);
	kf_world_refuse(c->world, c->refuse);
}

static void kf_step_case(struct kf_case *c, const char *at)
{
	snprintf(c->title, sizeof(c->title), "%s", at);
	memset(&c->spec, 0, sizeof(c->spec));
	c->mode = KF_MODE_ENFORCE;
	c->refuse = KF_REFUSE_DROP;
	c->flags = 0;
	c->keys = KF_KEY_ANY;
	c->next = 0;
	kf_renew(c);
}

static void kf_step_mode(struct kf_case *c, const char *at)
{
	c->mode = strcmp(at, "monitor") == 0 ? KF_MODE_MONITOR : KF_MODE_ENFORCE;
	kf_renew(c);
}

static void kf_step_refuse(struct kf_case *c, const char *at)
{
	c->refuse = strcmp(at, "reply") == 0   ? KF_REFUSE_REPLY
		    : strcmp(at, "reset") == 0 ? KF_REFUSE_RESET
					       : KF_REFUSE_DROP;
	kf_renew(c);
}

static void kf_step_unanswered(struct kf_case *c, const char *at)
{
	(void)at;
	kf_world_no_answers(c->world);
}

/* The frame that left is the one that came. */
static void kf_step_same(struct kf_case *c, const char *at)
{
	(void)at;
	if (!c->same)
		kf_fail(c, "the frame was changed");
}

static void kf_step_method(struct kf_case *c, const char *at)
{
	int fd = kf_world_fd(c->world, "kf_services");
	struct kf_service service;
	char name[17] = "";

	if (sscanf(at, "%16s", name) != 1 || bpf_map_lookup_elem(fd, &(uint32_t){ 0 }, &service))
		errx(1, "%s:%d: no method", c->file, c->line);
	memcpy(service.methods[KF_METHODS_MAX - 1], name, strlen(name));
	if (bpf_map_update_elem(fd, &(uint32_t){ 0 }, &service, BPF_ANY))
		err(1, "kf_services");
}

static void kf_step_websocket(struct kf_case *c, const char *at)
{
	(void)at;
	c->flags |= KF_SERVICE_WEBSOCKET;
	kf_renew(c);
}

static void kf_step_keys(struct kf_case *c, const char *at)
{
	c->keys = strtoul(at, NULL, 0);
	kf_renew(c);
}

static void kf_step_listen(struct kf_case *c, const char *at)
{
	uint8_t addr[16] = { [10] = 0xff, 0xff, 10, 0, 0, atoi(at) };

	kf_world_listen(c->world, addr);
}

static void kf_step_handshake(struct kf_case *c, const char *at)
{
	(void)at;
	kf_handshake(c);
}

static void kf_step_ext(struct kf_case *c, const char *at)
{
	for (int i = 0; i < 16 && *at; i++) {
		c->spec.extensions[i] = strtoul(at, (char **)&at, 0);
		at += *at == ',';
	}
}

static void kf_step_ip(struct kf_case *c, const char *at)
{
	c->spec.ipv6 = *at == '6';
}

static void kf_step_vlans(struct kf_case *c, const char *at)
{
	c->spec.vlans = atoi(at);
}

static void kf_step_ipoptions(struct kf_case *c, const char *at)
{
	c->spec.ip_options = atoi(at);
}

static void kf_step_client(struct kf_case *c, const char *at)
{
	c->spec.client_host = atoi(at);
}

static void kf_step_port(struct kf_case *c, const char *at)
{
	c->spec.client_port = atoi(at);
}

static void kf_step_to(struct kf_case *c, const char *at)
{
	c->spec.server_port = atoi(at);
}

static void kf_step_heads(struct kf_case *c, const char *at)
{
	kf_world_heads(c->world, atoi(at));
}

/* ---- abusers --------------------------------------------------------------------------------- */

static void kf_step_penalty(struct kf_case *c, const char *at)
{
	unsigned int failures, window, time, time_max;

	if (sscanf(at, "%u,%u,%u,%u", &failures, &window, &time, &time_max) != 4)
		errx(1, "%s:%d: FAILURES,WINDOW,TIME,MAX?", c->file, c->line);
	kf_abuse_penalty(c->world, failures, window, time, time_max);
}

static void kf_step_syn_rate(struct kf_case *c, const char *at)
{
	unsigned int ms, burst;

	if (sscanf(at, "%u,%u", &ms, &burst) != 2)
		errx(1, "%s:%d: MS,BURST?", c->file, c->line);
	kf_abuse_syn_rate(c->world, ms * 1000000ull, burst);
}

static void kf_step_net(struct kf_case *c, const char *at)
{
	c->spec.client_net = atoi(at);
}

static void kf_step_fails(struct kf_case *c, const char *at)
{
	static const struct kf_expect refused = { "drop", "unknown_key", "" };
	static struct kf_data data;
	unsigned int n, seconds, wanted;

	if (sscanf(at, "%u => %u", &n, &seconds) != 2)
		errx(1, "%s:%d: N => SECONDS?", c->file, c->line);
	kf_data_read(c, "\"GET / HTTP/1.1\\r\\nHost: a\\r\\nx-api-key: $BAD\\r\\n\\r\\n\"", &data);
	for (unsigned int i = 1; i <= n && !c->failed; i++) {
		c->spec.client_port = 20000 + i;
		kf_handshake(c);
		kf_in(c, data.bytes, data.len, "");
		kf_check(c, &refused);
		wanted = i == n ? seconds : 0;
		if (c->ran.penalty != wanted)
			kf_fail(c, "failure %u: penalty of %u s, wanted %u", i, c->ran.penalty,
				wanted);
		kf_end(c);
	}
	c->spec.client_port = 0;
}

static void kf_step_succeeds(struct kf_case *c, const char *at)
{
	static const struct kf_expect admitted = { "pass", "admitted", "" };
	static struct kf_data data;
	int n = atoi(at);

	kf_data_read(c, "\"GET / HTTP/1.1\\r\\nHost: a\\r\\nx-api-key: $KEY\\r\\n\\r\\n\"", &data);
	for (int i = 1; i <= n && !c->failed; i++) {
		c->spec.client_port = 30000 + i;
		kf_handshake(c);
		kf_in(c, data.bytes, data.len, "");
		kf_check(c, &admitted);
		kf_end(c);
	}
	c->spec.client_port = 0;
}

static void kf_step_place(struct kf_case *c, const char *at)
{
	struct kf_penalty *place;
	char found[64] = "none";
	uint8_t addr[16];

	kf_frame_client(&c->spec, addr);
	place = kf_abuse_place(c->world, addr);
	if (place)
		snprintf(found, sizeof(found), "%u,%u,%u", place->failures,
			 kf_penalty_good(place->successes), place->level);
	if (strcmp(found, at) != 0)
		kf_fail(c, "place %s, wanted %s", found, at);
}

static void kf_step_age(struct kf_case *c, const char *at)
{
	kf_abuse_age(c->world, atoi(at));
}

static void kf_step_forgive(struct kf_case *c, const char *at)
{
	(void)at;
	kf_abuse_forgive(c->world);
}

static void kf_step_crowd(struct kf_case *c, const char *at)
{
	unsigned int n, seconds;
	uint8_t addr[16];

	if (sscanf(at, "%u,%u", &n, &seconds) != 2)
		errx(1, "%s:%d: N,SECONDS?", c->file, c->line);
	kf_frame_client(&c->spec, addr);
	kf_abuse_crowd(c->world, addr, n, seconds);
}

static void kf_step_strangers(struct kf_case *c, const char *at)
{
	unsigned int strangers = kf_abuse_strangers(c->world);

	if (strangers != (unsigned int)atoi(at))
		kf_fail(c, "%u strangers are penalised, wanted %s", strangers, at);
}

static void kf_step_sets(struct kf_case *c, const char *at)
{
	kf_world_config(c->world)->penalty_mask = atoi(at) - 1;
}

static const struct {
	const char *name;
	void (*run)(struct kf_case *c, const char *at);
} kf_steps[] = {
	{ "case", kf_step_case },
	{ "mode", kf_step_mode },
	{ "refuse", kf_step_refuse },
	{ "unanswered", kf_step_unanswered },
	{ "same", kf_step_same },
	{ "answers", kf_step_answers },
	{ "acks", kf_step_acks },
	{ "resets", kf_step_resets },
	{ "wire", kf_step_wire },
	{ "aged", kf_step_aged },
	{ "websocket", kf_step_websocket },
	{ "keys", kf_step_keys },
	{ "method", kf_step_method },
	{ "listen", kf_step_listen },
	{ "heads", kf_step_heads },
	{ "ip", kf_step_ip },
	{ "vlans", kf_step_vlans },
	{ "ext", kf_step_ext },
	{ "ipoptions", kf_step_ipoptions },
	{ "client", kf_step_client },
	{ "port", kf_step_port },
	{ "handshake", kf_step_handshake },
	{ "in", kf_step_in },
	{ "raw", kf_step_raw },
	{ "options", kf_step_options },
	{ "out", kf_step_out },
	{ "responds", kf_step_responds },
	{ "sees", kf_step_sees },
	{ "splits", kf_step_splits },
	{ "shuffles", kf_step_shuffles },
	{ "key", kf_step_key },
	{ "group", kf_step_group },
	{ "group-models", kf_step_group_models },
	{ "models", kf_step_models },
	{ "source", kf_step_source },
	{ "sleep", kf_step_sleep },
	{ "state", kf_step_state },
	{ "flows", kf_step_flows },
	{ "to", kf_step_to },
	{ "penalty", kf_step_penalty },
	{ "syn-rate", kf_step_syn_rate },
	{ "net", kf_step_net },
	{ "fails", kf_step_fails },
	{ "succeeds", kf_step_succeeds },
	{ "place", kf_step_place },
	{ "age", kf_step_age },
	{ "forgive", kf_step_forgive },
	{ "crowd", kf_step_crowd },
	{ "strangers", kf_step_strangers },
	{ "sets", kf_step_sets },
};

static void kf_line(struct kf_case *c, char *line)
{
	size_t len = strcspn(line, " \n");
	char *rest = line + len;

	rest[strcspn(rest, "\n")] = 0;
	while (*rest == ' ')
		rest++;
	for (size_t i = 0; i < sizeof(kf_steps) / sizeof(*kf_steps); i++) {
		if (strlen(kf_steps[i].name) == len && strncmp(kf_steps[i].name, line, len) == 0) {
			kf_steps[i].run(c, rest);
			return;
		}
	}
	errx(1, "%s:%d: unknown step: %s", c->file, c->line, line);
}

/* Nothing may be left over. Returns 1 if only this made the case fail. */
static unsigned int kf_case_end(struct kf_case *c)
{
	bool failed = c->failed;

	kf_told_settle(c);
	failed = c->failed && !failed;
	c->failed = false;
	return failed;
}

/* A case that failed is not followed further; the next one begins anew. */
static unsigned int kf_file(struct kf_case *c, const char *path, unsigned int *cases)
{
	FILE *file = fopen(path, "r");
	static char line[KF_LINE_MAX];
	unsigned int failed = 0;

	if (!file)
		err(1, "%s", path);
	c->file = path;
	for (c->line = 1; fgets(line, sizeof(line), file); c->line++) {
		char *at = line + strspn(line, " \t");

		if (*at == '#' || *at == '\n' || !*at)
			continue;
		if (strncmp(at, "case ", 5) == 0) {
			failed += kf_case_end(c);
			(*cases)++;
		} else if (c->failed) {
			continue;
		}
		kf_line(c, at);
		failed += c->failed;
	}
	failed += kf_case_end(c);
	fclose(file);
	return failed;
}

static struct kf_world *kf_world_of_build(void)
{
	const char *build = getenv("KF_BUILD");
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s/bpf", build ? build : "build");
	return kf_world_new(dir);
}

int main(int argc, char **argv)
{
	unsigned int failed = 0, cases = 0;
	static struct kf_case c;
	glob_t files = { .gl_pathv = argv + 2, .gl_pathc = argc - 2 };

	if (argc == 2)
		errx(2, "usage: packet_test [OBJECT_DIR FILE.case...]");
	if (argc == 1 && glob("tests/packet/cases/*.case", 0, NULL, &files))
		errx(2, "no tests/packet/cases here");
	c.world = argc == 1 ? kf_world_of_build() : kf_world_new(argv[1]);
	c.wire = kf_wire_new();
	kf_world_interface(c.world, kf_wire_ifindex(c.wire));
	for (size_t i = 0; i < files.gl_pathc; i++) {
		for (c.hook = KF_HOOK_XDP; c.hook <= KF_HOOK_TC; c.hook++)
			failed += kf_file(&c, files.gl_pathv[i], &cases);
	}
	if (argc == 1)
		globfree(&files);
	kf_wire_free(c.wire);
	kf_world_free(c.world);
	printf("packet_test: %u cases, %u failed\n", cases, failed);
	return failed ? 1 : 0;
}
