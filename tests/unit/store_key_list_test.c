// SPDX-License-Identifier: GPL-2.0-only
/* The store: keys in pages, filtered and counted. Links the daemon's objects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/sqlite.h"
#include "store_fixture.h"

#define NOW 1000

struct seen {
	int64_t seq[512];
	uint32_t count;
};

static int see(void *context, const struct kf_key_row *row)
{
	struct seen *seen = context;

	seen->seq[seen->count++] = row->seq;
	return 0;
}

/* Each key has the label n=0, 1 or 2; every second one even=, too. */
static bool has_labels(const struct kf_key_row *row, const struct kf_key_query *q)
{
	for (uint32_t i = 0; i < q->label_count; i++) {
		const struct kf_label *label = &q->labels[i];

		if (strcmp(label->name, "n") ? row->seq % 2 || *label->value
					     : atoi(label->value) != row->seq % 3)
			return false;
	}
	return true;
}

static void put_labels(struct fixture *f, const struct kf_key_row *row)
{
	struct kf_label labels[2] = { { .name = "n" }, { .name = "even" } }, got[KF_KEY_LABELS_MAX];
	uint32_t count = 2 - row->seq % 2, found;

	snprintf(labels[0].value, sizeof(labels[0].value), "%d", (int)(row->seq % 3));
	assert_int_equal(kf_store_key_labels_set(f->store, row->seq, labels, 2), 0);
	assert_int_equal(kf_store_key_labels_set(f->store, row->seq, labels, count), 0);
	assert_int_equal(kf_store_key_labels_get(f->store, row->seq, got, &found), 0);
	assert_int_equal(found, count);
	assert_string_equal(got[found - 1].name, "n"); /* by name */
}

static bool matches(const struct kf_key_row *row, const struct kf_key_query *q)
{
	bool expired = row->expires <= NOW;
	bool exhausted = row->account || (row->wallet && row->spent >= row->quota);

	if ((q->filter == KF_KEYS_ENABLED && (row->disabled || expired || exhausted)) ||
	    (q->filter == KF_KEYS_EXHAUSTED && (row->disabled || expired || !exhausted)) ||
	    (q->account && row->account != q->account) ||
	    (q->no_account && row->account != KF_ACCOUNT_DEFAULT) ||
	    (q->filter == KF_KEYS_DISABLED && !row->disabled) ||
	    (q->filter == KF_KEYS_EXPIRED && (row->disabled || !expired)))
		return false;
	if ((q->group && row->group != q->group) || (q->owner && strcmp(row->owner, q->owner)) ||
	    (q->last && row->seq > q->last) || !has_labels(row, q))
		return false;
	return !q->search || strstr(row->name, q->search) ||
	       !strncmp(row->id, q->search, strlen(q->search));
}

static void compare_order(struct fixture *f, struct kf_key_query *q, const struct kf_key_row *rows,
			  int count)
{
	struct seen seen = { 0 };
	uint32_t expected = 0, before;
	uint64_t total = 0;

	do {
		before = seen.count;
		q->after = before ? seen.seq[before - 1] : 0;
		assert_int_equal(kf_store_key_list(f->store, q, see, &seen), 0);
		assert_true(seen.count - before <= 7);
	} while (seen.count != before);
	for (int i = 0; i < count; i++) {
		const struct kf_key_row *row = &rows[q->newest ? count - 1 - i : i];

		if (matches(row, q))
			assert_int_equal(seen.seq[expected++], row->seq);
	}
	assert_int_equal(seen.count, expected);
	assert_int_equal(kf_store_key_total(f->store, q, &total), 0);
	assert_int_equal(total, expected);
}

static void compare_pages(struct fixture *f, struct kf_key_query *q, const struct kf_key_row *rows,
			  int count)
{
	compare_order(f, q, rows, count);
	q->newest = true;
	compare_order(f, q, rows, count);
	q->newest = false;
}

/* It has spent 7. */
static void give_quota(struct fixture *f, struct kf_key_row *row, int64_t quota)
{
	assert_int_equal(kf_store_wallet_take(f->store, 1000, &row->wallet), 0);
	row->quota = quota;
	row->spent = 7;
	assert_int_equal(kf_store_key_spend(f->store, &(struct kf_key_row){ .seq = row->seq }, 7),
			 0);
}

