// SPDX-License-Identifier: GPL-2.0-only
#include "store/sqlite.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define KF_STORE_CRAMPED 1000 /* transactions after one for which the disk had no room */

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
	case SQLITE_INTERRUPT:
		return -ETIMEDOUT;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

static bool is_of_the_disk(int code)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return true;
	default:
		return false;
	}
}

const char *kf_store_mend(int err)
{
	switch (err) {
	case -ESTALE:
		return "put it back as it was, or restart keyfilterd to go by what is there now";
	case -ENOSPC:
		return "free some room on the disk of the state directory";
	case -EUCLEAN:
		return "restore it from a backup";
	default:
		return "see to the disk of the state directory";
	}
}

/* What is logged and told is the first failure of several; one that is of another kind is news. */
void kf_store_note_failure(struct kf_store *store, int err)
{
	if (err == -ENOSPC)
		store->cramped = KF_STORE_CRAMPED;
	if (store->failing == err || !store->files[0].ino)
		return; /* one that is being opened is no store yet, and its failure is told */
	store->failing = err;
	snprintf(store->trouble, sizeof(store->trouble), "%s", store->error);
	kf_log_error("the store fails: %s; %s", store->trouble, kf_store_mend(err));
}

int kf_sql_failed(struct kf_store *store, int code)
{
	int err = sql_errno(code);

	snprintf(store->error, sizeof(store->error), "%s", sqlite3_errmsg(store->db));
	if (is_of_the_disk(code))
		kf_store_note_failure(store, err);
	return err;
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

struct kf_sql kf_sql_begin_once(struct kf_store *store, const char *text)
{
	struct kf_sql q = { .store = store, .once = true };
	int code = sqlite3_prepare_v3(store->db, text, -1, 0, &q.statement, NULL);

	if (code != SQLITE_OK)
		q.err = kf_sql_failed(store, code);
	return q;
}

void kf_sql_end(struct kf_sql *q)
{
	if (!q->statement)
		return;
	if (q->once) {
		sqlite3_finalize(q->statement);
		return;
	}
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
	q->changes = sqlite3_changes(q->store->db);
	return false;
}

int64_t kf_sql_int(struct kf_sql *q)
{
	return sqlite3_column_int64(q->statement, q->column++);
}

/* False where it is NULL or of another size; @out is zeroed then. */
static bool read_blob(struct kf_sql *q, void *out, size_t size)
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

/* ---- values that are checked ----------------------------------------------------------------- */

void kf_sql_name(struct kf_sql *q, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(q->name, sizeof(q->name), format, args);
	va_end(args);
}

void kf_sql_number(struct kf_sql *q, const char *noun, int64_t number)
{
	q->noun = noun;
	q->number = number;
}

int kf_sql_refuse(struct kf_sql *q, const char *format, ...)
{
	struct kf_store *store = q->store;
	va_list args;
	int n;

	if (q->err)
		return q->err;
	if (q->noun)
		kf_sql_name(q, "%s %lld", q->noun, (long long)q->number);
	n = snprintf(store->error, sizeof(store->error), "%s: ", q->name);
	va_start(args, format);
	vsnprintf(store->error + n, sizeof(store->error) - (size_t)n, format, args);
	va_end(args);
	return q->err = -EUCLEAN;
}

int64_t kf_sql_int_in(struct kf_sql *q, const char *column, int64_t least, int64_t most)
{
	int type = sqlite3_column_type(q->statement, q->column);
	int64_t value = kf_sql_int(q);

	if (!q->err && type == SQLITE_INTEGER && value >= least && value <= most)
		return value;
	if (type == SQLITE_INTEGER)
		kf_sql_refuse(q, "%s is %lld, which is not within %lld to %lld", column,
			      (long long)value, (long long)least, (long long)most);
	else
		kf_sql_refuse(q, "%s is not a number", column);
	return 0;
}

int64_t kf_sql_time_in(struct kf_sql *q, const char *column)
{
	if (sqlite3_column_type(q->statement, q->column) != SQLITE_NULL)
		return kf_sql_int_in(q, column, 0, KF_WALL_NEVER);
	q->column++;
	return KF_WALL_NEVER;
}

void kf_sql_text_in(struct kf_sql *q, const char *column, char *out, size_t size,
		    const char *letters)
{
	bool is_text = sqlite3_column_type(q->statement, q->column) == SQLITE_TEXT;
	const char *text = (const char *)sqlite3_column_text(q->statement, q->column);
	size_t len = (size_t)sqlite3_column_bytes(q->statement, q->column++);

	memset(out, 0, size);
	if (!is_text || !text || strlen(text) != len)
		kf_sql_refuse(q, "%s is not a text", column);
	else if (len >= size)
		kf_sql_refuse(q, "%s has %zu bytes, at most %zu are possible", column, len,
			      size - 1);
	else if (letters && (!len || text[strspn(text, letters)]))
		kf_sql_refuse(q, "%s is empty, or has letters that it cannot have", column);
	else if (!q->err)
		memcpy(out, text, len);
}

void kf_sql_blob_in(struct kf_sql *q, const char *column, void *out, size_t size)
{
	int bytes = sqlite3_column_bytes(q->statement, q->column);

	if (!read_blob(q, out, size))
		kf_sql_refuse(q, "%s has %d bytes instead of %zu", column, bytes, size);
}

void kf_sql_cidr(struct kf_sql *q, struct kf_cidr *cidr)
{
	struct kf_cidr masked;

	kf_sql_blob_in(q, "addr", cidr->addr, sizeof(cidr->addr));
	cidr->prefix_len = (uint8_t)kf_sql_int_in(q, "prefix_len", 0, KF_CIDR_BITS);
	masked = *cidr;
	kf_cidr_mask(&masked);
	if (!kf_cidr_equal(&masked, cidr))
		kf_sql_refuse(q, "addr has bits set behind its prefix_len of %u", cidr->prefix_len);
}
