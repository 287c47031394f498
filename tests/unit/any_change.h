/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * any_change.h - a random change of a key, a source or a service, as random(3) says it, for tests
 * that include it once, after maps_fixture.h.
 */
#ifndef KEYFILTER_TEST_ANY_CHANGE_H
#define KEYFILTER_TEST_ANY_CHANGE_H

#include <errno.h>

#include "clock.h"
#include "policy/key.h"
#include "policy/service.h"
#include "policy/source.h"

static unsigned int roll(unsigned int sides)
{
	return (unsigned int)random() % sides;
}

static struct kf_cidr random_block(void)
{
	static const char *const texts[] = { "::/0",	      "::/1",	     "2000::/3",
					     "0.0.0.0/0",     "10.0.0.0/8",  "10.1.0.0/16",
					     "10.1.2.0/24",   "10.1.2.3",    "11.0.0.0/8",
					     "2001:db8::/32", "2001:db8::1", "8000::/1",
					     "::/80" };
	struct kf_cidr cidr;

	assert_int_equal(kf_cidr_parse(texts[roll(sizeof(texts) / sizeof(texts[0]))], &cidr), 0);
	return cidr;
}

static int keep_id(void *context, const struct kf_key_row *row)
{
	memcpy(context, row->id, KF_KEY_ID_SIZE);
	return 0;
}

static bool random_id(struct fixture *f, char id[KF_KEY_ID_SIZE])
{
	struct kf_key_query query = { .limit = 1 + roll(40) };

	id[0] = '\0';
	kf_store_key_list(f->store, &query, keep_id, id);
	return id[0];
}

static int ignore_made(void *context, const struct kf_key_row *row, const char *text)
{
	return 0;
}

static void change_key(struct fixture *f, const char *id)
{
	struct kf_cidr allow[3] = { random_block(), random_block(), random_block() };
	struct kf_policy_key_edit edit = { .set_allow = true,
					   .allow = allow,
					   .allow_count = roll(4) };
	char text[KF_KEY_TEXT_SIZE];
	struct kf_key_times times;

	switch (roll(8)) {
	case 7:
		edit.set_allow = false;
		edit.set_rpm = edit.set_burst = true;
		edit.rpm = roll(3) ? 1 + roll(600) : 0;
		edit.rpm_burst = edit.rpm ? roll(50) : 0;
		OK(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
		break;
	case 0:
		OK(f, kf_policy_key_disable(f->policy, id, &times, &f->why));
		break;
	case 1:
		OK(f, kf_policy_key_enable(f->policy, id, &f->why));
		break;
	case 2:
		OK(f, kf_policy_key_delete(f->policy, id, &times, &f->why));
		break;
	case 3:
		if (kf_maps_slotpool_free(f->policy->slots))
			OK_OR_FULL(f, kf_policy_key_rotate(f->policy, id, roll(2) ? 0 : DAY, text,
							   &f->why));
		break;
	case 4:
		edit.set_expires = true;
		edit.expires = roll(2) ? KF_WALL_NEVER : kf_clock_now().wall_ns + (int64_t)DAY;
		/* fall through */
	default:
		OK_OR_FULL(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
	}
}

static void change_source(struct fixture *f)
{
	struct kf_source_row row = { .cidr = random_block(), .action = (uint8_t)roll(2) };
	int err;

	row.expires = KF_WALL_NEVER;
	if (roll(2)) {
		OK_OR_FULL(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
		return;
	}
	err = kf_policy_source_remove(f->policy, &row.cidr, &f->why);
	assert_true(!err || err == -ENOENT);
}

static void change_service(struct fixture *f)
{
	struct kf_service_row row = { .any = roll(2), .mode = (uint8_t)roll(2) };
	int err;

	snprintf(row.name, sizeof(row.name), "s%u", roll(6));
	row.port = (uint16_t)(80 + roll(3));
	if (!row.any)
		row.addr[15] = (uint8_t)(1 + roll(2));
	if (roll(3) == 0)
		err = kf_policy_service_remove(f->policy, row.name, &f->why);
	else if (roll(2))
		err = kf_policy_service_add(f->policy, &row, &f->why);
	else if (!(err = kf_store_service_get(f->store, row.name, &row)))
		err = kf_policy_service_edit(f->policy, &row, &f->why);
	assert_true(!err || err == -ENOENT || err == -EEXIST);
}

static void change_anything(struct fixture *f)
{
	struct kf_cidr allow[2] = { random_block(), random_block() };
	struct kf_key_wish wish = { .name = "k", .expires = KF_WALL_NEVER, .allow = allow };
	char id[KF_KEY_ID_SIZE];

	switch (roll(8)) {
	case 0:
		change_service(f);
		break;
	case 1:
	case 2:
		change_source(f);
		break;
	case 3:
		wish.allow_count = roll(3);
		wish.rpm = roll(100);
		wish.rpm_burst = wish.rpm ? roll(100) : 0;
		if (kf_maps_slotpool_free(f->policy->slots) >= 4)
			OK_OR_FULL(f, kf_policy_key_create(f->policy, &wish, 1 + roll(4),
							   ignore_made, NULL, &f->why));
		break;
	default:
		if (random_id(f, id))
			change_key(f, id);
	}
}

#endif