/* All pages of all filters against a plain loop over all rows. */
static void pages_are_what_matches(void **state)
{
	static const char *const searches[] = { NULL, "a%", "_x", "zz", "k_0", "\\", "even-1" };
	static struct kf_key_row rows[300];
	struct kf_account_row account = { .name = "empty", .currency = "USD" };
	struct fixture *f = *state;

	add_group(f, "one", 1);
	add_group(f, "two", 2);
	kf_store_begin(f->store);
	assert_int_equal(kf_store_wallet_take(f->store, 1000, &account.wallet), 0);
	assert_int_equal(kf_store_account_add(f->store, &account), 0);
	for (int i = 0; i < 300; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s-%d%s", i % 2 ? "odd" : "even", i,
			 i % 7 == 0   ? "a%b"
			 : i % 5 == 0 ? "_x\\"
				      : "");
		rows[i] = add_key(f, name, i % 3 == 0,
				  i % 4 == 0   ? KF_WALL_NEVER
				  : i % 4 == 1 ? NOW
					       : NOW + i - 100);
		rows[i].group = (uint32_t)i % 3; /* 0: none */
		rows[i].account = i % 11 == 0 ? account.id : KF_ACCOUNT_DEFAULT;
		if (i % 5 == 1)
			give_quota(f, &rows[i], i % 10 == 1 ? 7 : 8);
		snprintf(rows[i].owner, sizeof(rows[i].owner), "%s", i % 5 ? "us" : "");
		assert_int_equal(kf_store_key_update(f->store, &rows[i]), 0);
		put_labels(f, &rows[i]);
	}
	assert_int_equal(kf_store_commit(f->store), 0);

	for (int filter = KF_KEYS_ALL; filter < KF_KEYS_NONE; filter++)
		for (size_t s = 0; s < sizeof(searches) / sizeof(searches[0]); s++)
			for (uint32_t group = 0; group < 3; group++) {
				struct kf_key_query q = { .filter = filter,
							  .search = searches[s],
							  .group = group,
							  .limit = 7,
							  .now = NOW };

				compare_pages(f, &q, rows, 300);
				q.account = account.id;
				compare_pages(f, &q, rows, 300);
				q.account = KF_ACCOUNT_DEFAULT;
				q.no_account = true;
				compare_pages(f, &q, rows, 300);
				q.no_account = false;
				q.owner = "us";
				compare_pages(f, &q, rows, 300);
				q.labels[q.label_count++] = (struct kf_label){ "n", "2" };
				compare_pages(f, &q, rows, 300);
				q.owner = NULL;
				q.labels[q.label_count++] = (struct kf_label){ "even", "" };
				compare_pages(f, &q, rows, 300);
				q.last = rows[200].seq;
				compare_pages(f, &q, rows, 300);
				q.labels[q.label_count++] = (struct kf_label){ "none", "" };
				q.labels[1] = (struct kf_label){ "even", "x" };
				compare_pages(f, &q, rows, 300);
			}
}

static int count_row(void *context, const struct kf_key_row *row)
{
	++*(unsigned int *)context;
	return 0;
}

static unsigned int listed(struct fixture *f)
{
	const struct kf_key_query all = { .limit = 100, .now = NOW };
	struct kf_key_counts counts;
	unsigned int count = 0;

	assert_int_equal(kf_store_key_list(f->store, &all, count_row, &count), 0);
	assert_int_equal(kf_store_key_count(f->store, NOW, &counts), 0);
	assert_int_equal(counts.total, count);
	assert_int_equal(counts.enabled + counts.disabled + counts.expired, count);
	return count;
}

