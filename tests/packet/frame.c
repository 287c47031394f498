// SPDX-License-Identifier: GPL-2.0-only
#include "frame.h"

#include <arpa/inet.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>

struct kf_out {
	uint8_t *at;
	uint8_t *end;
};

static void *kf_out_take(struct kf_out *out, size_t len)
{
	void *at = out->at;

	if (!at || (size_t)(out->end - out->at) < len) {
		out->at = NULL;
		return NULL;
	}
	memset(at, 0, len);
	out->at += len;
	return at;
}

static uint64_t kf_sum(const void *data, size_t len)
{
	const uint8_t *byte = data;
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? byte[i] : byte[i] << 8;
	return sum;
}

static uint16_t kf_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void kf_address(uint8_t *to, bool ipv6, uint8_t host)
{
	static const uint8_t v4[4] = { 10, 0, 0, 0 };

	if (ipv6) {
		memset(to, 0, 16);
		to[0] = 0xfd;
		to[15] = host;
	} else {
		memcpy(to, v4, 4);
		to[3] = host;
	}
}

static void kf_frame_ethernet(const struct kf_frame_spec *spec, struct kf_out *out)
{
	uint16_t proto = spec->ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
	uint8_t *eth = kf_out_take(out, 12);

	if (!eth)
		return;
	eth[5] = spec->reverse ? 2 : 1;
	eth[11] = spec->reverse ? 1 : 2;
	for (int i = spec->vlans; i > 0; i--) {
		uint16_t tag[2] = { htons(i > 1 ? 0x88a8 : 0x8100), htons(100 + i) };
		uint8_t *vlan = kf_out_take(out, 4);

		if (vlan)
			memcpy(vlan, tag, 4);
	}
	eth = kf_out_take(out, 2);
	proto = htons(spec->ethertype ? spec->ethertype : proto);
	if (eth)
		memcpy(eth, &proto, 2);
}

static void kf_frame_hosts(const struct kf_frame_spec *spec, uint8_t *source, uint8_t *dest)
{
	uint8_t client = spec->client_host ? spec->client_host : 2;
	uint8_t server = spec->server_host ? spec->server_host : 1;

	kf_address(source, spec->ipv6, spec->reverse ? server : client);
	kf_address(dest, spec->ipv6, spec->reverse ? client : server);
	if (spec->ipv6)
		(spec->reverse ? dest : source)[7] = spec->client_net;
}

void kf_frame_client(const struct kf_frame_spec *spec, uint8_t addr[static 16])
{
	struct kf_frame_spec in = *spec;
	uint8_t server[16];

	in.reverse = false;
	memset(addr, 0, 16);
	memset(addr + 10, 0xff, 2);
	kf_frame_hosts(&in, spec->ipv6 ? addr : addr + 12, server);
}

static void kf_frame_ipv4(const struct kf_frame_spec *spec, struct kf_out *out, size_t tcp_len)
{
	size_t header = 20 + spec->ip_options;
	struct iphdr *ip = kf_out_take(out, header);
	uint16_t fragment = spec->fragment / 8 | (spec->more_fragments ? 0x2000 : 0) |
			    (spec->ours ? 0x4000 : 0);

	if (!ip)
		return;
	ip->version = 4;
	ip->ihl = header / 4;
	ip->tot_len = htons(header + tcp_len);
	ip->frag_off = htons(fragment);
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	kf_frame_hosts(spec, (uint8_t *)&ip->saddr, (uint8_t *)&ip->daddr);
	memset(ip + 1, 1, spec->ip_options); /* no-operation */
	ip->check = htons(~kf_fold(kf_sum(ip, header)));
}

static void kf_frame_ipv6(const struct kf_frame_spec *spec, struct kf_out *out, size_t tcp_len)
{
	struct ip6_hdr *ip = kf_out_take(out, sizeof(*ip));
	bool fragment = spec->fragment || spec->more_fragments;
	uint8_t *next, *ext;
	size_t start;

	if (!ip)
		return;
	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_hlim = 64;
	kf_frame_hosts(spec, ip->ip6_src.s6_addr, ip->ip6_dst.s6_addr);
	next = &ip->ip6_nxt;
	start = (size_t)out->at;
	for (int i = 0; i < 16 && spec->extensions[i]; i++) {
		uint8_t type = spec->extensions[i];

		*next = type == KF_EXT_HOPOPTS ? 0 : type;
		ext = kf_out_take(out, 8);
		if (!ext)
			return;
		if (type == IPPROTO_ROUTING)
			ext[2] = 4; /* a type, and nothing left of the way */
		else if (type != IPPROTO_FRAGMENT)
			ext[2] = 1, ext[3] = 4; /* PadN */
		next = ext;
	}
	if (fragment) {
		uint16_t offset = htons(spec->fragment | spec->more_fragments);

		*next = IPPROTO_FRAGMENT;
		ext = kf_out_take(out, 8);
		if (!ext)
			return;
		memcpy(ext + 2, &offset, 2);
		next = ext;
	}
	*next = IPPROTO_TCP;
	ip->ip6_plen = htons((size_t)out->at - start + tcp_len);
}

