/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sqlite.h - how the files of store/ talk to SQLite.
 *
 * A query is a struct kf_sql on the stack: begin it with a literal, bind in order, run or step it,
 * read columns in order; leaving scope ends it. Statements are prepared once and kept, found again
 * by the address of their text, which must therefore be a literal or static (but see
 * kf_sql_begin_once()).
 *
 *	_cleanup_(kf_sql_end) struct kf_sql q =
 *		kf_sql_begin(store, "SELECT mode FROM iface WHERE dev = ?");
 *
 *	kf_sql_bind_text(&q, dev);
 *	if (kf_sql_step(&q))
 *		mode = kf_sql_int(&q);
 *	return q.err;
 */
#ifndef KEYFILTER_DAEMON_STORE_SQLITE_H
#define KEYFILTER_DAEMON_STORE_SQLITE_H

#include <limits.h>
#include <sys/types.h>

#include <sqlite3.h>

#include "cleanup.h"
#include "store/store.h"

#define KF_SQL_STATEMENTS 192
#define KF_STORE_FILE	  "keyfilter.db"
#define KF_STORE_FILES	  3 /* itself, -wal, -shm */

struct kf_store_file {
	dev_t dev;
	ino_t ino; /* 0: there is none */
};

struct kf_store {
	sqlite3 *db;	    /* never closed before the store is */
	char dir[PATH_MAX]; /* without symbolic links */
	struct {
		const char *text;
		sqlite3_stmt *statement;
	} statements[KF_SQL_STATEMENTS];
	sqlite3_int64 total_at; /* sqlite3_total_changes64() and */
	uint32_t total_version; /* PRAGMA data_version when total was counted */
	uint64_t total;		/* keys */

	struct kf_store_checkpoint *checkpoint; /* NULL: there is no thread for it */

	/* commit.c */
	struct kf_store_file files[KF_STORE_FILES]; /* that are open */
	int64_t commits;			    /* up to our last one */
	struct kf_store_time time;		    /* to be durable with the next commit */
	struct kf_store_time noted;		    /* that is durable */
	int failing;	      /* -errno of the writes that fail, 0: the last one succeeded */
	char trouble[256];    /* SQLite's words for it */
	bool unsure;	      /* a commit failed, and it is not known whether it is stored */
	bool landed;	      /* and it was found to be stored */
	unsigned int cramped; /* so many transactions to come begin with an empty log */

	bool interrupted;	/* a reader's: it must end; set by another thread */
	uint64_t read_until_ns; /* CLOCK_MONOTONIC; 0: no limit */
	char error[256];
};

struct kf_sql {
	struct kf_store *store;
	sqlite3_stmt *statement;
	int bound;   /* parameters bound so far */
	int column;  /* the next one to read */
	int changes; /* rows that the statement changed */
	bool once;   /* the statement goes with it */
	int err;     /* 0 or -errno; later calls do nothing */
	/* The row that is read, for kf_sql_refuse(): by its name, */
	char name[80];
	/* or, as it is cheaper where there may be a million, by what it is and its number. */
	const char *noun;
	int64_t number;
};

struct kf_sql kf_sql_begin(struct kf_store *store, const char *text);
/* Of a text that is made for this query alone: it is prepared, and not kept. */
struct kf_sql kf_sql_begin_once(struct kf_store *store, const char *text);
void kf_sql_end(struct kf_sql *q);

void kf_sql_bind_int(struct kf_sql *q, int64_t value);
void kf_sql_bind_time(struct kf_sql *q, int64_t value); /* KF_WALL_NEVER: NULL */
void kf_sql_bind_text(struct kf_sql *q, const char *value);
void kf_sql_bind_blob(struct kf_sql *q, const void *value, int size); /* NULL: NULL */

bool kf_sql_step(struct kf_sql *q); /* a row is there; else q->err tells end from failure */
/* A statement without rows. Outside a transaction it gets one of its own, as store.h says. */
int kf_sql_run(struct kf_sql *q);
/* The same, and -ENOENT when it changed nothing. */
int kf_sql_run_on_row(struct kf_sql *q);

/* Not checked; what becomes an index, or is shown, is read by the functions below. */
int64_t kf_sql_int(struct kf_sql *q);

/* A number for a row that was changed, from SQLite's generator, which getrandom() seeds; not 0. */
uint64_t kf_sql_revision(void);

/*
 * What is in the file is checked here once: it may be what no CHECK would have let in, and becomes
 * an index and a pointer's offset elsewhere. A value that cannot be ends the query with -EUCLEAN,
 * and the store's error names row and column; what is read from then on is 0 or empty. Name the row
 * first.
 */
void kf_sql_number(struct kf_sql *q, const char *noun, int64_t number); /* noun: a literal */
void kf_sql_name(struct kf_sql *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
int kf_sql_refuse(struct kf_sql *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
int64_t kf_sql_int_in(struct kf_sql *q, const char *column, int64_t least, int64_t most);
int64_t kf_sql_time_in(struct kf_sql *q, const char *column); /* NULL: KF_WALL_NEVER */
/* @letters: the only ones there may be, and one at least; NULL: any text that fits. */
void kf_sql_text_in(struct kf_sql *q, const char *column, char *out, size_t size,
		    const char *letters);
void kf_sql_blob_in(struct kf_sql *q, const char *column, void *out, size_t size);
/* addr and prefix_len, in this order: a block without bits behind its prefix. */
void kf_sql_cidr(struct kf_sql *q, struct kf_cidr *cidr);

/* Is the key with this seq there, and not one of a batch that is not whole? batch.c */
#define KF_SQL_THERE(seq)                                                                          \
	seq " NOT BETWEEN (SELECT coalesce(max(first), 0) FROM key_batch) AND "                    \
	    "(SELECT coalesce(max(last), -1) FROM key_batch)"

/* The columns of a key, and what reads them. key.c */
#define KF_SQL_KEY                                                                                 \
	"seq, id, name, mask_head, mask_tail, disabled, created, expires, past_admitted, "         \
	"past_refused, past_used, rpm, rpm_burst, revision, coalesce(in_group, 0), "               \
	"(SELECT g.name FROM key_group g WHERE g.idx = in_group), coalesce(models, 0), owner, "    \
	"coalesce(api_key.account, 0), coalesce(api_key.wallet, 0), coalesce(quota, 0), "          \
	"api_key.spent, (SELECT a.name FROM account a WHERE a.id = api_key.account), "             \
	"coalesce((SELECT a.wallet FROM account a WHERE a.id = api_key.account), 0), "             \
	"coalesce((SELECT a.unlimited = 0 AND a.spent >= a.granted FROM account a "                \
	"WHERE a.id = api_key.account), 0)"
int kf_sql_key(struct kf_sql *q, struct kf_key_row *row);

#define KF_SQL_WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* Keeps SQLite's words and returns -errno for its result code. */
int kf_sql_failed(struct kf_store *store, int code);

/* commit.c: what is there when the store is opened; what fails; the path of a file. */
int kf_store_commit_open(struct kf_store *store);
/* Begins a transaction where none is open: then *own is the store, to be committed; else NULL. */
int kf_store_begin_own(struct kf_store *store, struct kf_store **own);
void kf_store_checkpoint_close(struct kf_store *store); /* checkpoint.c; may be called always */
void kf_store_note_failure(struct kf_store *store, int err); /* with the store's error as words */
int kf_store_path(const struct kf_store *store, const char *suffix, char path[static PATH_MAX]);

#endif