/* Its keys are there all at once, and those that were made meanwhile are behind them. */
static void batch_is_there_all_at_once(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row before = add_key(f, "before", false, KF_WALL_NEVER), row = before, after;
	struct kf_key_batch_range range, found;

	assert_int_equal(kf_store_batch_begin(f->store, 3, &range), 0);
	assert_int_equal(range.first, before.seq + 1);
	assert_int_equal(range.last, range.first + 2);
	assert_int_equal(kf_store_batch_begin(f->store, 3, &found), -EEXIST);
	for (int i = 0; i < 3; i++) {
		snprintf(row.id, sizeof(row.id), "k_batch000000%c", (char)('0' + i));
		row.seq = range.first + i;
		row.expires = NOW - 1;
		assert_int_equal(kf_store_key_add_at(f->store, &row), 0);
		assert_int_equal(listed(f), 1);
	}
	after = add_key(f, "after", false, KF_WALL_NEVER);
	assert_true(after.seq > range.last);
	assert_int_equal(listed(f), 2);
	reopen(f);
	assert_int_equal(listed(f), 2);
	assert_int_equal(kf_store_batch_get(f->store, &found), 0);
	assert_int_equal(found.first, range.first);
	assert_int_equal(kf_store_batch_end(f->store), 0);
	assert_int_equal(listed(f), 5);
	assert_int_equal(kf_store_batch_get(f->store, &found), 0);
	assert_true(found.last < found.first);
}

static void total_follows_changes(void **state)
{
	struct fixture *f = *state;
	struct kf_key_row a = add_key(f, "a", false, KF_WALL_NEVER);
	struct kf_key_counts counts;

	add_key(f, "b", false, NOW);
	add_key(f, "c", true, NOW);
	kf_store_key_count(f->store, NOW, &counts);
	assert_int_equal(counts.total, 3);
	assert_int_equal(counts.enabled, 1);
	assert_int_equal(counts.disabled, 1);
	assert_int_equal(counts.expired, 1);
	kf_store_key_remove(f->store, a.seq);
	kf_store_key_count(f->store, NOW - 1, &counts);
	assert_int_equal(counts.total, 2);
	assert_int_equal(counts.enabled, 1);
	assert_int_equal(counts.expired, 0);
}

static int count_step(void *context)
{
	++*(unsigned int *)context;
	return 0;
}

/* What a status asks for. The work is with the keys that it tells apart, not with all there are. */
static unsigned int steps_to_count(struct fixture *f)
{
	struct kf_key_counts counts;
	unsigned int steps = 0;

	assert_int_equal(kf_store_key_count(f->store, NOW, &counts), 0); /* the total is kept */
	sqlite3_progress_handler(f->store->db, 1, count_step, &steps);
	assert_int_equal(kf_store_key_count(f->store, NOW, &counts), 0);
	sqlite3_progress_handler(f->store->db, 0, NULL, NULL);
	assert_true(steps);
	return steps;
}

static void counts_by_indexes(void **state)
{
	struct fixture *f = *state;
	unsigned int before = steps_to_count(f);

	kf_store_begin(f->store);
	for (int i = 0; i < 1000; i++)
		add_key(f, "a", false, KF_WALL_NEVER);
	assert_int_equal(kf_store_commit(f->store), 0);
	assert_int_equal(steps_to_count(f), before);
}

/* A reader counts once for many lists; what others have written since counts all the same. */
static void readers_see_what_others_wrote(void **state)
{
	const struct kf_key_query all = { .filter = KF_KEYS_ALL };
	struct fixture *f = *state;
	struct kf_store *reader = NULL;
	struct kf_key_row rows[3];
	struct kf_why why;
	uint64_t total;

	assert_int_equal(kf_store_open_reading(&reader, f->dir, &why), 0);
	for (int i = 0; i < 3; i++) {
		rows[i] = add_key(f, "a", false, KF_WALL_NEVER);
		assert_int_equal(kf_store_key_total(reader, &all, &total), 0);
		assert_int_equal(total, i + 1);
		assert_int_equal(kf_store_key_total(reader, &all, &total), 0);
		assert_int_equal(total, i + 1);
	}
	assert_int_equal(kf_store_key_remove(f->store, rows[1].seq), 0);
	assert_int_equal(kf_store_key_total(reader, &all, &total), 0);
	assert_int_equal(total, 2);
	kf_store_close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_are_what_matches),	  TEST(total_follows_changes),
		TEST(counts_by_indexes),	  TEST(readers_see_what_others_wrote),
		TEST(batch_is_there_all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
