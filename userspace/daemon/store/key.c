// SPDX-License-Identifier: GPL-2.0-only
/* The keys of the store, and their allow lists. */
#include <string.h>

#include "store/sqlite.h"

static void read_money(struct kf_sql *q, struct kf_key_row *row)
{
	row->account = kf_sql_int_in(q, "account", 0, INT64_MAX);
	row->wallet = (uint32_t)kf_sql_int_in(q, "wallet", 0, UINT32_MAX);
	row->quota = kf_sql_int_in(q, "quota", 0, KF_AMOUNT_TOP);
	row->spent = kf_sql_int_in(q, "spent", 0, INT64_MAX);
	if (row->account)
		kf_sql_text_in(q, "its account's name", row->account_name,
			       sizeof(row->account_name), KF_SQL_WORD);
	else
		q->column++;
	row->account_wallet = (uint32_t)kf_sql_int_in(q, "its account's wallet", 0, UINT32_MAX);
	row->account_exhausted = kf_sql_int_in(q, "its account's balance", 0, 1);
}

int kf_sql_key(struct kf_sql *q, struct kf_key_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "a key");
	row->seq = kf_sql_int_in(q, "seq", 1, INT64_MAX);
	kf_sql_name(q, "key number %lld", (long long)row->seq);
	kf_sql_text_in(q, "id", row->id, sizeof(row->id), KF_SQL_WORD);
	kf_sql_name(q, "key %s", row->id);
	kf_sql_text_in(q, "name", row->name, sizeof(row->name), NULL);
	kf_sql_text_in(q, "mask_head", row->mask.head, sizeof(row->mask.head), NULL);
	kf_sql_text_in(q, "mask_tail", row->mask.tail, sizeof(row->mask.tail), NULL);
	row->disabled = kf_sql_int_in(q, "disabled", 0, 1);
	row->created = kf_sql_int_in(q, "created", 0, INT64_MAX);
	row->expires = kf_sql_time_in(q, "expires");
	row->past_admitted = (uint64_t)kf_sql_int_in(q, "past_admitted", 0, INT64_MAX);
	row->past_refused = (uint64_t)kf_sql_int_in(q, "past_refused", 0, INT64_MAX);
	row->past_used = kf_sql_int_in(q, "past_used", 0, INT64_MAX);
	row->rpm = (uint32_t)kf_sql_int_in(q, "rpm", 0, KF_RPM_TOP);
	row->rpm_burst = (uint32_t)kf_sql_int_in(q, "rpm_burst", 0, KF_RPM_TOP);
	row->revision = (uint64_t)kf_sql_int_in(q, "revision", INT64_MIN, INT64_MAX);
	row->group = (uint32_t)kf_sql_int_in(q, "in_group", 0, KF_GROUPS_MAX - 1);
	if (row->group)
		kf_sql_text_in(q, "its group's name", row->group_name, sizeof(row->group_name),
			       KF_SQL_WORD);
	else
		q->column++;
	row->models = (uint32_t)kf_sql_int_in(q, "models", 0, UINT32_MAX);
	kf_sql_text_in(q, "owner", row->owner, sizeof(row->owner), NULL);
	read_money(q, row);
	return q->err;
}

/* What add and update have in common, in the same order. */
static void bind_key(struct kf_sql *q, const struct kf_key_row *row, uint64_t revision)
{
	kf_sql_bind_text(q, row->id);
	kf_sql_bind_text(q, row->name);
	kf_sql_bind_text(q, row->mask.head);
	kf_sql_bind_text(q, row->mask.tail);
	kf_sql_bind_int(q, row->disabled);
	kf_sql_bind_int(q, row->created);
	kf_sql_bind_time(q, row->expires);
	kf_sql_bind_int(q, (int64_t)row->past_admitted);
	kf_sql_bind_int(q, (int64_t)row->past_refused);
	kf_sql_bind_int(q, row->past_used);
	kf_sql_bind_int(q, row->rpm);
	kf_sql_bind_int(q, row->rpm_burst);
	kf_sql_bind_int(q, (int64_t)revision);
	kf_sql_bind_time(q, row->group ? row->group : KF_WALL_NEVER);
	kf_sql_bind_time(q, row->models ? row->models : KF_WALL_NEVER);
	kf_sql_bind_text(q, row->owner);
	kf_sql_bind_time(q, row->account ? row->account : KF_WALL_NEVER);
	kf_sql_bind_time(q, row->wallet ? row->wallet : KF_WALL_NEVER);
	kf_sql_bind_time(q, row->wallet ? row->quota : KF_WALL_NEVER);
}

