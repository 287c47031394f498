// SPDX-License-Identifier: GPL-2.0-only
/* The store: migrations, what rows may not be, listing in pages. Links the daemon's objects. */
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

#include <sqlite3.h>

#include "store/store.h"
#include "why.h"

struct fixture {
	char dir[64];
	struct kf_store *store;
};

static void path_of(const struct fixture *f, const char *name, char path[static 128])
{
	snprintf(path, 128, "%s/%s", f->dir, name);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct kf_why why;

	strcpy(f->dir, "/tmp/kf_store_test.XXXXXX");
	if (!mkdtemp(f->dir) || kf_store_open(&f->store, f->dir, &why))
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal",
					     "keyfilter.db-shm" };
	struct fixture *f = *state;
	char path[128];

	kf_store_close(f->store);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(f, names[i], path);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	struct kf_why why;

	kf_store_close(f->store);
	f->store = NULL;
	assert_int_equal(kf_store_open(&f->store, f->dir, &why), 0);
}

static void execute(const struct fixture *f, const char *sql)
{
	sqlite3 *db;
	char path[128];

	path_of(f, "keyfilter.db", path);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* ---- opening --------------------------------------------------------------------------------- */

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
		   "DROP TABLE model; DROP TABLE model_set");
	reopen(f);
}

static int keep_slot(void *context, const struct kf_slot_row *row)
{
	((struct kf_slot_row *)context)[row->slot] = *row;
	return 0;
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

/* ---- services, interfaces -------------------------------------------------------------------- */

static struct kf_service_row service(const char *name, int last_octet, uint16_t port)
{
	struct kf_service_row row = { .any = last_octet < 0, .port = port };

	snprintf(row.name, sizeof(row.name), "%s", name);
	if (!row.any) {
		row.addr[10] = row.addr[11] = 0xff;
		row.addr[15] = (uint8_t)last_octet;
	}
	return row;
}

static void listen_is_taken_once(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row a = service("a", -1, 80), b = service("b", -1, 80);
	struct kf_service_row c = service("c", 1, 80), d = service("d", 1, 80);
	struct kf_service_row again = service("a", 9, 81), got;

	assert_int_equal(kf_store_service_add(f->store, &a), 0);
	assert_int_equal(kf_store_service_add(f->store, &b), -EEXIST);
	assert_int_equal(kf_store_service_add(f->store, &c), 0);
	assert_int_equal(kf_store_service_add(f->store, &d), -EEXIST);
	assert_int_equal(kf_store_service_add(f->store, &again), -EEXIST);
	assert_int_equal(a.index, 0);
	assert_int_equal(c.index, 1);
	c.port = 80;
	c.any = true;
	assert_int_equal(kf_store_service_update(f->store, &c), -EEXIST);
	assert_int_equal(kf_store_service_get(f->store, "c", &got), 0);
	assert_false(got.any);
	assert_int_equal(got.addr[15], 1);
	assert_int_equal(kf_store_service_get(f->store, "nobody", &got), -ENOENT);
}

static void lowest_free_index_is_used(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row row;
	char name[64];

	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		row = service(name, -1, (uint16_t)(1000 + i));
		assert_int_equal(kf_store_service_add(f->store, &row), 0);
		assert_int_equal(row.index, i);
	}
	row = service("more", -1, 9);
	assert_int_equal(kf_store_service_add(f->store, &row), -E2BIG);
	assert_int_equal(kf_store_service_remove(f->store, "s77"), 0);
	assert_int_equal(kf_store_service_remove(f->store, "s77"), -ENOENT);
	assert_int_equal(kf_store_service_add(f->store, &row), 0);
	assert_int_equal(row.index, 77);
}

static void iface_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct kf_iface_row row = { .dev = "eth0", .mode = 1, .created = 5 }, got;

	assert_int_equal(kf_store_iface_put(f->store, &row), 0);
	row.mode = 2;
	row.reset = true;
	assert_int_equal(kf_store_iface_put(f->store, &row), 0);
	assert_int_equal(kf_store_iface_get(f->store, "eth0", &got), 0);
	assert_int_equal(got.mode, 2);
	assert_true(got.reset);
	assert_int_equal(kf_store_iface_remove(f->store, "eth0"), 0);
	assert_int_equal(kf_store_iface_get(f->store, "eth0", &got), -ENOENT);
}

