// SPDX-License-Identifier: GPL-2.0-only
/* The credentials of the store: what ties a key to its slots in the kernel. */
#include <string.h>

#include "store/sqlite.h"

#define COLUMNS "slot, key, tag, until"

static int read_credential(struct kf_sql *q, struct kf_credential_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "a credential");
	row->slot = (uint32_t)kf_sql_int_in(q, "slot", 0, KF_SLOT_NONE - 1);
	kf_sql_name(q, "the credential in place %u", row->slot);
	row->key = kf_sql_int_in(q, "key", 1, INT64_MAX);
	kf_sql_blob_in(q, "tag", row->tag, sizeof(row->tag));
	row->until = kf_sql_time_in(q, "until");
	return q->err;
}

static int give_rows(struct kf_sql *q, kf_credential_fn fn, void *context)
{
	struct kf_credential_row row;
	int err = 0;

	while (!err && kf_sql_step(q)) {
		err = read_credential(q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q->err;
}

int kf_store_credential_add(struct kf_store *store, const struct kf_credential_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO credential (" COLUMNS ") VALUES (?, ?, ?, ?)");

	kf_sql_bind_int(&q, row->slot);
	kf_sql_bind_int(&q, row->key);
	kf_sql_bind_blob(&q, row->tag, sizeof(row->tag));
	kf_sql_bind_time(&q, row->until);
	return kf_sql_run(&q);
}

int kf_store_credential_remove(struct kf_store *store, uint32_t slot)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM credential WHERE slot = ?");

	kf_sql_bind_int(&q, slot);
	return kf_sql_run_on_row(&q);
}

int kf_store_credential_until(struct kf_store *store, uint32_t slot, int64_t until)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "UPDATE credential SET until = ? WHERE slot = ?");

	kf_sql_bind_time(&q, until);
	kf_sql_bind_int(&q, slot);
	return kf_sql_run_on_row(&q);
}

int kf_store_credential_each(struct kf_store *store, int64_t seq, kf_credential_fn fn,
			     void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM credential WHERE key = ? "
				    "ORDER BY until IS NULL, until, slot");

	kf_sql_bind_int(&q, seq);
	return give_rows(&q, fn, context);
}

static int take_row(void *context, const struct kf_credential_row *row)
{
	*(struct kf_credential_row *)context = *row;
	return 0;
}

int kf_store_credential_find(struct kf_store *store, const uint8_t tag[static 16],
			     struct kf_credential_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT " COLUMNS " FROM credential WHERE tag = ? AND " KF_SQL_THERE("key"));
	struct kf_credential_row found = { .key = 0 };
	int err;

	kf_sql_bind_blob(&q, tag, 16);
	err = give_rows(&q, take_row, &found);
	if (!err && !found.key)
		err = -ENOENT;
	if (!err)
		*row = found;
	return err;
}

int kf_store_credential_expired(struct kf_store *store, int64_t now, uint32_t limit,
				kf_credential_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM credential "
				    "WHERE until IS NOT NULL AND until <= ? LIMIT ?");

	kf_sql_bind_int(&q, now);
	kf_sql_bind_int(&q, limit);
	return give_rows(&q, fn, context);
}

int kf_store_credential_any(struct kf_store *store, bool *any)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT 1 FROM credential LIMIT 1");
	bool found = kf_sql_step(&q);

	if (!q.err)
		*any = found;
	return q.err;
}

/* ---- slots ----------------------------------------------------------------------------------- */

/*
 * Read in stretches of places, so that the reading of very many can be interrupted. The key's row
 * is fetched by its number, and whether there is an allow list is asked only if any key has one.
 */
#define CURRENT                                                                                    \
	"CASE WHEN c.until IS NULL THEN c.slot ELSE coalesce((SELECT h.slot FROM credential h "    \
	"WHERE h.key = c.key AND h.until IS NULL), c.slot) END, "
#define SLOTS(allow)                                                                               \
	"SELECT c.slot, c.key, c.tag, c.until, k.disabled, k.expires, k.rpm, "                     \
	"k.rpm_burst, coalesce(k.in_group, 0), coalesce(k.models, 0), coalesce(k.wallet, 0), "     \
	"CASE WHEN k.account IS NULL THEN 0 ELSE "                                                 \
	"(SELECT a.wallet FROM account a WHERE a.id = k.account) END, "                            \
	"coalesce(k.quota, 0), k.spent, " CURRENT allow                                            \
	" FROM credential c CROSS JOIN api_key k ON k.seq = c.key WHERE "                          \
	"c.slot BETWEEN ?1 AND ?2 AND " KF_SQL_THERE("k.seq") " ORDER BY c.slot"
#define HAS_ALLOW "EXISTS (SELECT 1 FROM key_allow a WHERE a.key = c.key)"

