// SPDX-License-Identifier: GPL-2.0-only
#include "maps/slotpool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "maps/maps.h"

enum { FREE, TAKEN, RESTING };

struct kf_slotpool {
	uint32_t slots;
	uint32_t free;
	uint32_t resting;
	uint32_t next; /* where to look on: slots are used in turn, so that one rests long */
	uint8_t state[];
};

int kf_maps_slotpool_open(struct kf_slotpool **out, uint32_t slots)
{
	struct kf_slotpool *pool = calloc(1, sizeof(*pool) + slots);

	if (!pool)
		return -ENOMEM;
	pool->slots = pool->free = slots;
	*out = pool;
	return 0;
}

void kf_maps_slotpool_close(struct kf_slotpool *pool)
{
	free(pool);
}

uint32_t kf_maps_slotpool_free(const struct kf_slotpool *pool)
{
	return pool->free + pool->resting;
}

/* One grace period is enough for all that rest. */
static void wake_resting(struct kf_slotpool *pool)
{
	kf_maps_quiesce();
	for (uint32_t i = 0; i < pool->slots; i++)
		if (pool->state[i] == RESTING)
			pool->state[i] = FREE;
	pool->free += pool->resting;
	pool->resting = 0;
}

static const uint8_t *find_free(const struct kf_slotpool *pool)
{
	const uint8_t *found = memchr(pool->state + pool->next, FREE, pool->slots - pool->next);

	return found ? found : memchr(pool->state, FREE, pool->next);
}

int kf_maps_slotpool_take(struct kf_slotpool *pool, uint32_t *slot)
{
	const uint8_t *found;

	if (!pool->free && pool->resting)
		wake_resting(pool);
	if (!pool->free)
		return -ENOSPC;
	found = find_free(pool);
	assert(found);
	*slot = (uint32_t)(found - pool->state);
	pool->state[*slot] = TAKEN;
	pool->free--;
	pool->next = (*slot + 1) % pool->slots;
	return 0;
}

void kf_maps_slotpool_take_all(struct kf_slotpool *pool)
{
	memset(pool->state, TAKEN, pool->slots);
	pool->free = pool->resting = 0;
}

bool kf_maps_slotpool_is_taken(const struct kf_slotpool *pool, uint32_t slot)
{
	return pool->state[slot] == TAKEN;
}

void kf_maps_slotpool_retire(struct kf_slotpool *pool, uint32_t slot)
{
	assert(slot < pool->slots && pool->state[slot] == TAKEN);
	pool->state[slot] = RESTING;
	pool->resting++;
}

void kf_maps_slotpool_put_back(struct kf_slotpool *pool, uint32_t slot)
{
	if (pool && slot < pool->slots && pool->state[slot] == TAKEN)
		kf_maps_slotpool_retire(pool, slot);
}

void kf_maps_slotpool_untake(struct kf_slotpool *pool, uint32_t slot)
{
	assert(slot < pool->slots && pool->state[slot] == TAKEN);
	pool->state[slot] = FREE;
	pool->free++;
}
