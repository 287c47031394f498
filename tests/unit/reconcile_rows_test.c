// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows in the store that cannot be: they stop the start, and what is in the kernel goes on. Needs
 * root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>

#include "maps_fixture.h"
#include "policy/service.h"
#include "policy/source.h"

static void write_past_checks(const struct fixture *f, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/keyfilter.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA ignore_check_constraints = 1", NULL, NULL, NULL);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* What is in the kernel goes on: a row that is passed over may be the one that closes something. */
static void bad_row_stops_the_start(void **state)
{
	static const struct {
		const char *spoil, *mend, *words;
	} rows[] = {
		{ "UPDATE service SET idx = 300", "UPDATE service SET idx = 0",
		  "service a: idx is 300" },
		{ "UPDATE source SET action = 7", "UPDATE source SET action = 0",
		  "source 10.0.0.0/16: action is 7" },
		{ "UPDATE credential SET slot = -1", "UPDATE credential SET slot = 0",
		  "slot is -1" },
		{ "UPDATE iface SET mode = 9", "UPDATE iface SET mode = 0",
		  "interface eth0: mode is 9" },
	};
	struct kf_service_row service = { .name = "a", .any = true, .port = 80 };
	struct kf_iface_row iface = { .dev = "eth0" };
	struct fixture *f = *state;
	struct made made = { 0 };
	char *before;

	NEEDS_ROOT();
	create(f, &made, 1);
	OK(f, deny_blocks(f, 1));
	OK(f, kf_policy_service_add(f->policy, &service, &f->why));
	OK(f, kf_store_iface_put(f->store, &iface));
	before = snapshot(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		stop(f);
		write_past_checks(f, rows[i].spoil);
		assert_int_equal(start(f), -EUCLEAN);
		if (!strstr(f->why.text, rows[i].words) || !strstr(f->why.text, "from a backup"))
			fail_msg("'%s' does not say '%s'", f->why.text, rows[i].words);
		assert_maps_are(f, before);
		stop(f);
		write_past_checks(f, rows[i].mend);
		OK(f, start(f));
	}
	free(before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_row_stops_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
