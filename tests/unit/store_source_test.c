// SPDX-License-Identifier: GPL-2.0-only
/* The store: sources. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

static void put_source(struct fixture *f, const char *cidr, enum kf_source_action action,
		       int64_t expires)
{
	struct kf_source_row row = { .action = action, .created = 1, .expires = expires };

	assert_int_equal(kf_cidr_parse(cidr, &row.cidr), 0);
	assert_int_equal(kf_store_source_put(f->store, &row, NULL), 0);
}

static int append_cidr(void *context, const struct kf_source_row *row)
{
	char text[KF_CIDR_TEXT], *all = context;

	kf_cidr_format(&row->cidr, text);
	strcat(all, text);
	strcat(all, row->action ? "+ " : "- ");
	return 0;
}

static void sources_come_in_tree_order(void **state)
{
	struct fixture *f = *state;
	struct kf_cidr within;
	char all[512] = "", under[512] = "", above[512] = "";

	put_source(f, "10.1.2.3", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "10.0.0.0/8", KF_SOURCE_ALLOW, KF_WALL_NEVER);
	put_source(f, "::/0", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "10.0.0.0/8", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "10.1.0.0/16", KF_SOURCE_DENY, KF_WALL_NEVER);
	put_source(f, "11.0.0.0/8", KF_SOURCE_DENY, KF_WALL_NEVER);
	assert_int_equal(kf_store_source_each(f->store, append_cidr, all), 0);
	assert_string_equal(all,
			    "::/0- 10.0.0.0/8- 10.0.0.0/8+ 10.1.0.0/16- 10.1.2.3/32- 11.0.0.0/8- ");
	kf_cidr_parse("10.1.0.0/16", &within);
	assert_int_equal(kf_store_source_under(f->store, &within, &within, 9, append_cidr, under),
			 0);
	assert_string_equal(under, "10.1.0.0/16- 10.1.2.3/32- ");
	assert_int_equal(kf_store_source_above(f->store, &within, append_cidr, above), 0);
	assert_string_equal(above, "::/0- 10.0.0.0/8- 10.0.0.0/8+ ");
}

static int remember(void *context, const struct kf_source_row *row)
{
	*(struct kf_source_row *)context = *row;
	return 0;
}

static void source_pages_follow_each_other(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row last;
	char text[32], all[4096] = "", paged[4096] = "";

	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "10.0.%d.0/24", i);
		put_source(f, text, i % 2, KF_WALL_NEVER);
	}
	kf_store_source_each(f->store, append_cidr, all);
	assert_int_equal(kf_store_source_page(f->store, NULL, 7, append_cidr, paged), 0);
	assert_int_equal(kf_store_source_page(f->store, NULL, 7, remember, &last), 0);
	for (int i = 0; i < 7; i++) {
		struct kf_source_row from = last;

		kf_store_source_page(f->store, &from, 7, append_cidr, paged);
		kf_store_source_page(f->store, &from, 7, remember, &last);
	}
	assert_string_equal(paged, all);
}

static int count_source(void *context, const struct kf_source_row *row)
{
	++*(int *)context;
	return 0;
}

static void source_expiry_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row row = { .created = 1, .expires = 100 };
	bool replaced = true, timed = false;
	int n = 0;

	kf_cidr_parse("2001:db8::/32", &row.cidr);
	assert_int_equal(kf_store_source_put(f->store, &row, &replaced), 0);
	assert_false(replaced);
	kf_store_source_expired(f->store, 99, 10, count_source, &n);
	assert_int_equal(n, 0);
	kf_store_source_expired(f->store, 100, 10, count_source, &n);
	assert_int_equal(n, 1);
	kf_store_source_timed(f->store, &timed);
	assert_true(timed);
	row.expires = KF_WALL_NEVER;
	assert_int_equal(kf_store_source_put(f->store, &row, &replaced), 0);
	assert_true(replaced);
	kf_store_source_timed(f->store, &timed);
	assert_false(timed);
	assert_int_equal(kf_store_source_remove(f->store, &row.cidr, KF_SOURCE_ALLOW), -ENOENT);
	assert_int_equal(kf_store_source_remove(f->store, &row.cidr, KF_SOURCE_DENY), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sources_come_in_tree_order),
		TEST(source_pages_follow_each_other),
		TEST(source_expiry_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
