/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fault_world.h - the rows that fault_test.c's operations work on: keys, groups, models, accounts,
 * sources and services; for tests that include it once, after maps_fixture.h.
 */
#ifndef KEYFILTER_TEST_FAULT_WORLD_H
#define KEYFILTER_TEST_FAULT_WORLD_H

#include "policy/account.h"
#include "policy/group.h"
#include "policy/model.h"
#include "policy/service.h"

#define HOUR 3600000000000ll

struct world {
	struct fixture *f;
	/* openai and anthropic, anthropic and gemini, all; the second one is held to models */
	struct kf_group_row one, two, three;
	/* the last key draws on the first one, by a quota of its own; the second one has nothing */
	struct kf_account_row rich, poor;
	/* 0 plain, 1 with an allow list, a rate and an end, 2 disabled, 3 rotated, in group one */
	struct made keys;
};

static void edit_list(struct kf_policy_key_edit *edit, const char *first, const char *second)
{
	static struct kf_cidr blocks[2];

	assert_int_equal(kf_cidr_parse(first, &blocks[0]), 0);
	if (second)
		assert_int_equal(kf_cidr_parse(second, &blocks[1]), 0);
	edit->set_allow = true;
	edit->allow = blocks;
	edit->allow_count = second ? 2 : 1;
}

static int put_source(struct fixture *f, const char *cidr, enum kf_source_action action,
		      int64_t ttl)
{
	struct kf_source_row row = { .action = (uint8_t)action, .expires = KF_WALL_NEVER };

	assert_int_equal(kf_cidr_parse(cidr, &row.cidr), 0);
	if (ttl)
		row.expires = kf_clock_now().wall_ns + ttl;
	return kf_policy_source_put(f->policy, &row, NULL, &f->why);
}

static void make_group(struct fixture *f, struct kf_group_row *row, const char *name,
		       uint32_t protocols)
{
	*row = (struct kf_group_row){ .protocols = protocols };
	snprintf(row->name, sizeof(row->name), "%s", name);
	OK(f, kf_policy_group_add(f->policy, row, &f->why));
}

static struct kf_model_row model(const char *name)
{
	struct kf_model_row row = { .price = { [0 ... KF_PRICES - 1] = KF_NO_PRICE } };

	snprintf(row.name, sizeof(row.name), "%s", name);
	return row;
}

static void make_models(struct world *w)
{
	struct fixture *f = w->f;

	const struct kf_model_row qwen = model("qwen-a"), gpt = model("gpt-a");

	OK(f, kf_policy_model_add(f->policy, &qwen, &f->why));
	OK(f, kf_policy_model_add(f->policy, &gpt, &f->why));
	OK(f, kf_policy_model_take(f->policy, "a\nqwen*", &w->two.models, &f->why));
	OK(f, kf_policy_group_edit(f->policy, &w->two, &f->why));
}

static void make_keys(struct world *w)
{
	struct kf_policy_key_edit edit = { .set_rpm = true, .rpm = 60, .set_expires = true };
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = w->f;
	struct kf_key_times times;

	create(f, &w->keys, 4);
	edit_list(&edit, "10.0.0.0/8", "192.0.2.0/24");
	edit.expires = kf_clock_now().wall_ns + 9 * HOUR;
	OK(f, kf_policy_key_edit(f->policy, w->keys.id[1], &edit, &f->why));
	OK(f, kf_policy_key_disable(f->policy, w->keys.id[2], &times, &f->why));
	OK(f, kf_policy_key_rotate(f->policy, w->keys.id[3], DAY, text, &f->why));
}

/* The last key is in group one, and held to models. */
static void make_groups(struct world *w)
{
	struct kf_policy_key_edit group = { .set_group = true, .set_models = true };
	struct fixture *f = w->f;

	make_group(f, &w->one, "one", 1u << KF_PROTOCOL_OPENAI | 1u << KF_PROTOCOL_ANTHROPIC);
	make_group(f, &w->two, "two", 1u << KF_PROTOCOL_ANTHROPIC | 1u << KF_PROTOCOL_GEMINI);
	make_models(w);
	make_group(f, &w->three, "three", KF_PROTOCOLS_ALL);
	group.group = w->one.index;
	OK(f, kf_policy_model_take(f->policy, "gpt*", &group.models, &f->why));
	OK(f, kf_policy_key_edit(f->policy, w->keys.id[3], &group, &f->why));
}

static void make_account(struct fixture *f, struct kf_account_row *row, const char *name,
			 int64_t granted)
{
	*row = (struct kf_account_row){ .currency = "USD", .granted = granted };
	snprintf(row->name, sizeof(row->name), "%s", name);
	OK(f, kf_policy_account_add(f->policy, row, "", &f->why));
}

static void make_accounts(struct world *w)
{
	struct kf_policy_key_edit edit = {
		.set_account = true, .account = &w->rich, .set_quota = true, .quota = 500
	};
	struct fixture *f = w->f;
	struct kf_model_row row = model("priced");

	make_account(f, &w->rich, "rich", 1000);
	make_account(f, &w->poor, "poor", 0);
	for (int i = 0; i < KF_PRICE_REQUEST; i++)
		row.price[i] = 1000000; /* 1 of a token */
	OK(f, kf_policy_model_add(f->policy, &row, &f->why));
	OK(f, kf_policy_key_edit(f->policy, w->keys.id[3], &edit, &f->why));
}

static void make_sources(struct fixture *f)
{
	OK(f, put_source(f, "10.0.0.0/8", KF_SOURCE_DENY, 0));
	OK(f, put_source(f, "10.1.0.0/16", KF_SOURCE_ALLOW, 0));
	OK(f, put_source(f, "10.1.0.1", KF_SOURCE_DENY, 0));
	OK(f, put_source(f, "10.1.0.2", KF_SOURCE_ALLOW, 0));
	OK(f, put_source(f, "10.1.9.0/24", KF_SOURCE_DENY, 0));
	f->policy->sources_at_once = 3; /* some changes are done in slices, some at once */
}

static void make_services(struct fixture *f)
{
	struct kf_service_row service = { .name = "a", .any = true, .port = 80 };

	OK(f, kf_policy_service_add(f->policy, &service, &f->why));
	service = (struct kf_service_row){ .name = "b", .port = 81, .addr = { [15] = 1 } };
	OK(f, kf_policy_service_add(f->policy, &service, &f->why));
}

#endif /* KEYFILTER_TEST_FAULT_WORLD_H */
