// SPDX-License-Identifier: GPL-2.0-only
#include "store_sqlite.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "why.h"

#define BUSY_TIMEOUT_MS 5000

/*
 * The texts of schema*.sql, as the assembler finds them from the top of the source tree. String
 * literals would be second copies.
 */
__asm__(".section .rodata\n"
	"kf_store_schema:\n"
	".incbin \"userspace/daemon/schema.sql\"\n"
	".byte 0\n"
	"kf_store_schema_2:\n"
	".incbin \"userspace/daemon/schema_2.sql\"\n"
	".byte 0\n"
	"kf_store_schema_3:\n"
	".incbin \"userspace/daemon/schema_3.sql\"\n"
	".byte 0\n"
	".previous\n");
extern const char kf_store_schema[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_2[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_3[] __attribute__((visibility("hidden")));

/* migrations[N] leads from version N to N + 1. */
static const char *const migrations[] = {
	kf_store_schema,
	kf_store_schema_2,
	kf_store_schema_3,
};
_Static_assert(sizeof(migrations) / sizeof(migrations[0]) == KF_STORE_VERSION,
	       "a version without its migration");

/* ---- errors ---------------------------------------------------------------------------------- */

static int sql_errno(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return -ENOENT;
	}
	switch (code & 0xff) {
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return -EINVAL;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

int kf_sql_failed(struct kf_store *store, int code)
{
	snprintf(store->error, sizeof(store->error), "%s", sqlite3_errmsg(store->db));
	return sql_errno(code);
}

const char *kf_store_error(const struct kf_store *store)
{
	return store->error;
}

/* ---- statements ------------------------------------------------------------------------------ */

static sqlite3_stmt *find_statement(struct kf_store *store, const char *text, int *err)
{
	for (int i = 0; i < KF_SQL_STATEMENTS; i++) {
		sqlite3_stmt **statement = &store->statements[i].statement;
		int code;

		if (store->statements[i].text == text)
			return *statement;
		if (store->statements[i].text)
			continue;
		code = sqlite3_prepare_v3(store->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement,
					  NULL);
		if (code != SQLITE_OK) {
			*err = kf_sql_failed(store, code);
			return NULL;
		}
		store->statements[i].text = text;
		return *statement;
	}
	assert(!"KF_SQL_STATEMENTS is too small");
	abort();
}

struct kf_sql kf_sql_begin(struct kf_store *store, const char *text)
{
	struct kf_sql q = { .store = store };

	q.statement = find_statement(store, text, &q.err);
	/* A callback that lists with the statement that called it would disturb both. */
	assert(!q.statement || !sqlite3_stmt_busy(q.statement));
	return q;
}

void kf_sql_end(struct kf_sql *q)
{
	if (!q->statement)
		return;
	sqlite3_reset(q->statement);
	sqlite3_clear_bindings(q->statement);
}

static void bound(struct kf_sql *q, int code)
{
	if (code != SQLITE_OK)
		q->err = kf_sql_failed(q->store, code);
}

void kf_sql_bind_int(struct kf_sql *q, int64_t value)
{
	if (!q->err)
		bound(q, sqlite3_bind_int64(q->statement, ++q->bound, value));
}

void kf_sql_bind_time(struct kf_sql *q, int64_t value)
{
	if (value != KF_WALL_NEVER)
		kf_sql_bind_int(q, value);
	else
		kf_sql_bind_blob(q, NULL, 0);
}

/* The value outlives the query in every caller, so SQLite need not copy it. */
void kf_sql_bind_text(struct kf_sql *q, const char *value)
{
	if (!q->err)
		bound(q, sqlite3_bind_text(q->statement, ++q->bound, value, -1, SQLITE_STATIC));
}

void kf_sql_bind_blob(struct kf_sql *q, const void *value, int size)
{
	if (!q->err)
		bound(q, sqlite3_bind_blob(q->statement, ++q->bound, value, size, SQLITE_STATIC));
}

bool kf_sql_step(struct kf_sql *q)
{
	int code;

	if (q->err)
		return false;
	q->column = 0;
	code = sqlite3_step(q->statement);
	if (code == SQLITE_ROW)
		return true;
	if (code != SQLITE_DONE)
		q->err = kf_sql_failed(q->store, code);
	return false;
}

int kf_sql_run(struct kf_sql *q)
{
	kf_sql_step(q);
	return q->err;
}

int kf_sql_run_on_row(struct kf_sql *q)
{
	if (!kf_sql_run(q) && !sqlite3_changes(q->store->db))
		q->err = -ENOENT;
	return q->err;
}

int64_t kf_sql_int(struct kf_sql *q)
{
	return sqlite3_column_int64(q->statement, q->column++);
}

int64_t kf_sql_time(struct kf_sql *q)
{
	if (sqlite3_column_type(q->statement, q->column) != SQLITE_NULL)
		return kf_sql_int(q);
	q->column++;
	return KF_WALL_NEVER;
}

void kf_sql_text(struct kf_sql *q, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(q->statement, q->column++);

	snprintf(out, size, "%s", text ? (const char *)text : "");
}

bool kf_sql_blob(struct kf_sql *q, void *out, size_t size)
{
	const void *blob = sqlite3_column_blob(q->statement, q->column);
	int bytes = sqlite3_column_bytes(q->statement, q->column++);

	memset(out, 0, size);
	if (!blob || (size_t)bytes != size)
		return false;
	memcpy(out, blob, size);
	return true;
}

uint64_t kf_sql_revision(void)
{
	uint64_t revision;

	sqlite3_randomness(sizeof(revision), &revision);
	return revision ? revision : 1;
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* IMMEDIATE: the write lock is had now or not at all, not half-way through. */
int kf_store_begin(struct kf_store *store)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "BEGIN IMMEDIATE");

	return kf_sql_run(&q);
}

int kf_store_commit(struct kf_store *store)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "COMMIT");

	if (kf_sql_run(&q))
		kf_store_rollback(store);
	return q.err;
}