static uint64_t kf_pseudo(const uint8_t *addresses, size_t len, size_t tcp_len)
{
	return kf_sum(addresses, len) + IPPROTO_TCP + tcp_len;
}

static void kf_frame_tcp(const struct kf_frame_spec *spec, struct kf_out *out)
{
	size_t options = (spec->tcp_options_len + 3) & ~3u;
	size_t len = sizeof(struct tcphdr) + options + spec->len;
	struct tcphdr *tcp = kf_out_take(out, len);
	uint16_t client = spec->client_port ? spec->client_port : 40000;
	uint16_t server = spec->server_port ? spec->server_port : 8000;
	uint8_t addresses[32];
	uint64_t sum;

	if (!tcp)
		return;
	tcp->source = htons(spec->reverse ? server : client);
	tcp->dest = htons(spec->reverse ? client : server);
	tcp->seq = htonl(spec->seq);
	tcp->ack_seq = htonl(spec->ack);
	tcp->doff = spec->doff ? (size_t)spec->doff : 5 + options / 4;
	((uint8_t *)tcp)[13] = spec->flags ? spec->flags : spec->len ? 0x18 : 0x10;
	tcp->window = htons(!spec->ours ? 64240 : tcp->rst ? 0 : 65535);
	memcpy(tcp + 1, spec->tcp_options, spec->tcp_options_len);
	if (spec->len)
		memcpy((uint8_t *)(tcp + 1) + options, spec->data, spec->len);
	kf_frame_hosts(spec, addresses, addresses + (spec->ipv6 ? 16 : 4));
	sum = kf_pseudo(addresses, spec->ipv6 ? 32 : 8, len);
	tcp->check = htons(spec->partial ? kf_fold(sum) : ~kf_fold(sum + kf_sum(tcp, len)));
}

size_t kf_frame_build(const struct kf_frame_spec *spec, uint8_t out[static KF_FRAME_MAX])
{
	struct kf_out o = { out, out + KF_FRAME_MAX };
	size_t tcp_len = sizeof(struct tcphdr) + ((spec->tcp_options_len + 3) & ~3u) + spec->len;

	kf_frame_ethernet(spec, &o);
	if (spec->ipv6)
		kf_frame_ipv6(spec, &o, tcp_len);
	else
		kf_frame_ipv4(spec, &o, tcp_len);
	kf_frame_tcp(spec, &o);
	kf_out_take(&o, spec->padding);
	return o.at ? (size_t)(o.at - out) : 0;
}

/* The IP header of @frame, past up to two tags. */
static const uint8_t *kf_frame_ip(const uint8_t *frame, bool *ipv6)
{
	const uint8_t *type = frame + 12;

	while ((type[0] == 0x81 && type[1] == 0) || (type[0] == 0x88 && type[1] == 0xa8))
		type += 4;
	*ipv6 = type[0] == 0x86;
	return type + 2;
}

uint16_t kf_frame_ethertype(const uint8_t *frame)
{
	bool ipv6;
	const uint8_t *ip = kf_frame_ip(frame, &ipv6);

	return ip[-2] << 8 | ip[-1];
}

size_t kf_frame_l4(const struct kf_frame_spec *spec)
{
	size_t extensions = 0;

	while (extensions < 16 && spec->extensions[extensions])
		extensions++;
	return 14 + 4 * spec->vlans + (spec->ipv6 ? 40 + 8 * extensions : 20u + spec->ip_options);
}

static size_t kf_frame_total(const uint8_t *ip, bool ipv6)
{
	return ipv6 ? 40u + (ip[4] << 8 | ip[5]) : (size_t)(ip[2] << 8 | ip[3]);
}

static bool kf_frame_checks(const uint8_t *frame, size_t len, bool partial)
{
	bool ipv6;
	const uint8_t *ip = kf_frame_ip(frame, &ipv6);
	size_t header = ipv6 ? 40 : (ip[0] & 15) * 4;
	size_t total = kf_frame_total(ip, ipv6);
	size_t tcp_len = total - header;
	uint64_t pseudo;

	if (ip + total > frame + len)
		return false;
	if (!ipv6 && kf_fold(kf_sum(ip, header)) != 0xffff)
		return false;
	pseudo = kf_pseudo(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, tcp_len);
	if (partial)
		return kf_fold(pseudo) == (ip[header + 16] << 8 | ip[header + 17]);
	return kf_fold(pseudo + kf_sum(ip + header, tcp_len)) == 0xffff;
}

bool kf_frame_sound(const uint8_t *frame, size_t len)
{
	return kf_frame_checks(frame, len, false);
}

bool kf_frame_partial(const uint8_t *frame, size_t len)
{
	return kf_frame_checks(frame, len, true);
}

size_t kf_frame_payload(const uint8_t *frame, const uint8_t **payload)
{
	bool ipv6;
	const uint8_t *ip = kf_frame_ip(frame, &ipv6);
	size_t header = ipv6 ? 40 : (ip[0] & 15) * 4;
	size_t total = kf_frame_total(ip, ipv6);
	size_t doff = (ip[header + 12] >> 4) * 4;

	*payload = ip + header + doff;
	return total - header - doff;
}