static void service_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row row = service("a", 7, 80), got;

	row.mode = 1;
	row.refuse = 2;
	row.key_sources = 3;
	row.flags = 4;
	row.penalty_failures = 5;
	row.penalty_window = 6;
	row.penalty_time = 7;
	row.penalty_time_max = 8;
	row.syn_rate = 9;
	row.syn_burst = 10;
	strcpy(row.methods, "QUERY PROPFIND BASELINE-CONTROL M!#$%&'*+^_`|~9");
	assert_int_equal(kf_store_service_add(f->store, &row), 0);
	reopen(f);
	assert_int_equal(kf_store_service_get(f->store, "a", &got), 0);
	assert_memory_equal(&got, &row, sizeof(row));
	row.penalty_failures = KF_PENALTY_FAILURES_TOP;
	row.penalty_window = row.penalty_time = row.penalty_time_max = KF_PENALTY_SECONDS_TOP;
	row.syn_rate = row.syn_burst = KF_SYN_RATE_TOP;
	memset(row.methods, 0, sizeof(row.methods));
	assert_int_equal(kf_store_service_update(f->store, &row), 0);
	assert_int_equal(kf_store_service_get(f->store, "a", &got), 0);
	assert_int_not_equal(got.revision, row.revision);
	row.revision = got.revision;
	assert_memory_equal(&got, &row, sizeof(row));
}

static void service_numbers_have_bounds(void **state)
{
	static const uint32_t bad[][6] = {
		{ KF_PENALTY_FAILURES_TOP + 1, 60, 60, 60, 0, 0 },
		{ 1, 0, 60, 60, 0, 0 },
		{ 1, KF_PENALTY_SECONDS_TOP + 1, 60, 60, 0, 0 },
		{ 1, 60, 0, 60, 0, 0 },
		{ 1, 60, 61, 60, 0, 0 },
		{ 1, 60, 60, KF_PENALTY_SECONDS_TOP + 1, 0, 0 },
		{ 1, 60, 60, 60, KF_SYN_RATE_TOP + 1, 0 },
		{ 1, 60, 60, 60, 1, KF_SYN_RATE_TOP + 1 },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kf_service_row row = service("a", 7, 80);

		row.penalty_failures = bad[i][0];
		row.penalty_window = bad[i][1];
		row.penalty_time = bad[i][2];
		row.penalty_time_max = bad[i][3];
		row.syn_rate = bad[i][4];
		row.syn_burst = bad[i][5];
		assert_int_equal(kf_store_service_add(f->store, &row), -EINVAL);
	}
}

/* ---- sources --------------------------------------------------------------------------------- */

static void put_source(struct fixture *f, const char *cidr, enum kf_source_action action,
		       int64_t expires)
{
	struct kf_source_row row = { .action = action, .created = 1, .expires = expires };

	assert_int_equal(kf_cidr_parse(cidr, &row.cidr), 0);
	assert_int_equal(kf_store_source_put(f->store, &row, NULL), 0);
}

static int append_cidr(void *context, const struct kf_source_row *row)
{
	char text[KF_CIDR_TEXT], *all = context;

	kf_cidr_format(&row->cidr, text);
	strcat(all, text);
	strcat(all, row->action ? "+ " : "- ");
	return 0;
}

static void sources_come_in_tree_order(void **state)
{
	struct fixture *f = *state;
	struct kf_cidr within;
	char all[512] = "", under[512] = "", above[512] = "";

	put_source(f, "10.1.2.3", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "10.0.0.0/8", KF_SOURCE_ALLOW, KF_WALL_NEVER);
	put_source(f, "::/0", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "10.0.0.0/8", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "10.1.0.0/16", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "11.0.0.0/8", KF_SOURCE_DENY, KF_WALL_NEVER);
	assert_int_equal(kf_store_source_each(f->store, append_cidr, all), 0);
	assert_string_equal(all,
			    "::/0- 10.0.0.0/8- 10.0.0.0/8+ 10.1.0.0/16- 10.1.2.3/32- 11.0.0.0/8- ");
	kf_cidr_parse("10.1.0.0/16", &within);
	assert_int_equal(kf_store_source_under(f->store, &within, &within, 9, append_cidr, under),
			 0);
	assert_string_equal(under, "10.1.0.0/16- 10.1.2.3/32- ");
	assert_int_equal(kf_store_source_above(f->store, &within, append_cidr, above), 0);
	assert_string_equal(above, "::/0- 10.0.0.0/8- 10.0.0.0/8+ ");
}

static int remember(void *context, const struct kf_source_row *row)
{
	*(struct kf_source_row *)context = *row;
	return 0;
}

