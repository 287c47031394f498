/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * failing_vfs.h - a disk that fails on command, for tests that include it once.
 *
 * A VFS of SQLite that stands before the real one and is the default from failing_vfs_open() on. It
 * counts what would change a disk: writes, truncations and syncs. The one that failing_vfs.at
 * counts down to fails, or that and all that follow. A write may fail after it was done; a sync
 * does nothing but succeed or fail, for what was written can be read by every process, and no power
 * is cut here. Files that cannot grow are those of a full disk.
 */
#ifndef KEYFILTER_TEST_FAILING_VFS_H
#define KEYFILTER_TEST_FAILING_VFS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

static struct {
	sqlite3_vfs vfs;
	sqlite3_vfs *real;
	sqlite3_io_methods methods;
	unsigned long calls; /* so far */
	unsigned long at;    /* the call that fails; 0: none */
	bool goes_on;	     /* and those after it */
	bool syncs_only;
	bool done_all_the_same; /* writes that fail */
	int code;		/* SQLITE_FULL; 0: SQLITE_IOERR_* of the call */
	sqlite3_int64 most;	/* bytes that a file can have, SQLITE_FULL behind them; 0: any */
} failing_vfs;

struct failing_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_file *real_file(sqlite3_file *file)
{
	return ((struct failing_file *)file)->real;
}

static bool fails_now(bool is_sync)
{
	if (failing_vfs.syncs_only && !is_sync)
		return false;
	failing_vfs.calls++;
	if (!failing_vfs.at || failing_vfs.calls < failing_vfs.at)
		return false;
	return failing_vfs.goes_on || failing_vfs.calls == failing_vfs.at;
}

static int failing_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at)
{
	if (failing_vfs.most && at + size > failing_vfs.most)
		return SQLITE_FULL;
	if (!fails_now(false))
		return real_file(file)->pMethods->xWrite(real_file(file), data, size, at);
	if (failing_vfs.done_all_the_same && !failing_vfs.code)
		real_file(file)->pMethods->xWrite(real_file(file), data, size, at);
	return failing_vfs.code ?: SQLITE_IOERR_WRITE;
}

static int failing_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	if (fails_now(false))
		return failing_vfs.code ?: SQLITE_IOERR_TRUNCATE;
	return real_file(file)->pMethods->xTruncate(real_file(file), size);
}

static int failing_sync(sqlite3_file *file, int flags)
{
	return fails_now(true) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

/* What is not to fail goes on to the real file. */
#define PASS(name, parameters, ...)                                                                \
	static int pass_##name parameters                                                          \
	{                                                                                          \
		return real_file(file)->pMethods->x##name(real_file(file), ##__VA_ARGS__);         \
	}
PASS(Read, (sqlite3_file * file, void *data, int size, sqlite3_int64 at), data, size, at)
PASS(FileSize, (sqlite3_file * file, sqlite3_int64 *size), size)
PASS(Lock, (sqlite3_file * file, int lock), lock)
PASS(Unlock, (sqlite3_file * file, int lock), lock)
PASS(CheckReservedLock, (sqlite3_file * file, int *held), held)
PASS(FileControl, (sqlite3_file * file, int operation, void *argument), operation, argument)
PASS(SectorSize, (sqlite3_file * file))
PASS(DeviceCharacteristics, (sqlite3_file * file))
PASS(ShmMap, (sqlite3_file * file, int page, int size, int extend, void volatile **out), page, size,
     extend, out)
PASS(ShmLock, (sqlite3_file * file, int offset, int n, int flags), offset, n, flags)
PASS(ShmUnmap, (sqlite3_file * file, int delete), delete)

static void failing_barrier(sqlite3_file *file)
{
	real_file(file)->pMethods->xShmBarrier(real_file(file));
}

static int failing_close(sqlite3_file *file)
{
	sqlite3_file *real = real_file(file);
	int code = real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;

	free(real);
	return code;
}

static int failing_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	struct failing_file *failing = (struct failing_file *)file;
	int code;

	memset(failing, 0, sizeof(*failing));
	failing->real = calloc(1, (size_t)failing_vfs.real->szOsFile);
	code = failing_vfs.real->xOpen(failing_vfs.real, name, failing->real, flags, out);
	if (code == SQLITE_OK)
		failing->base.pMethods = &failing_vfs.methods;
	else
		free(failing->real);
	return code;
}

static inline void failing_vfs_open(void)
{
	failing_vfs.real = sqlite3_vfs_find(NULL);
	failing_vfs.vfs = *failing_vfs.real;
	failing_vfs.vfs.zName = "failing";
	failing_vfs.vfs.szOsFile = sizeof(struct failing_file);
	failing_vfs.vfs.xOpen = failing_open;
	failing_vfs.methods = (sqlite3_io_methods){
		.iVersion = 2,
		.xClose = failing_close,
		.xRead = pass_Read,
		.xWrite = failing_write,
		.xTruncate = failing_truncate,
		.xSync = failing_sync,
		.xFileSize = pass_FileSize,
		.xLock = pass_Lock,
		.xUnlock = pass_Unlock,
		.xCheckReservedLock = pass_CheckReservedLock,
		.xFileControl = pass_FileControl,
		.xSectorSize = pass_SectorSize,
		.xDeviceCharacteristics = pass_DeviceCharacteristics,
		.xShmMap = pass_ShmMap,
		.xShmLock = pass_ShmLock,
		.xShmBarrier = failing_barrier,
		.xShmUnmap = pass_ShmUnmap,
	};
	sqlite3_vfs_register(&failing_vfs.vfs, 1);
}

/* From now on the @at-th call fails, 1 being the next one; 0: the disk is well again. */
static inline void failing_vfs_fail(unsigned long at, bool goes_on, int code)
{
	failing_vfs.calls = 0;
	failing_vfs.at = at;
	failing_vfs.goes_on = goes_on;
	failing_vfs.code = code;
}

#endif
