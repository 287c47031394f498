/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * policy.h - what is in force: the handle that every operation on the policy is given.
 *
 * kf_policy_open() is the start: what the store has, compiled (compile.h), is compared with what
 * the maps hold and the difference is applied (reconcile.h), never a flush; whatever crashed
 * before, the two agree after it. From then on the operations (key.h, source.h, service.h) change
 * both, through the struct here, which borrows store, maps and secret and owns the free slots;
 * where one of the two fails, see hold.h and mend.h. One thread. Wall-clock times are nanoseconds
 * since the epoch.
 */
#ifndef KEYFILTER_DAEMON_POLICY_POLICY_H
#define KEYFILTER_DAEMON_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "policy/hold.h"
#include "maps/maps.h"
#include "policy/mend.h"
#include "policy/compile.h"
#include "store/secret.h"
#include "maps/slotpool.h"
#include "policy/source_refresh.h"
#include "store/store.h"
#include "policy/walltime.h"

struct kf_key_batch;
struct kf_policy_reconcile_keys;
struct kf_source_change;
struct kf_why;

#define KF_RECONCILE_EXPIRED 8 /* sources whose end the kernel does not have yet, at most */

struct kf_policy {
	struct kf_store *store;
	struct kf_maps *maps;
	const struct kf_secret *secret;
	struct kf_slotpool *slots;
	struct kf_holds *holds; /* what the kernel refuses beyond what is stored */
	struct kf_mend mend;	/* in what the two may differ */
	/*
	 * Entries that all allow lists need, those that two blocks share counted twice: kept below
	 * the room of kf_key_allow, so that what is stored always fits into the kernel.
	 */
	uint64_t allow_entries;
	uint64_t allow_uncounted; /* while they are counted anew: at most so many more */
	/* the comparison of all keys under way; NULL: none */
	struct kf_policy_reconcile_keys *keys;
	bool loading; /* since the start not all keys have been compared: see kf_policy_load() */
	struct kf_walltime walltime;
	struct kf_clock clock;	      /* that the deadlines of keys were made with */
	struct kf_clock source_clock; /* and those of sources */
	struct kf_correction {	      /* of both, under way */
		bool keys, sources;
		uint32_t slot; /* the next one */
		struct kf_clock keys_before, sources_before;
		struct kf_policy_source_refresh refresh;
	} correction;
	int64_t lapsed_until;	     /* wall clock: keys that expired up to then have been seen */
	unsigned int revoked;	     /* kf_policy_revoke() */
	struct kf_key_batch *making; /* many keys; NULL: none. Owned by the request for them */
	struct kf_key_many *many;    /* a change of many keys; the same */
	/* what groups were taken, which is not durable: the kernel refuses it still */
	struct kf_group_held {
		uint8_t protocols;
		bool models; /* the kernel has this set, whatever is stored */
		uint32_t set;
	} groups_held[KF_GROUPS_MAX];
	bool leftover;		  /* the store may have keys of a batch that was not finished */
	uint32_t keys_at_once;	  /* places, see reconcile_keys.h; few: no more in a slice */
	uint32_t sources_at_once; /* rows of a slice of source_refresh.h; 3 or more */
	LIST_HEAD(, kf_source_change) source_changes; /* under way; each is its owner's */
	/* blocks of rows that are gone */
	struct kf_policy_source_refresh expired[KF_RECONCILE_EXPIRED];
	uint32_t expired_count;
};

/*
 * Makes the maps agree with the store, but for the keys, which may be very many: these are compared
 * by kf_policy_load(), and changed meanwhile as ever. -EPROTO: the maps were made under another
 * secret, or @store is not the one they were made from; -ENOSPC: more keys than places; -ENOSPC or
 * -E2BIG: more sources than places; -EUCLEAN: the store has a row that cannot be.
 */
int kf_policy_open(struct kf_policy **out, struct kf_store *store, struct kf_maps *maps,
		   const struct kf_secret *secret, struct kf_why *why);
void kf_policy_close(struct kf_policy *policy); /* NULL is fine; touches no map */

/*
 * A slice of about a millisecond of the comparison of all keys. 1: call again; 0: the maps say what
 * the store says and are sealed, programs may be attached; -errno: the start has failed. Until then
 * what would need to know all places (a new key, a longer allow list, a secret beside older ones)
 * fails with -EAGAIN, and nothing is forgotten whose time has come.
 */
int kf_policy_load(struct kf_policy *policy, struct kf_why *why);

/* Both clocks now, as walltime.h believes them: whatever ends is compared with this. */
struct kf_clock kf_policy_time(const struct kf_policy *policy);

/* What may have been revoked, so that requests which run must end; or-ed. */
#define KF_REVOKED_KEYS	   0x1u /* disabled, deleted, rotated or expired */
#define KF_REVOKED_SOURCES 0x2u /* denied, penalised, or no longer allowed */

/* KF_REVOKED_* @what is in force, and nobody has looked for running requests since. */
void kf_policy_revoke(struct kf_policy *policy, unsigned int what);
bool kf_policy_has_revoked(const struct kf_policy *policy);
/* All that was revoked since the last call; the caller acts on it. */
unsigned int kf_policy_take_revoked(struct kf_policy *policy);

/* Part of the start: which time it is. */
void kf_policy_clock_open(struct kf_policy *policy);
/*
 * Has the wall clock been set? Then the deadlines are made anew, in slices. Call every few seconds,
 * and when a timerfd with TFD_TIMER_CANCEL_ON_SET ends in ECANCELED. 1: call _go_on() until it
 * returns 0; 0: nothing has to be done.
 */
int kf_policy_clock_correct(struct kf_policy *policy);
int kf_policy_clock_go_on(struct kf_policy *policy); /* 1: there is more; 0: all are right */

#endif
