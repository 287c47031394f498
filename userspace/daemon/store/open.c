// SPDX-License-Identifier: GPL-2.0-only
/* How the store is opened: what may be believed, what SQLite is told, migrations. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "store/sqlite.h"
#include "why.h"

#define BUSY_TIMEOUT_MS 5000

/*
 * The texts of schema*.sql, as the assembler finds them from the top of the source tree. String
 * literals would be second copies.
 */
__asm__(".section .rodata\n"
	"kf_store_schema:\n"
	".incbin \"userspace/daemon/store/schema.sql\"\n"
	".byte 0\n"
	"kf_store_schema_2:\n"
	".incbin \"userspace/daemon/store/schema_2.sql\"\n"
	".byte 0\n"
	"kf_store_schema_3:\n"
	".incbin \"userspace/daemon/store/schema_3.sql\"\n"
	".byte 0\n"
	"kf_store_schema_4:\n"
	".incbin \"userspace/daemon/store/schema_4.sql\"\n"
	".byte 0\n"
	"kf_store_schema_5:\n"
	".incbin \"userspace/daemon/store/schema_5.sql\"\n"
	".byte 0\n"
	"kf_store_schema_6:\n"
	".incbin \"userspace/daemon/store/schema_6.sql\"\n"
	".byte 0\n"
	"kf_store_schema_7:\n"
	".incbin \"userspace/daemon/store/schema_7.sql\"\n"
	".byte 0\n"
	"kf_store_schema_8:\n"
	".incbin \"userspace/daemon/store/schema_8.sql\"\n"
	".byte 0\n"
	"kf_store_schema_9:\n"
	".incbin \"userspace/daemon/store/schema_9.sql\"\n"
	".byte 0\n"
	".previous\n");
