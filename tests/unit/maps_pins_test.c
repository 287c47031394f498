// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pinned maps that a start finds: which of them it goes on with, makes anew, or refuses to take.
 * Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "maps_fixture.h"
#include "policy/source.h"

static void second_one_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kf_maps *second = NULL;

	NEEDS_ROOT();
	assert_int_equal(kf_maps_open(&second, f->pins, &settings, &f->why), -EBUSY);
	assert_non_null(strstr(f->why.text, "another keyfilterd holds"));
	assert_int_equal(kf_maps_unload(f->pins, &f->why), -EBUSY);
}

static void other_sizes_are_refused(void **state)
{
	struct kf_maps_settings other = settings;
	struct fixture *f = *state;
	struct kf_maps *maps = NULL;

	NEEDS_ROOT();
	stop(f);
	other.heads_max = 3;
	assert_int_equal(kf_maps_open(&maps, f->pins, &other, &f->why), -EINVAL);
	assert_non_null(strstr(f->why.text, "heads_max 2, the setting is 3"));
	other = settings;
	other.event_ring_bytes = 131072;
	assert_int_equal(kf_maps_open(&maps, f->pins, &other, &f->why), -EINVAL);
	assert_non_null(strstr(f->why.text, "event_ring_kib 64, the setting is 128"));
	OK(f, start(f));
	assert_false(kf_maps_are_fresh(f->maps));
}

static void other_layout_is_refused(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	kf_maps_config(f->maps)->version = 77;
	stop(f);
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "layout 77"));
	assert_non_null(strstr(f->why.text, "--unload"));
	stop(f);
	OK(f, kf_maps_unload(f->pins, &f->why));
	assert_int_not_equal(access(f->pins, F_OK), 0); /* nothing is left behind */
	OK(f, start(f));
}

static void unsealed_pins_are_made_anew(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	assert_true(kf_maps_config(f->maps)->magic == KF_ABI_MAGIC);
	restart(f);
	assert_false(kf_maps_are_fresh(f->maps));
	kf_maps_config(f->maps)->magic = 0; /* as a crash during the first start leaves it */
	restart(f);
	assert_true(kf_maps_are_fresh(f->maps));
	assert_true(kf_maps_config(f->maps)->magic == KF_ABI_MAGIC);
}

/* One that no running program uses; see recover.h for those that one does. */
static void missing_pin_is_made_anew(void **state)
{
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	snprintf(path, sizeof(path), "%s/maps/kf_flows", f->pins);
	assert_int_equal(unlink(path), 0);
	OK(f, start(f));
	assert_int_equal(access(path, F_OK), 0);
	assert_maps_are_right(f);
}

static void other_secret_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	snprintf(path, sizeof(path), "%s/secret", f->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "another secret"));
}

/* To follow an empty store would be to open every service. */
static void lost_store_is_refused(void **state)
{
	static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal",
					     "keyfilter.db-shm" };
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "from a backup"));
	stop(f);
	assert_int_equal(start(f), -EPROTO); /* and the second try is no way around it */
}

static void plain_directory_is_refused(void **state)
{
	struct kf_maps *maps = NULL;
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	assert_int_equal(kf_maps_open(&maps, "/tmp/keyfilter-pins", &settings, &f->why), -ENOTSUP);
	assert_non_null(strstr(f->why.text, "mount -t bpf"));
	assert_int_not_equal(access("/tmp/keyfilter-pins", F_OK), 0);
	snprintf(path, sizeof(path), "%s/bpf/key.filter", f->dir);
	assert_int_equal(kf_maps_open(&maps, path, &settings, &f->why), -EPERM);
	assert_non_null(strstr(f->why.text, "dot"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_one_is_refused),	TEST(other_sizes_are_refused),
		TEST(other_layout_is_refused),	TEST(unsealed_pins_are_made_anew),
		TEST(missing_pin_is_made_anew), TEST(other_secret_is_refused),
		TEST(lost_store_is_refused),	TEST(plain_directory_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
