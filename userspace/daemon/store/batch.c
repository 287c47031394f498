// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many keys that come all or none, in more transactions than one. The numbers (seq) that they are
 * to have are reserved first, and noted in key_batch: while it is noted, the keys with these
 * numbers are neither listed nor counted. When the note goes, all of them are there at once.
 */
#include "store/sqlite.h"

int kf_store_batch_get(struct kf_store *store, struct kf_key_batch_range *range)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT first, last FROM key_batch WHERE one = 1");
	struct kf_key_batch_range found = { .first = 0, .last = -1 };

	kf_sql_name(&q, "the row of key_batch");
	if (kf_sql_step(&q)) {
		found.first = kf_sql_int_in(&q, "first", 1, INT64_MAX);
		found.last = kf_sql_int_in(&q, "last", found.first, INT64_MAX);
	}
	if (!q.err)
		*range = found;
	return q.err;
}

static int last_seq(struct kf_store *store, int64_t *last)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'api_key'), "
		       "0)");

	if (kf_sql_step(&q))
		*last = kf_sql_int(&q);
	return q.err;
}

int kf_store_batch_note(struct kf_store *store, const struct kf_key_batch_range *range)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO key_batch (one, first, last) VALUES (1, ?, ?)");

	kf_sql_bind_int(&q, range->first);
	kf_sql_bind_int(&q, range->last);
	return kf_sql_run(&q);
}

/* AUTOINCREMENT goes on behind the largest number that was ever there. */
static int reserve(struct kf_store *store, int64_t last)
{
	_cleanup_(kf_sql_end) struct kf_sql update =
		kf_sql_begin(store, "UPDATE sqlite_sequence SET seq = ? WHERE name = 'api_key'");
	int err;

	kf_sql_bind_int(&update, last);
	err = kf_sql_run_on_row(&update);
	if (err != -ENOENT)
		return err;

	_cleanup_(kf_sql_end) struct kf_sql insert = kf_sql_begin(
		store, "INSERT INTO sqlite_sequence (name, seq) VALUES ('api_key', ?)");

	kf_sql_bind_int(&insert, last);
	return kf_sql_run(&insert);
}

int kf_store_batch_begin(struct kf_store *store, uint32_t quantity,
			 struct kf_key_batch_range *range)
{
	struct kf_key_batch_range chosen;
	int64_t last = 0;
	int err = last_seq(store, &last);

	if (err)
		return err;
	if (last > INT64_MAX - quantity)
		return -ENOSPC;
	chosen.first = last + 1;
	chosen.last = last + quantity;
	err = kf_store_batch_note(store, &chosen);
	if (!err)
		err = reserve(store, chosen.last);
	if (!err)
		*range = chosen;
	return err;
}

int kf_store_batch_end(struct kf_store *store)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM key_batch WHERE one = 1");

	return kf_sql_run(&q);
}

int kf_store_batch_each(struct kf_store *store, const struct kf_key_batch_range *range,
			uint32_t limit, kf_credential_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT k.seq, c.slot FROM api_key k JOIN credential c ON "
				    "c.key = k.seq WHERE k.seq BETWEEN ? AND ? LIMIT ?");
	struct kf_credential_row row = { 0 };
	int err = 0;

	kf_sql_bind_int(&q, range->first);
	kf_sql_bind_int(&q, range->last);
	kf_sql_bind_int(&q, limit);
	while (!err && kf_sql_step(&q)) {
		row.key = kf_sql_int(&q);
		row.slot = (uint32_t)kf_sql_int_in(&q, "slot", 0, UINT32_MAX - 1);
		err = q.err;
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}
