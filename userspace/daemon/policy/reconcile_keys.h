/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * reconcile_keys.h - brings kf_slots, kf_tags and kf_key_allow to what the store says, in slices.
 *
 * A comparison of all keys may take seconds, in which any key may be changed. What is wanted is
 * therefore read anew from the store in the slice that writes it; what the maps had may have been
 * read before, for only that is taken away which is not wanted at that moment. A change of a key
 * first settles that key, wherever the comparison is, so that the change finds it as the comparison
 * would leave it. One comparison at a time; the loop's thread. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_POLICY_RECONCILE_KEYS_H
#define KEYFILTER_DAEMON_POLICY_RECONCILE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "maps/maps.h"

struct kf_key_state;
struct kf_policy;
struct kf_why;

enum kf_reconcile_phase {
	KF_RECONCILE_CLOSE,
	KF_RECONCILE_TAGS,
	KF_RECONCILE_BLOCKS,
	KF_RECONCILE_PLACE,
	KF_RECONCILE_SHARE,
	KF_RECONCILE_DONE,
};

#define KF_RECONCILE_STRETCH 256 /* places whose rows are read at once, at most */

/* Of a place in kf_slots; or-ed. */
#define KF_RECONCILE_STALE   0x1u /* closed: its owner does not belong there; its tag has to go */
#define KF_RECONCILE_TAGGED  0x2u /* kf_tags leads to it */
#define KF_RECONCILE_KEPT    0x4u /* of a batch that is not whole: not wanted, but not free */
#define KF_RECONCILE_COUNTED 0x8u /* its allow list is in policy->allow_entries */

/* A comparison under way; owned by struct kf_policy. */
struct kf_policy_reconcile_keys {
	struct kf_policy *policy;
	struct kf_maps *maps;
	enum kf_reconcile_phase phase;
	bool fresh; /* the maps were empty: nothing has to go */
	bool dirty; /* a tag was deleted, and no grace period has passed since */
	uint32_t slots;
	uint32_t at; /* of the phase: the next place, or the next of later */
	struct kf_maps_cursor tag_cursor, block_cursor;
	uint8_t *marks; /* KF_RECONCILE_* by place */

	/* what kf_key_allow had; by place once have_blocks is set */
	struct kf_key_prefix *blocks;
	size_t block_count, block_room;
	bool have_blocks;

	/* places whose rate counts at another one: written when all others are */
	uint32_t *later;
	uint32_t later_count, later_room;
};

/*
 * Begins a comparison (again). -ENOSPC: the store has a key in a place that is not there; -ENOMEM;
 * or the store cannot be read. Nothing of the kernel is changed yet.
 */
int kf_policy_reconcile_keys_begin(struct kf_policy *policy, struct kf_why *why);
/*
 * Goes on for about a millisecond. 1: call again; 0: all keys are right; -errno: the comparison is
 * over, and what it did not come to may be as it was.
 */
int kf_policy_reconcile_keys_step(struct kf_policy *policy, struct kf_why *why);
void kf_policy_reconcile_keys_end(struct kf_policy *policy); /* no further; may be called always */

/*
 * Makes the places of one key, which @state is of, what the store says, without waiting for the
 * comparison; nothing to do where none is under way. What cannot be given is left closed and noted
 * in policy->mend. -ENOMEM: it could not even be seen what would have to go; nothing is opened.
 */
int kf_policy_reconcile_settle(struct kf_policy *policy, const struct kf_key_state *state);

/* The allow list of the credential in @slot is in policy->allow_entries now. */
void kf_policy_reconcile_keys_counted(struct kf_policy *policy, uint32_t slot);

/* How far it is, in per cent. */
unsigned int kf_policy_reconcile_keys_done(const struct kf_policy *policy);

/* ---- reconcile_place.c: 1: the phase goes on; 0: it is over; -errno -------------------------- */

int kf_policy_reconcile_place_close(struct kf_policy_reconcile_keys *keys);
int kf_policy_reconcile_place_some(struct kf_policy_reconcile_keys *keys);
int kf_policy_reconcile_place_share(struct kf_policy_reconcile_keys *keys);

/* ---- for reconcile_place.c and reconcile_settle.c -------------------------------------------- */

/* Counts the allow list of a place, unless it is counted. */
void kf_policy_reconcile_keys_count(struct kf_policy_reconcile_keys *keys, uint32_t slot,
				    uint32_t entries);
/* Is the place @tag's in the kernel? */
bool kf_policy_reconcile_keys_owns(const struct kf_policy_reconcile_keys *keys, uint32_t slot,
				   const uint8_t tag[static 16]);
/* Closes the place and deletes the tag that leads to it; marks keys->dirty. */
int kf_policy_reconcile_keys_evict(struct kf_policy_reconcile_keys *keys, uint32_t slot);
void kf_policy_reconcile_keys_quiesce(struct kf_policy_reconcile_keys *keys); /* if keys->dirty */
/* Reads what is left of kf_key_allow, now and whole. */
int kf_policy_reconcile_keys_read_blocks(struct kf_policy_reconcile_keys *keys);
/* The first block of a place that is not below @slot. */
size_t kf_policy_reconcile_keys_block_of(const struct kf_policy_reconcile_keys *keys,
					 uint32_t slot);

#endif
