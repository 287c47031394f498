// SPDX-License-Identifier: GPL-2.0-only
#include "endpoint.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_mapped[12] = { [10] = 0xff, [11] = 0xff };
static const uint8_t unspecified[16];

static bool is_v4(const uint8_t addr[static 16])
{
	return !memcmp(addr, v4_mapped, sizeof(v4_mapped));
}

static int parse_port(const char *text, uint16_t *out)
{
	unsigned int port = 0;

	if (*text < '1' || *text > '9')
		return -EINVAL;
	for (; isdigit((unsigned char)*text) && port <= UINT16_MAX; text++)
		port = port * 10 + (unsigned int)(*text - '0');
	if (*text || port > UINT16_MAX)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

/* The @len bytes at @text: "*", IPv4, or IPv6 in brackets. */
static int parse_host(const char *text, size_t len, struct kf_endpoint *out)
{
	char host[KF_ENDPOINT_TEXT];
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (len == 1 && *text == '*') {
		out->any = true;
		return 0;
	}
	if (brackets) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (brackets) {
		if (inet_pton(AF_INET6, host, out->addr) != 1)
			return -EINVAL;
	} else {
		if (inet_pton(AF_INET, host, out->addr + 12) != 1)
			return -EINVAL;
		memcpy(out->addr, v4_mapped, sizeof(v4_mapped));
	}
	if (!memcmp(out->addr, unspecified, 16) ||
	    (is_v4(out->addr) && !memcmp(out->addr + 12, unspecified, 4))) {
		memset(out->addr, 0, sizeof(out->addr));
		out->any = true;
	}
	return 0;
}

int kf_endpoint_parse(const char *text, struct kf_endpoint *out)
{
	struct kf_endpoint endpoint = { 0 };
	const char *colon = strrchr(text, ':');

	if (!colon || parse_port(colon + 1, &endpoint.port) ||
	    parse_host(text, (size_t)(colon - text), &endpoint))
		return -EINVAL;
	*out = endpoint;
	return 0;
}

const char *kf_endpoint_address(const uint8_t addr[static 16], char text[static KF_ENDPOINT_TEXT])
{
	bool v4 = is_v4(addr);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr + 12 : addr, text, KF_ENDPOINT_TEXT))
		*text = '\0'; /* cannot be: the room suffices */
	return text;
}

const char *kf_endpoint_format(const struct kf_endpoint *endpoint,
			       char text[static KF_ENDPOINT_TEXT])
{
	char host[KF_ENDPOINT_TEXT];
	bool brackets = !endpoint->any && !is_v4(endpoint->addr);

	kf_endpoint_address(endpoint->addr, host);
	snprintf(text, KF_ENDPOINT_TEXT, "%s%.45s%s:%u", brackets ? "[" : "",
		 endpoint->any ? "*" : host, brackets ? "]" : "", endpoint->port);
	return text;
}
