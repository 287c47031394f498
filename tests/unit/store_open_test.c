// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store: files, versions, and the migrations from one to the next. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "store_fixture.h"

static void execute(const struct fixture *f, const char *sql)
{
	sqlite3 *db;
	char path[128];

	path_of(f, "keyfilter.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void mode_is_0600(void **state)
{
	static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal",
					     "keyfilter.db-shm" };
	struct fixture *f = *state;
	struct stat st;
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(f, names[i], path);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

static void newer_version_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kf_why why = { 0 };
	struct kf_store *other = NULL;

	char version[64], text[64];

	snprintf(version, sizeof(version), "PRAGMA user_version = %d", KF_STORE_VERSION + 1);
	snprintf(text, sizeof(text), "schema version %d", KF_STORE_VERSION + 1);
	execute(f, version);
	assert_int_equal(kf_store_open(&other, f->dir, &why), -EPROTO);
	assert_null(other);
	assert_non_null(strstr(why.text, text));
	assert_non_null(strstr(why.text, "; "));
	snprintf(version, sizeof(version), "PRAGMA user_version = %d", KF_STORE_VERSION);
	execute(f, version);
	reopen(f);
}

static void version_0_is_migrated(void **state)
{
	struct fixture *f = *state;
	struct kf_key_counts counts;

	execute(f, "DROP TABLE key_label; DROP TABLE key_allow; DROP TABLE credential; DROP TABLE "
		   "api_key; DROP TABLE "
		   "source;"
		   "DROP TABLE iface; DROP TABLE service; DROP TABLE state; DROP TABLE key_batch;"
		   "DROP TABLE key_group; DROP TABLE model; DROP TABLE model_set;"
		   "DROP TABLE account; DROP TABLE wallet; DROP TABLE ledger;"
		   "DROP TABLE usage; DROP TABLE usage_day;"
		   "PRAGMA user_version = 0");
	reopen(f);
	assert_int_equal(kf_store_key_count(f->store, 1, &counts), 0);
	assert_int_equal(counts.total, 0);
}

static void failing_migration_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct kf_store *other = NULL;
	struct kf_why why;

	/* source is in the way, so version 1 cannot be made; service comes before it */
	execute(f, "DROP TABLE service; PRAGMA user_version = 0");
	assert_int_not_equal(kf_store_open(&other, f->dir, &why), 0);
	execute(f, "CREATE TABLE service (name)"); /* was not left behind */
	execute(f, "DROP TABLE service; DROP TABLE source; DROP TABLE iface; DROP TABLE key_label; "
		   "DROP TABLE key_allow;"
		   "DROP TABLE credential; DROP TABLE api_key; DROP TABLE state;"
		   "DROP TABLE key_batch; DROP TABLE key_group;"
		   "DROP TABLE model; DROP TABLE model_set; DROP TABLE account;"
		   "DROP TABLE wallet; DROP TABLE ledger; DROP TABLE usage;"
		   "DROP TABLE usage_day");
	reopen(f);
}

/* The store of version 1, as its program wrote it: its schema, some rows, sealed. */
static void make_version_1(struct fixture *f)
{
	char schema[8192], path[128];
	FILE *file = fopen("userspace/daemon/store/schema.sql", "r");

	assert_non_null(file);
	schema[fread(schema, 1, sizeof(schema) - 1, file)] = '\0';
	assert_true(feof(file));
	fclose(file);
	kf_store_close(f->store);
	f->store = NULL;
	path_of(f, "keyfilter.db", path);
	unlink(path);
	execute(f, schema);
	execute(f, "INSERT INTO service VALUES ('llm', 3, NULL, 8000, 0, 0, 7, 1);"
		   "INSERT INTO api_key VALUES (5, 'k_old', 'old', 'ab', 'wxyz', 0, 1, NULL, "
		   "2, 3, 4);"
		   "INSERT INTO credential VALUES (9, 5, zeroblob(16), NULL);"
		   "PRAGMA user_version = 1; PRAGMA application_id = 0x6b664442;");
}

