// SPDX-License-Identifier: GPL-2.0-only
/*
 * The store when the disk fails, when its files are taken away or were planted, and when rows have
 * values that cannot be. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../userspace/lib/cleanup.h"
#include "store/store.h"
#include "why.h"
#include "failing_vfs.h"

struct fixture {
	char dir[64];
	struct kf_store *store;
	struct kf_why why;
};

static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal", "keyfilter.db-shm",
				     "keyfilter.db-journal" };

static void path_of(const char *dir, const char *name, char path[static 160])
{
	snprintf(path, 160, "%s/%s", dir, name);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	failing_vfs_fail(0, false, 0);
	failing_vfs.syncs_only = failing_vfs.done_all_the_same = false;
	failing_vfs.most = 0;
	strcpy(f->dir, "/tmp/kf_store_fault_test.XXXXXX");
	if (!mkdtemp(f->dir) || kf_store_open(&f->store, f->dir, &f->why))
		return -1;
	*state = f;
	return 0;
}

static void remove_directory(const char *dir)
{
	char path[160];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(dir, names[i], path);
		if (unlink(path))
			rmdir(path);
	}
	rmdir(dir);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	failing_vfs_fail(0, false, 0);
	kf_store_close(f->store);
	remove_directory(f->dir);
	free(f);
	return 0;
}

/* ---- a commit that fails --------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY), out = -1;
	char bytes[4096];
	ssize_t n;

	if (in < 0)
		return;
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(out >= 0);
	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(out, bytes, (size_t)n), n);
}

static int count_service(void *context, const struct kf_service_row *row)
{
	++*(int *)context;
	return 0;
}

/* What a start would find if the process died now: its files, opened by another. */
static int services_after_a_crash(const struct fixture *f)
{
	struct kf_store *store = NULL;
	char from[160], to[160], dir[80];
	struct kf_why why = { 0 };
	int count = 0;

	snprintf(dir, sizeof(dir), "%s.copy", f->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	for (size_t i = 0; i < 2; i++) {
		path_of(f->dir, names[i], from);
		path_of(dir, names[i], to);
		copy_file(from, to);
	}
	if (kf_store_open(&store, dir, &why))
		fail_msg("%s", why.text);
	assert_int_equal(kf_store_service_each(store, count_service, &count), 0);
	kf_store_close(store);
	remove_directory(dir);
	return count;
}

static int add_service(struct fixture *f, const char *name, uint16_t port)
{
	struct kf_service_row row = { .any = true, .port = port };

	snprintf(row.name, sizeof(row.name), "%s", name);
	return kf_store_service_add(f->store, &row);
}

/*
 * It cannot be said that nothing has changed: it is in the log, whole. Nothing more is stored until
 * that is known, and when it is, it is so for good.
 */
static void failed_commit_is_not_known(void **state)
{
	struct fixture *f = *state;
	const char *words;
	int count = 0;

	assert_int_equal(add_service(f, "a", 1), 0);
	failing_vfs.syncs_only = failing_vfs.done_all_the_same = true;
	failing_vfs_fail(1, true, 0);
	assert_int_equal(add_service(f, "b", 2), -EIO);
	assert_true(kf_store_is_unsure(f->store));
	assert_int_equal(kf_store_failing(f->store, &words), -EIO);
	assert_non_null(strstr(words, "disk I/O error"));
	assert_int_equal(add_service(f, "c", 3), -EIO);
	assert_int_equal(kf_store_settle(f->store), -EIO);

	failing_vfs_fail(0, false, 0);
	assert_int_equal(kf_store_settle(f->store), 0);
	assert_false(kf_store_is_unsure(f->store));
	assert_int_equal(kf_store_failing(f->store, &words), 0);
	assert_int_equal(kf_store_service_each(f->store, count_service, &count), 0);
	assert_int_equal(services_after_a_crash(f), count);
	assert_int_equal(add_service(f, "c", 3), 0);
	assert_int_equal(services_after_a_crash(f), count + 1);
}

/* One failure that is over at once: it is known that nothing is stored, also after a crash. */
static void momentary_failure_is_known(void **state)
{
	struct fixture *f = *state;

	failing_vfs.syncs_only = failing_vfs.done_all_the_same = true;
	failing_vfs_fail(1, false, 0);
	assert_int_equal(add_service(f, "b", 2), -EIO);
	assert_false(kf_store_is_unsure(f->store));
	assert_int_equal(services_after_a_crash(f), 0);
}

/* Whatever call fails, and whether it was done all the same: told and true are one. */
static void any_failure_is_told_truly(void **state)
{
	struct fixture *f = *state;
	int stored = 0;

	for (int variant = 0; variant < 8; variant++) {
		for (unsigned long at = 1; at < 24; at += 1 + (at > 3 && at < 10)) {
			char name[32];
			int err;

			snprintf(name, sizeof(name), "s%d.%lu", variant, at);
			failing_vfs.done_all_the_same = variant & 1;
			failing_vfs_fail(at, variant & 2, variant & 4 ? SQLITE_FULL : 0);
			err = add_service(f, name, (uint16_t)(variant * 100 + (int)at));
			failing_vfs_fail(0, false, 0);
			if (kf_store_is_unsure(f->store))
				assert_int_equal(kf_store_settle(f->store), 0);
			if (!err || kf_store_take_landed(f->store))
				stored++;
			assert_int_equal(services_after_a_crash(f), stored);
		}
	}
	assert_true(stored > 8);
}

/* The log cannot grow on a full disk; what it holds goes where it belongs, and makes room in it. */
static void full_log_is_emptied(void **state)
{
	struct fixture *f = *state;
	int failed = 0;

	failing_vfs.most = 256 << 10;
	for (int i = 0; i < 100; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i);
		if (!add_service(f, name, (uint16_t)(i + 1)))
			continue;
		failed++;
		assert_int_equal(services_after_a_crash(f), i);
		assert_int_equal(add_service(f, name, (uint16_t)(i + 1)), 0);
	}
	assert_int_equal(failed, 1);
	assert_int_equal(services_after_a_crash(f), 100);
}

