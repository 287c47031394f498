// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the controller does with the table of penalties: what it lists, what it forgives, which ends
 * it tells, and for whom silent requests are cut. The table is the kernel's, filled here as the
 * programs would. Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#define PLACES	  1024
#define PENALTIES PLACES
#include "maps_fixture.h"
#include "policy/service.h"
#include "traffic/events.h"
#include "traffic/penalty.h"

#define SECOND 1000000000ull

static struct kf_events *events;
static struct kf_penalty_watch *watch;

static void close_watch(void)
{
	kf_traffic_penalty_watch_close(watch);
	watch = NULL;
}

static int open_watch(void **state)
{
	struct kf_service_row row = {
		.name = "api",
		.any = true,
		.port = 80,
		.penalty_failures = 10,
		.penalty_window = 60,
		.penalty_time = 60,
		.penalty_time_max = 3600,
	};
	struct fixture *f;

	if (setup(state))
		return -1;
	f = *state;
	if (geteuid())
		return 0;
	OK(f, kf_policy_service_add(f->policy, &row, &f->why));
	OK(f, kf_traffic_events_open(&events, f->policy, &f->why));
	return kf_traffic_penalty_watch_open(&watch, f->policy, events);
}

static int end(void **state)
{
	close_watch();
	kf_traffic_events_close(events);
	events = NULL;
	return teardown(state);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* By a system call: what the daemon maps is the same memory. */
static struct kf_penalty *place_in(struct fixture *f, struct kf_penalty_set *set, uint32_t place)
{
	uint32_t index = place / KF_PENALTY_WAYS;

	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_penalties, &index, set), 0);
	return &set->ways[place % KF_PENALTY_WAYS];
}

static void put(struct fixture *f, uint32_t place, const char *address, struct kf_penalty penalty)
{
	uint32_t index = place / KF_PENALTY_WAYS;
	struct kf_penalty_set set;
	struct kf_cidr cidr;

	assert_int_equal(kf_cidr_parse(address, &cidr), 0);
	penalty.unit = kf_source_unit(cidr.addr);
	*place_in(f, &set, place) = penalty;
	assert_int_equal(bpf_map_update_elem(kf_maps_fd(f->maps, KF_MAP_kf_penalties), &index, &set,
					     BPF_ANY),
			 0);
}

static uint64_t now_ns(void)
{
	return kf_clock_boot();
}

static uint32_t now_clock(void)
{
	return (uint32_t)(now_ns() >> 30);
}

static struct kf_penalty penalised(uint64_t seconds)
{
	return (struct kf_penalty){
		.until_ns = now_ns() + seconds * SECOND,
		.window = now_clock(),
		.level = 1,
	};
}

static struct kf_penalty failing(uint32_t failures, uint32_t ago)
{
	return (struct kf_penalty){ .failures = failures, .window = now_clock() - ago };
}

/* The sources of @kind, as text. */
static const char *listed(struct fixture *f, enum kf_penalty_kind kind)
{
	static char text[1024];
	char cidr[KF_CIDR_TEXT];
	struct kf_penalty_walk walk;
	struct kf_penalty penalty;
	struct kf_cidr block;

	*text = '\0';
	kf_traffic_penalty_walk_begin(&walk, f->maps, kind);
	while (kf_traffic_penalty_walk_next(&walk, &penalty)) {
		kf_traffic_penalty_block(&penalty, &block);
		kf_cidr_format(&block, cidr);
		strcat(strcat(text, *text ? " " : ""), cidr);
	}
	return text;
}

static void sources_are_listed_by_kind(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	assert_int_equal(kf_maps_entries(f->maps, KF_MAP_kf_penalties), PLACES / KF_PENALTY_WAYS);
	assert_int_equal(kf_maps_config(f->maps)->penalty_mask, PLACES / KF_PENALTY_WAYS - 1);
	assert_int_equal(kf_maps_config(f->maps)->syn_mask, 1023);
	assert_string_equal(listed(f, KF_PENALTY_IN_FORCE), "");
	put(f, 0, "203.0.113.7", penalised(60));
	put(f, 5, "2001:db8:1:2:3:4:5:6", penalised(60));
	put(f, PLACES - 1, "255.255.255.255", penalised(60));
	put(f, 7, "203.0.113.8", failing(3, 5));
	put(f, 8, "203.0.113.9", failing(3, 100)); /* the window, of 60 s, is over */
	put(f, 9, "203.0.113.10", failing(0, 0));
	put(f, 10, "ffff:ffff:ffff:ffff::1", penalised(60)); /* KF_PENALTY_GIVING */
	assert_string_equal(listed(f, KF_PENALTY_IN_FORCE),
			    "203.0.113.7/32 2001:db8:1:2::/64 255.255.255.255/32");
	assert_string_equal(listed(f, KF_PENALTY_FAILING), "203.0.113.8/32");
	assert_int_equal(kf_traffic_penalty_count(f->maps), 3);
	put(f, 0, "203.0.113.7", penalised(0));
	assert_int_equal(kf_traffic_penalty_count(f->maps), 2);
}

