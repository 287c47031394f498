// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections to the store for threads that only read. In WAL mode they neither wait for the one
 * that writes nor make it wait, and between begin and end they see the store as it was when they
 * first looked. A snapshot that is held for long keeps the WAL growing, so its time is limited.
 */
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "store/sqlite.h"
#include "why.h"

#define STEPS_AT_A_TIME 4000 /* of SQLite's machine: well under a millisecond */
#define BUSY_TIMEOUT_MS 5000

/* SQLite asks now and then; not 0 ends the statement with SQLITE_INTERRUPT. */
static int must_end(void *context)
{
	const struct kf_store *store = context;

	return __atomic_load_n(&store->interrupted, __ATOMIC_RELAXED) ||
	       (store->read_until_ns && kf_clock_monotonic() > store->read_until_ns);
}

KF_CLEANUP_DEFINE(struct kf_store, kf_store_close)

int kf_store_open_reading(struct kf_store **out, const char *state_dir, struct kf_why *why)
{
	_cleanup_(kf_store_closep) struct kf_store *store = calloc(1, sizeof(*store));
	char path[PATH_MAX];
	int code;

	if (!store)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	store->total_at = -1;
	if (!realpath(state_dir, store->dir) || kf_store_path(store, "", path))
		return kf_why_set(why, -ENOENT, "cannot use %s; give another --state-dir",
				  state_dir);
	code = sqlite3_open_v2(path, &store->db,
			       SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
			       NULL);
	if (code != SQLITE_OK)
		return kf_why_set(why, -EIO, "cannot open %s for reading: %s; %s", path,
				  sqlite3_errmsg(store->db), "see the limit of open files");
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	sqlite3_progress_handler(store->db, STEPS_AT_A_TIME, must_end, store);
	sqlite3_exec(store->db,
		     "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
		     "PRAGMA cache_size = -8192;",
		     NULL, NULL, NULL);
	*out = TAKE_PTR(store);
	return 0;
}

void kf_store_read_begin(struct kf_store *store, uint64_t limit_ns)
{
	store->read_until_ns = kf_clock_monotonic() + limit_ns;
	sqlite3_exec(store->db, "BEGIN", NULL, NULL, NULL);
}

void kf_store_read_end(struct kf_store *store)
{
	store->read_until_ns = 0;
	kf_store_rollback(store);
}

void kf_store_interrupt(struct kf_store *store)
{
	__atomic_store_n(&store->interrupted, true, __ATOMIC_RELAXED);
}