void kf_store_rollback(struct kf_store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

void kf_store_rollbackp(struct kf_store **store)
{
	if (*store)
		kf_store_rollback(*store);
}

/* ---- open ------------------------------------------------------------------------------------ */

static int execute(struct kf_store *store, const char *text)
{
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : kf_sql_failed(store, code);
}

static int read_version(struct kf_store *store, int *version)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "PRAGMA user_version");

	if (kf_sql_step(&q))
		*version = (int)kf_sql_int(&q);
	return q.err;
}

/* "kfDB", in the place that SQLite keeps for what the file is of. */
#define SEALED 0x6b664442

int kf_store_is_sealed(struct kf_store *store, bool *sealed)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "PRAGMA application_id");

	if (kf_sql_step(&q))
		*sealed = kf_sql_int(&q) == SEALED;
	return q.err;
}

int kf_store_seal(struct kf_store *store)
{
	char text[64];

	snprintf(text, sizeof(text), "PRAGMA application_id = %d", SEALED);
	return execute(store, text);
}

static int migrate_once(struct kf_store *store, int version)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = store;
	char text[64];
	int err;

	err = kf_store_begin(store);
	if (err)
		return err;
	err = execute(store, migrations[version]);
	if (err)
		return err;
	snprintf(text, sizeof(text), "PRAGMA user_version = %d", version + 1);
	err = execute(store, text);
	if (err)
		return err;
	return kf_store_commit(store);
}

static int migrate(struct kf_store *store, const char *path, struct kf_why *why)
{
	int version = 0, err;

	err = read_version(store, &version);
	if (err)
		return kf_why_set(why, err, "cannot read %s: %s; restore it from a backup", path,
				  store->error);
	if (version < 0 || version > KF_STORE_VERSION)
		return kf_why_set(
			why, -EPROTO,
			"%s has schema version %d, this keyfilterd knows up to %d; install the "
			"newer keyfilterd again, or restore the store from before its upgrade",
			path, version, KF_STORE_VERSION);
	for (; version < KF_STORE_VERSION; version++) {
		err = migrate_once(store, version);
		if (err)
			return kf_why_set(why, err,
					  "cannot migrate %s from version %d: %s; it is unchanged, "
					  "install the older keyfilterd again or see to the disk",
					  path, version, store->error);
	}
	return 0;
}

/* SQLite gives -wal and -shm the mode of the database itself, so that one is made first. */
static int create_file(const char *path, struct kf_why *why)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return kf_why_set(why, -errno,
				  "cannot open %s: %s; see that the directory is there "
				  "and belongs to the user of keyfilterd",
				  path, strerror(errno));
	if (fchmod(fd, 0600))
		return kf_why_set(why, -errno,
				  "cannot set the mode of %s: %s; see that it belongs to "
				  "the user of keyfilterd",
				  path, strerror(errno));
	return 0;
}

static int configure(struct kf_store *store)
{
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	/* trusted_schema: a store from elsewhere cannot run functions through views or triggers. */
	return execute(store, "PRAGMA journal_mode = WAL;"
			      "PRAGMA synchronous = FULL;"
			      "PRAGMA foreign_keys = ON;"
			      "PRAGMA trusted_schema = OFF;"
			      "PRAGMA cell_size_check = ON;"
			      "PRAGMA cache_size = -65536;");
}

KF_CLEANUP_DEFINE(struct kf_store, kf_store_close)

int kf_store_open(struct kf_store **out, const char *state_dir, struct kf_why *why)
{
	_cleanup_(kf_store_closep) struct kf_store *store = calloc(1, sizeof(*store));
	char path[4096];
	int err;

	if (!store)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	store->total_at = -1;
	if (snprintf(path, sizeof(path), "%s/keyfilter.db", state_dir) >= (int)sizeof(path))
		return kf_why_set(why, -ENAMETOOLONG, "the state directory's name is too long; %s",
				  "give another --state-dir");
	err = create_file(path, why);
	if (err)
		return err;
	if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return kf_why_set(why, -EIO, "cannot open %s: %s; restore it from a backup", path,
				  sqlite3_errmsg(store->db));
	err = configure(store);
	if (err)
		return kf_why_set(why, err,
				  "cannot use %s: %s; end whatever else has it open, or "
				  "restore it from a backup",
				  path, store->error);
	err = migrate(store, path, why);
	if (err)
		return err;
	*out = TAKE_PTR(store);
	return 0;
}

void kf_store_close(struct kf_store *store)
{
	if (!store)
		return;
	kf_store_rollback(store);
	for (int i = 0; i < KF_SQL_STATEMENTS && store->statements[i].text; i++)
		sqlite3_finalize(store->statements[i].statement);
	sqlite3_close(store->db);
	free(store);
}