static void source_pages_follow_each_other(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row last;
	char text[32], all[4096] = "", paged[4096] = "";

	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "10.0.%d.0/24", i);
		put_source(f, text, i % 2, KF_WALL_NEVER);
	}
	kf_store_source_each(f->store, append_cidr, all);
	assert_int_equal(kf_store_source_page(f->store, NULL, 7, append_cidr, paged), 0);
	assert_int_equal(kf_store_source_page(f->store, NULL, 7, remember, &last), 0);
	for (int i = 0; i < 7; i++) {
		struct kf_source_row from = last;

		kf_store_source_page(f->store, &from, 7, append_cidr, paged);
		kf_store_source_page(f->store, &from, 7, remember, &last);
	}
	assert_string_equal(paged, all);
}

static int count_source(void *context, const struct kf_source_row *row)
{
	++*(int *)context;
	return 0;
}

static void source_expiry_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row row = { .created = 1, .expires = 100 };
	bool replaced = true, timed = false;
	int n = 0;

	kf_cidr_parse("2001:db8::/32", &row.cidr);
	assert_int_equal(kf_store_source_put(f->store, &row, &replaced), 0);
	assert_false(replaced);
	kf_store_source_expired(f->store, 99, 10, count_source, &n);
	assert_int_equal(n, 0);
	kf_store_source_expired(f->store, 100, 10, count_source, &n);
	assert_int_equal(n, 1);
	kf_store_source_timed(f->store, &timed);
	assert_true(timed);
	row.expires = KF_WALL_NEVER;
	assert_int_equal(kf_store_source_put(f->store, &row, &replaced), 0);
	assert_true(replaced);
	kf_store_source_timed(f->store, &timed);
	assert_false(timed);
	assert_int_equal(kf_store_source_remove(f->store, &row.cidr, KF_SOURCE_ALLOW), -ENOENT);
	assert_int_equal(kf_store_source_remove(f->store, &row.cidr, KF_SOURCE_DENY), 0);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static struct kf_group_row add_group(struct fixture *f, const char *name, uint32_t protocols)
{
	struct kf_group_row row = { .protocols = protocols };

	snprintf(row.name, sizeof(row.name), "%s", name);
	assert_int_equal(kf_store_group_add(f->store, &row), 0);
	return row;
}

static void group_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row row = add_group(f, "a", 5), again = row, got;

	assert_int_equal(row.index, 1);
	assert_int_equal(kf_store_group_add(f->store, &again), -EEXIST);
	reopen(f);
	assert_int_equal(kf_store_group_get(f->store, "a", &got), 0);
	assert_memory_equal(&got, &row, sizeof(row));
	row.protocols = 2;
	assert_int_equal(kf_store_model_set_add(f->store, "m", &row.models), 0);
	assert_int_equal(kf_store_group_update(f->store, &row), 0);
	assert_int_equal(kf_store_group_get(f->store, "a", &got), 0);
	assert_int_equal(got.protocols, 2);
	assert_int_equal(got.models, row.models);
	assert_int_not_equal(got.revision, row.revision);
	row.protocols = 0; /* it would admit nobody */
	assert_int_equal(kf_store_group_update(f->store, &row), -EINVAL);
	row.protocols = 8;
	assert_int_equal(kf_store_group_update(f->store, &row), -EINVAL);
	assert_int_equal(kf_store_group_remove(f->store, "a"), 0);
	assert_int_equal(kf_store_group_remove(f->store, "a"), -ENOENT);
	assert_int_equal(kf_store_group_update(f->store, &got), -ENOENT);
	assert_int_equal(kf_store_group_restore(f->store, &got), 0);
	assert_int_equal(kf_store_group_get(f->store, "a", &again), 0);
	assert_memory_equal(&got, &again, sizeof(got));
}

static int append_model(void *context, const char *name)
{
	strcat(strcat(context, name), " ");
	return 0;
}

