// SPDX-License-Identifier: GPL-2.0-only
#include "raw.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kf_raw {
	unsigned int next, fragment, behind, host;
	uint8_t options[40];
	size_t options_len;
};

static void kf_raw_options(struct kf_raw *raw, const char *hex)
{
	unsigned int byte;

	for (; sscanf(hex, "%2x", &byte) == 1 && raw->options_len < 40; hex += 2)
		raw->options[raw->options_len++] = byte;
	raw->options_len = (raw->options_len + 3) & ~3u;
}

static void kf_raw_fields(struct kf_case *c, const char *at, struct kf_raw *raw)
{
	char name[16], value[96];
	int used;

	while (sscanf(at, " %15[a-z]=%95[^ \"]%n", name, value, &used) == 2) {
		if (strcmp(name, "next") == 0)
			raw->next = strtoul(value, NULL, 0);
		else if (strcmp(name, "frag") == 0)
			raw->fragment = strtoul(value, NULL, 16);
		else if (strcmp(name, "behind") == 0)
			raw->behind = strtoul(value, NULL, 0);
		else if (strcmp(name, "to") == 0)
			raw->host = strtoul(value, NULL, 0);
		else if (strcmp(name, "opts") == 0)
			kf_raw_options(raw, value);
		else
			errx(1, "%s:%d: unknown field %s", c->file, c->line, name);
		at += used;
	}
}

static size_t kf_raw_ipv4(const struct kf_raw *raw, uint8_t *at, size_t payload)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5 + raw->options_len / 4,
		.tot_len = htons(20 + raw->options_len + payload - raw->behind),
		.frag_off = htons(raw->fragment),
		.ttl = 64,
		.protocol = raw->next,
		.saddr = htonl(0x0a000002),
		.daddr = htonl(0x0a000000 | raw->host),
	};

	memcpy(at, &ip, sizeof(ip));
	memcpy(at + sizeof(ip), raw->options, raw->options_len);
	return sizeof(ip) + raw->options_len;
}

static size_t kf_raw_ipv6(const struct kf_raw *raw, uint8_t *at, size_t payload)
{
	struct ip6_hdr ip = { .ip6_src.s6_addr = { 0xfd, [15] = 2 },
			      .ip6_dst.s6_addr = { 0xfd, [15] = raw->host } };

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_plen = htons(payload - raw->behind);
	ip.ip6_nxt = raw->next;
	ip.ip6_hlim = 64;
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

void kf_step_raw(struct kf_case *c, const char *at)
{
	static uint8_t frame[KF_FRAME_MAX];
	struct kf_raw raw = { .next = 6, .host = 1 };
	static struct kf_data data;
	struct kf_expect expect;
	size_t len = 14;

	kf_expect_read(c, kf_data_read(c, at, &data), &expect);
	kf_raw_fields(c, at, &raw);
	memset(frame, 0, 12);
	memcpy(frame + 12, c->spec.ipv6 ? "\x86\xdd" : "\x08\x00", 2);
	len += c->spec.ipv6 ? kf_raw_ipv6(&raw, frame + len, data.len)
			    : kf_raw_ipv4(&raw, frame + len, data.len);
	if (len + data.len > sizeof(frame))
		errx(1, "%s:%d: the frame does not fit", c->file, c->line);
	memcpy(frame + len, data.bytes, data.len);
	kf_world_ingress(c->world, c->hook, frame, len + data.len, &c->ran);
	kf_check(c, &expect);
}

void kf_step_options(struct kf_case *c, const char *at)
{
	struct kf_raw wanted = { 0 };
	bool partial = strstr(at, "partial");
	const uint8_t *payload;
	size_t len;

	kf_raw_options(&wanted, at);
	len = kf_frame_payload(c->ran.frame, &payload);
	if (memcmp(payload - wanted.options_len, wanted.options, wanted.options_len) != 0)
		kf_fail(c, "other options");
	if (!(partial ? kf_frame_partial : kf_frame_sound)(c->ran.frame, c->ran.len))
		kf_fail(c, "lengths or checksums are wrong, with %zu bytes of payload", len);
}
