// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values of members: numbers, times, durations, money, addresses. A value that can be read in two
 * ways is refused, and the mend writes out both.
 */
#include "api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "cidr.h"
#include "cleanup.h"
#include "money.h"
#include "secrettext.h"
#include "store/store.h"

#define EPOCH_LEAST 1000000000ll /* seconds: 2001; no duration in use is as long */
#define EPOCH_MOST  9214646399ll /* seconds: 2261 */
#define MILLI	    1000ll	 /* JavaScript counts an epoch in milliseconds */

bool kf_api_has_control(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f))
			return true;
	return false;
}

int kf_api_no_secret(struct kf_api_request *request, const char *member, const char *text)
{
	if (!kf_secrettext_has(text))
		return 0;
	return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "secret",
			     "give what people call it; and if that is a key in use, give out "
			     "another one, for it may be in your shell's history now",
			     "`%s`: it looks like a secret (such as sk-...), and would be stored, "
			     "listed and logged",
			     member);
}

int kf_api_number(struct kf_api_request *request, const char *member, const json_t *value,
		  uint32_t least, uint32_t most, const char *mend, uint32_t *out)
{
	json_int_t number = json_integer_value(value);
	char range[48];

	if (!value)
		return 0;
	snprintf(range, sizeof(range), "give %u to %u", least, most);
	if (!json_is_null(value) && (number < least || number > most))
		return kf_api_refuse_value(request, member, mend ?: range,
					   "it cannot be %" JSON_INTEGER_FORMAT, number);
	*out = (uint32_t)number;
	return 0;
}

int kf_api_refuse_word(struct kf_api_request *request, const char *member, const char *mend,
		       const char *text)
{
	return kf_api_refuse_value(request, member, mend, "'%.40s' is none of them", text);
}

int kf_api_word(struct kf_api_request *request, const char *member, const json_t *value,
		const char *const words[], size_t count, const char *mend, uint8_t *out)
{
	for (size_t i = 0; value && i < count; i++) {
		if (strcmp(json_string_value(value), words[i]))
			continue;
		*out = (uint8_t)i;
		return 0;
	}
	return value ? kf_api_refuse_word(request, member, mend, json_string_value(value)) : 0;
}

json_t *kf_api_join(json_t *object, json_t *more)
{
	_cleanup_json_ json_t *joined = object, *owned = more;

	return joined && owned && !json_object_update(joined, owned) ? TAKE_PTR(joined) : NULL;
}

json_t *kf_api_time(int64_t wall_ns)
{
	char text[KF_TIMETEXT_SIZE];

	if (!wall_ns || wall_ns == KF_WALL_NEVER)
		return json_null();
	return json_string(kf_timetext_format(wall_ns, text));
}

/* ---- times and durations --------------------------------------------------------------------- */

