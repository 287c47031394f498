// SPDX-License-Identifier: GPL-2.0-only
/* The store: groups, and the models that they and keys are held to. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store_fixture.h"

static void group_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row row = add_group(f, "a", 5), again = row, got;

	assert_int_equal(row.index, 1);
	assert_int_equal(kf_store_group_add(f->store, &again), -EEXIST);
	reopen(f);
	assert_int_equal(kf_store_group_get(f->store, "a", &got), 0);
	assert_memory_equal(&got, &row, sizeof(row));
	row.protocols = 2;
	assert_int_equal(kf_store_model_set_add(f->store, "m", &row.models), 0);
	assert_int_equal(kf_store_group_update(f->store, &row), 0);
	assert_int_equal(kf_store_group_get(f->store, "a", &got), 0);
	assert_int_equal(got.protocols, 2);
	assert_int_equal(got.models, row.models);
	assert_int_not_equal(got.revision, row.revision);
	row.protocols = 0; /* it would admit nobody */
	assert_int_equal(kf_store_group_update(f->store, &row), -EINVAL);
	row.protocols = 8;
	assert_int_equal(kf_store_group_update(f->store, &row), -EINVAL);
	assert_int_equal(kf_store_group_remove(f->store, "a"), 0);
	assert_int_equal(kf_store_group_remove(f->store, "a"), -ENOENT);
	assert_int_equal(kf_store_group_update(f->store, &got), -ENOENT);
	assert_int_equal(kf_store_group_restore(f->store, &got), 0);
	assert_int_equal(kf_store_group_get(f->store, "a", &again), 0);
	assert_memory_equal(&got, &again, sizeof(got));
}

static void there_is_room_for_4095_groups(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row row;

	kf_store_begin(f->store);
	for (uint32_t i = 1; i < KF_GROUPS_MAX; i++) {
		row = (struct kf_group_row){ .index = i, .protocols = 1 };
		snprintf(row.name, sizeof(row.name), "g%u", i);
		assert_int_equal(kf_store_group_restore(f->store, &row), 0);
	}
	assert_int_equal(kf_store_commit(f->store), 0);
	row = (struct kf_group_row){ .name = "more", .protocols = 1 };
	assert_int_equal(kf_store_group_add(f->store, &row), -E2BIG);
	assert_int_equal(kf_store_group_remove(f->store, "g77"), 0);
	assert_int_equal(kf_store_group_add(f->store, &row), 0);
	assert_int_equal(row.index, 77);
}

static void group_stays_while_keys_are_in_it(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row group = add_group(f, "staff", 1);
	struct kf_key_row row = add_key(f, "a", false, KF_WALL_NEVER);
	uint64_t count = 9;

	assert_int_equal(kf_store_group_keys(f->store, group.index, 10, &count), 0);
	assert_int_equal(count, 0);
	row.group = group.index;
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	assert_int_equal(kf_store_group_keys(f->store, group.index, 10, &count), 0);
	assert_int_equal(count, 1);
	assert_int_not_equal(kf_store_group_remove(f->store, "staff"), 0);
	row.group = 2; /* which is none */
	assert_int_not_equal(kf_store_key_update(f->store, &row), 0);
	row.group = 0;
	assert_int_equal(kf_store_key_update(f->store, &row), 0);
	assert_int_equal(kf_store_group_remove(f->store, "staff"), 0);
}

/* ---- models ---------------------------------------------------------------------------------- */

static int add_model(struct fixture *f, const char *name)
{
	struct kf_model_row row = { .price = { [0 ... KF_PRICES - 1] = KF_NO_PRICE } };

	snprintf(row.name, sizeof(row.name), "%s", name);
	return kf_store_model_add(f->store, &row);
}

static int append_model(void *context, const char *name)
{
	strcat(strcat(context, name), " ");
	return 0;
}

static void models_are_listed_by_prefix(void **state)
{
	struct fixture *f = *state;
	char all[256] = "", some[256] = "", odd[256] = "";

	assert_int_equal(add_model(f, "qwen-b"), 0);
	assert_int_equal(add_model(f, "qwen-a"), 0);
	assert_int_equal(add_model(f, "Qwen"), 0);
	assert_int_equal(add_model(f, "%x_"), 0);
	assert_int_equal(add_model(f, "qwen-a"), -EEXIST);
	assert_int_equal(kf_store_model_each(f->store, "", append_model, all), 0);
	assert_string_equal(all, "%x_ Qwen qwen-a qwen-b ");
	assert_int_equal(kf_store_model_each(f->store, "qwen", append_model, some), 0);
	assert_string_equal(some, "qwen-a qwen-b ");
	assert_int_equal(kf_store_model_each(f->store, "%", append_model, odd), 0);
	assert_string_equal(odd, "%x_ ");
	assert_int_equal(kf_store_model_remove(f->store, "qwen-a"), 0);
	assert_int_equal(kf_store_model_remove(f->store, "qwen-a"), -ENOENT);
}

/* A set stays while anybody is held to it, and its number is never another's. */
static void sets_of_models_are_kept_once(void **state)
{
	struct fixture *f = *state;
	struct kf_group_row group = add_group(f, "a", 1);
	static struct kf_model_set_row got;
	uint32_t first, second, found;
	bool used = true;

	assert_int_equal(kf_store_model_set_add(f->store, "a\nb*", &first), 0);
	assert_int_equal(kf_store_model_set_add(f->store, "a\nb*", &second), -EEXIST);
	assert_int_equal(kf_store_model_set_find(f->store, "a\nb*", &found), 0);
	assert_int_equal(found, first);
	assert_int_equal(kf_store_model_set_find(f->store, "a", &found), -ENOENT);
	assert_int_equal(kf_store_model_set_get(f->store, first, &got), 0);
	assert_string_equal(got.names, "a\nb*");
	assert_int_equal(kf_store_model_set_used(f->store, first, &used), 0);
	assert_false(used);
	group.models = first;
	assert_int_equal(kf_store_group_update(f->store, &group), 0);
	assert_int_equal(kf_store_model_set_used(f->store, first, &used), 0);
	assert_true(used);
	assert_int_not_equal(kf_store_model_set_remove(f->store, first), 0);
	assert_int_equal(kf_store_model_set_add(f->store, "b", &second), 0);
	assert_int_equal(kf_store_model_set_collect(f->store), 0);
	assert_int_equal(kf_store_model_set_get(f->store, second, &got), -ENOENT);
	assert_int_equal(kf_store_model_set_get(f->store, first, &got), 0);
	assert_int_equal(kf_store_model_set_add(f->store, "c", &found), 0);
	assert_int_not_equal(found, second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(group_comes_back_as_it_went),	TEST(models_are_listed_by_prefix),
		TEST(sets_of_models_are_kept_once),	TEST(there_is_room_for_4095_groups),
		TEST(group_stays_while_keys_are_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
