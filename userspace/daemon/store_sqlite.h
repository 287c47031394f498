/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * store_sqlite.h - how the files of the store talk to SQLite; nobody else includes it.
 *
 * A query is a struct kf_sql on the stack: begin it with a literal, bind in order, run or step it,
 * read columns in order; leaving scope ends it. Statements are prepared once and kept, found again
 * by the address of their text, which must therefore be a literal or static.
 *
 *	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "SELECT mode FROM iface WHERE
 *dev = ?"); kf_sql_bind_text(&q, dev); if (kf_sql_step(&q)) mode = kf_sql_int(&q); return q.err;
 */
#ifndef KEYFILTER_DAEMON_STORE_SQLITE_H
#define KEYFILTER_DAEMON_STORE_SQLITE_H

#include <sqlite3.h>

#include "cleanup.h"
#include "store.h"

#define KF_SQL_STATEMENTS 64

struct kf_store {
	sqlite3 *db;
	struct {
		const char *text;
		sqlite3_stmt *statement;
	} statements[KF_SQL_STATEMENTS];
	sqlite3_int64 total_at; /* sqlite3_total_changes64() when total was counted */
	uint64_t total;		/* keys */
	char error[256];
};

struct kf_sql {
	struct kf_store *store;
	sqlite3_stmt *statement;
	int bound;  /* parameters bound so far */
	int column; /* the next one to read */
	int err;    /* 0 or -errno; later calls do nothing */
};

struct kf_sql kf_sql_begin(struct kf_store *store, const char *text);
void kf_sql_end(struct kf_sql *q);

void kf_sql_bind_int(struct kf_sql *q, int64_t value);
void kf_sql_bind_time(struct kf_sql *q, int64_t value); /* KF_WALL_NEVER: NULL */
void kf_sql_bind_text(struct kf_sql *q, const char *value);
void kf_sql_bind_blob(struct kf_sql *q, const void *value, int size); /* NULL: NULL */

bool kf_sql_step(struct kf_sql *q); /* a row is there; else q->err tells end from failure */
int kf_sql_run(struct kf_sql *q);   /* a statement without rows */
/* The same, and -ENOENT when it changed nothing. */
int kf_sql_run_on_row(struct kf_sql *q);

int64_t kf_sql_int(struct kf_sql *q);
int64_t kf_sql_time(struct kf_sql *q);
void kf_sql_text(struct kf_sql *q, char *out, size_t size);
bool kf_sql_blob(struct kf_sql *q, void *out, size_t size); /* false: NULL, and out is zeroed */

/* A number for a row that was changed, from SQLite's generator, which getrandom() seeds; not 0. */
uint64_t kf_sql_revision(void);

/* Keeps SQLite's words and returns -errno for its result code. */
int kf_sql_failed(struct kf_store *store, int code);

#endif