/* ---- files that are not where they were ------------------------------------------------------ */

static void removed_directory_is_noticed(void **state)
{
	struct fixture *f = *state;
	const char *words;
	char away[80];

	snprintf(away, sizeof(away), "%s.away", f->dir);
	assert_int_equal(add_service(f, "a", 1), 0);
	assert_int_equal(kf_store_settle(f->store), 0);
	assert_int_equal(rename(f->dir, away), 0);
	assert_int_equal(kf_store_settle(f->store), -ESTALE);
	assert_int_equal(add_service(f, "b", 2), -ESTALE);
	assert_int_equal(kf_store_failing(f->store, &words), -ESTALE);
	assert_non_null(strstr(words, "was removed while keyfilterd had it open"));
	assert_false(kf_store_is_unsure(f->store));
	assert_int_equal(rename(away, f->dir), 0);
	assert_int_equal(add_service(f, "b", 2), 0);
	assert_int_equal(kf_store_failing(f->store, &words), 0);
}

static void replaced_file_is_noticed(void **state)
{
	struct fixture *f = *state;
	char path[160], away[160];
	const char *words;

	for (size_t i = 0; i < 3; i++) {
		path_of(f->dir, names[i], path);
		path_of(f->dir, "away", away);
		assert_int_equal(rename(path, away), 0);
		assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
		assert_int_equal(add_service(f, "a", 1), -ESTALE);
		kf_store_failing(f->store, &words);
		assert_non_null(strstr(words, "was replaced"));
		assert_int_equal(rename(away, path), 0);
	}
	assert_int_equal(add_service(f, "a", 1), 0);
}

/* ---- files that were planted ----------------------------------------------------------------- */

static void assert_refused(struct fixture *f, int err, const char *words)
{
	struct kf_store *other = NULL;
	struct kf_why why = { 0 };

	assert_int_equal(kf_store_open(&other, f->dir, &why), err);
	assert_null(other);
	if (!strstr(why.text, words) || !strstr(why.text, "; "))
		fail_msg("'%s' does not say '%s' and a mend", why.text, words);
}

static void planted_files_are_refused(void **state)
{
	struct fixture *f = *state;
	char path[160], other[160];

	kf_store_close(f->store);
	f->store = NULL;
	path_of(f->dir, "other", other);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(f->dir, names[i], path);
		unlink(path);
		assert_int_equal(symlink("/dev/null", path), 0);
		assert_refused(f, -EPERM, "is not a plain file");
		unlink(path);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_refused(f, -EPERM, "is not a plain file");
		rmdir(path);
		close(open(path, O_CREAT | O_WRONLY, 0600));
		chmod(path, 0622);
		assert_refused(f, -EPERM, "others may write to");
		chmod(path, 0600);
		assert_int_equal(link(path, other), 0);
		assert_refused(f, -EPERM, "has 2 names");
		unlink(other);
		if (!geteuid()) {
			assert_int_equal(chown(path, 65534, 65534), 0);
			assert_refused(f, -EPERM, "belongs to user 65534");
		}
		unlink(path);
	}
}