static void forgive(struct fixture *f, const char *cidr, uint64_t sources, uint64_t of_them)
{
	struct kf_penalty_forgiven forgiven;
	struct kf_cidr block;

	assert_int_equal(kf_cidr_parse(cidr, &block), 0);
	forgiven = kf_traffic_penalty_forgive(watch, &block);
	if (forgiven.sources != sources || forgiven.penalised != of_them)
		fail_msg("%s: %d forgiven, %d penalised", cidr, (int)forgiven.sources,
			 (int)forgiven.penalised);
}

static void whom_a_block_means_is_forgiven(void **state)
{
	struct fixture *f = *state;
	struct kf_penalty_set set;
	struct kf_penalty *place;
	uint64_t unit;

	NEEDS_ROOT();
	put(f, 0, "203.0.113.7", penalised(60));
	put(f, 1, "203.0.113.8", failing(3, 5));
	put(f, 2, "198.51.100.1", penalised(60));
	put(f, 3, "2001:db8:1:2::", penalised(60));
	put(f, 4, "2001:db8:1:3::", penalised(60));
	put(f, 5, "2001:db9::", penalised(60));
	unit = place_in(f, &set, 0)->unit;
	forgive(f, "203.0.113.6/32", 0, 0);
	forgive(f, "203.0.113.0/24", 2, 1);
	forgive(f, "203.0.113.0/24", 0, 0);
	place = place_in(f, &set, 0);
	assert_true(place->unit == unit);
	assert_int_equal(place->until_ns | place->failures | place->successes | place->level, 0);
	assert_int_equal(place_in(f, &set, 1)->failures, 0);
	forgive(f, "2001:db8:1:2:ffff::/80", 1, 1); /* a part of the /64 means all of it */
	forgive(f, "::/0", 2, 2);		    /* does not speak about IPv4 */
	assert_string_equal(listed(f, KF_PENALTY_IN_FORCE), "198.51.100.1/32");
	forgive(f, "0.0.0.0/0", 1, 1);
	assert_int_equal(kf_traffic_penalty_count(f->maps), 0);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void assert_ended(struct fixture *f, uint64_t seq, const char *address)
{
	const struct kf_events_entry *entry = kf_traffic_events_get(events, seq);
	struct kf_cidr cidr;

	assert_non_null(entry);
	assert_true(entry->penalty_ended);
	assert_string_equal(entry->service, "api");
	assert_int_equal(kf_cidr_parse(address, &cidr), 0);
	assert_memory_equal(entry->event.client, cidr.addr, 16);
}

static void ends_are_told_once(void **state)
{
	struct kf_penalty brief = penalised(60);
	struct fixture *f = *state;

	NEEDS_ROOT();
	put(f, 0, "203.0.113.1", penalised(60));
	put(f, 1, "203.0.113.2", penalised(60));
	put(f, 2, "203.0.113.3", penalised(60));
	put(f, 4, "2001:db8:1:2::", penalised(60));
	put(f, 5, "203.0.113.4", failing(3, 0));
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
	put(f, 0, "203.0.113.1", penalised(0));	 /* it ran out */
	put(f, 1, "203.0.113.9", penalised(60)); /* and its place was given away */
	brief.until_ns = now_ns();		 /* came and went since the last look */
	put(f, 6, "203.0.113.5", brief);
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 3);
	assert_ended(f, 1, "203.0.113.1");
	assert_ended(f, 2, "203.0.113.2");
	assert_ended(f, 3, "203.0.113.5");
	assert_true(llabs(kf_traffic_events_get(events, 1)->wall_ns - kf_clock_now().wall_ns) <
		    (int64_t)SECOND);
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
	put(f, 2, "203.0.113.3", penalised(120)); /* a longer one instead: no end yet */
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
	put(f, 7, "2001:db8:1:3::", penalised(60)); /* not yet seen when it is forgiven */
	forgive(f, "2001:db8:1::/48", 2, 2);
	assert_ended(f, 4, "2001:db8:1:2::");
	assert_ended(f, 5, "2001:db8:1:3::");
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
}

