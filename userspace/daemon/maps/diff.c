// SPDX-License-Identifier: GPL-2.0-only
#include "maps/diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

void kf_maps_diff_begin(struct kf_mapdiff *diff, struct kf_maps *maps, enum kf_map map,
			size_t key_size, size_t value_size)
{
	memset(diff, 0, sizeof(*diff));
	diff->maps = maps;
	diff->map = map;
	diff->key_size = key_size;
	diff->value_size = value_size;
}

void kf_maps_diff_end(struct kf_mapdiff *diff)
{
	free(diff->want.entries);
	free(diff->have.entries);
}

static size_t entry_size(const struct kf_mapdiff *diff)
{
	return diff->key_size + diff->value_size;
}

static int append(const struct kf_mapdiff *diff, struct kf_mapdiff_table *table, const void *key,
		  const void *value)
{
	size_t size = entry_size(diff);
	char *entry;

	if (table->count == table->room) {
		size_t room = table->room ? 2 * table->room : 256;
		char *entries = reallocarray(table->entries, room, size);

		if (!entries)
			return -ENOMEM;
		table->entries = entries;
		table->room = room;
	}
	entry = table->entries + table->count++ * size;
	memcpy(entry, key, diff->key_size);
	memcpy(entry + diff->key_size, value, diff->value_size);
	table->sorted = false;
	return 0;
}

int kf_maps_diff_want(struct kf_mapdiff *diff, const void *key, const void *value)
{
	return append(diff, &diff->want, key, value);
}

int kf_maps_diff_have(struct kf_mapdiff *diff, const void *key, const void *value)
{
	return append(diff, &diff->have, key, value);
}

static int append_have(void *context, const void *key, const void *value)
{
	return kf_maps_diff_have(context, key, value);
}

int kf_maps_diff_read(struct kf_mapdiff *diff)
{
	return kf_maps_each(diff->maps, diff->map, append_have, diff);
}

static int compare_keys(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(size_t *)size);
}

static void sort(const struct kf_mapdiff *diff, struct kf_mapdiff_table *table)
{
	size_t key_size = diff->key_size;

	if (!table->sorted && table->count)
		qsort_r(table->entries, table->count, entry_size(diff), compare_keys, &key_size);
	table->sorted = true;
}

/*
 * Collects into @keys and @values what is in @from and not in @in: keys alone are compared, or
 * whole entries. Returns how many.
 */
static size_t subtract(const struct kf_mapdiff *diff, const struct kf_mapdiff_table *from,
		       const struct kf_mapdiff_table *in, bool whole, char *keys, char *values)
{
	size_t size = entry_size(diff), other = 0, count = 0;

	for (size_t i = 0; i < from->count; i++) {
		const char *entry = from->entries + i * size;

		if (i && !memcmp(entry, entry - size, diff->key_size))
			continue;
		while (other < in->count &&
		       memcmp(in->entries + other * size, entry, diff->key_size) < 0)
			other++;
		if (other < in->count &&
		    !memcmp(in->entries + other * size, entry, whole ? size : diff->key_size))
			continue;
		memcpy(keys + count * diff->key_size, entry, diff->key_size);
		if (values)
			memcpy(values + count * diff->value_size, entry + diff->key_size,
			       diff->value_size);
		count++;
	}
	return count;
}

int kf_maps_diff_put(struct kf_mapdiff *diff)
{
	_cleanup_free_ char *keys = malloc(diff->want.count * diff->key_size + 1);
	_cleanup_free_ char *values = malloc(diff->want.count * diff->value_size + 1);
	size_t count;

	if (!keys || !values)
		return -ENOMEM;
	sort(diff, &diff->want);
	sort(diff, &diff->have);
	count = subtract(diff, &diff->want, &diff->have, true, keys, values);
	return kf_maps_put_many(diff->maps, diff->map, keys, values, (uint32_t)count);
}

int kf_maps_diff_delete(struct kf_mapdiff *diff)
{
	_cleanup_free_ char *keys = malloc(diff->have.count * diff->key_size + 1);
	size_t count;

	if (!keys)
		return -ENOMEM;
	sort(diff, &diff->want);
	sort(diff, &diff->have);
	count = subtract(diff, &diff->have, &diff->want, false, keys, NULL);
	return kf_maps_delete_many(diff->maps, diff->map, keys, (uint32_t)count);
}
