// SPDX-License-Identifier: GPL-2.0-only
/* The deadlines in the kernel, where the wall clock is set. */
#include "policy/policy.h"

#include <stdio.h>

#include "cleanup.h"
#include "policy/reconcile.h"

#define KEY_SLACK_NS	  1000000   /* the clock may be off by so much before keys are corrected */
#define SOURCE_SLACK_NS	  100000000 /* and sources: correcting them reads them all */
#define WALLTIME_WRITE_NS 3600000000000ll

static bool has_moved(const struct kf_clock *from, const struct kf_clock *to, int64_t slack)
{
	int64_t moved =
		(to->wall_ns - (int64_t)to->boot_ns) - (from->wall_ns - (int64_t)from->boot_ns);
	int64_t doubt = to->doubt_ns - from->doubt_ns;

	return moved > slack || moved < -slack || doubt > slack || doubt < -slack;
}

/* The id of this boot; "": it is not known, and then no time of an earlier process is of it. */
static void read_boot(char boot[static KF_BOOT_ID_SIZE])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || fread(boot, 1, KF_BOOT_ID_SIZE - 1, file) != KF_BOOT_ID_SIZE - 1)
		boot[0] = '\0';
	boot[KF_BOOT_ID_SIZE - 1] = '\0';
}

/* It goes with whatever is written next; without a write it is written once an hour. */
static void note_walltime(struct kf_policy *policy)
{
	struct kf_store_time time;
	char boot[KF_BOOT_ID_SIZE];

	read_boot(boot);
	kf_policy_walltime_note(&policy->walltime, boot, &time);
	kf_store_time_set(policy->store, &time, WALLTIME_WRITE_NS);
}

void kf_policy_clock_open(struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();
	struct kf_store_time stored;
	char boot[KF_BOOT_ID_SIZE];

	read_boot(boot);
	kf_store_time_get(policy->store, &stored);
	kf_policy_walltime_open(&policy->walltime, &stored, boot, &raw);
	note_walltime(policy);
	policy->clock = kf_policy_time(policy);
	policy->lapsed_until = policy->clock.wall_ns;
}

static int correct_slot(void *context, const struct kf_slot_row *row)
{
	struct kf_policy *policy = context;
	const struct kf_slot *slot = kf_maps_slot(policy->maps, row->slot);
	struct kf_slot_row narrowed = *row;
	uint64_t expires;

	kf_policy_hold_narrow(kf_policy_hold_find(policy->holds, row->key), &narrowed);
	expires = kf_policy_compile_deadline(&policy->clock, narrowed.expires);
	if (slot && slot->expires_ns != expires)
		kf_maps_slot_expires(policy->maps, row->slot, expires);
	return 0;
}

static int correct_credential(void *context, const struct kf_credential_row *credential)
{
	struct kf_slot_row row = {
		.slot = credential->slot,
		.key = credential->key,
		.expires = credential->until,
	};

	return correct_slot(context, &row);
}

/* Keys that have no end in the store, but are held to one, are not among those with a time. */
static int correct_held(struct kf_policy *policy)
{
	const unsigned int ends = KF_HOLD_EXPIRES | KF_HOLD_SECRETS;
	int err = 0;

	for (uint32_t i = 0; !err && i < kf_policy_hold_count(policy->holds); i++) {
		const struct kf_hold *hold = kf_policy_hold_at(policy->holds, i);

		if (hold->what & ends)
			err = kf_store_credential_each(policy->store, hold->key, correct_credential,
						       policy);
	}
	return err;
}

/* Those that are held first: what the store says of their key is what is told them last. */
static int correct_keys(struct kf_policy *policy)
{
	int err = correct_held(policy);

	return err ? err : kf_store_slot_each(policy->store, true, correct_slot, policy);
}

static int correct_sources(struct kf_policy *policy)
{
	bool timed;
	int err = kf_store_source_timed(policy->store, &timed);

	return err || !timed ? err : kf_policy_reconcile_sources(policy);
}

/* On failure the old clock stays, so that the next call tries again. */
int kf_policy_clock_correct(struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();
	struct kf_clock now, before = policy->clock;
	int err;

	kf_policy_walltime_look(&policy->walltime, &raw);
	note_walltime(policy);
	now = kf_policy_walltime_at(&policy->walltime, &raw);

	if (has_moved(&before, &now, KEY_SLACK_NS)) {
		policy->clock = now;
		kf_policy_revoke(policy, KF_REVOKED_KEYS);
		err = correct_keys(policy);
		if (err) {
			policy->clock = before;
			return err;
		}
	}
	if (!has_moved(&policy->source_clock, &now, SOURCE_SLACK_NS))
		return 0;
	return correct_sources(policy);
}
