// SPDX-License-Identifier: GPL-2.0-only
/*
 * daemon/traffic/events.c: how an event looks to who reads it. Links the daemon's objects. What
 * needs a ring, and so root, is in penalty_events_test.c and the e2e tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <keyfilter/detail.h>

#include "api/events.h"
#include "traffic/events.h"

/* A refusal of 192.0.2.7 at 198.51.100.1:8000, to be changed by the tests. */
static struct kf_events_entry refusal(void)
{
	struct kf_events_entry entry = {
		.seq = 7,
		.wall_ns = 1795428000000001000, /* 2026-11-23T10:00:00.000001Z */
		.service = "api",
		.key_id = "k_0123456789ab",
		.iface = "eth0",
		.event = {
			.client_port = 4711,
			.server_port = 8000,
			.reason = KF_REASON_RATE_LIMITED,
			.kind = KF_EVENT_REFUSED,
			.request_id = 0xabcdef,
			.retry_after = 12,
		},
	};

	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.7", entry.event.client), 1);
	assert_int_equal(inet_pton(AF_INET6, "::ffff:198.51.100.1", entry.event.server), 1);
	return entry;
}

static void assert_json(const struct kf_events_entry *entry, const char *want)
{
	json_t *json = kf_api_events_json(entry);
	char *text;

	assert_non_null(json);
	text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(text, want);
	free(text);
	json_decref(json);
}

#define CONNECTION                                                                                 \
	"\"client\":\"192.0.2.7\",\"client_port\":4711,\"server\":\"198.51.100.1\","               \
	"\"server_port\":8000,\"iface\":\"eth0\",\"key_id\":\"k_0123456789ab\"}"

#define NO_CONNECTION                                                                              \
	"\"client\":null,\"client_port\":null,\"server\":null,\"server_port\":null,"               \
	"\"iface\":null,\"key_id\":null}"

static void test_refused(void **state)
{
	struct kf_events_entry entry = refusal();

	assert_json(&entry,
		    "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\",\"event\":\"refused\","
		    "\"service\":\"api\",\"reason\":\"rate_limited\",\"detail\":null,"
		    "\"request_id\":\"req_0000000000abcdef\",\"source\":null,"
		    "\"monitor\":false,\"retry_after_s\":12,\"penalty_s\":null,\"count\":"
		    "null," CONNECTION);
	entry.event.reason = KF_REASON_MALFORMED;
	entry.event.detail = KF_DETAIL_TLS;
	entry.event.monitor = 1;
	entry.event.request_id = 0;
	entry.event.retry_after = 0;
	assert_json(&entry,
		    "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\",\"event\":\"refused\","
		    "\"service\":\"api\",\"reason\":\"malformed\",\"detail\":\"tls\","
		    "\"request_id\":null,\"source\":null,\"monitor\":true,"
		    "\"retry_after_s\":null,\"penalty_s\":null,\"count\":null," CONNECTION);
}

static void test_cut(void **state)
{
	struct kf_events_entry entry = refusal();

	entry.event.kind = KF_EVENT_CUT;
	entry.event.reason = KF_REASON_KEY_DISABLED;
	entry.event.request_id = 0xfedcba9876543210;
	entry.event.retry_after = 0;
	assert_json(&entry, "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\",\"event\":\"cut\","
			    "\"service\":\"api\",\"reason\":\"key_disabled\",\"detail\":null,"
			    "\"request_id\":\"req_fedcba9876543210\","
			    "\"source\":null,\"monitor\":false,\"retry_after_s\":null,"
			    "\"penalty_s\":null,\"count\":null," CONNECTION);
}

static void test_penalty(void **state)
{
	struct kf_events_entry entry = refusal();
	json_t *json;

	entry.event.kind = KF_EVENT_PENALTY;
	entry.event.reason = KF_REASON_SOURCE_PENALISED;
	entry.event.request_id = 0;
	entry.event.retry_after = 60;
	assert_json(&entry, "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\","
			    "\"event\":\"penalty_raised\",\"service\":\"api\","
			    "\"reason\":\"source_penalised\",\"detail\":null,\"request_id\":null,"
			    "\"source\":\"192.0.2.7/32\",\"monitor\":false,"
			    "\"retry_after_s\":null,\"penalty_s\":60,\"count\":null," CONNECTION);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8:1:2:3:4:5:6", entry.event.client), 1);
	json = kf_api_events_json(&entry);
	assert_string_equal(json_string_value(json_object_get(json, "source")),
			    "2001:db8:1:2::/64");
	assert_string_equal(json_string_value(json_object_get(json, "client")),
			    "2001:db8:1:2:3:4:5:6");
	json_decref(json);
}

/* As kf_traffic_events_add_penalty_end() leaves it. */
static void test_penalty_end(void **state)
{
	struct kf_events_entry entry = refusal();

	entry.penalty_ended = true;
	entry.event.kind = KF_EVENT_PENALTY;
	entry.event.reason = KF_REASON_SOURCE_PENALISED;
	entry.event.request_id = 0;
	entry.event.retry_after = 0;
	assert_json(&entry, "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\","
			    "\"event\":\"penalty_ended\",\"service\":\"api\","
			    "\"reason\":\"source_penalised\",\"detail\":null,\"request_id\":null,"
			    "\"source\":\"192.0.2.7/32\",\"monitor\":false,\"retry_after_s\":null,"
			    "\"penalty_s\":null,\"count\":null," NO_CONNECTION);
	entry.others = 4990;
	*entry.service = '\0';
	assert_json(&entry, "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\","
			    "\"event\":\"penalties_ended\",\"service\":null,"
			    "\"reason\":\"source_penalised\",\"detail\":null,\"request_id\":null,"
			    "\"source\":null,\"monitor\":false,\"retry_after_s\":null,"
			    "\"penalty_s\":null,\"count\":4990," NO_CONNECTION);
}

static void test_filter(void **state)
{
	const struct kf_events_entry entry = {
		.seq = 7,
		.wall_ns = 1795428000000001000,
		.filter = "filter_lost",
		.iface = "eth0",
		.event = { .slot = KF_SLOT_NONE },
	};

	assert_json(&entry,
		    "{\"seq\":7,\"time\":\"2026-11-23T10:00:00.000001Z\","
		    "\"event\":\"filter_lost\",\"service\":null,\"reason\":null,"
		    "\"detail\":null,\"request_id\":null,\"source\":null,\"monitor\":false,"
		    "\"retry_after_s\":null,\"penalty_s\":null,\"count\":null,\"client\":null,"
		    "\"client_port\":null,\"server\":null,\"server_port\":null,"
		    "\"iface\":\"eth0\",\"key_id\":null}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_penalty), cmocka_unit_test(test_penalty_end),
		cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
