/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key.h - what can be done with a key, in store and kernel together.
 *
 * A grant is made durable first and then given to the kernel; a revocation is given to the kernel
 * first, then made durable, and both are done when the function returns. Whatever instant the
 * process dies at, the kernel admits nothing that the store forbids for longer than it takes to
 * acknowledge, and kf_policy_open() makes the two agree again. Wall-clock times are nanoseconds
 * since the epoch, KF_WALL_NEVER where there is none. 0 or -errno, with @why filled where there is
 * one: -ENOENT no such key, -ENOSPC no room for a secret or an allow list, -EINVAL, -EEXIST the key
 * to import is one already, -EAGAIN while the keys are loaded (kf_policy_load()). Key texts are the
 * caller's to wipe.
 */
#ifndef KEYFILTER_DAEMON_POLICY_KEY_H
#define KEYFILTER_DAEMON_POLICY_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include <keyfilter/keyhash.h>

#include "store/store.h"

struct kf_policy;
struct kf_secret;
struct kf_why;

#define KF_KEY_TEXT_SIZE (KF_KEY_LEN + 1) /* "sk-" + 48 of base62 (285 bits) + NUL */

struct kf_key_labels {
	uint32_t count;
	struct kf_label list[KF_KEY_LABELS_MAX]; /* by name, each once */
};

/* Sets one, whatever there is under its name. -ENOSPC: there are KF_KEY_LABELS_MAX others. */
int kf_policy_key_label_put(struct kf_key_labels *labels, const struct kf_label *label);

/* A key as operators see it. */
struct kf_key {
	struct kf_key_row row;
	bool expired; /* its time has come (a disabled key may be expired too) */
	struct kf_cidr allow[KF_KEY_ALLOW_MAX];
	uint32_t allow_count;
	uint64_t requests_admitted; /* by all its secrets, from the slots */
	uint64_t requests_refused;
	int64_t last_used;   /* wall clock; 0: never */
	int64_t grace_until; /* of the latest of its older secrets that still works; 0: none */
	int64_t grace_used;  /* by one of these, wall clock; 0: never */
	struct kf_key_labels labels;
};

/* A new key's text: "sk-" + 48 characters of getrandom(2), each of 62 equally likely. */
int kf_policy_key_text(char text[static KF_KEY_TEXT_SIZE]);
int kf_policy_key_id(char id[static KF_KEY_ID_SIZE]); /* "k_" + 12 of the same characters */
/* What may be shown of it, and what stands for it in store and maps. */
void kf_policy_key_mask_of(const char *text, struct kf_key_mask *mask);
void kf_policy_key_tag(const struct kf_secret *secret, const char *text, uint8_t tag[static 16]);

/*
 * May a key that others have made be imported: "sk-" and letters, digits, '-', '_', '.' and '~',
 * KF_KEY_LEAST to KF_KEY_MOST in all? Such a one needs no encoding in a header or a query.
 */
bool kf_policy_key_is_text(const char *text);

/* What is asked for a new key. */
struct kf_key_wish {
	const char *name;
	const char *text; /* the key itself, kf_policy_key_is_text(); NULL: a new one is made */
	int64_t expires;
	const struct kf_cidr *allow;
	uint32_t allow_count;
	uint32_t rpm; /* as in struct kf_key_row */
	uint32_t rpm_burst;
	uint32_t group; /* its index; 0: none */
	const char *group_name;
	uint32_t models;		      /* a set of model.h; 0: all */
	const char *owner;		      /* NULL: not said */
	const struct kf_key_labels *labels;   /* NULL: none */
	const struct kf_account_row *account; /* NULL: default */
	bool set_quota;
	int64_t quota;
};

/*
 * @text: the new key, shown once, "" where it was given; called for each key after all of them are
 * durable and enforced.
 */
typedef int (*kf_key_made_fn)(void *context, const struct kf_key_row *row, const char *text);

/*
 * Makes @quantity keys, all or none; where there are several, names get "-1" to "-N". Returns only
 * when all are made, so it is for few keys; for many see key_batch.h.
 */