static void models_are_listed_by_prefix(void **state)
{
	struct fixture *f = *state;
	char all[256] = "", some[256] = "", odd[256] = "";

	assert_int_equal(kf_store_model_add(f->store, "qwen-b"), 0);
	assert_int_equal(kf_store_model_add(f->store, "qwen-a"), 0);
	assert_int_equal(kf_store_model_add(f->store, "Qwen"), 0);
	assert_int_equal(kf_store_model_add(f->store, "%x_"), 0);
	assert_int_equal(kf_store_model_add(f->store, "qwen-a"), -EEXIST);
	assert_int_equal(kf_store_model_each(f->store, "", append_model, all), 0);
	assert_string_equal(all, "%x_ Qwen qwen-a qwen-b ");
	assert_int_equal(kf_store_model_each(f->store, "qwen", append_model, some), 0);
	assert_string_equal(some, "qwen-a qwen-b ");
	assert_int_equal(kf_store_model_each(f->store, "%", append_model, odd), 0);
	assert_string_equal(odd, "%x_ ");
	assert_int_equal(kf_store_model_remove(f->store, "qwen-a"), 0);
	assert_int_equal(kf_store_model_remove(f->store, "qwen-a"), -ENOENT);
}

/* A set stays while anybody is held to it, and its number is never another's. */
static void sets_of_models_are_kept_once(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row group = add_group(f, "a", 1);
	static struct kf_model_set_row got;
	uint32_t first, second, found;
	bool used = true;

	assert_int_equal(kf_store_model_set_add(f->store, "a\nb*", &first), 0);
	assert_int_equal(kf_store_model_set_add(f->store, "a\nb*", &second), -EEXIST);
	assert_int_equal(kf_store_model_set_find(f->store, "a\nb*", &found), 0);
	assert_int_equal(found, first);
	assert_int_equal(kf_store_model_set_find(f->store, "a", &found), -ENOENT);
	assert_int_equal(kf_store_model_set_get(f->store, first, &got), 0);
	assert_string_equal(got.names, "a\nb*");
	assert_int_equal(kf_store_model_set_used(f->store, first, &used), 0);
	assert_false(used);
	group.models = first;
	assert_int_equal(kf_store_group_update(f->store, &group), 0);
	assert_int_equal(kf_store_model_set_used(f->store, first, &used), 0);
	assert_true(used);
	assert_int_not_equal(kf_store_model_set_remove(f->store, first), 0);
	assert_int_equal(kf_store_model_set_add(f->store, "b", &second), 0);
	assert_int_equal(kf_store_model_set_collect(f->store), 0);
	assert_int_equal(kf_store_model_set_get(f->store, second, &got), -ENOENT);
	assert_int_equal(kf_store_model_set_get(f->store, first, &got), 0);
	assert_int_equal(kf_store_model_set_add(f->store, "c", &found), 0);
	assert_int_not_equal(found, second);
}

static void there_is_room_for_4095_groups(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row row;

	kf_store_begin(f->store);
	for (uint32_t i = 1; i < KF_GROUPS_MAX; i++) {
		row = (struct kf_group_row){ .index = i, .protocols = 1 };
		snprintf(row.name, sizeof(row.name), "g%u", i);
		assert_int_equal(kf_store_group_restore(f->store, &row), 0);
	}
	assert_int_equal(kf_store_commit(f->store), 0);
	row = (struct kf_group_row){ .name = "more", .protocols = 1 };
	assert_int_equal(kf_store_group_add(f->store, &row), -E2BIG);
	assert_int_equal(kf_store_group_remove(f->store, "g77"), 0);
	assert_int_equal(kf_store_group_add(f->store, &row), 0);
	assert_int_equal(row.index, 77);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static struct kf_key_row add_key(struct fixture *f, const char *name, bool disabled,
				 int64_t expires)
{
	static unsigned int number;
	struct kf_key_row row = { .disabled = disabled, .created = 1, .expires = expires };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.id, sizeof(row.id), "k_%012u", ++number);
	strcpy(row.mask.head, "ab");
	strcpy(row.mask.tail, "wxyz");
	assert_int_equal(kf_store_key_add(f->store, &row), 0);
	return row;
}

static int add_credential(struct fixture *f, int64_t key, uint32_t slot, uint8_t tag, int64_t until)
{
	struct kf_credential_row row = { .slot = slot, .key = key, .tag = { tag }, .until = until };

	return kf_store_credential_add(f->store, &row);
}

static void key_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row row = add_key(f, "näme % _ \\ 'x'", true, 12345), got;

	row.past_admitted = 7;
	row.past_refused = 8;
	row.past_used = 9;
	row.rpm = 10;
	row.rpm_burst = 11;
	row.group = add_group(f, "staff", 1).index;
	assert_int_equal(kf_store_model_set_add(f->store, "a\nb*", &row.models), 0);
	strcpy(row.group_name, "staff");
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	reopen(f);
	assert_int_equal(kf_store_key_get(f->store, row.id, &got), 0);
	assert_int_not_equal(got.revision, row.revision);
	row.revision = got.revision;
	assert_memory_equal(&got, &row, sizeof(row));
	assert_int_equal(kf_store_key_get(f->store, "k_nobody", &got), -ENOENT);
}

