/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fault_operations.h - what fault_test.c makes fail: each operation on what is in fault_world.h;
 * for tests that include it once, after maps_fixture.h.
 */
#ifndef KEYFILTER_TEST_FAULT_OPERATIONS_H
#define KEYFILTER_TEST_FAULT_OPERATIONS_H

#include "policy/account.h"
#include "policy/expire.h"
#include "policy/group.h"
#include "policy/key_many.h"
#include "policy/key_slot.h"
#include "policy/model.h"
#include "policy/service.h"
#include "policy/usage.h"
#include "fault_world.h"

/* ---- the operations -------------------------------------------------------------------------- */

static int disable_key(struct world *w)
{
	struct kf_key_times times;

	return kf_policy_key_disable(w->f->policy, w->keys.id[1], &times, &w->f->why);
}

static int enable_key(struct world *w)
{
	return kf_policy_key_enable(w->f->policy, w->keys.id[2], &w->f->why);
}

static int delete_key(struct world *w)
{
	struct kf_key_times times;

	return kf_policy_key_delete(w->f->policy, w->keys.id[1], &times, &w->f->why);
}

static int edit_key(struct world *w, const struct kf_policy_key_edit *edit, int key)
{
	return kf_policy_key_edit(w->f->policy, w->keys.id[key], edit, &w->f->why);
}

static int end_key(struct world *w)
{
	const struct kf_policy_key_edit edit = { .set_expires = true,
						 .expires = kf_clock_now().wall_ns + 1000 };

	return edit_key(w, &edit, 0);
}

static int narrow_key(struct world *w)
{
	struct kf_policy_key_edit edit = { .set_rpm = true, .rpm = 6 };

	edit_list(&edit, "10.2.0.0/16", "198.51.100.0/24");
	return edit_key(w, &edit, 1);
}

static int give_list(struct world *w)
{
	struct kf_policy_key_edit edit = { .name = "listed" };

	edit_list(&edit, "203.0.113.3", NULL);
	return edit_key(w, &edit, 3);
}

static int widen_key(struct world *w)
{
	const struct kf_policy_key_edit edit = {
		.set_allow = true, .set_rpm = true, .set_expires = true, .expires = KF_WALL_NEVER
	};

	return edit_key(w, &edit, 1);
}

static int put_in_group(struct world *w, int key, uint32_t group)
{
	const struct kf_policy_key_edit edit = { .set_group = true, .group = group };

	return edit_key(w, &edit, key);
}

static int put_in_first(struct world *w)
{
	return put_in_group(w, 0, w->two.index);
}

static int put_in_other(struct world *w)
{
	return put_in_group(w, 3, w->two.index);
}

static int put_in_wider(struct world *w)
{
	return put_in_group(w, 3, w->three.index);
}

static int hold_key_to(struct world *w, int key, const char *names)
{
	struct kf_policy_key_edit edit = { .set_models = true };
	int err = kf_policy_model_take(w->f->policy, names, &edit.models, &w->f->why);

	if (err)
		return err;
	err = edit_key(w, &edit, key);
	if (err)
		kf_policy_model_release(w->f->policy, edit.models);
	return err;
}

static int hold_key(struct world *w)
{
	return hold_key_to(w, 0, "b\nqwen*");
}

static int hold_key_to_others(struct world *w)
{
	return hold_key_to(w, 3, "b\nqwen*");
}

static int free_key(struct world *w)
{
	return hold_key_to(w, 3, "");
}

static int hold_group_to(struct world *w, struct kf_group_row row, const char *names)
{
	int err = kf_policy_model_take(w->f->policy, names, &row.models, &w->f->why);

	if (err)
		return err;
	err = kf_policy_group_edit(w->f->policy, &row, &w->f->why);
	if (err)
		kf_policy_model_release(w->f->policy, row.models);
	return err;
}

static int hold_group(struct world *w)
{
	return hold_group_to(w, w->one, "b");
}

static int free_group(struct world *w)
{
	return hold_group_to(w, w->two, "");
}

static int add_model(struct world *w)
{
	const struct kf_model_row row = model("qwen-b");

	return kf_policy_model_add(w->f->policy, &row, &w->f->why);
}

static int unprice_model(struct world *w)
{
	const struct kf_model_row row = model("priced");

	return kf_policy_model_edit(w->f->policy, &row, &w->f->why);
}

