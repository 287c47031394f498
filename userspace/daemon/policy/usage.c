// SPDX-License-Identifier: GPL-2.0-only
#include "policy/usage.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "ledger/usage.h"
#include "policy/account.h"
#include "policy/key_slot.h"
#include "policy/policy.h"
#include "why.h"

bool kf_policy_usage_is_refused(int err)
{
	return err == -ENOENT || err == -ENODATA || err == -EINVAL || err == -EEXIST;
}

static int explain_store(struct kf_policy *policy, int err, struct kf_why *why)
{
	return kf_why_set(why, err, "cannot book it: %s; report it again, %s",
			  kf_store_error(policy->store), kf_store_mend(err));
}

/* What no request can have used. */
static int check_counts(const struct kf_usage_row *usage, const struct kf_model_row *model,
			struct kf_why *why)
{
	const struct kf_usage_counts *counts = &usage->counts;

	if (counts->cached + counts->cache_write > counts->prompt)
		return kf_why_set(
			why, -EINVAL,
			"more of the prompt was cached than it has tokens; `prompt` is to "
			"count all of them");
	if (model->context && counts->prompt > model->context)
		return kf_why_set(why, -EINVAL,
				  "the prompt has %lld tokens, and %s takes %u; look for what "
				  "counts them, or correct --context of the model",
				  (long long)counts->prompt, model->name, model->context);
	return 0;
}

static int read_model(struct kf_policy *policy, const char *name, struct kf_model_row *model,
		      struct kf_why *why)
{
	int err = kf_store_model_get(policy->store, name, model);

	if (err == -ENOENT)
		return kf_why_set(why, err,
				  "there is no model %s; see keyfilterctl model list, or make it "
				  "known with keyfilterctl model set",
				  name);
	return err ? explain_store(policy, err, why) : 0;
}

static int read_key(struct kf_policy *policy, const char *id, struct kf_key_row *row,
		    struct kf_why *why)
{
	int err = kf_store_key_get(policy->store, id, row);

	if (err == -ENOENT)
		return kf_why_set(why, err, "there is no key %s; see keyfilterctl key list", id);
	return err ? explain_store(policy, err, why) : 0;
}

static int read_multiplier(struct kf_policy *policy, const struct kf_key_row *row,
			   int64_t *multiplier)
{
	struct kf_group_row group;
	int err = 0;

	*multiplier = KF_MULTIPLIER_ONE;
	if (row->group)
		err = kf_store_group_get(policy->store, row->group_name, &group);
	if (!err && row->group)
		*multiplier = group.multiplier;
	return err;
}

/* A key without a quota, of an account without a limit, draws on no money: it is counted alone. */
static bool draws_on_money(const struct kf_key_row *row)
{
	return row->wallet || row->account;
}

static int find_cost(struct kf_policy *policy, const struct kf_key_row *row,
		     const struct kf_model_row *model, struct kf_usage_row *usage,
		     struct kf_why *why)
{
	int64_t multiplier;
	int err = read_multiplier(policy, row, &multiplier);

	if (err)
		return explain_store(policy, err, why);
	err = kf_ledger_usage_cost(model, multiplier, &usage->counts, &usage->cost);
	if (err == -ENODATA && !draws_on_money(row)) {
		usage->cost = 0;
		return 0;
	}
	if (err == -ENODATA)
		return kf_why_set(why, err,
				  "the model %s has no price for what was used; give it one with "
				  "`keyfilterctl model set %s --input PRICE --output PRICE`",
				  model->name, model->name);
	return err ? kf_why_set(why, -EINVAL,
				"it would cost over 1000000000; look for what counts the tokens")
		   : 0;
}

/* @err, of a booking, in words. */
static int explain(struct kf_policy *policy, int err, const struct kf_usage_row *usage,
		   struct kf_why *why)
{
	if (err == -EEXIST)
		return kf_why_set(why, err,
				  "the request %s of key %s was reported before, with other "
				  "figures; give each request an ID of its own",
				  usage->request, usage->key);
	return err < 0 ? explain_store(policy, err, why) : err;
}

static int find_price(struct kf_policy *policy, struct kf_usage_row *usage, struct kf_key_row *row,
		      struct kf_why *why)
{
	struct kf_model_row model;
	int err = read_key(policy, usage->key, row, why);

	if (!err)
		err = read_model(policy, usage->model, &model, why);
	if (!err)
		err = check_counts(usage, &model, why);
	return err ? err : find_cost(policy, row, &model, usage, why);
}

int kf_policy_usage_book(struct kf_policy *policy, struct kf_usage_row *usage, struct kf_why *why)
{
	struct kf_key_row row;
	int err = find_price(policy, usage, &row, why), repeated;

	if (!err) {
		usage->time = kf_policy_time(policy).wall_ns;
		return explain(policy, kf_ledger_usage_book(policy->store, &row, usage), usage,
			       why);
	}
	if (!kf_policy_usage_is_refused(err))
		return err;
	/* it may have been booked before its key, its model or the price went */
	repeated = kf_ledger_usage_repeated(policy->store, usage);
	return repeated ? explain(policy, repeated, usage, why) : err;
}

int kf_policy_usage_apply(struct kf_policy *policy, const char *key)
{
	struct kf_key_row row;
	int err = kf_store_key_get(policy->store, key, &row);

	if (err)
		return err;
	kf_policy_key_slot_wallet(policy, &row, false);
	return row.account ? kf_policy_account_apply(policy, row.account) : 0;
}
