// SPDX-License-Identifier: GPL-2.0-only
/* The deadlines in the kernel, where the wall clock is set. */
#include "policy/policy.h"

#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#define KEY_SLACK_NS	  1000000   /* the clock may be off by so much before keys are corrected */
#define SOURCE_SLACK_NS	  100000000 /* and sources: correcting them reads them all */
#define WALLTIME_WRITE_NS 3600000000000ll
#define SLOTS_IN_A_SLICE  1024

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

/* A place that is another's still gets its time with its owner. */
static int correct_slot(void *context, const struct kf_slot_row *row)
{
	struct kf_policy *policy = context;
	const struct kf_slot *slot = kf_maps_slot(policy->maps, row->slot);
	struct kf_slot_row narrowed = *row;
	uint64_t expires;

	if (!slot || memcmp(slot->tag, row->tag, sizeof(slot->tag)))
		return 0;
	kf_policy_hold_narrow(kf_policy_hold_find(policy->holds, row->key), &narrowed);
	expires = kf_policy_compile_deadline(&policy->clock, narrowed.expires);
	if (slot->expires_ns != expires)
		kf_maps_slot_expires(policy->maps, row->slot, expires);
	return 0;
}

/* Held keys may have an end that the store does not know. */
static int begin_keys(struct kf_policy *policy, const struct kf_clock *now)
{
	struct kf_correction *correction = &policy->correction;
	bool timed = false;
	int err = kf_store_slot_timed(policy->store, &timed);

	if (err)
		return err;
	if (!correction->keys)
		correction->keys_before = policy->clock;
	policy->clock = *now;
	kf_policy_revoke(policy, KF_REVOKED_KEYS);
	correction->keys = timed || kf_policy_hold_count(policy->holds);
	correction->slot = 0;
	return 0;
}

static int begin_sources(struct kf_policy *policy, const struct kf_clock *now)
{
	const struct kf_cidr everything = { .prefix_len = 0 };
	struct kf_correction *correction = &policy->correction;
	bool timed = false;
	int err = kf_store_source_timed(policy->store, &timed);

	if (err)
		return err;
	if (!correction->sources)
		correction->sources_before = policy->source_clock;
	policy->source_clock = *now;
	correction->sources = timed || kf_policy_hold_source_count(policy->holds);
	kf_policy_source_refresh_begin(&correction->refresh, &everything);
	return 0;
}

int kf_policy_clock_correct(struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();
	struct kf_clock now;
	int err = 0;

	kf_policy_walltime_look(&policy->walltime, &raw);
	note_walltime(policy);
	now = kf_policy_walltime_at(&policy->walltime, &raw);
	if (has_moved(&policy->clock, &now, KEY_SLACK_NS))
		err = begin_keys(policy, &now);
	if (!err && has_moved(&policy->source_clock, &now, SOURCE_SLACK_NS))
		err = begin_sources(policy, &now);
	return err ? err : policy->correction.keys || policy->correction.sources;
}

/* On failure the old clock comes back, so that the next look begins again. */
static int correct_some_keys(struct kf_policy *policy)
{
	struct kf_correction *correction = &policy->correction;
	uint32_t slots = kf_maps_entries(policy->maps, KF_MAP_kf_slots);
	uint32_t left = slots - correction->slot;
	uint32_t last = correction->slot + (left < SLOTS_IN_A_SLICE ? left : SLOTS_IN_A_SLICE) - 1;
	int err = kf_store_slot_each(policy->store, correction->slot, last, correct_slot, policy);

	if (err)
		policy->clock = correction->keys_before;
	correction->slot = last + 1;
	correction->keys = !err && correction->slot < slots;
	return err;
}

static int correct_some_sources(struct kf_policy *policy)
{
	struct kf_correction *correction = &policy->correction;
	int more = kf_policy_source_refresh_some(policy, &correction->refresh);

	if (more < 0)
		policy->source_clock = correction->sources_before;
	correction->sources = more > 0;
	return more < 0 ? more : 0;
}

int kf_policy_clock_go_on(struct kf_policy *policy)
{
	const struct kf_correction *correction = &policy->correction;
	int err = 0;

	if (correction->keys)
		err = correct_some_keys(policy);
	else if (correction->sources)
		err = correct_some_sources(policy);
	return err ? err : correction->keys || correction->sources;
}
