// SPDX-License-Identifier: GPL-2.0-only
#include "timetext.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LAST_SECOND 9214646400ll /* 2262-01-01 */

static void broken_down(int64_t seconds, struct tm *tm)
{
	time_t time = (time_t)seconds;

	/* gmtime_r fails only for years that do not fit an int: show the epoch, never garbage */
	if (!gmtime_r(&time, tm)) {
		time = 0;
		gmtime_r(&time, tm);
	}
}

/* Whole seconds, and what is left of @wall_ns: 0 to 999999999 also before 1970. */
static int64_t split_seconds(int64_t wall_ns, int64_t *rest)
{
	int64_t seconds = wall_ns / KF_TIMETEXT_SECOND;

	*rest = wall_ns % KF_TIMETEXT_SECOND;
	if (*rest < 0) {
		*rest += KF_TIMETEXT_SECOND;
		seconds--;
	}
	return seconds;
}

const char *kf_timetext_format(int64_t wall_ns, char text[static KF_TIMETEXT_SIZE])
{
	struct tm tm;
	int64_t rest;

	broken_down(split_seconds(wall_ns, &rest), &tm);
	strftime(text, KF_TIMETEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return text;
}

const char *kf_timetext_format_micros(int64_t wall_ns, char text[static KF_TIMETEXT_SIZE])
{
	struct tm tm;
	int64_t rest;
	size_t len;

	broken_down(split_seconds(wall_ns, &rest), &tm);
	len = strftime(text, KF_TIMETEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, KF_TIMETEXT_SIZE - len, ".%06dZ", (int)(rest / 1000));
	return text;
}

/* Takes exactly @digits digits off *@text; -1 where there are not as many. */
static int read_digits(const char **text, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++, (*text)++) {
		if (!isdigit((unsigned char)**text))
			return -1;
		value = value * 10 + (**text - '0');
	}
	return value;
}

static bool read_char(const char **text, char c)
{
	if (toupper((unsigned char)**text) != c)
		return false;
	(*text)++;
	return true;
}

/* "Z", "+hh:mm" or "-hh:mm" at the end of the text: seconds east of UTC. */
static int read_offset(const char **text, int *offset)
{
	int sign, hours, minutes;

	*offset = 0;
	if (read_char(text, 'Z'))
		return 0;
	sign = **text == '-' ? -1 : 1;
	if (!read_char(text, '+') && !read_char(text, '-'))
		return -EINVAL;
	hours = read_digits(text, 2);
	if (hours < 0 || hours > 23 || !read_char(text, ':'))
		return -EINVAL;
	minutes = read_digits(text, 2);
	if (minutes < 0 || minutes > 59)
		return -EINVAL;
	*offset = sign * (hours * 3600 + minutes * 60);
	return 0;
}

/* ".123", in nanoseconds; digits beyond the ninth round up, so that nothing ends early. */
static int read_fraction(const char **text, int64_t *ns)
{
	int64_t unit = KF_TIMETEXT_SECOND / 10;
	bool more = false;

	*ns = 0;
	if (!read_char(text, '.'))
		return 0;
	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	for (; isdigit((unsigned char)**text); (*text)++, unit /= 10) {
		*ns += (**text - '0') * unit;
		more |= !unit && **text != '0';
	}
	*ns += more;
	return 0;
}

static int read_date(const char **text, struct tm *tm)
{
	tm->tm_year = read_digits(text, 4);
	if (tm->tm_year < 0 || !read_char(text, '-'))
		return -EINVAL;
	tm->tm_year -= 1900;
	tm->tm_mon = read_digits(text, 2) - 1;
	if (tm->tm_mon < 0 || tm->tm_mon > 11 || !read_char(text, '-'))
		return -EINVAL;
	tm->tm_mday = read_digits(text, 2);
	if (tm->tm_mday < 1 || tm->tm_mday > 31)
		return -EINVAL;
	return read_char(text, 'T') || read_char(text, ' ') ? 0 : -EINVAL;
}

static int read_clock(const char **text, struct tm *tm)
{
	tm->tm_hour = read_digits(text, 2);
	if (tm->tm_hour < 0 || tm->tm_hour > 23 || !read_char(text, ':'))
		return -EINVAL;
	tm->tm_min = read_digits(text, 2);
	if (tm->tm_min < 0 || tm->tm_min > 59 || !read_char(text, ':'))
		return -EINVAL;
	tm->tm_sec = read_digits(text, 2);
	return tm->tm_sec < 0 || tm->tm_sec > 60 ? -EINVAL : 0;
}

int kf_timetext_parse(const char *text, int64_t *wall_ns)
{
	struct tm tm = { 0 }, asked;
	int64_t seconds, fraction;
	int offset;

	if (read_date(&text, &tm) || read_clock(&text, &tm) || read_fraction(&text, &fraction) ||
	    read_offset(&text, &offset) || *text)
		return -EINVAL;

	asked = tm;
	seconds = (int64_t)timegm(&tm);
	/* timegm() makes 3 March of 31 February: that is not what was written */
	if (asked.tm_sec < 60 && tm.tm_mday != asked.tm_mday)
		return -EINVAL;
	seconds -= offset;
	if (seconds < 0)
		return -ERANGE;
	if (seconds >= LAST_SECOND)
		return -EOVERFLOW;
	*wall_ns = seconds * KF_TIMETEXT_SECOND + fraction;
	return 0;
}

int kf_timetext_duration(const char *text, int64_t *ns)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	const int64_t most = KF_TIMETEXT_DURATION_MAX / KF_TIMETEXT_SECOND;
	int64_t value = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++)
		value = value > most ? value : value * 10 + (*text - '0');
	if (!*text && !value) { /* nothing is nothing in every unit */
		*ns = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (*text != units[i].unit || text[1])
			continue;
		if (value > most / units[i].seconds)
			return -ERANGE;
		*ns = value * units[i].seconds * KF_TIMETEXT_SECOND;
		return 0;
	}
	return -EINVAL;
}
