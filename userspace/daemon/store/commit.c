// SPDX-License-Identifier: GPL-2.0-only
/*
 * Transactions, and what is known when one fails.
 *
 * A statement that fails changes nothing: its transaction is rolled back. A COMMIT that fails may
 * have written all of it: SQLite takes it back in memory, but what is in the log may be whole, and
 * would be in force after the next start. So the store is unsure then, until a further transaction
 * is durable: that one stands in the log where the other one was, and the two cannot both be there.
 * The number of commits tells which of them it stands on.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "store/sqlite.h"

#define KF_STORE_CLOCK_SET 1000000000ll

#define READ_STATE	   "SELECT commits, seen, boot, clock FROM state WHERE one = 1"

/* ---- is it still there? ---------------------------------------------------------------------- */

static const char *const suffixes[KF_STORE_FILES] = { "", "-wal", "-shm" };

int kf_store_path(const struct kf_store *store, const char *suffix, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/" KF_STORE_FILE "%s", store->dir, suffix);

	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void look(const struct kf_store *store, int i, struct kf_store_file *file)
{
	char path[PATH_MAX];
	struct stat st;

	memset(file, 0, sizeof(*file));
	if (kf_store_path(store, suffixes[i], path) || lstat(path, &st))
		return;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
}

/*
 * What is written to a file that has lost its name, or to a directory that was put elsewhere, is
 * synced like any other, and gone with the process.
 */
static int check_place(struct kf_store *store)
{
	struct kf_store_file now;

	for (int i = 0; i < KF_STORE_FILES; i++) {
		look(store, i, &now);
		if (now.dev == store->files[i].dev && now.ino == store->files[i].ino)
			continue;
		snprintf(store->error, sizeof(store->error),
			 "%.160s/" KF_STORE_FILE "%s was %s while keyfilterd had it open",
			 store->dir, suffixes[i], now.ino ? "replaced" : "removed");
		return -ESTALE;
	}
	return 0;
}

/* ---- what the store knows of itself ---------------------------------------------------------- */

static int read_state(struct kf_store *store, struct kf_store_time *time, int64_t *commits)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, READ_STATE);

	kf_sql_name(&q, "the row of state");
	if (!kf_sql_step(&q))
		return q.err ? q.err : kf_sql_refuse(&q, "it is missing");
	*commits = kf_sql_int_in(&q, "commits", 0, INT64_MAX - 1);
	time->seen = kf_sql_int_in(&q, "seen", 0, INT64_MAX - 1);
	kf_sql_text_in(&q, "boot", time->boot, sizeof(time->boot), NULL);
	time->ahead = kf_sql_int_in(&q, "clock", INT64_MIN, INT64_MAX);
	return q.err;
}

static int write_state(struct kf_store *store)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "UPDATE state SET commits = ?, seen = ?, boot = ?, clock = ? "
				    "WHERE one = 1");

	kf_sql_bind_int(&q, store->commits + 1);
	kf_sql_bind_int(&q, store->time.seen);
	kf_sql_bind_text(&q, store->time.boot);
	kf_sql_bind_int(&q, store->time.ahead);
	kf_sql_step(&q);
	return q.err;
}

int kf_store_commit_open(struct kf_store *store)
{
	int err = read_state(store, &store->time, &store->commits);

	store->noted = store->time;
	for (int i = 0; !err && i < KF_STORE_FILES; i++)
		look(store, i, &store->files[i]);
	return err;
}

void kf_store_time_get(const struct kf_store *store, struct kf_store_time *time)
{
	*time = store->time;
}

/* ---- trouble --------------------------------------------------------------------------------- */

static void note_success(struct kf_store *store)
{
	if (store->failing)
		kf_log_notice("the store works again");
	store->failing = 0;
	store->unsure = false;
}

bool kf_store_is_unsure(const struct kf_store *store)
{
	return store->unsure;
}

int kf_store_failing(const struct kf_store *store, const char **words)
{
	*words = store->trouble;
	return store->failing;
}

bool kf_store_take_landed(struct kf_store *store)
{
	bool landed = store->landed;

	store->landed = false;
	return landed;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static int run(struct kf_store *store, const char *text)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, text);

	kf_sql_step(&q);
	return q.err;
}

/*
 * The number, the time and the change are durable together or not at all. A full disk is told by a
 * write, and the last thing that is written is what makes the rest of it count: that is not there.
 */
static int commit(struct kf_store *store)
{
	int err = check_place(store);

	if (!err)
		err = write_state(store);
	if (err) {
		kf_store_rollback(store);
		return err;
	}
	err = run(store, "COMMIT");
	if (err) {
		kf_store_rollback(store);
		store->unsure = store->unsure || err != -ENOSPC;
		return err;
	}
	store->commits++;
	store->noted = store->time;
	return 0;
}