/* ---- rows that cannot be --------------------------------------------------------------------- */

static int ignore_slot(void *context, const struct kf_slot_row *row)
{
	return 0;
}

static int ignore_allow(void *context, uint32_t slot, int64_t key, const struct kf_cidr *cidr)
{
	return 0;
}

static int ignore_source(void *context, const struct kf_source_row *row)
{
	return 0;
}

static int ignore_iface(void *context, const struct kf_iface_row *row)
{
	return 0;
}

static int ignore_group(void *context, const struct kf_group_row *row)
{
	return 0;
}

static int ignore_model(void *context, const char *name)
{
	return 0;
}

static int ignore_model_row(void *context, const struct kf_model_row *row)
{
	return 0;
}

static int ignore_set(void *context, const struct kf_model_set_row *row)
{
	return 0;
}

static int ignore_key(void *context, const struct kf_key_row *row)
{
	return 0;
}

static int ignore_credential(void *context, const struct kf_credential_row *row)
{
	return 0;
}

static int ignore_account(void *context, const struct kf_account_row *row)
{
	return 0;
}

static int ignore_day(void *context, const struct kf_usage_day_row *row)
{
	return 0;
}

static int ignore_entry(void *context, const struct kf_ledger_row *row)
{
	return 0;
}

/* All that is read at a start, and what a list reads. */
static int read_all(struct kf_store *store)
{
	const struct kf_key_query query = { .limit = 100 };
	const struct kf_ledger_query entries = { .account = -1, .limit = 100 };
	const struct kf_usage_query days = { .limit = 100 };
	struct kf_usage_row usage;
	struct kf_label labels[KF_KEY_LABELS_MAX];
	uint32_t label_count;
	int count = 0, err;

	err = kf_store_service_each(store, count_service, &count);
	err = err ?: kf_store_iface_each(store, ignore_iface, NULL);
	err = err ?: kf_store_source_each(store, ignore_source, NULL);
	err = err ?: kf_store_group_each(store, ignore_group, NULL);
	err = err ?: kf_store_account_each(store, ignore_account, NULL);
	err = err ?: kf_store_ledger_list(store, &entries, ignore_entry, NULL);
	err = err ?: kf_store_usage_days(store, &days, ignore_day, NULL);
	err = err ?: kf_store_usage_find(store, "k_one", "r", &usage);
	err = err ?: kf_store_model_each(store, "", ignore_model, NULL);
	err = err ?: kf_store_model_rows(store, ignore_model_row, NULL);
	err = err ?: kf_store_model_set_each(store, ignore_set, NULL);
	err = err ?: kf_store_slot_each(store, 0, KF_SLOT_NONE, ignore_slot, NULL);
	err = err ?: kf_store_slot_allow_each(store, 0, KF_SLOT_NONE, ignore_allow, NULL);
	err = err ?: kf_store_credential_each(store, 5, ignore_credential, NULL);
	err = err ?: kf_store_key_labels_get(store, 5, labels, &label_count);
	return err ?: kf_store_key_list(store, &query, ignore_key, NULL);
}

