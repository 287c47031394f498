// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store and maps together: after any changes, and over any garbage, the maps are what a start from
 * the same store makes. Needs root (maps_fixture.h), skipped otherwise. Links the daemon's
 * objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "maps_fixture.h"
#include "any_change.h"

static void any_change_leaves_the_maps_right(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	srandom(1);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 25; i++)
			change_anything(f);
		assert_maps_are_right(f);
	}
}

/* Garbage in the maps, as no crash leaves it, goes all the same, without a flush. */
static void start_mends_any_maps(void **state)
{
	struct fixture *f = *state;
	char *good, *mended;

	NEEDS_ROOT();
	srandom(2);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 25; i++)
			change_anything(f);
		good = snapshot(f);
		for (int i = 0; i < 20; i++) {
			struct kf_slot *slot = (struct kf_slot *)kf_maps_slot(f->maps, roll(KEYS));
			uint8_t tag[16] = { (uint8_t)roll(256), 1 };
			struct kf_key_prefix prefix = { .prefix_len = 32 + 8, .slot = roll(KEYS) };
			struct kf_source source = { .allow_until = roll(9) };
			const uint8_t one = 1;
			uint32_t index = roll(KEYS);

			if (roll(2))
				slot->status = roll(4);
			if (roll(3) == 0)
				slot->tag[0] ^= 1;
			if (roll(3) == 0)
				slot->rate_interval_ns = roll(1000);
			if (roll(3) == 0)
				slot->rate_burst_ns = roll(1000);
			if (roll(3) == 0)
				slot->rate_slot = roll(4) ? roll(KEYS) : (uint32_t)-1;
			if (roll(4) == 0)
				kf_maps_delete(f->maps, KF_MAP_kf_tags, slot->tag);
			kf_maps_put(f->maps, KF_MAP_kf_tags, tag, &index);
			kf_maps_put(f->maps, KF_MAP_kf_key_allow, &prefix, &one);
			kf_maps_put(f->maps, KF_MAP_kf_hosts, tag, &source);
		}
		restart(f);
		mended = snapshot(f);
		assert_maps_equal(good, mended);
		free(good);
		free(mended);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(any_change_leaves_the_maps_right),
		TEST(start_mends_any_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