/* A transaction that says nothing but that it is there. */
static int try_again(struct kf_store *store)
{
	struct kf_store_time time;
	int64_t commits = 0;
	int err = run(store, "BEGIN IMMEDIATE");

	if (!err)
		err = read_state(store, &time, &commits);
	if (err) {
		kf_store_rollback(store);
		return err;
	}
	if (commits != store->commits && store->unsure) {
		store->landed = true;
		store->commits = commits;
	}
	return commit(store);
}

/*
 * What the log holds goes into the database, which has a place for most of it already, and the next
 * transaction is written over it from the log's beginning: so a log that cannot grow on a full disk
 * is no reason to store nothing. That costs two syncs, and is done as long as the disk may be full.
 * Readers that are in the middle of the log only put it off.
 */
static void empty_log(struct kf_store *store)
{
	if (!store->cramped || store->unsure || !sqlite3_get_autocommit(store->db))
		return;
	store->cramped--;
	sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static int write_marker(struct kf_store *store)
{
	int err;

	empty_log(store);
	err = try_again(store);
	if (err)
		kf_store_note_failure(store, err);
	else
		note_success(store);
	return err;
}

/* A clock that was set is news, too: by it the next process knows how this one went. */
static bool is_due(const struct kf_store *store, int64_t most_ns)
{
	const struct kf_store_time *time = &store->time, *noted = &store->noted;
	int64_t set = time->ahead - noted->ahead;

	return time->seen - noted->seen > most_ns || strcmp(time->boot, noted->boot) ||
	       set > KF_STORE_CLOCK_SET || set < -KF_STORE_CLOCK_SET;
}

void kf_store_time_set(struct kf_store *store, const struct kf_store_time *time, int64_t most_ns)
{
	store->time = *time;
	if (is_due(store, most_ns) && !store->failing && sqlite3_get_autocommit(store->db))
		write_marker(store);
}

int kf_store_settle(struct kf_store *store)
{
	int err;

	if (!store->failing && !store->unsure) {
		err = check_place(store);
		if (!err)
			return 0;
		kf_store_note_failure(store, err);
		return err;
	}
	if (!sqlite3_get_autocommit(store->db))
		return -EBUSY;
	return write_marker(store);
}

/* IMMEDIATE: the write lock is had now or not at all, not half-way through. */
int kf_store_begin(struct kf_store *store)
{
	int err = store->unsure ? kf_store_settle(store) : check_place(store);

	if (!err)
		empty_log(store);
	if (!err)
		err = run(store, "BEGIN IMMEDIATE");
	if (err)
		kf_store_note_failure(store, err);
	return err;
}

int kf_store_begin_own(struct kf_store *store, struct kf_store **own)
{
	bool open = !sqlite3_get_autocommit(store->db);
	int err = open ? 0 : kf_store_begin(store);

	*own = open || err ? NULL : store;
	return err;
}

/*
 * A disk that failed for a moment is asked at once: mostly it is known then what is stored, and
 * nobody has to be told that it is not.
 */
int kf_store_commit(struct kf_store *store)
{
	char words[sizeof(store->error)];
	int err = commit(store);

	if (!err) {
		note_success(store);
		return 0;
	}
	kf_store_note_failure(store, err);
	if (!store->unsure)
		return err;
	memcpy(words, store->error, sizeof(words));
	if (!kf_store_settle(store) && kf_store_take_landed(store))
		return 0;
	memcpy(store->error, words, sizeof(words));
	return err;
}

void kf_store_rollback(struct kf_store *store)
{
	if (store->db && !sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

void kf_store_rollbackp(struct kf_store **store)
{
	if (*store)
		kf_store_rollback(*store);
}

/* ---- statements of their own ----------------------------------------------------------------- */

/* What a statement has not changed is not made durable either. */
static int run_alone(struct kf_sql *q, bool on_row)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = q->store;

	q->err = kf_store_begin(q->store);
	kf_sql_step(q);
	if (!q->err && on_row && !q->changes)
		q->err = -ENOENT;
	if (!q->err)
		q->err = kf_store_commit(q->store);
	return q->err;
}

static int run_one(struct kf_sql *q, bool on_row)
{
	if (q->err)
		return q->err;
	if (sqlite3_get_autocommit(q->store->db))
		return run_alone(q, on_row);
	kf_sql_step(q);
	if (!q->err && on_row && !q->changes)
		q->err = -ENOENT;
	return q->err;
}

int kf_sql_run(struct kf_sql *q)
{
	return run_one(q, false);
}

int kf_sql_run_on_row(struct kf_sql *q)
{
	return run_one(q, true);
}
