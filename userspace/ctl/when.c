// SPDX-License-Identifier: GPL-2.0-only
#include "when.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Reads @utc; @fraction is what stood between the seconds and the Z, borrowed from it. */
static int parse(const char *utc, time_t *out, const char **fraction, int *fraction_len)
{
	struct tm parts = { 0 };
	const char *rest = strptime(utc, "%Y-%m-%dT%H:%M:%S", &parts);
	size_t len;

	if (!rest)
		return -EINVAL;
	len = rest[0] == '.' ? 1 + strspn(rest + 1, "0123456789") : 0;
	if (len > 10 || strcmp(rest + len, "Z") != 0)
		return -EINVAL;
	*out = timegm(&parts);
	*fraction = rest;
	*fraction_len = (int)len;
	return 0;
}

int kf_when_local(const char *utc, char out[static KF_WHEN_SIZE])
{
	char day[32], zone[8];
	const char *fraction;
	struct tm parts;
	int fraction_len;
	time_t at;

	if (parse(utc, &at, &fraction, &fraction_len) < 0 || !localtime_r(&at, &parts))
		return -EINVAL;
	/* %z is "+0100"; RFC 3339 section 5.6 wants a colon in it. */
	if (!strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts) ||
	    strftime(zone, sizeof(zone), "%z", &parts) != 5)
		return -EINVAL;
	snprintf(out, KF_WHEN_SIZE, "%s%.*s%.3s:%s", day, fraction_len, fraction, zone, zone + 3);
	return 0;
}

void kf_when_span(long long seconds, char out[static KF_WHEN_SIZE])
{
	static const struct {
		long long seconds;
		const char *name;
	} units[] = { { 86400 * 365, "y" }, { 86400, "d" }, { 3600, "h" }, { 60, "min" } };

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (seconds >= 2 * units[i].seconds) {
			snprintf(out, KF_WHEN_SIZE, "%lld %s", seconds / units[i].seconds,
				 units[i].name);
			return;
		}
	}
	snprintf(out, KF_WHEN_SIZE, "%lld s", seconds);
}

int kf_when_relative(const char *utc, time_t now, char out[static KF_WHEN_SIZE])
{
	char span[KF_WHEN_SIZE];
	const char *fraction;
	int fraction_len;
	time_t at;

	if (parse(utc, &at, &fraction, &fraction_len) < 0)
		return -EINVAL;
	if (at == now) {
		strcpy(out, "now");
		return 0;
	}
	kf_when_span(at > now ? at - now : now - at, span);
	snprintf(out, KF_WHEN_SIZE, at > now ? "in %.40s" : "%.40s ago", span);
	return 0;
}
