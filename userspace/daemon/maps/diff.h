/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * diff.h - brings a hash map or LPM trie to wanted contents by its difference only.
 *
 * One comparison is a sequence of calls:
 *
 *	begin
 *	want		for every entry that the map shall have
 *	read		reads what the map has; or have, for each entry that was read before
 *	put		writes what is missing or different
 *	delete		deletes what is not wanted
 *	end
 *
 * Putting and deleting are separate, so that the caller may order them among other changes. A key
 * wanted twice must be wanted with the same value. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_MAPS_DIFF_H
#define KEYFILTER_DAEMON_MAPS_DIFF_H

#include <stddef.h>

#include "maps/maps.h"

struct kf_mapdiff_table {
	char *entries; /* key and value, one after the other */
	size_t count;
	size_t room;
	bool sorted;
};

struct kf_mapdiff {
	struct kf_maps *maps;
	enum kf_map map;
	size_t key_size;
	size_t value_size;
	struct kf_mapdiff_table want;
	struct kf_mapdiff_table have;
};

void kf_maps_diff_begin(struct kf_mapdiff *diff, struct kf_maps *maps, enum kf_map map,
			size_t key_size, size_t value_size);
void kf_maps_diff_end(struct kf_mapdiff *diff); /* for _cleanup_, too */

int kf_maps_diff_want(struct kf_mapdiff *diff, const void *key, const void *value);
int kf_maps_diff_have(struct kf_mapdiff *diff, const void *key, const void *value);
int kf_maps_diff_read(struct kf_mapdiff *diff);
int kf_maps_diff_put(struct kf_mapdiff *diff); /* -E2BIG or -ENOSPC: full */
int kf_maps_diff_delete(struct kf_mapdiff *diff);

#endif
