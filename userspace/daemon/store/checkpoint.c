// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the log holds goes into the database in a thread of its own, which has a connection of its
 * own. Writing and syncing the database takes longer than a revocation may wait, and in WAL mode
 * the log can be written meanwhile. A commit has synced the log before it is acknowledged, so no
 * acknowledged change depends on this thread; a checkpoint that fails is tried again after a later
 * commit.
 *
 * SQLite starts the log from its beginning only when all of it is in the database. Under constant
 * writing that never happens, so long changes that can wait do wait for this thread once the log is
 * long (kf_store_is_behind()).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/sqlite.h"

#define PAGES	    1000  /* as SQLite itself does it: 4 MiB */
#define PAGES_LONG  16000 /* and of these there should never be many more */
#define WAIT_NS	    200000
#define NS_PER_S    1000000000l
#define STACK_BYTES 262144

struct kf_store_checkpoint {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t change;
	sqlite3 *db; /* the thread's */
	int pages;   /* in the log, at the last commit */
	bool wanted, busy, stop;
};

static void *run(void *context)
{
	struct kf_store_checkpoint *checkpoint = context;

	pthread_mutex_lock(&checkpoint->lock);
	while (!checkpoint->stop) {
		if (!checkpoint->wanted) {
			pthread_cond_wait(&checkpoint->change, &checkpoint->lock);
			continue;
		}
		checkpoint->wanted = false;
		checkpoint->busy = true;
		pthread_mutex_unlock(&checkpoint->lock);
		sqlite3_wal_checkpoint_v2(checkpoint->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL,
					  NULL);
		pthread_mutex_lock(&checkpoint->lock);
		checkpoint->busy = false;
		pthread_cond_broadcast(&checkpoint->change);
	}
	pthread_mutex_unlock(&checkpoint->lock);
	return NULL;
}

/* On a full disk the log is emptied before each transaction: see empty_log() in commit.c. */
static int on_commit(void *context, sqlite3 *db, const char *name, int pages)
{
	struct kf_store *store = context;
	struct kf_store_checkpoint *checkpoint = store->checkpoint;

	pthread_mutex_lock(&checkpoint->lock);
	checkpoint->pages = pages;
	if (pages >= PAGES && !store->cramped) {
		checkpoint->wanted = true;
		pthread_cond_broadcast(&checkpoint->change);
	}
	pthread_mutex_unlock(&checkpoint->lock);
	return SQLITE_OK;
}

static int start(struct kf_store_checkpoint *checkpoint)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&checkpoint->thread, &attr, run, checkpoint);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!err)
		pthread_setname_np(checkpoint->thread, "kf-checkpoint");
	return -err;
}

static void free_checkpoint(struct kf_store_checkpoint *checkpoint)
{
	sqlite3_close(checkpoint->db);
	pthread_cond_destroy(&checkpoint->change);
	pthread_mutex_destroy(&checkpoint->lock);
	free(checkpoint);
}

int kf_store_checkpoint_open(struct kf_store *store)
{
	struct kf_store_checkpoint *checkpoint = calloc(1, sizeof(*checkpoint));
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
	int on = 1, err;
	char path[PATH_MAX];

	if (!checkpoint)
		return -ENOMEM;
	pthread_mutex_init(&checkpoint->lock, NULL);
	pthread_cond_init(&checkpoint->change, NULL);
	err = kf_store_path(store, "", path);
	if (!err && sqlite3_open_v2(path, &checkpoint->db, flags, NULL) != SQLITE_OK)
		err = -EIO;
	if (!err) {
		sqlite3_file_control(checkpoint->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
		sqlite3_exec(checkpoint->db,
			     "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF", NULL, NULL,
			     NULL);
		err = start(checkpoint);
	}
	if (err) {
		free_checkpoint(checkpoint);
		return err;
	}
	store->checkpoint = checkpoint;
	sqlite3_wal_hook(store->db, on_commit, store);
	return 0;
}

void kf_store_checkpoint_close(struct kf_store *store)
{
	struct kf_store_checkpoint *checkpoint = store->checkpoint;

	if (!checkpoint)
		return;
	sqlite3_wal_hook(store->db, NULL, NULL);
	store->checkpoint = NULL;
	pthread_mutex_lock(&checkpoint->lock);
	checkpoint->stop = true;
	pthread_cond_broadcast(&checkpoint->change);
	pthread_mutex_unlock(&checkpoint->lock);
	pthread_join(checkpoint->thread, NULL);
	free_checkpoint(checkpoint);
}

bool kf_store_is_behind(struct kf_store *store)
{
	struct kf_store_checkpoint *checkpoint = store->checkpoint;
	struct timespec until;
	bool behind;

	if (!checkpoint)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_NS;
	if (until.tv_nsec >= NS_PER_S) {
		until.tv_nsec -= NS_PER_S;
		until.tv_sec++;
	}
	pthread_mutex_lock(&checkpoint->lock);
	behind = checkpoint->pages >= PAGES_LONG && (checkpoint->wanted || checkpoint->busy);
	if (behind)
		pthread_cond_clockwait(&checkpoint->change, &checkpoint->lock, CLOCK_MONOTONIC,
				       &until);
	pthread_mutex_unlock(&checkpoint->lock);
	return behind;
}
