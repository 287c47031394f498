// SPDX-License-Identifier: GPL-2.0-only
#include "maps/maps.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cleanup.h"
#include "maps/open.h"

#define BATCH	   4096 /* entries a system call */
#define BUSY_TRIES 1000
#define VALUE_MAX  256 /* of the maps that put() is for */

bool kf_maps_are_fresh(const struct kf_maps *maps)
{
	return maps->fresh;
}

/* The magic last, with release: a reader that sees it sees all the rest. */
void kf_maps_seal(struct kf_maps *maps)
{
	__atomic_store_n(&maps->config->version, KF_ABI_VERSION, __ATOMIC_RELEASE);
	__atomic_store_n(&maps->config->magic, KF_ABI_MAGIC, __ATOMIC_RELEASE);
}

int kf_maps_fd(const struct kf_maps *maps, enum kf_map map)
{
	return maps->fd[map];
}

uint32_t kf_maps_entries(const struct kf_maps *maps, enum kf_map map)
{
	return maps->spec[map].max_entries;
}

/* ---- kf_config ------------------------------------------------------------------------------- */

struct kf_config *kf_maps_config(struct kf_maps *maps)
{
	return maps->config;
}

void kf_maps_config_flags(struct kf_maps *maps, uint32_t set, uint32_t clear)
{
	uint32_t flags = (maps->config->flags & ~clear) | set;

	__atomic_store_n(&maps->config->flags, flags, __ATOMIC_RELEASE);
}

/* Release: a program that reads the new number finds the new entries. */
void kf_maps_sources_changed(struct kf_maps *maps)
{
	__atomic_fetch_add(&maps->config->source_generation, 1, __ATOMIC_RELEASE);
}

/* ---- entries --------------------------------------------------------------------------------- */

static bool is_busy(int err)
{
	return err == -EBUSY || err == -EAGAIN;
}

/* The first tries only give way; a lock held for longer gets 100 us at a time. */
static void wait_a_little(int try)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	if (try < 10)
		sched_yield();
	else
		nanosleep(&pause, NULL);
}

int kf_maps_get(struct kf_maps *maps, enum kf_map map, const void *key, void *value)
{
	return bpf_map_lookup_elem(maps->fd[map], key, value);
}

/* Did an update that answered "busy" happen all the same? */
static bool says(struct kf_maps *maps, enum kf_map map, const void *key, const void *value)
{
	uint8_t found[VALUE_MAX];
	size_t size = maps->spec[map].value_size;

	return size <= sizeof(found) && !kf_maps_get(maps, map, key, found) &&
	       !memcmp(found, value, size);
}

int kf_maps_put(struct kf_maps *maps, enum kf_map map, const void *key, const void *value)
{
	int err = 0;

	for (int try = 0; try < BUSY_TRIES; try++) {
		err = bpf_map_update_elem(maps->fd[map], key, value, BPF_ANY);
		if (!is_busy(err))
			return err;
		if (says(maps, map, key, value))
			return 0;
		wait_a_little(try);
	}
	return err;
}

int kf_maps_delete(struct kf_maps *maps, enum kf_map map, const void *key)
{
	int err = 0;

	for (int try = 0; try < BUSY_TRIES; try++) {
		err = bpf_map_delete_elem(maps->fd[map], key);
		if (!is_busy(err))
			return err;
		wait_a_little(try);
	}
	return err;
}

/*
 * A batch that fails half-way does not always say where (its count is left alone by the kernel's
 * earliest checks), so its entries are done again one by one; both are idempotent.
 */
int kf_maps_put_many(struct kf_maps *maps, enum kf_map map, const void *keys, const void *values,
		     uint32_t count)
{
	const struct kf_map_spec *spec = &maps->spec[map];
	const char *key = keys, *value = values;
	int err = 0;

	while (!err && count) {
		uint32_t n = count < BATCH ? count : BATCH, done = n;

		if (bpf_map_update_batch(maps->fd[map], key, value, &done, NULL) || done != n)
			for (uint32_t i = 0; !err && i < n; i++)
				err = kf_maps_put(maps, map, key + (size_t)i * spec->key_size,
						  value + (size_t)i * spec->value_size);
		key += (size_t)n * spec->key_size;
		value += (size_t)n * spec->value_size;
		count -= n;
	}
	return err;
}

int kf_maps_delete_many(struct kf_maps *maps, enum kf_map map, const void *keys, uint32_t count)
{
	size_t size = maps->spec[map].key_size;
	const char *key = keys;
	int err = 0;

	while (!err && count) {
		uint32_t n = count < BATCH ? count : BATCH, done = n;

		if (bpf_map_delete_batch(maps->fd[map], key, &done, NULL) || done != n)
			for (uint32_t i = 0; !err && i < n; i++) {
				err = kf_maps_delete(maps, map, key + i * size);
				if (err == -ENOENT)
					err = 0;
			}
		key += n * size;
		count -= n;
	}
	return err;
}

/* ---- walks ----------------------------------------------------------------------------------- */

struct batch {
	char *keys;
	char *values;
	uint32_t room;
	char position[32]; /* where the kernel goes on: a bucket, or the last key of a trie */
};

static void free_batch(struct batch *batch)
{
	free(batch->keys);
	free(batch->values);
}

static int make_room(const struct kf_map_spec *spec, struct batch *batch, uint32_t room)
{
	free_batch(batch);
	batch->keys = malloc((size_t)room * spec->key_size);
	batch->values = malloc((size_t)room * spec->value_size);
	batch->room = room;
	return batch->keys && batch->values ? 0 : -ENOMEM;
}

/*
 * The next entries, at most batch->room, which grows where one bucket holds more. *count is how
 * many came. 1: there is more; 0: those were the last.
 */