static int remove_model(struct world *w)
{
	return kf_policy_model_remove(w->f->policy, "qwen-a", &w->f->why);
}

static int add_group(struct world *w)
{
	struct kf_group_row row = { .name = "new", .protocols = 1 };

	return kf_policy_group_add(w->f->policy, &row, &w->f->why);
}

static int edit_group(struct world *w, uint32_t protocols)
{
	struct kf_group_row row = w->one;

	row.protocols = protocols;
	return kf_policy_group_edit(w->f->policy, &row, &w->f->why);
}

static int narrow_group(struct world *w)
{
	return edit_group(w, 1u << KF_PROTOCOL_ANTHROPIC);
}

static int remove_group(struct world *w)
{
	return kf_policy_group_remove(w->f->policy, "three", &w->f->why);
}

static int rotate_key(struct world *w, int key, uint64_t grace)
{
	char text[KF_KEY_TEXT_SIZE];

	return kf_policy_key_rotate(w->f->policy, w->keys.id[key], grace, text, &w->f->why);
}

static int rotate_now(struct world *w)
{
	return rotate_key(w, 1, 0);
}

static int rotate_rotated(struct world *w)
{
	return rotate_key(w, 3, 0);
}

static int rotate_later(struct world *w)
{
	return rotate_key(w, 1, 1000);
}

static int ignore_made(void *context, const struct kf_key_row *row, const char *text)
{
	return 0;
}

static int create_keys(struct world *w)
{
	struct kf_key_wish wish = { .name = "new", .expires = KF_WALL_NEVER, .rpm = 5 };
	struct kf_policy_key_edit list = { 0 };

	edit_list(&list, "10.0.0.0/8", "2001:db8::/32");
	wish.allow = list.allow;
	wish.allow_count = list.allow_count;
	return kf_policy_key_create(w->f->policy, &wish, 2, ignore_made, NULL, &w->f->why);
}

static int deny(struct world *w)
{
	return put_source(w->f, "192.0.2.0/24", KF_SOURCE_DENY, 0);
}

static int deny_all(struct world *w)
{
	return put_source(w->f, "::/0", KF_SOURCE_DENY, HOUR);
}

static int allow(struct world *w)
{
	return put_source(w->f, "10.1.2.3", KF_SOURCE_ALLOW, HOUR);
}

static int shorten_allowance(struct world *w)
{
	return put_source(w->f, "10.1.0.0/16", KF_SOURCE_ALLOW, HOUR);
}

static int remove_source(struct world *w, const char *text)
{
	struct kf_cidr cidr;

	assert_int_equal(kf_cidr_parse(text, &cidr), 0);
	return kf_policy_source_remove(w->f->policy, &cidr, &w->f->why);
}

static int remove_denial(struct world *w)
{
	return remove_source(w, "10.0.0.0/8");
}

static int remove_allowance(struct world *w)
{
	return remove_source(w, "10.1.0.0/16");
}

static int add_account(struct world *w)
{
	struct kf_account_row row = { .name = "new", .currency = "EUR", .granted = 5 };

	return kf_policy_account_add(w->f->policy, &row, "a note", &w->f->why);
}

static int grant(struct world *w, int64_t amount)
{
	struct kf_account_row row;

	OK(w->f, kf_store_account_get(w->f->store, "rich", &row));
	return kf_policy_account_grant(w->f->policy, &row, amount, "", &w->f->why);
}

static int grant_more(struct world *w)
{
	return grant(w, 7);
}

static int grant_less(struct world *w)
{
	struct kf_account_row row;

	OK(w->f, kf_store_account_get(w->f->store, "rich", &row));
	return grant(w, -row.granted);
}

static int free_account(struct world *w)
{
	return kf_policy_account_edit(w->f->policy, &w->poor, true, &w->f->why);
}

static int draw_on(struct world *w, const struct kf_account_row *account, int key)
{
	const struct kf_policy_key_edit edit = { .set_account = true, .account = account };

	return edit_key(w, &edit, key);
}

static int draw_on_poor(struct world *w)
{
	return draw_on(w, &w->poor, 0);
}

static int draw_on_poorer(struct world *w)
{
	return draw_on(w, &w->poor, 3);
}