extern const char kf_store_schema[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_2[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_3[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_4[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_5[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_6[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_7[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_8[] __attribute__((visibility("hidden")));
extern const char kf_store_schema_9[] __attribute__((visibility("hidden")));

/* migrations[N] leads from version N to N + 1. */
static const char *const migrations[] = {
	kf_store_schema,   kf_store_schema_2, kf_store_schema_3,
	kf_store_schema_4, kf_store_schema_5, kf_store_schema_6,
	kf_store_schema_7, kf_store_schema_8, kf_store_schema_9,
};
_Static_assert(sizeof(migrations) / sizeof(migrations[0]) == KF_STORE_VERSION,
	       "a version without its migration");

static int execute(struct kf_store *store, const char *text)
{
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : kf_sql_failed(store, code);
}

/* ---- sealing --------------------------------------------------------------------------------- */

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

/* ---- migrations ------------------------------------------------------------------------------ */

static int read_version(struct kf_store *store, int *version)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "PRAGMA user_version");

	if (kf_sql_step(&q))
		*version = (int)kf_sql_int(&q);
	return q.err;
}

static int migrate_once(struct kf_store *store, int version)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = store;
	char text[64];
	int err;

	snprintf(text, sizeof(text), "PRAGMA user_version = %d", version + 1);
	err = execute(store, "BEGIN IMMEDIATE");
	if (!err)
		err = execute(store, migrations[version]);
	if (!err)
		err = execute(store, text);
	return err ? err : execute(store, "COMMIT");
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
					  "cannot migrate %s from version %d: %s; nothing of it is "
					  "lost, see to the disk and start again, or install the "
					  "older keyfilterd again",
					  path, version, store->error);
	}
	return 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

/*
 * A journal or a write-ahead log that somebody else left is a policy that somebody else wrote:
 * SQLite would believe it. -shm is read by nobody before it is made anew, but written to.
 */
static int check_files(int dir, const char *state_dir, struct kf_why *why)
{
	static const char *const names[] = { KF_STORE_FILE, KF_STORE_FILE "-journal",
					     KF_STORE_FILE "-wal", KF_STORE_FILE "-shm" };
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(names) / sizeof(names[0]); i++)
		err = kf_directory_check_file(dir, state_dir, names[i], why);
	return err;
}

/*
 * A log without its database: SQLite would empty it, and what it has may be all that is left of the
 * last changes, once the database is back.
 */
static int check_log(int dir, const char *state_dir, struct kf_why *why)
{
	struct stat database = { 0 }, log;

	if (!fstatat(dir, KF_STORE_FILE, &database, AT_SYMLINK_NOFOLLOW) && database.st_size)
		return 0;
	if (fstatat(dir, KF_STORE_FILE "-wal", &log, AT_SYMLINK_NOFOLLOW) || !log.st_size)
		return 0;
	return kf_why_set(why, -EUCLEAN,
			  "%s/" KF_STORE_FILE " is %s, and " KF_STORE_FILE
			  "-wal has changes that belong to it; restore it from a backup, or move "
			  "both away to begin with an empty store",
			  state_dir, database.st_ino ? "empty" : "missing");
}

/* SQLite gives -wal and -shm the mode of the database itself, so that one is made first. */
static int create_file(int dir, const char *state_dir, struct kf_why *why)
{
	_cleanup_close_ int fd = openat(
		dir, KF_STORE_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0 && errno == EROFS)
		return kf_why_set(
			why, -EROFS,
			"cannot write to %s, which is mounted read-only, so no change could "
			"be kept; what is attached goes on filtering as it is; see why it "
			"is (dmesg), then mount it writable (mount -o remount,rw) or give "
			"another --state-dir",
			state_dir);
	if (fd < 0)
		return kf_why_set(why, -errno,
				  "cannot open %s/" KF_STORE_FILE
				  ": %s; see that the directory is there and belongs to the user "
				  "of keyfilterd",
				  state_dir, strerror(errno));
	if (fchmod(fd, 0600))
		return kf_why_set(why, -errno,
				  "cannot set the mode of %s/" KF_STORE_FILE
				  ": %s; see that it belongs to the user of keyfilterd",
				  state_dir, strerror(errno));
	return 0;
}

static int prepare_files(const char *state_dir, struct kf_why *why)
{
	_cleanup_close_ int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (dir < 0)
		return kf_why_set(why, -errno, "cannot open %s: %s; make it with mode 0700",
				  state_dir, strerror(errno));
	err = check_files(dir, state_dir, why);
	if (!err)
		err = check_log(dir, state_dir, why);
	return err ? err : create_file(dir, state_dir, why);
}

/* ---- open ------------------------------------------------------------------------------------ */

/*
 * The files stay when the last connection ends, the log empty: a start with a full disk finds them.
 * trusted_schema: a store from elsewhere cannot run functions through views or
 * triggers.
 */
static int configure(struct kf_store *store)
{
	int on = 1;

	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	return execute(store, "PRAGMA journal_mode = WAL;"
			      "PRAGMA synchronous = FULL;"
			      "PRAGMA foreign_keys = ON;"
			      "PRAGMA trusted_schema = OFF;"
			      "PRAGMA cell_size_check = ON;"
			      "PRAGMA cache_size = -65536;");
}

static int open_database(struct kf_store *store, const char *path, struct kf_why *why)
{
	/* one thread's own: a lock for each column of a million rows is a quarter of the time */
	int code = sqlite3_open_v2(
		path, &store->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, NULL);
	int err;

	if (code != SQLITE_OK)
		return kf_why_set(why, -EIO, "cannot open %s: %s; restore it from a backup", path,
				  sqlite3_errmsg(store->db));
	err = configure(store);
	return err ? kf_why_set(why, err,
				"cannot use %s: %s; see to its disk, end whatever else has it "
				"open, or restore it from a backup",
				path, store->error)
		   : 0;
}

/*
 * What a crash left in the log goes into the database, written and synced once more: of what the
 * former process could not sync, the page cache may show what the disk does not have.
 */
static void settle_log(struct kf_store *store)
{
	sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_FULL, NULL, NULL);
}

KF_CLEANUP_DEFINE(struct kf_store, kf_store_close)

int kf_store_open(struct kf_store **out, const char *state_dir, struct kf_why *why)
{
	_cleanup_(kf_store_closep) struct kf_store *store = calloc(1, sizeof(*store));
	char path[PATH_MAX];
	int err;

	if (!store)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	store->total_at = -1;
	if (!realpath(state_dir, store->dir))
		return kf_why_set(why, -errno, "cannot use %s: %s; give another --state-dir",
				  state_dir, strerror(errno));
	if (kf_store_path(store, "", path))
		return kf_why_set(why, -ENAMETOOLONG,
				  "the state directory's name is too long; "
				  "give another --state-dir");
	err = prepare_files(store->dir, why);
	if (!err)
		err = open_database(store, path, why);
	if (!err)
		err = migrate(store, path, why);
	if (err)
		return err;
	settle_log(store);
	err = kf_store_commit_open(store);
	if (err)
		return kf_why_set(why, err, "cannot read %s: %s; restore it from a backup", path,
				  store->error);
	*out = TAKE_PTR(store);
	return 0;
}

void kf_store_close(struct kf_store *store)
{
	if (!store)
		return;
	kf_store_rollback(store);
	kf_store_checkpoint_close(store);
	if (store->db) /* a log that stayed would be played over a backup that is put in place */
		sqlite3_exec(store->db, "PRAGMA journal_size_limit = 0", NULL, NULL, NULL);
	for (int i = 0; i < KF_SQL_STATEMENTS && store->statements[i].text; i++)
		sqlite3_finalize(store->statements[i].statement);
	sqlite3_close(store->db);
	free(store);
}