int kf_store_key_add(struct kf_store *store, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO api_key (id, name, mask_head, mask_tail, disabled, "
		       "created, expires, past_admitted, past_refused, past_used, rpm, "
		       "rpm_burst, revision, in_group, models, owner, account, wallet, quota) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	uint64_t revision = kf_sql_revision();

	bind_key(&q, row, revision);
	if (kf_sql_run(&q))
		return q.err;
	row->seq = sqlite3_last_insert_rowid(store->db);
	row->revision = revision;
	return 0;
}

int kf_store_key_add_at(struct kf_store *store, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO api_key (id, name, mask_head, mask_tail, disabled, created, "
		       "expires, past_admitted, past_refused, past_used, rpm, rpm_burst, revision, "
		       "in_group, models, owner, account, wallet, quota, seq) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	uint64_t revision = kf_sql_revision();

	bind_key(&q, row, revision);
	kf_sql_bind_int(&q, row->seq);
	if (kf_sql_run(&q))
		return q.err;
	row->revision = revision;
	return 0;
}

int kf_store_key_update(struct kf_store *store, const struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "UPDATE api_key SET id = ?, name = ?, mask_head = ?, mask_tail = ?, "
		       "disabled = ?, created = ?, expires = ?, past_admitted = ?, "
		       "past_refused = ?, past_used = ?, rpm = ?, rpm_burst = ?, revision = ?, "
		       "in_group = ?, models = ?, owner = ?, account = ?, wallet = ?, quota = ? "
		       "WHERE seq = ?");

	bind_key(&q, row, kf_sql_revision());
	kf_sql_bind_int(&q, row->seq);
	return kf_sql_run_on_row(&q);
}

int kf_store_key_counts(struct kf_store *store, const struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "UPDATE api_key SET past_admitted = ?, past_refused = ?, past_used = ? "
		       "WHERE seq = ?");

	kf_sql_bind_int(&q, (int64_t)row->past_admitted);
	kf_sql_bind_int(&q, (int64_t)row->past_refused);
	kf_sql_bind_int(&q, row->past_used);
	kf_sql_bind_int(&q, row->seq);
	return kf_sql_run_on_row(&q);
}

static int spend_account(struct kf_store *store, int64_t id, int64_t amount)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "UPDATE account SET spent = spent + ? WHERE id = ?");

	kf_sql_bind_int(&q, amount);
	kf_sql_bind_int(&q, id);
	return kf_sql_run_on_row(&q);
}

int kf_store_key_spend(struct kf_store *store, const struct kf_key_row *row, int64_t amount)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "UPDATE api_key SET spent = spent + ? WHERE seq = ?");

	kf_sql_bind_int(&q, amount);
	kf_sql_bind_int(&q, row->seq);
	if (kf_sql_run_on_row(&q))
		return q.err;
	return row->account ? spend_account(store, row->account, amount) : 0;
}

int kf_store_key_remove(struct kf_store *store, int64_t seq)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM api_key WHERE seq = ?");

	kf_sql_bind_int(&q, seq);
	return kf_sql_run_on_row(&q);
}

static int get_one(struct kf_sql *q, struct kf_key_row *row)
{
	struct kf_key_row found;

	if (!kf_sql_step(q))
		return q->err ? q->err : -ENOENT;
	if (!kf_sql_key(q, &found))
		*row = found;
	return q->err;
}

int kf_store_key_get(struct kf_store *store, const char *id, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " KF_SQL_KEY " FROM api_key WHERE id = ?");

	kf_sql_bind_text(&q, id);
	return get_one(&q, row);
}

int kf_store_key_of_slot(struct kf_store *store, uint32_t slot, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " KF_SQL_KEY " FROM api_key "
				    "WHERE seq = (SELECT key FROM credential WHERE slot = ?)");

	kf_sql_bind_int(&q, slot);
	return get_one(&q, row);
}

/* ---- allow lists ----------------------------------------------------------------------------- */

static int remove_allow(struct kf_store *store, int64_t seq)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM key_allow WHERE key = ?");

	kf_sql_bind_int(&q, seq);
	return kf_sql_run(&q);
}

static int add_allow(struct kf_store *store, int64_t seq, const struct kf_cidr *cidr)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT OR IGNORE INTO key_allow (key, addr, prefix_len) VALUES (?, ?, ?)");

	kf_sql_bind_int(&q, seq);
	kf_sql_bind_blob(&q, cidr->addr, sizeof(cidr->addr));
	kf_sql_bind_int(&q, cidr->prefix_len);
	return kf_sql_run(&q);
}

int kf_store_key_allow_set(struct kf_store *store, int64_t seq, const struct kf_cidr *cidrs,
			   uint32_t count)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *own = NULL;
	int err = count > KF_KEY_ALLOW_MAX ? -EINVAL : kf_store_begin_own(store, &own);

	if (!err)
		err = remove_allow(store, seq);
	for (uint32_t i = 0; !err && i < count; i++)
		err = add_allow(store, seq, &cidrs[i]);
	return err || !own ? err : kf_store_commit(own);
}

int kf_store_key_allow_get(struct kf_store *store, int64_t seq,
			   struct kf_cidr cidrs[static KF_KEY_ALLOW_MAX], uint32_t *count)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT addr, prefix_len FROM key_allow WHERE key = ? "
				    "ORDER BY addr, prefix_len LIMIT 64");
	uint32_t n = 0;

	_Static_assert(KF_KEY_ALLOW_MAX == 64, "LIMIT above");
	kf_sql_bind_int(&q, seq);
	kf_sql_name(&q, "the allow list of key number %lld", (long long)seq);
	for (; n < KF_KEY_ALLOW_MAX && kf_sql_step(&q); n++)
		kf_sql_cidr(&q, &cidrs[n]);
	if (!q.err)
		*count = n;
	return q.err;
}
