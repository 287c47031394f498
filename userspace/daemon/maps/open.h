/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * open.h - what the files of maps/ share among themselves.
 *
 *	pin.c		where the pins are
 *	open.c		makes, opens and checks the maps
 *	running.c	which maps the programs use, and their pins made again
 *	maps.c		what is in them
 *	slot.c, group.c, wallet.c, penalty.c	what is memory-mapped of keys, groups,
 *			money and sources
 */
#ifndef KEYFILTER_DAEMON_MAPS_OPEN_H
#define KEYFILTER_DAEMON_MAPS_OPEN_H

#include <stddef.h>

#include "maps/maps.h"

/* What the object says about a map (bpf/maps.bpf.h), and how many entries the settings want. */
struct kf_map_spec {
	uint32_t type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags;
};

struct kf_maps {
	int dir; /* the pin directory, locked while it is open */
	bool fresh;
	uint32_t cpus; /* possible ones: places in the values of per-CPU maps */
	int fd[KF_MAP_COUNT];
	struct kf_map_spec spec[KF_MAP_COUNT];
	struct kf_config *config;
	size_t config_bytes;
	struct kf_slot *slots;
	size_t slots_bytes;
	struct kf_group *groups;
	size_t groups_bytes;
	struct kf_wallet *wallets;
	size_t wallets_bytes;
	struct kf_penalty_set *penalties;
	size_t penalties_bytes;
	uint64_t cuts[KF_SERVICES_MAX]; /* by the controller, unseen by the programs; atomic */
};

#define KF_MAPS_PATH_SIZE 4096

/* -ENOTSUP: @pin_dir is not on a bpffs. */
int kf_maps_pin_check_fs(const char *pin_dir, struct kf_why *why);
int kf_maps_pin_make_directory(const char *path, struct kf_why *why); /* 0 also if it is there */
/* The directory, open and locked until it is closed; -EBUSY: another process has it. */
int kf_maps_pin_lock(const char *pin_dir, struct kf_why *why);
int kf_maps_pin_path(char path[static KF_MAPS_PATH_SIZE], const char *pin_dir, enum kf_map map);
int kf_maps_pin_remove(const char *pin_dir, struct kf_why *why); /* every map's */

#endif