static const struct {
	const char *sql;
	const char *words;
} bad_rows[] = {
	{ "UPDATE service SET idx = 300", "service llm: idx is 300" },
	{ "UPDATE service SET idx = -1", "service llm: idx is -1" },
	{ "UPDATE service SET mode = 7", "service llm: mode is 7" },
	{ "UPDATE service SET refuse = 3", "service llm: refuse is 3" },
	{ "UPDATE service SET port = 0", "service llm: port is 0" },
	{ "UPDATE service SET port = 70000", "service llm: port is 70000" },
	{ "UPDATE service SET flags = 256", "service llm: flags is 256" },
	{ "UPDATE service SET key_sources = -1", "service llm: key_sources is -1" },
	{ "UPDATE service SET methods = printf('%.80c', 'X')",
	  "service llm: methods has 80 bytes" },
	{ "UPDATE service SET methods = 'a/b'", "service llm: methods is empty, or has letters" },
	{ "UPDATE service SET listen_addr = x'00'", "service llm: listen_addr has 1 bytes" },
	{ "UPDATE service SET listen_addr = x''", "service llm: listen_addr has 0 bytes" },
	{ "UPDATE service SET syn_rate = 1 << 40", "service llm: syn_rate is" },
	{ "UPDATE service SET penalty_time = 4000", "service llm: penalty_time_max is" },
	{ "UPDATE service SET penalty_failures = 1, penalty_window = 0",
	  "service llm: penalty_window is 0" },
	{ "UPDATE service SET name = 'a\"b'", "a service: name is empty, or has letters" },
	{ "UPDATE service SET name = printf('%.80c', 'x')", "a service: name has 80 bytes" },
	{ "UPDATE iface SET mode = 3", "interface eth0: mode is 3" },
	{ "UPDATE iface SET existing = 2", "interface eth0: existing is 2" },
	{ "UPDATE iface SET dev = '../x'", "interface ../x: it is no name" },
	{ "UPDATE source SET action = 2", "source 10.0.0.0/8: action is 2" },
	{ "UPDATE source SET prefix_len = 200", "a source: prefix_len is 200" },
	{ "UPDATE source SET prefix_len = 97", "a source: addr has bits set" },
	{ "UPDATE source SET addr = x'0a'", "a source: addr has 1 bytes" },
	{ "UPDATE source SET expires = -5", "source 10.0.0.0/8: expires is -5" },
	{ "UPDATE api_key SET disabled = 2", "disabled is 2" },
	{ "UPDATE api_key SET rpm = 1 << 33", "rpm is" },
	{ "UPDATE api_key SET rpm_burst = -1", "rpm_burst is -1" },
	{ "UPDATE api_key SET id = 'k_tooooooooolong'", "key number 5: id has 16 bytes" },
	{ "UPDATE api_key SET past_used = -1", "key k_one: past_used is -1" },
	{ "UPDATE api_key SET in_group = -1", "in_group is -1" },
	{ "UPDATE api_key SET in_group = 4", "its group's name" }, /* which is none */
	{ "UPDATE api_key SET models = -1", "models is -1" },
	{ "UPDATE key_group SET models = 1 << 32", "models is 4294967296" },
	{ "UPDATE model_set SET idx = -1", "idx is -1" },
	{ "UPDATE model_set SET names = printf('%.20000c', 'a')", "set 4 of models: names" },
	{ "UPDATE model SET input = -1", "model m: input is -1" },
	{ "UPDATE model SET per_request = 1 << 60", "model m: per_request is" },
	{ "UPDATE model SET context = 0", "model m: context is 0" },
	{ "UPDATE key_group SET multiplier = -1", "group staff: multiplier is -1" },
	{ "UPDATE model SET name = printf('%.300c', 'a')", "a model: name has 300 bytes" },
	{ "UPDATE key_group SET protocols = 0", "group staff: protocols is 0" },
	{ "UPDATE key_group SET protocols = 8", "group staff: protocols is 8" },
	{ "UPDATE key_group SET idx = 4096", "group staff: idx is 4096" },
	{ "UPDATE key_group SET name = 'a b'", "a group: name" },
	{ "UPDATE credential SET slot = 1 << 32", "slot is 4294967296" },
	{ "UPDATE credential SET slot = -1", "slot is -1" },
	{ "UPDATE credential SET tag = x'01'", "in place 9: tag has 1 bytes" },
	{ "UPDATE key_allow SET prefix_len = 129", "prefix_len is 129" },
	{ "UPDATE key_allow SET addr = x''", "addr has 0 bytes" },
	{ "UPDATE api_key SET owner = printf('%.129c', 'a')", "owner has 129 bytes" },
	{ "UPDATE key_label SET name = 'a b'", "a label of key number 5: name is empty, or has" },
	{ "UPDATE key_label SET value = printf('%.129c', 'a')", "value has 129 bytes" },
	{ "UPDATE api_key SET account = -1", "its account's wallet is not a number" },
	{ "UPDATE api_key SET account = 7", "its account's wallet" }, /* which is none */
	{ "UPDATE api_key SET wallet = 1 << 32", "wallet is 4294967296" },
	{ "UPDATE api_key SET quota = -1", "quota is -1" },
	{ "UPDATE api_key SET spent = -1", "spent is -1" },
	{ "UPDATE account SET name = 'a b'", "account number 6: name is empty, or has" },
	{ "UPDATE account SET currency = ''", "account team: currency is empty" },
	{ "UPDATE account SET wallet = 0", "account team: wallet is 0" },
	{ "UPDATE account SET unlimited = 2", "account team: unlimited is 2" },
	{ "UPDATE account SET granted = -1", "account team: granted is -1" },
	{ "UPDATE account SET spent = -1", "account team: spent is -1" },
	{ "UPDATE usage SET prompt = -1", "a request of key k_one: prompt is -1" },
	{ "UPDATE usage SET cost = -1", "cost is -1" },
	{ "UPDATE usage SET model = printf('%.256c', 'a')", "model has 256 bytes" },
	{ "UPDATE usage_day SET day = 1 << 60", "the day's usage 1: day is" },
	{ "UPDATE usage_day SET requests = -1", "requests is -1" },
	{ "UPDATE usage_day SET key = ''", "key is empty" },
	{ "UPDATE ledger SET kind = 3", "the ledger's entry 1: kind is 3" },
	{ "UPDATE ledger SET total = -2", "the ledger's entry 1: total is -2" },
	{ "UPDATE ledger SET key = printf('%.16c', 'a')",
	  "the ledger's entry 1: key has 16 bytes" },
};

