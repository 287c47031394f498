// SPDX-License-Identifier: GPL-2.0-only
#include "money.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS	 "0123456789"
#define DECIMALS 6

int kf_money_parse(const char *text, int64_t *micro)
{
	size_t whole = strspn(text, DIGITS), part = 0;
	const char *point = text + whole;
	int64_t value = 0;

	if (!whole || (*point && *point != '.'))
		return -EINVAL;
	if (*point) {
		part = strspn(point + 1, DIGITS);
		if (!part || point[1 + part])
			return -EINVAL;
	}
	for (size_t i = 0; i < whole; i++) {
		value = value * 10 + (text[i] - '0');
		if (value > KF_MONEY_MAX / KF_MONEY_UNIT)
			return -ERANGE;
	}
	for (size_t i = 0; i < DECIMALS; i++)
		value = value * 10 + (i < part ? point[1 + i] - '0' : 0);
	for (size_t i = DECIMALS; i < part; i++)
		if (point[1 + i] != '0')
			return -EDOM;
	if (value > KF_MONEY_MAX)
		return -ERANGE;
	*micro = value;
	return 0;
}

const char *kf_money_format(int64_t micro, char text[static KF_MONEY_SIZE])
{
	const uint64_t unit = KF_MONEY_UNIT;
	uint64_t size = micro < 0 ? -(uint64_t)micro : (uint64_t)micro;
	int len = snprintf(text, KF_MONEY_SIZE, "%s%" PRIu64 ".%06" PRIu64, micro < 0 ? "-" : "",
			   size / unit, size % unit);

	while (text[len - 1] == '0')
		text[--len] = '\0';
	if (text[len - 1] == '.')
		text[--len] = '\0';
	return text;
}
