/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpffs.h - a directory and a bpffs of the test's own, and the sizes of the maps in it, for tests
 * that include it once, after cmocka.h. The directory is a tmpfs, so that no disk is waited for;
 * both are mounted in a mount namespace, which needs root. A test that wants another size defines
 * its name (KEYS, SOURCES, FLOWS, PENALTIES) before.
 */
#ifndef KEYFILTER_TEST_BPFFS_H
#define KEYFILTER_TEST_BPFFS_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps/maps.h"

#ifndef KEYS
#define KEYS 8
#endif
#ifndef SOURCES
#define SOURCES 8
#endif
#ifndef FLOWS
#define FLOWS 64
#endif
#ifndef PENALTIES
#define PENALTIES 64
#endif

static const struct kf_maps_settings settings = {
	.keys_max = KEYS,
	.sources_max = SOURCES,
	.flows_max = FLOWS,
	.heads_max = 2,
	.embryos = 64,
	.penalties = PENALTIES,
	.syn_cells = 1024,
	.event_ring_bytes = 65536,
	.event_rate = 10,
	.head_timeout_ns = 1000000000,
};

#define NEEDS_ROOT()                                                                               \
	do {                                                                                       \
		if (geteuid()) {                                                                   \
			print_message("SKIP: needs root\n");                                       \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

/* @dir is made, @pins is where the maps may be pinned below it. */
static int bpffs_mount(char dir[static 64], char pins[static 96])
{
	strcpy(dir, "/tmp/kf_unit_test.XXXXXX");
	if (!mkdtemp(dir) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", dir, "tmpfs", 0, "mode=0700"))
		return -1;
	snprintf(pins, 96, "%s/bpf", dir);
	if (mkdir(pins, 0700) || mount("bpf", pins, "bpf", 0, NULL))
		return -1;
	strcat(pins, "/keyfilter");
	return 0;
}

static void bpffs_unmount(const char *dir)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/bpf", dir);
	umount2(path, MNT_DETACH);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
}

#endif