static int draw_on_none(struct world *w)
{
	return draw_on(w, NULL, 3);
}

static int set_quota(struct world *w, int key, int64_t quota)
{
	const struct kf_policy_key_edit edit = { .set_quota = true, .quota = quota };

	return edit_key(w, &edit, key);
}

static int set_first_quota(struct world *w)
{
	return set_quota(w, 0, 0);
}

static int set_less_quota(struct world *w)
{
	return set_quota(w, 3, 0);
}

static int set_no_quota(struct world *w)
{
	return set_quota(w, 3, KF_NO_QUOTA);
}

static int top_up_quota(struct world *w)
{
	const struct kf_policy_key_edit edit = { .add_quota = true, .quota = 11 };

	return edit_key(w, &edit, 3);
}

/* Of one report, which is booked once however often it comes. */
static int report_usage(struct world *w)
{
	struct kf_usage_row usage = { .request = "r",
				      .model = "priced",
				      .counts = { .prompt = 500 } };
	struct kf_policy *policy = w->f->policy;
	int err = kf_store_begin(policy->store);

	memcpy(usage.key, w->keys.id[3], KF_KEY_ID_SIZE);
	if (!err)
		err = kf_policy_usage_book(policy, &usage, &w->f->why);
	if (err >= 0)
		err = kf_store_commit(policy->store);
	if (!err)
		return kf_policy_usage_apply(policy, usage.key);
	kf_store_rollback(policy->store);
	return kf_why_set(&w->f->why, err, "cannot book it; report it again");
}

static int add_service(struct world *w)
{
	struct kf_service_row row = { .name = "c", .any = true, .port = 82 };

	return kf_policy_service_add(w->f->policy, &row, &w->f->why);
}

static int edit_service(struct world *w)
{
	struct kf_service_row row = { .name = "b", .any = true, .port = 83, .mode = 1 };

	return kf_policy_service_edit(w->f->policy, &row, &w->f->why);
}

static int remove_service(struct world *w)
{
	return kf_policy_service_remove(w->f->policy, "b", &w->f->why);
}

/* Of all keys that are there. */
static int change_all(struct world *w, enum kf_key_action action,
		      const struct kf_policy_key_edit *edit)
{
	const struct kf_key_query query = { .filter = KF_KEYS_ALL };
	struct kf_key_many *many;
	int err = kf_policy_key_many_open(&many, w->f->policy, action, &query, edit, &w->f->why);

	if (err)
		return err;
	do
		err = kf_policy_key_many_step(many, &w->f->why);
	while (err > 0);
	kf_policy_key_many_close(many);
	return err;
}

static int disable_all(struct world *w)
{
	return change_all(w, KF_KEY_ACTION_DISABLE, NULL);
}

static int enable_all(struct world *w)
{
	return change_all(w, KF_KEY_ACTION_ENABLE, NULL);
}

static int delete_all(struct world *w)
{
	return change_all(w, KF_KEY_ACTION_DELETE, NULL);
}

static int label_all(struct world *w)
{
	static const struct kf_label_edit labels[] = { { .label = { "team", "blue" } },
						       { .label = { "none" }, .remove = true } };
	const struct kf_policy_key_edit edit = { .labels = labels,
						 .label_count = 2,
						 .owner = "me" };

	return change_all(w, KF_KEY_ACTION_EDIT, &edit);
}

/* What a closing operation has closed, failed or not, is closed from its answer on. */
enum closing { OPENS, CLOSES_KEY, CLOSES_OPENAI, CLOSES_MODEL, CLOSES_MONEY, CLOSES_SOURCE };

