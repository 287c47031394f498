/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slotpool.h - which slots of kf_slots are free.
 *
 * A slot is taken while a credential in the store names it or a tag in kf_tags leads to it. A slot
 * given back rests: a program that found it just before its tag was deleted may still be looking
 * at it, so it is used again only after a grace period. Owned by struct kf_policy.
 */
#ifndef KEYFILTER_DAEMON_MAPS_SLOTPOOL_H
#define KEYFILTER_DAEMON_MAPS_SLOTPOOL_H

#include <stdbool.h>
#include <stdint.h>

struct kf_slotpool;

int kf_maps_slotpool_open(struct kf_slotpool **out, uint32_t slots);
void kf_maps_slotpool_close(struct kf_slotpool *pool);

uint32_t
kf_maps_slotpool_free(const struct kf_slotpool *pool); /* how many can be taken, resting too */
int kf_maps_slotpool_take(struct kf_slotpool *pool, uint32_t *slot); /* -ENOSPC: none left */
/* Before it is known which are free: none is. */
void kf_maps_slotpool_take_all(struct kf_slotpool *pool);
bool kf_maps_slotpool_is_taken(const struct kf_slotpool *pool, uint32_t slot);
void kf_maps_slotpool_retire(struct kf_slotpool *pool,
			     uint32_t slot); /* its tag is out of kf_tags */
/* The same, if it is taken; a pool that is NULL is fine. */
void kf_maps_slotpool_put_back(struct kf_slotpool *pool, uint32_t slot);
void kf_maps_slotpool_untake(struct kf_slotpool *pool, uint32_t slot); /* taken, but never used */

#endif