static void group_stays_while_keys_are_in_it(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row group = add_group(f, "staff", 1);
	struct kf_key_row row = add_key(f, "a", false, KF_WALL_NEVER);
	uint64_t count = 9;

	assert_int_equal(kf_store_group_keys(f->store, group.index, 10, &count), 0);
	assert_int_equal(count, 0);
	row.group = group.index;
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	assert_int_equal(kf_store_group_keys(f->store, group.index, 10, &count), 0);
	assert_int_equal(count, 1);
	assert_int_not_equal(kf_store_group_remove(f->store, "staff"), 0);
	row.group = 2; /* which is none */
	assert_int_not_equal(kf_store_key_update(f->store, &row), 0);
	row.group = 0;
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	assert_int_equal(kf_store_group_remove(f->store, "staff"), 0);
}

static void rate_has_bounds(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row row = add_key(f, "a", false, KF_WALL_NEVER);

	row.rpm = row.rpm_burst = KF_RPM_TOP;
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	row.rpm++;
	assert_int_equal(kf_store_key_update(f->store, &row), -EINVAL);
	row.rpm = 1;
	row.rpm_burst++;
	assert_int_equal(kf_store_key_update(f->store, &row), -EINVAL);
	row.rpm = 0; /* a burst of no rate */
	row.rpm_burst = 1;
	assert_int_equal(kf_store_key_update(f->store, &row), -EINVAL);
}

static void tag_and_slot_are_had_once(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", false, KF_WALL_NEVER);
	struct kf_key_row b = add_key(f, "b", false, KF_WALL_NEVER);

	assert_int_equal(add_credential(f, a.seq, 3, 1, KF_WALL_NEVER), 0);
	assert_int_equal(add_credential(f, b.seq, 3, 2, KF_WALL_NEVER), -EEXIST);
	assert_int_equal(add_credential(f, b.seq, 4, 1, KF_WALL_NEVER), -EEXIST);
	assert_int_equal(add_credential(f, a.seq, 4, 2, KF_WALL_NEVER), -EEXIST); /* two current */
	assert_int_equal(add_credential(f, a.seq, 4, 2, 99), 0);
	assert_int_equal(add_credential(f, 4711, 5, 5, KF_WALL_NEVER), -ENOENT);
}

static int count_slot(void *context, const struct kf_slot_row *row)
{
	((uint32_t *)context)[0]++;
	((uint32_t *)context)[1] = row->slot;
	return 0;
}