static const struct operation {
	const char *name;
	int (*run)(struct world *w);
	unsigned int part; /* of the kernel that it changes */
	enum closing closing;
	int key; /* of a source: it is of IPv6 */
} operations[] = {
	{ "disable", disable_key, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "enable", enable_key, KF_MEND_KEYS, OPENS, 0 },
	{ "delete", delete_key, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "edit --expires", end_key, KF_MEND_KEYS, CLOSES_KEY, 0 },
	{ "edit, narrower", narrow_key, KF_MEND_KEYS, OPENS, 0 },
	{ "edit, a list", give_list, KF_MEND_KEYS, OPENS, 0 },
	{ "edit, wider", widen_key, KF_MEND_KEYS, OPENS, 0 },
	{ "edit --group, the first", put_in_first, KF_MEND_KEYS, CLOSES_OPENAI, 0 },
	{ "edit --group, another", put_in_other, KF_MEND_KEYS, CLOSES_OPENAI, 3 },
	{ "edit --group, wider", put_in_wider, KF_MEND_KEYS, OPENS, 0 },
	{ "edit --model", hold_key, KF_MEND_KEYS, CLOSES_MODEL, 0 },
	{ "edit --model, others", hold_key_to_others, KF_MEND_KEYS, CLOSES_MODEL, 3 },
	{ "edit --any-model", free_key, KF_MEND_KEYS, OPENS, 0 },
	{ "group edit --model", hold_group, KF_MEND_GROUPS, CLOSES_MODEL, 3 },
	{ "group edit --any-model", free_group, KF_MEND_GROUPS, OPENS, 0 },
	{ "model set", add_model, KF_MEND_MODELS, OPENS, 0 },
	{ "model set --input none", unprice_model, KF_MEND_MODELS, OPENS, 0 },
	{ "model delete", remove_model, KF_MEND_MODELS, OPENS, 0 },
	{ "group create", add_group, KF_MEND_GROUPS, OPENS, 0 },
	{ "group edit, narrower", narrow_group, KF_MEND_GROUPS, CLOSES_OPENAI, 3 },
	{ "group delete", remove_group, KF_MEND_GROUPS, OPENS, 0 },
	{ "account create", add_account, KF_MEND_ACCOUNTS, OPENS, 0 },
	{ "account topup", grant_more, KF_MEND_ACCOUNTS, OPENS, 0 },
	{ "account topup, all of it back", grant_less, KF_MEND_ACCOUNTS, CLOSES_MONEY, 3 },
	{ "account edit --unlimited", free_account, KF_MEND_ACCOUNTS, OPENS, 0 },
	{ "edit --account, the first", draw_on_poor, KF_MEND_KEYS, CLOSES_MONEY, 0 },
	{ "edit --account, another", draw_on_poorer, KF_MEND_KEYS, CLOSES_MONEY, 3 },
	{ "edit --account default", draw_on_none, KF_MEND_KEYS, OPENS, 0 },
	{ "edit --quota, the first", set_first_quota, KF_MEND_KEYS, CLOSES_MONEY, 0 },
	{ "edit --quota, less", set_less_quota, KF_MEND_KEYS, CLOSES_MONEY, 3 },
	{ "edit --quota none", set_no_quota, KF_MEND_KEYS, OPENS, 0 },
	{ "topup a quota", top_up_quota, KF_MEND_KEYS, OPENS, 0 },
	{ "report usage", report_usage, KF_MEND_KEYS | KF_MEND_ACCOUNTS, CLOSES_MONEY, 3 },
	{ "rotate --grace 0", rotate_now, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "rotate one in its grace", rotate_rotated, KF_MEND_KEYS, CLOSES_KEY, 3 },
	{ "rotate --grace", rotate_later, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "disable --all", disable_all, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "enable --all", enable_all, KF_MEND_KEYS, OPENS, 0 },
	{ "delete --all", delete_all, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "edit --all --label", label_all, KF_MEND_KEYS, OPENS, 0 },
	{ "create", create_keys, KF_MEND_KEYS, OPENS, 0 },
	{ "deny", deny, KF_MEND_SOURCES, CLOSES_SOURCE, 0 },
	{ "deny all", deny_all, KF_MEND_SOURCES, CLOSES_SOURCE, 1 },
	{ "allow", allow, KF_MEND_SOURCES, OPENS, 0 },
	{ "allow for less long", shorten_allowance, KF_MEND_SOURCES, OPENS, 0 },
	{ "remove a denial", remove_denial, KF_MEND_SOURCES, OPENS, 0 },
	{ "remove an allowance", remove_allowance, KF_MEND_SOURCES, OPENS, 0 },
	{ "service add", add_service, KF_MEND_SERVICES, OPENS, 0 },
	{ "service edit", edit_service, KF_MEND_SERVICES, OPENS, 0 },
	{ "service remove", remove_service, KF_MEND_SERVICES, OPENS, 0 },
};

#endif /* KEYFILTER_TEST_FAULT_OPERATIONS_H */