static void fill(const struct fixture *f)
{
	sqlite3 *db;
	char path[160];

	path_of(f->dir, "keyfilter.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db,
			     "INSERT INTO service (name, idx, port, mode, refuse, key_sources, "
			     "flags) VALUES ('llm', 3, 8000, 0, 0, 7, 1);"
			     "INSERT INTO iface VALUES ('eth0', 0, 0, 1);"
			     "INSERT INTO source VALUES "
			     "(x'00000000000000000000ffff0a000000', 104, 0, 1, NULL);"
			     "INSERT INTO model (name) VALUES ('m');"
			     "INSERT INTO model_set VALUES (4, 'm');"
			     "INSERT INTO key_group VALUES (3, 'staff', 1, 7, 4, 1000000);"
			     "INSERT INTO wallet VALUES (1), (2);"
			     "INSERT INTO account VALUES (6, 'team', 'USD', 1, 0, 100, 10, 1, 7);"
			     "INSERT INTO usage VALUES (1, 1, 'k_one', 'r', 'm', 1, 0, 0, 2, 3);"
			     "INSERT INTO usage_day VALUES (1, 0, 'k_one', 'm', 1, 1, 0, 0, 2, 3);"
			     "INSERT INTO ledger VALUES (1, 1, 1, 6, 'k_one', 50, 50, '');"
			     "INSERT INTO api_key VALUES (5, 'k_one', 'one', 'ab', 'wxyz', 0, 1, "
			     "NULL, 0, 0, 0, 0, 0, 7, 3, 4, 'me', 6, 2, 50, 10);"
			     "INSERT INTO key_label VALUES (5, 'team', 'blue');"
			     "INSERT INTO credential VALUES (9, 5, zeroblob(16), NULL);"
			     "INSERT INTO key_allow VALUES "
			     "(5, x'00000000000000000000ffff0a000000', 104);",
			     NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
}

static void spoil(const struct fixture *f, const char *sql)
{
	sqlite3 *db;
	char path[160];

	path_of(f->dir, "keyfilter.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA ignore_check_constraints = 1", NULL, NULL, NULL),
			 SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL))
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void bad_rows_are_named(void **state)
{
	struct fixture *f = *state;

	fill(f);
	assert_int_equal(read_all(f->store), 0);
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		kf_store_begin(f->store);
		kf_store_rollback(f->store);
		spoil(f, "DELETE FROM service; DELETE FROM iface; DELETE FROM source;"
			 "DELETE FROM key_label; DELETE FROM key_allow; DELETE FROM credential; "
			 "DELETE FROM api_key;"
			 "DELETE FROM account; DELETE FROM wallet; DELETE FROM ledger; "
			 "DELETE FROM usage; DELETE FROM usage_day; "
			 "DELETE FROM key_group; DELETE FROM model_set; DELETE FROM model;");
		fill(f);
		spoil(f, bad_rows[i].sql);
		if (read_all(f->store) != -EUCLEAN)
			fail_msg("'%s' was taken", bad_rows[i].sql);
		if (!strstr(kf_store_error(f->store), bad_rows[i].words))
			fail_msg("'%s': '%s' does not say '%s'", bad_rows[i].sql,
				 kf_store_error(f->store), bad_rows[i].words);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(failed_commit_is_not_known),   TEST(momentary_failure_is_known),
		TEST(any_failure_is_told_truly),    TEST(full_log_is_emptied),
		TEST(removed_directory_is_noticed), TEST(replaced_file_is_noticed),
		TEST(planted_files_are_refused),    TEST(bad_rows_are_named),
	};

	failing_vfs_open();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
