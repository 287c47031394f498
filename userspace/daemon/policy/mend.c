// SPDX-License-Identifier: GPL-2.0-only
#include "policy/mend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cidr.h"
#include "clock.h"
#include "log.h"
#include "policy/account.h"
#include "policy/group.h"
#include "policy/hold.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "policy/reconcile.h"
#include "policy/source.h"
#include "policy/reconcile_keys.h"
#include "timetext.h"
#include "why.h"

#define PAUSE_MOST 60000000000ull
#define NAMED	   5 /* of what is held, the rest is a number */

/* Of keys it is only begun: kf_policy_mend_step() goes on. */
static int mend_part(struct kf_policy *policy, unsigned int part)
{
	struct kf_why why = { 0 };

	switch (part) {
	case KF_MEND_SERVICES:
		return kf_policy_reconcile_services(policy);
	case KF_MEND_SOURCES:
		return kf_policy_reconcile_sources(policy);
	case KF_MEND_MODELS:
		return kf_policy_model_reconcile(policy);
	case KF_MEND_GROUPS:
		return kf_policy_group_reconcile(policy);
	case KF_MEND_ACCOUNTS:
		return kf_policy_account_reconcile(policy);
	default:
		return kf_policy_reconcile_keys_begin(policy, &why);
	}
}

static void put_off(struct kf_mend *mend)
{
	mend->pause_ns = 2 * mend->pause_ns < PAUSE_MOST ? 2 * mend->pause_ns : PAUSE_MOST;
	mend->next_ns = kf_clock_boot() + mend->pause_ns;
}

static void tell_mended(unsigned int part)
{
	kf_log_notice("the kernel has all %s as they are stored", kf_policy_mend_name(part));
}

static void mend_all(struct kf_policy *policy)
{
	struct kf_mend *mend = &policy->mend;

	for (unsigned int part = KF_MEND_SERVICES; part <= KF_MEND_KEYS; part <<= 1) {
		bool keys = part == KF_MEND_KEYS;
		bool making = keys && policy->making; /* half of them is there */
		int err = mend->parts & part && !making ? mend_part(policy, part) : -EALREADY;

		if (err == -EALREADY)
			continue;
		if (err) {
			mend->err = err;
			continue;
		}
		mend->parts &= ~part;
		mend->comparing |= keys;
		if (!keys)
			tell_mended(part);
	}
	put_off(mend);
}

int kf_policy_mend_step(struct kf_policy *policy)
{
	struct kf_mend *mend = &policy->mend;
	struct kf_why why = { 0 };
	int more;

	if (!mend->comparing)
		return 0;
	more = kf_policy_reconcile_keys_step(policy, &why);
	if (more > 0)
		return 1;
	mend->comparing = false;
	if (more) {
		mend->parts |= KF_MEND_KEYS;
		mend->err = more;
	} else if (!(mend->parts & KF_MEND_KEYS)) {
		tell_mended(KF_MEND_KEYS);
	}
	return 0;
}

void kf_policy_mend_tick(struct kf_policy *policy)
{
	struct kf_mend *mend = &policy->mend;

	kf_store_settle(policy->store);
	if (kf_store_take_landed(policy->store)) {
		kf_log_notice(
			"a change that was not known to be stored is stored, and comes into force");
		mend->parts = KF_MEND_SERVICES | KF_MEND_SOURCES | KF_MEND_MODELS | KF_MEND_GROUPS |
			      KF_MEND_ACCOUNTS | KF_MEND_KEYS;
		mend->next_ns = 0;
	}
	if (mend->parts && !policy->keys && kf_clock_boot() >= mend->next_ns &&
	    !kf_store_is_unsure(policy->store))
		mend_all(policy);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static const char *mend_of(unsigned int what)
{
	return what & KF_HOLD_DELETED	 ? "delete it"
	       : what & KF_HOLD_DISABLED ? "disable it"
	       : what & KF_HOLD_SECRETS	 ? "rotate it"
					 : "edit it";
}

static void describe_keys(const struct kf_holds *holds, kf_mend_fn fn, void *context)
{
	uint32_t count = kf_policy_hold_count(holds);
	char text[256];

	for (uint32_t i = 0; i < count && i < NAMED; i++) {
		const struct kf_hold *hold = kf_policy_hold_at(holds, i);

		snprintf(text, sizeof(text),
			 "key %s: the kernel refuses what was revoked, but that is not durable, "
			 "and a restart admits it again; %s again, or enable it to take it back",
			 hold->id, mend_of(hold->what));
		fn(context, text);
	}
	if (count <= NAMED)
		return;
	snprintf(text, sizeof(text),
		 "%u more keys have revocations that are not durable; revoke again what was "
		 "answered with an error",
		 count - NAMED);
	fn(context, text);
}

/* What is only on its way to the store is no difference. */
static void describe_sources(const struct kf_policy *policy, kf_mend_fn fn, void *context)
{
	const struct kf_holds *holds = policy->holds;
	uint32_t count = kf_policy_hold_source_count(holds);
	char text[256], cidr[KF_CIDR_TEXT];

	for (uint32_t i = 0; i < count && i < NAMED; i++) {
		const struct kf_source_row *row = kf_policy_hold_source_at(holds, i);
		bool deny = row->action == KF_SOURCE_DENY;

		if (kf_policy_source_is_changing(policy, &row->cidr))
			continue;
		kf_cidr_format(&row->cidr, cidr);
		snprintf(
			text, sizeof(text),
			"source %s: %s, but that is not durable, and a restart undoes it; %s again",
			cidr, deny ? "the kernel denies it" : "the kernel does not allow it",
			deny ? "deny it" : "remove it");
		fn(context, text);
	}
	if (count <= NAMED)
		return;
	snprintf(text, sizeof(text),
		 "%u more sources are denied, or no longer allowed, without being durable; do "
		 "again what was answered with an error",
		 count - NAMED);
	fn(context, text);
}

static void describe_clock(const struct kf_policy *policy, kf_mend_fn fn, void *context)
{
	const struct kf_walltime *walltime = &policy->walltime;
	char seen[KF_TIMETEXT_SIZE], text[256];

	if (!walltime->behind_ns)
		return;
	snprintf(text, sizeof(text),
		 "the wall clock is behind %s, which the store has seen, so keys end by that time "
		 "until the clock has come there; set the clock, or see keyfilterd(8) if that time "
		 "was wrong",
		 kf_timetext_format(walltime->seen, seen));
	fn(context, text);
}

void kf_policy_mend_describe(const struct kf_policy *policy, kf_mend_fn fn, void *context)
{
	const struct kf_mend *mend = &policy->mend;
	char text[256];

	describe_clock(policy, fn, context);

	for (unsigned int part = KF_MEND_SERVICES; part <= KF_MEND_KEYS; part <<= 1) {
		if (!(mend->parts & part) && !(part == KF_MEND_KEYS && mend->comparing))
			continue;
		snprintf(text, sizeof(text),
			 "the kernel may not have all %s as they are stored: %s; it is tried again "
			 "until it has, free some memory if that is short",
			 kf_policy_mend_name(part), strerror(-mend->err));
		fn(context, text);
	}
	kf_policy_group_describe(policy, fn, context);
	describe_keys(policy->holds, fn, context);
	describe_sources(policy, fn, context);
}