int kf_policy_key_create(struct kf_policy *policy, const struct kf_key_wish *wish,
			 uint32_t quantity, kf_key_made_fn made, void *context, struct kf_why *why);

int kf_policy_key_get(struct kf_policy *policy, const char *id, struct kf_key *key);
/*
 * The key whose secret is @text, and until when that one is served: KF_WALL_NEVER, but for an older
 * one in its grace. -ENOENT, also where @text has not the shape of a key.
 */
int kf_policy_key_find(struct kf_policy *policy, const char *text, struct kf_key *key,
		       int64_t *until);
/* Completes a listed row with allow list, counters and times. */
int kf_policy_key_view(struct kf_policy *policy, const struct kf_key_row *row, struct kf_key *key);
/* The id of the key that a slot belongs to; -ENOENT (also for KF_SLOT_NONE). */
int kf_policy_key_id_of_slot(struct kf_policy *policy, uint32_t slot,
			     char id[static KF_KEY_ID_SIZE]);
void kf_policy_key_masked(const struct kf_key_mask *mask,
			  char text[static 16]); /* "sk-ab...wxyz" */

enum kf_key_action {
	KF_KEY_ACTION_ENABLE,
	KF_KEY_ACTION_DISABLE,
	KF_KEY_ACTION_DELETE,
	KF_KEY_ACTION_EDIT,
};

/* How long a revocation took, from the call. */
struct kf_key_times {
	uint64_t kernel_ns;  /* until the kernel refused it */
	uint64_t durable_ns; /* until it was on the disk */
};

/*
 * Also fill *times when making it durable fails: the kernel refuses the key, but a restart would
 * admit it again; @why says so. Doing it again is fine.
 */
int kf_policy_key_disable(struct kf_policy *policy, const char *id, struct kf_key_times *times,
			  struct kf_why *why);
int kf_policy_key_delete(struct kf_policy *policy, const char *id, struct kf_key_times *times,
			 struct kf_why *why);
int kf_policy_key_enable(struct kf_policy *policy, const char *id, struct kf_why *why);

struct kf_label_edit {
	struct kf_label label;
	bool remove; /* the key has none of that name afterwards */
};

/* What is to change: members that are not named stay. */
struct kf_policy_key_edit {
	const char *name; /* NULL: stays */
	bool set_expires;
	int64_t expires;
	bool set_allow;
	const struct kf_cidr *allow;
	uint32_t allow_count; /* 0: from anywhere */
	/* without set_allow: blocks that join the list, and that leave it */
	const struct kf_cidr *add, *remove;
	uint32_t add_count, remove_count;
	bool set_rpm;
	uint32_t rpm; /* 0: no limit, and then no burst either */
	bool set_burst;
	uint32_t rpm_burst; /* 0: as many as rpm */
	bool set_group;
	uint32_t group; /* its index; 0: none */
	bool set_models;
	uint32_t models;   /* a set of model.h; 0: all */
	const char *owner; /* NULL: stays; "": not said */
	bool set_account;
	const struct kf_account_row *account; /* NULL: default */
	bool set_quota, add_quota;	      /* to this; or by so much more */
	int64_t quota;			      /* KF_NO_QUOTA */
	/* labels that are set, whatever the key has under these names; the other ones stay */
	const struct kf_label_edit *labels;
	uint32_t label_count;
};
int kf_policy_key_edit(struct kf_policy *policy, const char *id,
		       const struct kf_policy_key_edit *asked, struct kf_why *why);

/* How long the older secrets are served where a rotation does not say: an answer may get lost. */
#define KF_KEY_GRACE_NS (3600 * 1000000000ull)

/*
 * A new secret for the key. Its older ones work for @grace_ns more, but not longer than they had;
 * 0: not a moment longer.
 */
int kf_policy_key_rotate(struct kf_policy *policy, const char *id, uint64_t grace_ns,
			 char text[static KF_KEY_TEXT_SIZE], struct kf_why *why);

/*
 * Forgets old secrets whose grace is over, at most @limit: 0, 1 when there may be more, or -errno.
 */
int kf_policy_key_expire(struct kf_policy *policy, uint32_t limit);

#endif