static void removed_key_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", false, KF_WALL_NEVER), got;
	struct kf_cidr cidr, list[KF_KEY_ALLOW_MAX];
	uint32_t count[2] = { 0 }, n;
	bool any = true;

	kf_cidr_parse("10.0.0.0/8", &cidr);
	add_credential(f, a.seq, 1, 1, KF_WALL_NEVER);
	add_credential(f, a.seq, 2, 2, 50);
	assert_int_equal(kf_store_key_allow_set(f->store, a.seq, &cidr, 1), 0);
	kf_store_slot_each(f->store, 0, KF_SLOT_NONE, count_slot, count);
	assert_int_equal(count[0], 2);
	assert_int_equal(kf_store_key_remove(f->store, a.seq), 0);
	assert_int_equal(kf_store_key_remove(f->store, a.seq), -ENOENT);
	kf_store_credential_any(f->store, &any);
	assert_false(any);
	assert_int_equal(kf_store_key_allow_get(f->store, a.seq, list, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(kf_store_key_of_slot(f->store, 1, &got), -ENOENT);
	assert_true(add_key(f, "b", false, KF_WALL_NEVER).seq > a.seq); /* cursors stay true */
}

static void slot_has_the_earlier_end(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", true, 100);
	struct kf_key_row b = add_key(f, "b", false, KF_WALL_NEVER);
	struct kf_slot_row rows[8] = { 0 };
	struct kf_cidr cidr;
	bool timed = false;
	int64_t last = 0;

	a.rpm = 60;
	a.rpm_burst = 5;
	assert_int_equal(kf_store_key_update(f->store, &a), 0);
	add_credential(f, a.seq, 1, 1, KF_WALL_NEVER);
	add_credential(f, a.seq, 2, 2, 50);
	add_credential(f, a.seq, 3, 3, 150);
	add_credential(f, b.seq, 4, 4, KF_WALL_NEVER);
	add_credential(f, b.seq, 5, 5, 70);
	kf_cidr_parse("10.0.0.0/8", &cidr);
	kf_store_key_allow_set(f->store, b.seq, &cidr, 1);
	assert_int_equal(kf_store_slot_timed(f->store, &timed), 0);
	assert_true(timed);
	assert_int_equal(kf_store_slot_last(f->store, &last), 0);
	assert_int_equal(last, 5);
	/* in one stretch, and in several */
	for (uint32_t stretch = 0; stretch < 4; stretch++) {
		memset(rows, 0, sizeof(rows));
		for (uint32_t slot = 0; slot < 8; slot += stretch + 1)
			assert_int_equal(
				kf_store_slot_each(f->store, slot, slot + stretch, keep_slot, rows),
				0);
		assert_int_equal(rows[1].expires, 100);
		assert_int_equal(rows[2].expires, 50);
		assert_int_equal(rows[3].expires, 100);
		assert_int_equal(rows[5].expires, 70);
		assert_int_equal(rows[4].expires, KF_WALL_NEVER);
		assert_true(rows[1].disabled && !rows[1].allowlist);
		assert_true(!rows[5].disabled && rows[5].allowlist);
		for (int i = 1; i <= 3; i++)
			assert_true(rows[i].rpm == 60 && rows[i].rpm_burst == 5);
		assert_true(!rows[5].rpm && !rows[5].rpm_burst);
		for (int i = 1; i <= 3; i++)
			assert_int_equal(rows[i].rate_slot, 1); /* the current one's */
		assert_int_equal(rows[5].rate_slot, 4);
	}
	memset(rows, 0, sizeof(rows));
	assert_int_equal(kf_store_slot_each(f->store, 2, 4, keep_slot, rows), 0);
	assert_true(!rows[1].key && rows[2].key && rows[4].key && !rows[5].key);
}

/* Another with each change, and never one of before, also of what has the name again. */
static void revision_follows_changes(void **state)
{
	struct fixture *f = *state;
	struct kf_service_row service = { .name = "api", .any = true, .port = 80 };
	struct kf_key_row key = add_key(f, "a", false, KF_WALL_NEVER), got;
	uint64_t seen[5];

	assert_int_equal(kf_store_key_get(f->store, key.id, &got), 0);
	assert_int_equal(got.revision, key.revision);
	key.past_admitted = 7;
	assert_int_equal(kf_store_key_counts(f->store, &key), 0);
	assert_int_equal(kf_store_key_get(f->store, key.id, &got), 0);
	assert_int_equal(got.past_admitted, 7);
	assert_int_equal(got.revision, key.revision); /* what is counted is no change */
	assert_int_equal(kf_store_key_update(f->store, &key), 0);
	assert_int_equal(kf_store_key_get(f->store, key.id, &got), 0);
	assert_int_not_equal(got.revision, key.revision);

	for (int i = 0; i < 5; i++) {
		if (i == 0 || i == 3)
			assert_int_equal(kf_store_service_add(f->store, &service), 0);
		else if (i == 2)
			assert_int_equal(kf_store_service_remove(f->store, "api"), 0);
		else
			assert_int_equal(kf_store_service_update(f->store, &service), 0);
		if (i != 2)
			assert_int_equal(kf_store_service_get(f->store, "api", &service), 0);
		seen[i] = service.revision;
		for (int j = 0; j < i && i != 2; j++)
			assert_int_not_equal(seen[i], seen[j]);
	}
}

static void rollback_undoes(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a, got;

	assert_int_equal(kf_store_begin(f->store), 0);
	a = add_key(f, "a", false, KF_WALL_NEVER);
	kf_store_rollback(f->store);
	assert_int_equal(kf_store_key_get(f->store, a.id, &got), -ENOENT);
	kf_store_rollback(f->store); /* nothing open: nothing happens */
}

/* ---- listing --------------------------------------------------------------------------------- */

#define NOW 1000

struct seen {
	int64_t seq[512];
	uint32_t count;
};

static int see(void *context, const struct kf_key_row *row)
{
	struct seen *seen = context;

	seen->seq[seen->count++] = row->seq;
	return 0;
}

/* Each key has the label n=0, 1 or 2; every second one even=, too. */
static bool has_labels(const struct kf_key_row *row, const struct kf_key_query *q)
{
	for (uint32_t i = 0; i < q->label_count; i++) {
		const struct kf_label *label = &q->labels[i];

		if (strcmp(label->name, "n") ? row->seq % 2 || *label->value
					     : atoi(label->value) != row->seq % 3)
			return false;
	}
	return true;
}

static void put_labels(struct fixture *f, const struct kf_key_row *row)
{
	struct kf_label labels[2] = { { .name = "n" }, { .name = "even" } }, got[KF_KEY_LABELS_MAX];
	uint32_t count = 2 - row->seq % 2, found;

	snprintf(labels[0].value, sizeof(labels[0].value), "%d", (int)(row->seq % 3));
	assert_int_equal(kf_store_key_labels_set(f->store, row->seq, labels, 2), 0);
	assert_int_equal(kf_store_key_labels_set(f->store, row->seq, labels, count), 0);
	assert_int_equal(kf_store_key_labels_get(f->store, row->seq, got, &found), 0);
	assert_int_equal(found, count);
	assert_string_equal(got[found - 1].name, "n"); /* by name */
}

static bool matches(const struct kf_key_row *row, const struct kf_key_query *q)
{
	bool expired = row->expires <= NOW;

	if ((q->filter == KF_KEYS_ENABLED && (row->disabled || expired)) ||
	    (q->filter == KF_KEYS_DISABLED && !row->disabled) ||
	    (q->filter == KF_KEYS_EXPIRED && (row->disabled || !expired)))
		return false;
	if ((q->group && row->group != q->group) || (q->owner && strcmp(row->owner, q->owner)) ||
	    (q->last && row->seq > q->last) || !has_labels(row, q))
		return false;
	return !q->search || strstr(row->name, q->search) ||
	       !strncmp(row->id, q->search, strlen(q->search));
}

static void compare_pages(struct fixture *f, struct kf_key_query *q, const struct kf_key_row *rows,
			  int count)
{
	struct seen seen = { 0 };
	uint32_t expected = 0, before;
	uint64_t total = 0;

	do {
		before = seen.count;
		q->after = before ? seen.seq[before - 1] : 0;
		assert_int_equal(kf_store_key_list(f->store, q, see, &seen), 0);
		assert_true(seen.count - before <= 7);
	} while (seen.count != before);
	for (int i = 0; i < count; i++)
		if (matches(&rows[i], q))
			assert_int_equal(seen.seq[expected++], rows[i].seq);
	assert_int_equal(seen.count, expected);
	assert_int_equal(kf_store_key_total(f->store, q, &total), 0);
	assert_int_equal(total, expected);
}

/* All pages of all filters against a plain loop over all rows. */
static void pages_are_what_matches(void **state)
{
	static const char *const searches[] = { NULL, "a%", "_x", "zz", "k_0", "\\", "even-1" };
	static struct kf_key_row rows[300];
	struct fixture *f = *state;

	add_group(f, "one", 1);
	add_group(f, "two", 2);
	kf_store_begin(f->store);
	for (int i = 0; i < 300; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s-%d%s", i % 2 ? "odd" : "even", i,
			 i % 7 == 0   ? "a%b"
			 : i % 5 == 0 ? "_x\\"
				      : "");
		rows[i] = add_key(f, name, i % 3 == 0,
				  i % 4 == 0   ? KF_WALL_NEVER
				  : i % 4 == 1 ? NOW
					       : NOW + i - 100);
		rows[i].group = (uint32_t)i % 3; /* 0: none */
		snprintf(rows[i].owner, sizeof(rows[i].owner), "%s", i % 5 ? "us" : "");
		assert_int_equal(kf_store_key_update(f->store, &rows[i]), 0);
		put_labels(f, &rows[i]);
	}
	assert_int_equal(kf_store_commit(f->store), 0);

	for (int filter = KF_KEYS_ALL; filter < KF_KEYS_NONE; filter++)
		for (size_t s = 0; s < sizeof(searches) / sizeof(searches[0]); s++)
			for (uint32_t group = 0; group < 3; group++) {
				struct kf_key_query q = { .filter = filter,
							  .search = searches[s],
							  .group = group,
							  .limit = 7,
							  .now = NOW };

				compare_pages(f, &q, rows, 300);
				q.owner = "us";
				compare_pages(f, &q, rows, 300);
				q.labels[q.label_count++] = (struct kf_label){ "n", "2" };
				compare_pages(f, &q, rows, 300);
				q.owner = NULL;
				q.labels[q.label_count++] = (struct kf_label){ "even", "" };
				compare_pages(f, &q, rows, 300);
				q.last = rows[200].seq;
				compare_pages(f, &q, rows, 300);
				q.labels[q.label_count++] = (struct kf_label){ "none", "" };
				q.labels[1] = (struct kf_label){ "even", "x" };
				compare_pages(f, &q, rows, 300);
			}
}

