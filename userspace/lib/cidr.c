// SPDX-License-Identifier: GPL-2.0-only
#include "cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const uint8_t addr[static 16])
{
	return !memcmp(addr, v4_mapped, sizeof(v4_mapped));
}

/* Keeps the first @bits bits of the byte at @index of an address, as a mask. */
static uint8_t byte_mask(unsigned int bits, unsigned int index)
{
	if (bits >= 8 * (index + 1))
		return 0xff;
	if (bits <= 8 * index)
		return 0;
	return (uint8_t)(0xff << (8 * (index + 1) - bits));
}

void kf_cidr_mask(struct kf_cidr *cidr)
{
	for (unsigned int i = 0; i < 16; i++)
		cidr->addr[i] &= byte_mask(cidr->prefix_len, i);
}

void kf_cidr_last(const struct kf_cidr *cidr, uint8_t last[static 16])
{
	for (unsigned int i = 0; i < 16; i++)
		last[i] = cidr->addr[i] | (uint8_t)~byte_mask(cidr->prefix_len, i);
}

bool kf_cidr_covers(const struct kf_cidr *outer, const struct kf_cidr *inner)
{
	unsigned int whole = outer->prefix_len / 8;

	if (outer->prefix_len > inner->prefix_len || memcmp(outer->addr, inner->addr, whole))
		return false;
	return whole == 16 ||
	       !((outer->addr[whole] ^ inner->addr[whole]) & byte_mask(outer->prefix_len, whole));
}

bool kf_cidr_is_v4(const struct kf_cidr *cidr)
{
	return cidr->prefix_len >= KF_CIDR_V4 && is_mapped(cidr->addr);
}

bool kf_cidr_equal(const struct kf_cidr *a, const struct kf_cidr *b)
{
	return a->prefix_len == b->prefix_len && !memcmp(a->addr, b->addr, sizeof(a->addr));
}

/* 1*3DIGIT without leading zeros, at most @max; -1: anything else. */
static int parse_length(const char *text, int max)
{
	int length = 0;

	if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		length = 10 * length + (*text - '0');
	}
	return length <= max ? length : -1;
}

static int parse_address(const char *text, struct kf_cidr *out, int *bits)
{
	if (inet_pton(AF_INET, text, out->addr + 12) == 1) {
		memcpy(out->addr, v4_mapped, sizeof(v4_mapped));
		*bits = 32;
		return 0;
	}
	*bits = 128;
	return inet_pton(AF_INET6, text, out->addr) == 1 ? 0 : -EINVAL;
}

/* 0.0.0.0 and :: without a prefix: no client has them, and typed they mean every address. */
static bool is_nobody(const struct kf_cidr *cidr)
{
	static const uint8_t zero[16];

	return !memcmp(cidr->addr, zero, 16) ||
	       (is_mapped(cidr->addr) && !memcmp(cidr->addr + 12, zero, 4));
}

/* "::ffff:192.0.2.1/32" counts the bits of the IPv4 address, and would be a block of nothing. */
static int meant_mapped(struct kf_cidr *cidr, int length, struct kf_cidr *out)
{
	cidr->prefix_len = (uint8_t)(KF_CIDR_V4 + (length <= 32 ? length : 32));
	kf_cidr_mask(cidr);
	*out = *cidr;
	return -EPROTOTYPE;
}

int kf_cidr_parse(const char *text, struct kf_cidr *out)
{
	struct kf_cidr cidr = { 0 }, masked;
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	int bits, length;

	if (len >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, len);
	address[len] = '\0';
	if (parse_address(address, &cidr, &bits))
		return -EINVAL;
	length = text[len] ? parse_length(text + len + 1, bits) : bits;
	if (length < 0)
		return -EINVAL;
	if (!text[len] && is_nobody(&cidr)) {
		*out = (struct kf_cidr){ .prefix_len = is_mapped(cidr.addr) ? KF_CIDR_V4 : 0 };
		memcpy(out->addr, cidr.addr, sizeof(out->addr));
		return -EADDRNOTAVAIL;
	}
	if (bits == 128 && is_mapped(cidr.addr) && length < KF_CIDR_V4)
		return meant_mapped(&cidr, length, out);
	cidr.prefix_len = (uint8_t)(length + 128 - bits);
	masked = cidr;
	kf_cidr_mask(&masked);
	*out = masked;
	return kf_cidr_equal(&masked, &cidr) ? 0 : -ERANGE;
}

/* An address alone is written with its full length too: one form for everything. */
void kf_cidr_format(const struct kf_cidr *cidr, char text[static KF_CIDR_TEXT])
{
	bool v4 = kf_cidr_is_v4(cidr);
	char address[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, cidr->addr + (v4 ? 12 : 0), address, sizeof(address));
	snprintf(text, KF_CIDR_TEXT, "%s/%d", address, cidr->prefix_len - (v4 ? KF_CIDR_V4 : 0));
}
