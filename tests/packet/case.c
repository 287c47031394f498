// SPDX-License-Identifier: GPL-2.0-only
/* How a line of a case is read, and how its faults are told. */

#include <arpa/inet.h>
#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/http1.h>

#include "case.h"

const char *kf_reason_name(int reason)
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

/* ---- DATA ------------------------------------------------------------------------------------ */

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

/* ---- FIELD=VALUE ----------------------------------------------------------------------------- */

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