static int count_row(void *context, const struct kf_key_row *row)
{
	++*(unsigned int *)context;
	return 0;
}

static unsigned int listed(struct fixture *f)
{
	const struct kf_key_query all = { .limit = 100, .now = NOW };
	struct kf_key_counts counts;
	unsigned int count = 0;

	assert_int_equal(kf_store_key_list(f->store, &all, count_row, &count), 0);
	assert_int_equal(kf_store_key_count(f->store, NOW, &counts), 0);
	assert_int_equal(counts.total, count);
	assert_int_equal(counts.enabled + counts.disabled + counts.expired, count);
	return count;
}

/* Its keys are there all at once, and those that were made meanwhile are behind them. */
static void batch_is_there_all_at_once(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row before = add_key(f, "before", false, KF_WALL_NEVER), row = before, after;
	struct kf_key_batch_range range, found;

	assert_int_equal(kf_store_batch_begin(f->store, 3, &range), 0);
	assert_int_equal(range.first, before.seq + 1);
	assert_int_equal(range.last, range.first + 2);
	assert_int_equal(kf_store_batch_begin(f->store, 3, &found), -EEXIST);
	for (int i = 0; i < 3; i++) {
		snprintf(row.id, sizeof(row.id), "k_batch000000%c", (char)('0' + i));
		row.seq = range.first + i;
		row.expires = NOW - 1;
		assert_int_equal(kf_store_key_add_at(f->store, &row), 0);
		assert_int_equal(listed(f), 1);
	}
	after = add_key(f, "after", false, KF_WALL_NEVER);
	assert_true(after.seq > range.last);
	assert_int_equal(listed(f), 2);
	reopen(f);
	assert_int_equal(listed(f), 2);
	assert_int_equal(kf_store_batch_get(f->store, &found), 0);
	assert_int_equal(found.first, range.first);
	assert_int_equal(kf_store_batch_end(f->store), 0);
	assert_int_equal(listed(f), 5);
	assert_int_equal(kf_store_batch_get(f->store, &found), 0);
	assert_true(found.last < found.first);
}

