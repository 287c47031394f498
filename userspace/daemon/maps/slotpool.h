/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slotpool.h - which slots of kf_slots are free.
 *
 * A slot is taken while a credential in the store names it or a tag in kf_tags leads to it. A slot
 * given back rests: a program that found it just before its tag was deleted may still be looking
 * at it, so it is used again only after a grace period. Owned by struct kf_policy.
 */
#ifndef KEYFILTER_DAEMON_SLOTPOOL_H
#define KEYFILTER_DAEMON_SLOTPOOL_H

#include <stdint.h>

struct kf_slotpool;

int kf_maps_slotpool_open(struct kf_slotpool **out, uint32_t slots);
void kf_maps_slotpool_close(struct kf_slotpool *pool);

uint32_t
kf_maps_slotpool_free(const struct kf_slotpool *pool); /* how many can be taken, resting too */
int kf_maps_slotpool_take(struct kf_slotpool *pool, uint32_t *slot); /* -ENOSPC: none left */
void kf_maps_slotpool_mark(struct kf_slotpool *pool,
			   uint32_t slot); /* taken already, found at start */
void kf_maps_slotpool_retire(struct kf_slotpool *pool,
			     uint32_t slot);	      /* its tag is out of kf_tags */
void kf_maps_slotpool_rest(struct kf_slotpool *pool); /* all that are free rest first */
/* The same, if it is taken; a pool that is NULL is fine. */
void kf_maps_slotpool_put_back(struct kf_slotpool *pool, uint32_t slot);
void kf_maps_slotpool_untake(struct kf_slotpool *pool, uint32_t slot); /* taken, but never used */

#endif
