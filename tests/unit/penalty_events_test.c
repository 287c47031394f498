// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a penalty among the events: its number, and how the API tells it. Needs root
 * (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/events.h"
#include "maps_fixture.h"
#include "traffic/events.h"

/* The controller's own events have their numbers among the others. */
static void penalty_ends_are_events(void **state)
{
	static const uint8_t addr[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2 };
	const struct kf_events_entry *entry;
	struct kf_events *events = NULL;
	struct fixture *f = *state;
	json_t *json;

	NEEDS_ROOT();
	OK(f, kf_traffic_events_open(&events, f->policy, &f->why));
	for (unsigned int i = 1; i <= KF_EVENTS_KEPT + 2; i++) {
		assert_int_equal(kf_traffic_events_next_seq(events), i);
		kf_traffic_events_add_penalty_end(events, addr, 9, 1795428000000001000);
	}
	assert_null(kf_traffic_events_get(events, 2));
	entry = kf_traffic_events_get(events, KF_EVENTS_KEPT + 2);
	assert_non_null(entry);
	json = kf_api_events_json(entry);
	assert_string_equal(json_string_value(json_object_get(json, "event")), "penalty_ended");
	assert_string_equal(json_string_value(json_object_get(json, "source")),
			    "2001:db8:1:2::/64");
	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "2026-11-23T10:00:00.000001Z");
	json_decref(json);
	kf_traffic_events_close(events);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(penalty_ends_are_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
