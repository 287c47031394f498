/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hold.h - what the kernel refuses although the store would admit it.
 *
 * A revocation is in the kernel before it is durable. Where making it durable fails, the kernel
 * stays closed: what is held here narrows whatever the kernel is given from then on, over other
 * changes of the same key and over corrections of the clock, until an operation on that very thing
 * succeeds. It ends with the process, for a start knows only what is stored; the request for the
 * revocation was answered so. Times are wall-clock nanoseconds. One thread.
 */
#ifndef KEYFILTER_DAEMON_POLICY_HOLD_H
#define KEYFILTER_DAEMON_POLICY_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* What of a key is held; or-ed. */
#define KF_HOLD_DISABLED 0x01u
#define KF_HOLD_DELETED	 0x02u
#define KF_HOLD_EXPIRES	 0x04u /* an earlier end */
#define KF_HOLD_SECRETS	 0x08u /* the end of the secrets that there are */
#define KF_HOLD_ALLOW	 0x10u /* a narrower allow list; one without a block admits nobody */
#define KF_HOLD_RATE	 0x20u /* a lower rate */
#define KF_HOLD_GROUP	 0x40u /* another group */
#define KF_HOLD_MODELS	 0x80u /* another set of models */

struct kf_hold {
	int64_t key; /* its seq */
	char id[KF_KEY_ID_SIZE];
	unsigned int what;
	int64_t expires;
	int64_t until;		 /* of the secrets; 0: they are refused as unknown */
	uint32_t rpm, rpm_burst; /* as in struct kf_key_row */
	uint32_t group;		 /* the same; the one that was asked for last */
	uint32_t models;	 /* the same */
	struct kf_cidr *allow;	 /* owned by the hold */
	uint32_t allow_count;
};

struct kf_holds;

int kf_policy_hold_open(struct kf_holds **out);
void kf_policy_hold_close(struct kf_holds *holds); /* NULL is fine */

/* ---- keys ------------------------------------------------------------------------------------ */

/* NULL: nothing is held of it; so it is for a reading thread, which has no @holds. */
const struct kf_hold *kf_policy_hold_find(const struct kf_holds *holds, int64_t key);
/*
 * Adds to what is held of the key: @more->what and the members that belong to it, the narrower
 * where both have one; its allow list, which is copied, replaces the one that was. -ENOMEM.
 */
int kf_policy_hold_add(struct kf_holds *holds, const struct kf_hold *more);
/* Lets go of @what of the key. */
void kf_policy_hold_drop(struct kf_holds *holds, int64_t key, unsigned int what);
/* What the slot of a credential may say, @hold (may be NULL) being of its key. */
void kf_policy_hold_narrow(const struct kf_hold *hold, struct kf_slot_row *row);
/* Is any key held to be in the group with this index, or to this set of models? */
bool kf_policy_hold_has_group(const struct kf_holds *holds, uint32_t group);
bool kf_policy_hold_has_models(const struct kf_holds *holds, uint32_t models);
uint32_t kf_policy_hold_count(const struct kf_holds *holds);
const struct kf_hold *kf_policy_hold_at(const struct kf_holds *holds, uint32_t index);

/* ---- sources --------------------------------------------------------------------------------- */

/*
 * A denial that the store does not have holds until row->expires; an allowance that it still has
 * ends then (0: it is over). -ENOMEM.
 */
int kf_policy_hold_source_add(struct kf_holds *holds, const struct kf_source_row *row);
/* Was there one of the same block and action? It is gone. */
bool kf_policy_hold_source_drop(struct kf_holds *holds, const struct kf_cidr *cidr,
				enum kf_source_action action);
/* Is there one of exactly this block and action? */
bool kf_policy_hold_source_is(const struct kf_holds *holds, const struct kf_cidr *cidr,
			      enum kf_source_action action);
/* Lets go of one denial whose time has come, and names it; false: there is none. */
bool kf_policy_hold_source_expire(struct kf_holds *holds, int64_t now, struct kf_cidr *cidr);
uint32_t kf_policy_hold_source_count(const struct kf_holds *holds);
const struct kf_source_row *kf_policy_hold_source_at(const struct kf_holds *holds, uint32_t index);

/*
 * Between the rows of the store and a walk that wants them in order: gives on each row as it is in
 * force, and the denials that the store does not have in their places. Begin with what the rows are
 * of, feed each, finish.
 */
enum kf_hold_range {
	KF_HOLD_ALL,
	KF_HOLD_UNDER, /* the block and what it covers */
	KF_HOLD_ABOVE, /* what covers the block, without it */
};

struct kf_hold_feed {
	const struct kf_holds *holds;
	enum kf_hold_range range;
	const struct kf_cidr *cidr;
	uint32_t next; /* of the held ones */
	kf_source_fn fn;
	void *context;
};

void kf_policy_hold_feed_begin(struct kf_hold_feed *feed, const struct kf_holds *holds,
			       enum kf_hold_range range, const struct kf_cidr *cidr,
			       kf_source_fn fn, void *context);
/* Leaves out what comes before the block @from. */
void kf_policy_hold_feed_from(struct kf_hold_feed *feed, const struct kf_cidr *from);
int kf_policy_hold_feed_row(void *feed, const struct kf_source_row *row); /* a kf_source_fn */
int kf_policy_hold_feed_finish(struct kf_hold_feed *feed);

#endif