static int read_slot(struct kf_sql *q, struct kf_slot_row *row)
{
	int64_t until, expires;

	memset(row, 0, sizeof(*row));
	kf_sql_number(q, "a credential after place", q->number);
	row->slot = (uint32_t)kf_sql_int_in(q, "slot", 0, KF_SLOT_NONE - 1);
	kf_sql_number(q, "the credential (or its key) in place", row->slot);
	row->key = kf_sql_int_in(q, "key", 1, INT64_MAX);
	kf_sql_blob_in(q, "tag", row->tag, sizeof(row->tag));
	until = kf_sql_time_in(q, "until");
	row->disabled = kf_sql_int_in(q, "disabled", 0, 1);
	expires = kf_sql_time_in(q, "expires");
	row->rpm = (uint32_t)kf_sql_int_in(q, "rpm", 0, KF_RPM_TOP);
	row->rpm_burst = (uint32_t)kf_sql_int_in(q, "rpm_burst", 0, KF_RPM_TOP);
	row->group = (uint32_t)kf_sql_int_in(q, "in_group", 0, KF_GROUPS_MAX - 1);
	row->models = (uint32_t)kf_sql_int_in(q, "models", 0, UINT32_MAX);
	row->wallet = (uint32_t)kf_sql_int_in(q, "wallet", 0, UINT32_MAX);
	row->account_wallet = (uint32_t)kf_sql_int_in(q, "its account's wallet", 0, UINT32_MAX);
	row->quota = kf_sql_int_in(q, "quota", 0, KF_AMOUNT_TOP);
	row->spent = kf_sql_int_in(q, "spent", 0, INT64_MAX);
	row->rate_slot = (uint32_t)kf_sql_int_in(q, "rate slot", 0, KF_SLOT_NONE - 1);
	row->allowlist = kf_sql_int_in(q, "allow list", 0, 1);
	row->expires = until < expires ? until : expires;
	return q->err;
}

static int any_row(struct kf_store *store, const char *text, bool *any)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, text);
	bool found = kf_sql_step(&q);

	if (!q.err)
		*any = found;
	return q.err;
}

static int any_allow(struct kf_store *store, bool *any)
{
	return any_row(store, "SELECT 1 FROM key_allow LIMIT 1", any);
}

int kf_store_slot_timed(struct kf_store *store, bool *any)
{
	return any_row(store,
		       "SELECT 1 FROM (SELECT 1 FROM api_key WHERE expires IS NOT NULL LIMIT 1) "
		       "UNION ALL "
		       "SELECT 1 FROM (SELECT 1 FROM credential WHERE until IS NOT NULL LIMIT 1)",
		       any);
}

/* A place below the first one that there is belongs to the first stretch, to be refused there. */
static void bind_stretch(struct kf_sql *q, uint32_t first, uint32_t last)
{
	kf_sql_bind_int(q, first ? (int64_t)first : INT64_MIN);
	kf_sql_bind_int(q, last == KF_SLOT_NONE ? INT64_MAX : (int64_t)last);
}

int kf_store_slot_each(struct kf_store *store, uint32_t first, uint32_t last, kf_slot_fn fn,
		       void *context)
{
	struct kf_slot_row row;
	bool allow = false;
	int err = any_allow(store, &allow);

	if (err)
		return err;

	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, allow ? SLOTS(HAS_ALLOW) : SLOTS("0"));

	bind_stretch(&q, first, last);
	while (!err && kf_sql_step(&q)) {
		err = read_slot(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

int kf_store_slot_allow_each(struct kf_store *store, uint32_t first, uint32_t last,
			     kf_slot_allow_fn fn, void *context)
{
	struct kf_cidr cidr;
	bool allow = false;
	uint32_t slot;
	int64_t key;
	int err = any_allow(store, &allow);

	if (err || !allow)
		return err;

	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT c.slot, c.key, a.addr, a.prefix_len FROM credential c "
				    "CROSS JOIN key_allow a ON a.key = c.key "
				    "WHERE c.slot BETWEEN ?1 AND ?2 AND " KF_SQL_THERE("a.key"));

	bind_stretch(&q, first, last);
	while (!err && kf_sql_step(&q)) {
		slot = (uint32_t)kf_sql_int_in(&q, "slot", 0, KF_SLOT_NONE - 1);
		key = kf_sql_int_in(&q, "key", 1, INT64_MAX);
		kf_sql_number(&q, "the allow list of key number", key);
		kf_sql_cidr(&q, &cidr);
		err = q.err;
		if (!err)
			err = fn(context, slot, key, &cidr);
	}
	return err ? err : q.err;
}

int kf_store_slot_last(struct kf_store *store, int64_t *slot)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT coalesce(max(slot), -1) FROM credential");

	if (kf_sql_step(&q))
		*slot = kf_sql_int(&q);
	return q.err;
}
