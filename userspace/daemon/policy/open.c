// SPDX-License-Identifier: GPL-2.0-only
/* The start: the maps say what the store says before a program can read them. */
#include "policy/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy/account.h"
#include "policy/group.h"
#include "policy/key_batch.h"
#include "policy/model.h"
#include "policy/reconcile.h"
#include "policy/reconcile_keys.h"
#include "why.h"

#define SOURCES_IN_A_SLICE 96

static int check_secret(struct kf_policy *policy, struct kf_why *why)
{
	struct kf_config *config = kf_maps_config(policy->maps);
	const struct kf_secret *secret = policy->secret;

	if (kf_maps_are_fresh(policy->maps)) {
		memcpy(config->secret, secret->key, sizeof(config->secret));
		return 0;
	}
	if (!memcmp(config->secret, secret->key, sizeof(config->secret)))
		return 0;
	return kf_why_set(why, -EPROTO,
			  "the pinned maps were made under another secret than the one in the "
			  "state directory; give the --state-dir that belongs to this --pin-dir, "
			  "or keyfilterd --unload and start again");
}

/*
 * Following a store that was lost and made anew would open every service. Sealed before the maps
 * are, so that sealed maps never stand before a store that is not.
 */
static int check_store(struct kf_policy *policy, struct kf_why *why)
{
	bool sealed = false;
	int err = kf_store_is_sealed(policy->store, &sealed);

	if (!err && sealed)
		return 0;
	if (!err && !kf_maps_are_fresh(policy->maps))
		return kf_why_set(why, -EPROTO,
				  "the pinned maps hold a policy, and the store is a new one; "
				  "restore keyfilter.db from a backup, or keyfilterd --unload, "
				  "which opens all services, and start again");
	if (!err)
		err = kf_store_seal(policy->store);
	return err ? kf_why_set(
			     why, err,
			     "cannot write the store: %s; see to the disk of the state directory",
			     kf_store_error(policy->store))
		   : 0;
}

/*
 * A row that cannot be is not passed over: it may be the one that closes something. What is in the
 * kernel goes on.
 */
static int explain(struct kf_policy *policy, int err, const char *what, const char *mend,
		   struct kf_why *why)
{
	if (!err)
		return 0;
	if (err == -EUCLEAN)
		return kf_why_set(why, err,
				  "the store has a row that cannot be: %s; restore keyfilter.db "
				  "from a backup, or correct the row with sqlite3",
				  kf_store_error(policy->store));
	return kf_why_set(why, err, "cannot load the %s: %s; %s", what, strerror(-err), mend);
}

static int pass_iface(void *context, const struct kf_iface_row *row)
{
	return 0;
}

/*
 * Many keys that were being made when the daemon died are removed by the housekeeping; until then
 * they stay hidden, and their places taken.
 */
static int look_for_leftover(struct kf_policy *policy)
{
	struct kf_key_batch_range range;
	int err = kf_store_batch_get(policy->store, &range);

	policy->leftover = !err && range.last >= range.first;
	return err;
}

/* Sets go to which a crash has left no group and no key. */
static int open_models(struct kf_policy *policy)
{
	int err = kf_store_model_set_collect(policy->store);

	return err ? err : kf_policy_model_reconcile(policy);
}

static int start(struct kf_policy *policy, struct kf_why *why)
{
	static const char log[] = "see the kernel log";
	int err = check_secret(policy, why);

	if (!err)
		err = check_store(policy, why);
	if (!err)
		err = explain(policy, kf_store_iface_each(policy->store, pass_iface, NULL),
			      "interfaces", log, why);
	if (!err)
		err = explain(policy, look_for_leftover(policy), "keys", log, why);
	if (!err)
		err = explain(policy, open_models(policy), "models", log, why);
	if (!err)
		err = explain(policy, kf_policy_group_reconcile(policy), "groups", log, why);
	if (!err)
		err = explain(policy, kf_policy_account_reconcile(policy), "accounts", log, why);
	policy->loading = true;
	if (!err)
		err = kf_policy_reconcile_keys_begin(policy, why);
	if (!err)
		err = explain(policy, kf_policy_reconcile_sources(policy), "sources",
			      "if there are more than sources_max, raise it (keyfilterd --unload, "
			      "then start again)",
			      why);
	if (!err)
		err = explain(policy, kf_policy_reconcile_answers(policy), "answers", log, why);
	return err ? err
		   : explain(policy, kf_policy_reconcile_services(policy), "services", log, why);
}

int kf_policy_load(struct kf_policy *policy, struct kf_why *why)
{
	int more = policy->loading ? kf_policy_reconcile_keys_step(policy, why) : 0;

	if (more || !policy->loading)
		return more;
	policy->loading = false;
	kf_maps_seal(policy->maps);
	return 0;
}

KF_CLEANUP_DEFINE(struct kf_policy, kf_policy_close)

int kf_policy_open(struct kf_policy **out, struct kf_store *store, struct kf_maps *maps,
		   const struct kf_secret *secret, struct kf_why *why)
{
	_cleanup_(kf_policy_closep) struct kf_policy *policy = calloc(1, sizeof(*policy));
	int err;

	if (!policy)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	policy->store = store;
	policy->maps = maps;
	policy->secret = secret;
	kf_policy_clock_open(policy);
	kf_policy_revoke(policy,
			 KF_REVOKED_KEYS | KF_REVOKED_SOURCES); /* whatever a crash left undone */
	policy->sources_at_once = SOURCES_IN_A_SLICE;
	policy->keys_at_once = KF_RECONCILE_STRETCH;
	LIST_INIT(&policy->source_changes);
	if (kf_policy_hold_open(&policy->holds))
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	err = start(policy, why);
	if (!err)
		*out = TAKE_PTR(policy);
	return err;
}

void kf_policy_close(struct kf_policy *policy)
{
	if (!policy)
		return;
	kf_policy_reconcile_keys_end(policy);
	kf_policy_hold_close(policy->holds);
	kf_maps_slotpool_close(policy->slots);
	free(policy);
}
