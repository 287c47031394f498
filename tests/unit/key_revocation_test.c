// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every way to revoke asks for a walk over running requests, and nothing else does. Needs root
 * (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "clock.h"
#include "maps_fixture.h"
#include "policy/expire.h"
#include "policy/key.h"
#include "policy/source.h"

/* Did that revoke? Asked for once. */
static void assert_revoked(struct fixture *f, unsigned int what)
{
	assert_int_equal(kf_policy_take_revoked(f->policy), what);
}

/* Every way to revoke asks for a walk over running requests, and nothing else does. */
static void revocations_are_noted(void **state)
{
	struct kf_source_row source = { .action = KF_SOURCE_DENY, .expires = KF_WALL_NEVER };
	struct kf_policy_key_edit edit = { .set_expires = true };
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct kf_key_times times;
	struct made made = { 0 };

	NEEDS_ROOT();
	assert_revoked(f,
		       KF_REVOKED_KEYS | KF_REVOKED_SOURCES); /* a start: whatever a crash left */
	create(f, &made, 2);
	OK(f, kf_policy_expire(f->policy));
	OK(f, kf_policy_key_enable(f->policy, made.id[0], &f->why));
	assert_revoked(f, 0);
	OK(f, kf_policy_key_disable(f->policy, made.id[0], &times, &f->why));
	assert_revoked(f, KF_REVOKED_KEYS);
	OK(f, kf_policy_key_delete(f->policy, made.id[0], &times, &f->why));
	assert_revoked(f, KF_REVOKED_KEYS);
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], 0, text, &f->why));
	assert_revoked(f, KF_REVOKED_KEYS);

	edit.expires = kf_clock_now().wall_ns + 50000000;
	OK(f, kf_policy_key_edit(f->policy, made.id[1], &edit, &f->why));
	kf_policy_take_revoked(f->policy);
	usleep(60000);
	OK(f, kf_policy_expire(f->policy));
	assert_revoked(f, KF_REVOKED_KEYS);
	OK(f, kf_policy_expire(f->policy));
	assert_revoked(f, 0); /* once */

	OK(f, kf_cidr_parse("192.0.2.1", &source.cidr));
	OK(f, kf_policy_source_put(f->policy, &source, NULL, &f->why));
	assert_revoked(f, KF_REVOKED_SOURCES);
	OK(f, kf_policy_source_remove(f->policy, &source.cidr, &f->why));
	assert_revoked(f, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(revocations_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