static void total_follows_changes(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", false, KF_WALL_NEVER);
	struct kf_key_counts counts;

	add_key(f, "b", false, NOW);
	add_key(f, "c", true, NOW);
	kf_store_key_count(f->store, NOW, &counts);
	assert_int_equal(counts.total, 3);
	assert_int_equal(counts.enabled, 1);
	assert_int_equal(counts.disabled, 1);
	assert_int_equal(counts.expired, 1);
	kf_store_key_remove(f->store, a.seq);
	kf_store_key_count(f->store, NOW - 1, &counts);
	assert_int_equal(counts.total, 2);
	assert_int_equal(counts.enabled, 1);
	assert_int_equal(counts.expired, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mode_is_0600),
		TEST(newer_version_is_refused),
		TEST(version_0_is_migrated),
		TEST(failing_migration_changes_nothing),
		TEST(version_1_is_migrated),
		TEST(failing_step_leaves_the_one_before),
		TEST(garbage_is_refused),
		TEST(log_without_database_is_kept),
		TEST(listen_is_taken_once),
		TEST(lowest_free_index_is_used),
		TEST(service_comes_back_as_it_went),
		TEST(service_numbers_have_bounds),
		TEST(iface_is_replaced),
		TEST(sources_come_in_tree_order),
		TEST(source_pages_follow_each_other),
		TEST(source_expiry_is_replaced),
		TEST(group_comes_back_as_it_went),
		TEST(models_are_listed_by_prefix),
		TEST(sets_of_models_are_kept_once),
		TEST(there_is_room_for_4095_groups),
		TEST(group_stays_while_keys_are_in_it),
		TEST(key_comes_back_as_it_went),
		TEST(rate_has_bounds),
		TEST(tag_and_slot_are_had_once),
		TEST(removed_key_leaves_nothing),
		TEST(slot_has_the_earlier_end),
		TEST(revision_follows_changes),
		TEST(rollback_undoes),
		TEST(pages_are_what_matches),
		TEST(total_follows_changes),
		TEST(batch_is_there_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