static void version_1_is_migrated(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row service;
	struct kf_slot_row slots[10];
	struct kf_key_row key;
	bool sealed = false;

	make_version_1(f);
	reopen(f);
	assert_int_equal(kf_store_service_get(f->store, "llm", &service), 0);
	assert_int_equal(service.index, 3);
	assert_int_equal(service.flags, 1);
	assert_int_equal(service.penalty_failures, 0); /* it may stand behind a proxy */
	assert_int_equal(service.penalty_window, KF_PENALTY_WINDOW);
	assert_int_equal(service.penalty_time, KF_PENALTY_TIME);
	assert_int_equal(service.penalty_time_max, KF_PENALTY_TIME_MAX);
	assert_int_equal(service.syn_rate, 0);
	assert_int_equal(service.syn_burst, 0);
	assert_int_equal(service.revision, 0);
	assert_int_equal(kf_store_key_get(f->store, "k_old", &key), 0);
	assert_int_equal(key.revision, 0);
	assert_int_equal(key.past_used, 4);
	assert_int_equal(key.rpm, 0);
	assert_int_equal(key.rpm_burst, 0);
	assert_int_equal(kf_store_slot_each(f->store, 0, KF_SLOT_NONE, keep_slot, slots), 0);
	assert_int_equal(slots[9].rpm, 0);
	assert_int_equal(key.group, 0);
	assert_string_equal(key.group_name, "");
	assert_int_equal(slots[9].group, 0);
	assert_int_equal(key.models, 0);
	assert_int_equal(slots[9].models, 0);
	assert_int_equal(key.account, KF_ACCOUNT_DEFAULT);
	assert_int_equal(key.wallet, 0);
	assert_int_equal(key.spent, 0);
	assert_int_equal(slots[9].wallet, 0);
	assert_int_equal(slots[9].account_wallet, 0);
	assert_int_equal(kf_store_is_sealed(f->store, &sealed), 0);
	assert_true(sealed);
	reopen(f); /* and once only */
}

static void failing_step_leaves_the_one_before(void **state)
{
	struct fixture *f = *state;
	struct kf_store *other = NULL;
	struct kf_why why;

	make_version_1(f);
	execute(f, "ALTER TABLE api_key ADD COLUMN rpm INTEGER");
	assert_int_not_equal(kf_store_open(&other, f->dir, &why), 0);
	assert_non_null(strstr(why.text, "from version 1"));
	execute(f, "ALTER TABLE service ADD COLUMN penalty_failures INTEGER"); /* was not left
										  behind */
	execute(f, "ALTER TABLE service DROP COLUMN penalty_failures;"
		   "ALTER TABLE api_key DROP COLUMN rpm");
	reopen(f);
}

static void garbage_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kf_store *other = NULL;
	struct kf_why why = { 0 };
	char path[128];
	int fd;

	kf_store_close(f->store);
	f->store = NULL;
	path_of(f, "keyfilter.db", path);
	fd = open(path, O_WRONLY | O_TRUNC);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "this is not a database, honestly", 32), 32);
	close(fd);
	assert_int_equal(kf_store_open(&other, f->dir, &why), -EUCLEAN);
	assert_non_null(strstr(why.text, "; "));
}

/* What is left of a store whose database was lost may have its last changes, and stays as it is. */
static void log_without_database_is_kept(void **state)
{
	struct fixture *f = *state;
	struct kf_store *other = NULL;
	struct kf_why why = { 0 };
	char path[128], log[128];
	struct stat st;
	FILE *file;

	kf_store_close(f->store);
	f->store = NULL;
	path_of(f, "keyfilter.db", path);
	path_of(f, "keyfilter.db-wal", log);
	file = fopen(log, "w");
	assert_non_null(file);
	fputs("changes", file);
	fclose(file);
	reopen(f); /* a log that is none beside a database: SQLite knows */
	kf_store_close(f->store);
	f->store = NULL;
	for (int gone = 0; gone < 2; gone++) {
		file = fopen(log, "w");
		assert_non_null(file);
		fputs("changes", file);
		fclose(file);
		assert_int_equal(gone ? unlink(path) : truncate(path, 0), 0);
		assert_int_equal(kf_store_open(&other, f->dir, &why), -EUCLEAN);
		assert_non_null(strstr(why.text, gone ? "is missing" : "is empty"));
		assert_int_equal(stat(log, &st), 0);
		assert_int_equal(st.st_size, 7);
		assert_int_equal(access(path, F_OK), gone ? -1 : 0);
	}
	assert_int_equal(unlink(log), 0);
	reopen(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mode_is_0600),	     TEST(newer_version_is_refused),
		TEST(version_0_is_migrated), TEST(failing_migration_changes_nothing),
		TEST(version_1_is_migrated), TEST(failing_step_leaves_the_one_before),
		TEST(garbage_is_refused),    TEST(log_without_database_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
