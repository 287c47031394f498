// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ends by the wall clock, when that clock is set: keys, secrets in their grace and sources.
 * Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keyfilter/sourcestate.h>

#include "clock.h"
#include "maps_fixture.h"
#include "policy/expire.h"
#include "policy/source.h"

#define SECOND 1000000000ull

/* As if the clock, which is right now, had been set forward by @by a moment ago. */
static void step_forward(struct fixture *f, int64_t by)
{
	struct kf_policy *policy = f->policy;

	policy->walltime.ahead -= by;
	policy->walltime.latest -= by;
	policy->walltime.seen -= by;
	policy->clock.wall_ns -= by;
	policy->source_clock.wall_ns -= by;
	OK(f, set_clock(f));
}

/* A step of some seconds deleted timed denials and secrets in their grace, for good. */
static void step_forward_deletes_nothing(void **state)
{
	struct kf_source_row row = { .action = KF_SOURCE_DENY }, found;
	struct kf_source source = { 0 };
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };

	NEEDS_ROOT();
	create(f, &made, 1);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], SECOND, text, &f->why));
	OK(f, kf_cidr_parse("192.0.2.1", &row.cidr));
	row.expires = kf_clock_now().wall_ns + 1000000000;
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	row.expires -= 1000000000; /* as it would be, had the clock been set forward by that */
	OK(f, kf_store_source_put(f->store, &row, NULL));
	step_forward(f, 2600000000);
	OK(f, kf_policy_expire(f->policy));
	OK(f, kf_store_source_get(f->store, &row.cidr, KF_SOURCE_DENY, &found));
	OK(f, kf_maps_get(f->maps, KF_MAP_kf_hosts, row.cidr.addr, &source));
	assert_true(kf_sourcestate_in_force(source.deny_until, kf_clock_boot()));
	assert_non_null(find_slot(f, made.text[0]));
}

static void expiry_follows_the_clock(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_wish wish = { .name = "k" };
	uint64_t before, after;

	NEEDS_ROOT();
	wish.expires = kf_clock_now().wall_ns + 3600000000000ll;
	OK(f, kf_policy_key_create(f->policy, &wish, 1, keep_made, &made, &f->why));
	before = find_slot(f, made.text[0])->expires_ns;
	assert_true(before <= kf_clock_boot() + 3600000000000ull);
	/* as if the wall clock had been set back by a minute since */
	f->policy->clock.wall_ns += 60000000000ll;
	((struct kf_slot *)find_slot(f, made.text[0]))->expires_ns -= 60000000000ull;
	OK(f, set_clock(f));
	after = find_slot(f, made.text[0])->expires_ns;
	assert_true(after > before - 1000000 && after < before + 1000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(step_forward_deletes_nothing),
		TEST(expiry_follows_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
