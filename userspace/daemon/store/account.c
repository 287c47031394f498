// SPDX-License-Identifier: GPL-2.0-only
/* The accounts of the store: few rows, read whole. */
#include <string.h>

#include "store/sqlite.h"

#define COLUMNS "id, name, currency, wallet, unlimited, granted, spent, created, revision"

static int read_account(struct kf_sql *q, struct kf_account_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "an account");
	row->id = kf_sql_int_in(q, "id", 1, INT64_MAX);
	kf_sql_name(q, "account number %lld", (long long)row->id);
	kf_sql_text_in(q, "name", row->name, sizeof(row->name), KF_SQL_WORD);
	kf_sql_name(q, "account %s", row->name);
	kf_sql_text_in(q, "currency", row->currency, sizeof(row->currency), KF_SQL_WORD);
	row->wallet = (uint32_t)kf_sql_int_in(q, "wallet", 1, UINT32_MAX);
	row->unlimited = kf_sql_int_in(q, "unlimited", 0, 1);
	row->granted = kf_sql_int_in(q, "granted", 0, KF_AMOUNT_TOP);
	row->spent = kf_sql_int_in(q, "spent", 0, INT64_MAX);
	row->created = kf_sql_int_in(q, "created", 0, INT64_MAX);
	row->revision = (uint64_t)kf_sql_int_in(q, "revision", INT64_MIN, INT64_MAX);
	return q->err;
}

int kf_store_account_add(struct kf_store *store, struct kf_account_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO account (name, currency, wallet, unlimited, granted, created, "
		       "revision) VALUES (?, ?, ?, ?, ?, ?, ?)");
	uint64_t revision = kf_sql_revision();

	kf_sql_bind_text(&q, row->name);
	kf_sql_bind_text(&q, row->currency);
	kf_sql_bind_int(&q, row->wallet);
	kf_sql_bind_int(&q, row->unlimited);
	kf_sql_bind_int(&q, row->granted);
	kf_sql_bind_int(&q, row->created);
	kf_sql_bind_int(&q, (int64_t)revision);
	if (kf_sql_run(&q))
		return q.err;
	row->id = sqlite3_last_insert_rowid(store->db);
	row->revision = revision;
	return 0;
}

int kf_store_account_update(struct kf_store *store, const struct kf_account_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "UPDATE account SET name = ?, wallet = ?, unlimited = ?, "
				    "granted = ?, revision = ? WHERE id = ?");

	kf_sql_bind_text(&q, row->name);
	kf_sql_bind_int(&q, row->wallet);
	kf_sql_bind_int(&q, row->unlimited);
	kf_sql_bind_int(&q, row->granted);
	kf_sql_bind_int(&q, (int64_t)kf_sql_revision());
	kf_sql_bind_int(&q, row->id);
	return kf_sql_run_on_row(&q);
}

static int get_one(struct kf_sql *q, struct kf_account_row *row)
{
	struct kf_account_row found;

	if (!kf_sql_step(q))
		return q->err ? q->err : -ENOENT;
	if (!read_account(q, &found))
		*row = found;
	return q->err;
}

int kf_store_account_get(struct kf_store *store, const char *name, struct kf_account_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM account WHERE name = ?");

	kf_sql_bind_text(&q, name);
	return get_one(&q, row);
}

int kf_store_account_at(struct kf_store *store, int64_t id, struct kf_account_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM account WHERE id = ?");

	kf_sql_bind_int(&q, id);
	return get_one(&q, row);
}

int kf_store_account_each(struct kf_store *store, kf_account_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM account ORDER BY name");
	struct kf_account_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		err = read_account(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

int kf_store_account_keys(struct kf_store *store, int64_t id, uint64_t *count)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT count(*) FROM api_key WHERE account = ?");

	kf_sql_bind_int(&q, id);
	if (kf_sql_step(&q))
		*count = (uint64_t)kf_sql_int(&q);
	return q.err;
}

/* ---- wallets --------------------------------------------------------------------------------- */

/* The lowest number that is not taken. */
static int find_wallet(struct kf_store *store, uint32_t most, uint32_t *wallet)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM wallet WHERE idx = 1) UNION ALL "
		       "SELECT w.idx + 1 FROM wallet w WHERE w.idx < ? AND NOT EXISTS "
		       "(SELECT 1 FROM wallet n WHERE n.idx = w.idx + 1) LIMIT 1");

	kf_sql_bind_int(&q, most);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -E2BIG;
	*wallet = (uint32_t)kf_sql_int(&q);
	return q.err;
}

static int next_wallet(struct kf_store *store, int64_t *next)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'wallet'), "
		       "0) + 1");

	if (kf_sql_step(&q))
		*next = kf_sql_int(&q);
	return q.err;
}

int kf_store_wallet_take(struct kf_store *store, uint32_t most, uint32_t *wallet)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO wallet (idx) VALUES (?)");
	uint32_t found = 0;
	int64_t next = 0;
	int err = next_wallet(store, &next);

	if (!err && next <= most)
		found = (uint32_t)next;
	else if (!err)
		err = find_wallet(store, most, &found);
	if (err)
		return err;
	kf_sql_bind_int(&q, found);
	if (!kf_sql_run(&q))
		*wallet = found;
	return q.err;
}

int kf_store_wallet_drop(struct kf_store *store, uint32_t wallet)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM wallet WHERE idx = ?");

	kf_sql_bind_int(&q, wallet);
	return kf_sql_run_on_row(&q);
}