static void restart_watch(struct fixture *f)
{
	close_watch();
	assert_int_equal(kf_traffic_penalty_watch_open(&watch, f->policy, events), 0);
}

static void those_of_a_former_daemon_are_told(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	put(f, 0, "203.0.113.1", penalised(60));
	put(f, 1, "203.0.113.2", penalised(0)); /* over before this daemon began */
	restart_watch(f);
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
	put(f, 0, "203.0.113.1", penalised(0));
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 1);
	assert_ended(f, 1, "203.0.113.1");
}

/* Hundreds at once do not push everything else out of the events: the first ones, and a number. */
static void many_ends_are_summed_up(void **state)
{
	const struct kf_events_entry *entry;
	struct fixture *f = *state;
	char address[32];

	NEEDS_ROOT();
	for (uint32_t i = 0; i < 600; i++) {
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 256, i % 256);
		put(f, i, address, penalised(60));
	}
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
	for (uint32_t i = 0; i < 599; i++) {
		snprintf(address, sizeof(address), "10.0.%u.%u", i / 256, i % 256);
		put(f, i, address, penalised(0));
	}
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 599);
	assert_int_equal(kf_traffic_events_next_seq(events), 12);
	assert_ended(f, 1, "10.0.0.0");
	assert_ended(f, 10, "10.0.0.9");
	entry = kf_traffic_events_get(events, 11);
	assert_true(entry->penalty_ended);
	assert_int_equal(entry->others, 589);
	assert_string_equal(entry->service, "");
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 0);
	forgive(f, "10.0.0.0/8", 600, 1);
	assert_int_equal(kf_traffic_events_next_seq(events), 13);
	assert_ended(f, 12, "10.0.2.87");
	kf_maps_config(f->maps)->event_rate = 0;
	put(f, 0, "203.0.113.1", penalised(60));
	kf_traffic_penalty_watch_tick(watch);
	put(f, 0, "203.0.113.1", penalised(0));
	assert_int_equal(kf_traffic_penalty_watch_tick(watch), 1);
	assert_int_equal(kf_traffic_events_next_seq(events), 13);
}

/* ---- silent requests ------------------------------------------------------------------------- */

static void assert_cut(struct fixture *f, unsigned int what)
{
	assert_int_equal(kf_policy_take_revoked(f->policy), what);
}

/* No event has told of them: there is none, or it was lost. */
static void new_penalties_cut(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	kf_maps_config(f->maps)->event_rate = 0;
	kf_policy_take_revoked(f->policy);
	put(f, 1, "203.0.113.2", failing(3, 0));
	kf_traffic_penalty_watch_tick(watch);
	assert_cut(f, 0);
	put(f, 0, "203.0.113.1", penalised(60));
	kf_traffic_penalty_watch_tick(watch);
	assert_cut(f, KF_REVOKED_SOURCES);
	kf_traffic_penalty_watch_tick(watch);
	assert_cut(f, 0); /* once */
	put(f, 0, "203.0.113.1", penalised(120));
	kf_traffic_penalty_watch_tick(watch);
	assert_cut(f, KF_REVOKED_SOURCES); /* a new one of the same source, */
	put(f, 0, "203.0.113.3", penalised(120));
	kf_traffic_penalty_watch_tick(watch);
	assert_cut(f, KF_REVOKED_SOURCES); /* and of another one */
	put(f, 0, "203.0.113.3", penalised(0));
	kf_traffic_penalty_watch_tick(watch);
	assert_cut(f, 0);
	put(f, 0, "203.0.113.4", penalised(60));
	forgive(f, "198.51.100.0/24", 0, 0);
	assert_cut(f, KF_REVOKED_SOURCES); /* seen while others were forgiven */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_watch, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sources_are_listed_by_kind), TEST(whom_a_block_means_is_forgiven),
		TEST(ends_are_told_once),	  TEST(those_of_a_former_daemon_are_told),
		TEST(many_ends_are_summed_up),	  TEST(new_penalties_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