/* The text of a string or an integer. */
static const char *text_of(const json_t *value, char number[static 24])
{
	if (json_is_string(value))
		return json_string_value(value);
	snprintf(number, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return number;
}

/* 1 to 13 digits and nothing else; else -1. */
static int64_t bare_number(const char *text)
{
	size_t len = strlen(text);
	int64_t number = 0;

	if (!len || len > 13 || text[strspn(text, "0123456789")])
		return -1;
	for (; *text; text++)
		number = number * 10 + (*text - '0');
	return number;
}

static int refuse_long(struct kf_api_request *request, const char *member, const char *mend,
		       const char *text)
{
	return kf_api_refuse_value(request, member, mend, "'%.40s' is longer than 100 years", text);
}

int kf_api_seconds(struct kf_api_request *request, const char *member, const json_t *value,
		   int64_t *ns)
{
	const json_int_t most = KF_TIMETEXT_DURATION_MAX / KF_TIMETEXT_SECOND;

	if (!json_is_integer(value))
		return kf_api_duration(request, member, value, ns);
	if (json_integer_value(value) < 0 || json_integer_value(value) > most)
		return kf_api_refuse_value(
			request, member, "give 90s, 15m, 12h, 30d or a number of seconds",
			"'%" JSON_INTEGER_FORMAT "' is not a duration", json_integer_value(value));
	*ns = json_integer_value(value) * KF_TIMETEXT_SECOND;
	return 0;
}

int kf_api_duration(struct kf_api_request *request, const char *member, const json_t *value,
		    int64_t *ns)
{
	static const char mend[] =
		"give a whole number with its unit, such as 90s, 15m, 12h or 30d";
	char number[24], both[160];
	const char *text = text_of(value, number);
	int err = kf_timetext_duration(text, ns);
	int64_t bare = bare_number(text);

	if (!err)
		return 0;
	if (err == -ERANGE)
		return refuse_long(request, member, mend, text);
	if (bare < 0)
		return kf_api_refuse_value(request, member, mend, "'%.40s' is not a duration",
					   text);
	snprintf(both, sizeof(both),
		 "give %" PRId64 "s for seconds, %" PRId64 "m for minutes, %" PRId64
		 "h for hours or %" PRId64 "d for days",
		 bare, bare, bare, bare);
	return kf_api_refuse_value(request, member, both, "'%.40s' has no unit", text);
}

/* A number may be days, or seconds of the epoch as `date +%s` prints them. */
static int refuse_bare(struct kf_api_request *request, const char *member, const char *text,
		       int64_t number)
{
	int64_t epoch = number > EPOCH_MOST ? number / MILLI : number;
	char time[KF_TIMETEXT_SIZE], mend[160];

	if (epoch >= EPOCH_LEAST && epoch <= EPOCH_MOST) {
		kf_timetext_format(epoch * KF_TIMETEXT_SECOND, time);
		snprintf(mend, sizeof(mend),
			 "give %s for that second of the epoch, or a time from now such as 30d",
			 time);
	} else {
		snprintf(mend, sizeof(mend),
			 "give %" PRId64 "d for days from now (or s, m, h), or a point in time "
			 "such as 2030-01-01T00:00:00Z",
			 number);
	}
	return kf_api_refuse_value(request, member, mend, "'%.40s' has no unit", text);
}

/* A time from now, or a point in time. -EINVAL: neither; -ERANGE: too long, or before 1970. */
static int read_time(const char *text, int64_t now, int64_t *wall_ns)
{
	int64_t duration;
	int err = kf_timetext_duration(text, &duration);

	if (err == -EINVAL)
		return kf_timetext_parse(text, wall_ns);
	if (err)
		return -E2BIG;
	if (__builtin_add_overflow(now, duration, wall_ns))
		*wall_ns = KF_WALL_NEVER;
	return 0;
}

int kf_api_end(struct kf_api_request *request, const char *member, const json_t *value, int64_t now,
	       int64_t *wall_ns)
{
	static const char mend[] = "give never, a time from now such as 30d, or a point in time "
				   "such as 2030-01-01T00:00:00Z";
	char number[24];
	const char *text = text_of(value, number);
	int64_t time, bare = bare_number(text);
	int err;

	if (!strcmp(text, "never")) {
		*wall_ns = KF_WALL_NEVER;
		return 0;
	}
	if (bare >= 0)
		return refuse_bare(request, member, text, bare);
	err = read_time(text, now, &time);
	if (err == -EOVERFLOW)
		time = KF_WALL_NEVER; /* later than can be counted: the year 9999 is meant so */
	else if (err == -E2BIG)
		return refuse_long(request, member, mend, text);
	else if (err == -EINVAL)
		return kf_api_refuse_value(request, member, mend,
					   "'%.60s' is neither a time nor a duration", text);
	if (err == -ERANGE || time <= now)
		return kf_api_refuse_value(request, member, "give a time to come",
					   "'%.60s' is past", text);
	*wall_ns = time;
	return 0;
}

int kf_api_parameter_since(struct kf_api_request *request, int64_t now, int64_t *since)
{
	const char *text = kf_api_parameter(request, "since");
	int64_t ago;

	if (!text || !kf_timetext_parse(text, since))
		return 0;
	if (kf_timetext_duration(text, &ago))
		return kf_api_refuse(request, MHD_HTTP_BAD_REQUEST, "bad_parameter",
				     "give a duration such as 30d, or a point in time such as "
				     "2030-01-01T00:00:00Z",
				     "`since` cannot be '%.60s'", text);
	*since = now > ago ? now - ago : 0;
	return 0;
}

/* ---- money ----------------------------------------------------------------------------------- */

json_t *kf_api_money(int64_t micro)
{
	char text[KF_MONEY_SIZE];

	return json_string(kf_money_format(micro, text));
}

int kf_api_amount(struct kf_api_request *request, const char *member, const json_t *value,
		  int64_t most, int64_t *out)
{
	char number[24], limit[KF_MONEY_SIZE];
	const char *text;
	int64_t micro;
	int err;

	if (!value)
		return 0;
	text = text_of(value, number);
	err = kf_money_parse(text, &micro);
	if (err == -EINVAL)
		return kf_api_refuse_value(request, member, "give digits, such as 12 or 0.25",
					   "'%.40s' is not an amount", text);
	if (err == -EDOM)
		return kf_api_refuse_value(request, member, "give six at most",
					   "'%.40s' has too many digits behind the point", text);
	if (err || micro > most)
		return kf_api_refuse_value(request, member, "give less",
					   "'%.40s' is over %s, the most that is possible", text,
					   kf_money_format(most, limit));
	*out = micro;
	return 0;
}

int kf_api_sum(struct kf_api_request *request, const char *member, const json_t *value,
	       int64_t *out)
{
	int err = kf_api_amount(request, member, value, KF_AMOUNT_TOP, out);

	return err || *out ? err
			   : kf_api_refuse_value(request, member, "give more than 0",
						 "it is 0, and would change nothing");
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* The address before the slash. */
static void format_alone(const char *text, char alone[static KF_CIDR_TEXT])
{
	struct kf_cidr address = { 0 };

	snprintf(alone, KF_CIDR_TEXT, "%.*s", (int)strcspn(text, "/"), text);
	if (!kf_cidr_parse(alone, &address))
		kf_cidr_format(&address, alone);
}

int kf_api_cidr(struct kf_api_request *request, const char *member, const char *text,
		struct kf_cidr *cidr)
{
	char meant[KF_CIDR_TEXT], alone[KF_CIDR_TEXT], mend[2 * KF_CIDR_TEXT + 64];
	int err = kf_cidr_parse(text, cidr);

	if (!err)
		return 0;
	if (err == -EINVAL)
		return kf_api_refuse_value(request, member,
					   "give 192.0.2.0/24, 2001:db8::/32 or an address",
					   "'%.60s' is not a block of addresses", text);
	kf_cidr_format(cidr, meant);
	format_alone(text, alone);
	if (err == -EADDRNOTAVAIL) {
		snprintf(mend, sizeof(mend), "give %s for every IPv%c address", meant,
			 kf_cidr_is_v4(cidr) ? '4' : '6');
		return kf_api_refuse_value(request, member, mend, "'%.60s' is nobody's address",
					   text);
	}
	if (err == -EPROTOTYPE) {
		snprintf(mend, sizeof(mend), "give %s", meant);
		return kf_api_refuse_value(request, member, mend,
					   "'%.60s' is an IPv4 address written as IPv6, and its "
					   "prefix would end before the address begins",
					   text);
	}
	snprintf(mend, sizeof(mend), "give %s for the block, or %s for the address alone", meant,
		 alone);
	return kf_api_refuse_value(request, member, mend, "'%.60s' has bits set behind its prefix",
				   text);
}