static int next_batch(struct kf_maps *maps, enum kf_map map, struct batch *batch, bool begun,
		      uint32_t *count)
{
	int err;

	for (;;) {
		*count = batch->room;
		err = bpf_map_lookup_batch(maps->fd[map], begun ? batch->position : NULL,
					   batch->position, batch->keys, batch->values, count,
					   NULL);
		if (err != -ENOSPC)
			break;
		err = make_room(&maps->spec[map], batch, 2 * batch->room);
		if (err)
			return err;
	}
	if (err && err != -ENOENT)
		return err;
	return err ? 0 : 1;
}

static int give_batch(const struct kf_map_spec *spec, const struct batch *batch, uint32_t count,
		      kf_maps_fn fn, void *context)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = fn(context, batch->keys + (size_t)i * spec->key_size,
			 batch->values + (size_t)i * spec->value_size);
	return err;
}

int kf_maps_each(struct kf_maps *maps, enum kf_map map, kf_maps_fn fn, void *context)
{
	_cleanup_(free_batch) struct batch batch = { 0 };
	bool begun = false;
	uint32_t count;
	int more, err;

	err = make_room(&maps->spec[map], &batch, BATCH);
	if (err)
		return err;
	do {
		more = next_batch(maps, map, &batch, begun, &count);
		if (more < 0)
			return more;
		err = give_batch(&maps->spec[map], &batch, count, fn, context);
		begun = true;
	} while (!err && more);
	return err;
}

int kf_maps_slice(struct kf_maps *maps, enum kf_map map, struct kf_maps_cursor *cursor,
		  uint32_t want, kf_maps_fn fn, void *context)
{
	_cleanup_(free_batch) struct batch batch = { 0 };
	uint32_t count;
	int more, err;

	err = make_room(&maps->spec[map], &batch, want);
	if (err)
		return err;
	memcpy(batch.position, cursor->position, sizeof(cursor->position));
	more = next_batch(maps, map, &batch, cursor->begun, &count);
	if (more < 0)
		return more;
	memcpy(cursor->position, batch.position, sizeof(cursor->position));
	cursor->begun = true;
	err = give_batch(&maps->spec[map], &batch, count, fn, context);
	return err ? err : more;
}

/* ---- counters -------------------------------------------------------------------------------- */

/* Every member of struct kf_counters is a word, so none can be forgotten in the sum. */
#define COUNTER_WORDS (sizeof(struct kf_counters) / sizeof(uint64_t))

union counter_words {
	struct kf_counters counters;
	uint64_t words[COUNTER_WORDS];
};

int kf_maps_counters(struct kf_maps *maps, uint32_t service, struct kf_counters *out)
{
	_cleanup_free_ union counter_words *each = calloc(maps->cpus, sizeof(*each));
	union counter_words sum = { 0 };
	int err;

	if (!each)
		return -ENOMEM;
	err = kf_maps_get(maps, KF_MAP_kf_counters, &service, each);
	if (err)
		return err;
	for (uint32_t cpu = 0; cpu < maps->cpus; cpu++)
		for (size_t i = 0; i < COUNTER_WORDS; i++)
			sum.words[i] += each[cpu].words[i];
	*out = sum.counters;
	if (service < KF_SERVICES_MAX)
		out->flows_cut += __atomic_load_n(&maps->cuts[service], __ATOMIC_RELAXED);
	return 0;
}

void kf_maps_count_cut(struct kf_maps *maps, uint32_t service)
{
	if (service < KF_SERVICES_MAX)
		__atomic_fetch_add(&maps->cuts[service], 1, __ATOMIC_RELAXED);
}

int kf_maps_counters_clear(struct kf_maps *maps, uint32_t service)
{
	_cleanup_free_ struct kf_counters *zero = calloc(maps->cpus, sizeof(*zero));

	if (!zero)
		return -ENOMEM;
	if (service < KF_SERVICES_MAX)
		__atomic_store_n(&maps->cuts[service], 0, __ATOMIC_RELAXED);
	return bpf_map_update_elem(maps->fd[KF_MAP_kf_counters], &service, zero, BPF_ANY);
}

int kf_maps_event_losses(struct kf_maps *maps, uint64_t *suppressed, uint64_t *lost)
{
	_cleanup_free_ struct kf_event_rate *each = calloc(maps->cpus, sizeof(*each));
	uint64_t sums[2] = { 0 };
	__u32 zero = 0;
	int err;

	if (!each)
		return -ENOMEM;
	err = kf_maps_get(maps, KF_MAP_kf_event_rate, &zero, each);
	if (err)
		return err;
	for (uint32_t cpu = 0; cpu < maps->cpus; cpu++) {
		sums[0] += each[cpu].suppressed;
		sums[1] += each[cpu].lost;
	}
	*suppressed = sums[0];
	*lost = sums[1];
	return 0;
}

int kf_maps_unread(struct kf_maps *maps, struct kf_unread *out)
{
	_cleanup_free_ struct kf_unread *each = calloc(maps->cpus, sizeof(*each));
	struct kf_unread sum = { 0 };
	__u32 zero = 0;
	int err;

	if (!each)
		return -ENOMEM;
	err = kf_maps_get(maps, KF_MAP_kf_unread, &zero, each);
	if (err)
		return err;
	for (uint32_t cpu = 0; cpu < maps->cpus; cpu++)
		for (size_t i = 0; i < KF_UNREAD_MAX; i++)
			sum.packets[i] += each[cpu].packets[i];
	*out = sum;
	return 0;
}

/* XDP and TC programs run with RCU read-locked; MEMBARRIER_CMD_GLOBAL is synchronize_rcu(). */
void kf_maps_quiesce(void)
{
	const struct timespec while_later = { .tv_nsec = 50000000 };

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&while_later, NULL); /* nohz_full has no such command: wait it out */
}
