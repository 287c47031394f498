// SPDX-License-Identifier: GPL-2.0-only
/* The ledger of the store: every amount that was granted or spent, in rows that are only added. */
#include <string.h>

#include "store/sqlite.h"

#define COLUMNS "seq, time, kind, account, coalesce(key, ''), amount, coalesce(total, -1), note"

static int read_entry(struct kf_sql *q, struct kf_ledger_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_number(q, "an entry of the ledger after", q->number);
	row->seq = kf_sql_int_in(q, "seq", 1, INT64_MAX);
	kf_sql_number(q, "the ledger's entry", row->seq);
	row->time = kf_sql_int_in(q, "time", 0, INT64_MAX);
	row->kind = (enum kf_ledger_kind)kf_sql_int_in(q, "kind", 0, KF_LEDGER_KINDS - 1);
	row->account = kf_sql_int_in(q, "account", 0, INT64_MAX);
	kf_sql_text_in(q, "key", row->key, sizeof(row->key), NULL);
	row->amount = kf_sql_int_in(q, "amount", INT64_MIN, INT64_MAX);
	row->total = kf_sql_int_in(q, "total", KF_NO_QUOTA, KF_AMOUNT_TOP);
	kf_sql_text_in(q, "note", row->note, sizeof(row->note), NULL);
	return q->err;
}

int kf_store_ledger_add(struct kf_store *store, const struct kf_ledger_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO ledger (time, kind, account, key, amount, total, note) "
		       "VALUES (?, ?, ?, nullif(?, ''), ?, ?, ?)");

	kf_sql_bind_int(&q, row->time);
	kf_sql_bind_int(&q, row->kind);
	kf_sql_bind_int(&q, row->account);
	kf_sql_bind_text(&q, row->key);
	kf_sql_bind_int(&q, row->amount);
	kf_sql_bind_time(&q, row->kind == KF_LEDGER_QUOTA && row->total >= 0 ? row->total
									     : KF_WALL_NEVER);
	kf_sql_bind_text(&q, row->note);
	return kf_sql_run(&q);
}

int kf_store_ledger_list(struct kf_store *store, const struct kf_ledger_query *query,
			 kf_ledger_fn fn, void *context)
{
	char text[256];
	struct kf_ledger_row row;
	int err = 0;

	snprintf(text, sizeof(text),
		 "SELECT " COLUMNS " FROM ledger WHERE seq > ? AND time >= ?%s%s "
		 "ORDER BY seq LIMIT ?",
		 query->account >= 0 ? " AND account = ?" : "",
		 query->key ? " AND key IS NOT NULL AND key = ?" : "");

	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin_once(store, text);

	kf_sql_bind_int(&q, query->after);
	kf_sql_bind_int(&q, query->since);
	if (query->account >= 0)
		kf_sql_bind_int(&q, query->account);
	if (query->key)
		kf_sql_bind_text(&q, query->key);
	kf_sql_bind_int(&q, query->limit);
	while (!err && kf_sql_step(&q)) {
		err = read_entry(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* Each gives a name, what the row has, and what the entries add up to, where these differ. */
static const char *const checks[] = {
	"SELECT 'account ' || a.name || ': granted', a.granted, coalesce(s.amount, 0) FROM account "
	"a "
	"LEFT JOIN (SELECT account, sum(amount) AS amount FROM ledger WHERE kind = 0 "
	"GROUP BY account) s ON s.account = a.id WHERE a.granted <> coalesce(s.amount, 0)",

	"SELECT 'account ' || a.name || ': spent', a.spent, coalesce(s.amount, 0) FROM account a "
	"LEFT JOIN (SELECT account, sum(amount) AS amount FROM ledger WHERE kind = 2 "
	"GROUP BY account) s ON s.account = a.id WHERE a.spent <> coalesce(s.amount, 0)",

	"SELECT 'key ' || k.id || ': quota', coalesce(k.quota, -1), coalesce(l.total, -1) "
	"FROM api_key k LEFT JOIN (SELECT key, max(seq) AS seq FROM ledger WHERE kind = 1 "
	"GROUP BY key) m ON m.key = k.id LEFT JOIN ledger l ON l.seq = m.seq "
	"WHERE k.quota IS NOT l.total",

	"SELECT 'key ' || k.id || ': spent', k.spent, coalesce(s.amount, 0) FROM api_key k "
	"LEFT JOIN (SELECT key, sum(amount) AS amount FROM ledger WHERE kind = 2 GROUP BY key) s "
	"ON s.key = k.id WHERE k.spent <> coalesce(s.amount, 0)",
};

static int run_check(struct kf_store *store, const char *text, kf_ledger_difference_fn fn,
		     void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, text);
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		struct kf_ledger_difference found;

		kf_sql_name(&q, "a sum of the ledger");
		kf_sql_text_in(&q, "what", found.what, sizeof(found.what), NULL);
		found.has = kf_sql_int(&q);
		found.ledger = kf_sql_int(&q);
		err = fn(context, &found);
	}
	return err ? err : q.err;
}

int kf_store_ledger_verify(struct kf_store *store, kf_ledger_difference_fn fn, void *context)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(checks) / sizeof(checks[0]); i++)
		err = run_check(store, checks[i], fn, context);
	return err;
}
