// SPDX-License-Identifier: GPL-2.0-only
/* What requests have used: each that was reported, and the sums of a day. */
#include <string.h>

#include "store/sqlite.h"

#define DAY_NS 86400000000000ll

static void read_counts(struct kf_sql *q, int64_t most, struct kf_usage_counts *counts)
{
	counts->prompt = kf_sql_int_in(q, "prompt", 0, most);
	counts->cached = kf_sql_int_in(q, "cached", 0, most);
	counts->cache_write = kf_sql_int_in(q, "cache_write", 0, most);
	counts->completion = kf_sql_int_in(q, "completion", 0, most);
}

static void bind_counts(struct kf_sql *q, const struct kf_usage_counts *counts)
{
	kf_sql_bind_int(q, counts->prompt);
	kf_sql_bind_int(q, counts->cached);
	kf_sql_bind_int(q, counts->cache_write);
	kf_sql_bind_int(q, counts->completion);
}

/* ---- requests -------------------------------------------------------------------------------- */

int kf_store_usage_find(struct kf_store *store, const char *key, const char *request,
			struct kf_usage_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT time, model, prompt, cached, cache_write, completion, "
				    "cost FROM usage WHERE key = ? AND request = ?");
	struct kf_usage_row found = { 0 };

	kf_sql_bind_text(&q, key);
	kf_sql_bind_text(&q, request);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	kf_sql_name(&q, "the usage of a request of key %s", key);
	snprintf(found.key, sizeof(found.key), "%s", key);
	snprintf(found.request, sizeof(found.request), "%s", request);
	found.time = kf_sql_int_in(&q, "time", 0, INT64_MAX);
	kf_sql_text_in(&q, "model", found.model, sizeof(found.model), NULL);
	read_counts(&q, KF_USAGE_TOKENS_TOP, &found.counts);
	found.cost = kf_sql_int_in(&q, "cost", 0, KF_AMOUNT_TOP);
	if (!q.err)
		*row = found;
	return q.err;
}

static int add_row(struct kf_store *store, const struct kf_usage_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO usage (time, key, request, model, prompt, cached, "
		       "cache_write, completion, cost) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
		       "ON CONFLICT DO NOTHING");
	int err;

	kf_sql_bind_int(&q, row->time);
	kf_sql_bind_text(&q, row->key);
	kf_sql_bind_text(&q, row->request);
	kf_sql_bind_text(&q, row->model);
	bind_counts(&q, &row->counts);
	kf_sql_bind_int(&q, row->cost);
	err = kf_sql_run(&q);
	return err ? err : sqlite3_changes64(store->db) ? 0 : -EEXIST;
}

static int add_to_day(struct kf_store *store, const struct kf_usage_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store,
		"INSERT INTO usage_day (day, key, model, requests, prompt, cached, cache_write, "
		"completion, cost) VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?) "
		"ON CONFLICT (key, day, model) DO UPDATE SET requests = requests + 1, "
		"prompt = prompt + excluded.prompt, cached = cached + excluded.cached, "
		"cache_write = cache_write + excluded.cache_write, "
		"completion = completion + excluded.completion, cost = cost + excluded.cost");

	kf_sql_bind_int(&q, row->time / DAY_NS);
	kf_sql_bind_text(&q, row->key);
	kf_sql_bind_text(&q, row->model);
	bind_counts(&q, &row->counts);
	kf_sql_bind_int(&q, row->cost);
	return kf_sql_run(&q);
}

int kf_store_usage_add(struct kf_store *store, const struct kf_usage_row *row)
{
	int err = add_row(store, row);

	return err ? err : add_to_day(store, row);
}

/* ---- days ------------------------------------------------------------------------------------ */

static int read_day(struct kf_sql *q, struct kf_usage_day_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_number(q, "a day's usage after", q->number);
	row->seq = kf_sql_int_in(q, "seq", 1, INT64_MAX);
	kf_sql_number(q, "the day's usage", row->seq);
	row->day = kf_sql_int_in(q, "day", 0, INT64_MAX / DAY_NS) * DAY_NS;
	kf_sql_text_in(q, "key", row->key, sizeof(row->key), KF_SQL_WORD);
	kf_sql_text_in(q, "model", row->model, sizeof(row->model), NULL);
	row->requests = kf_sql_int_in(q, "requests", 0, INT64_MAX);
	read_counts(q, INT64_MAX, &row->counts);
	row->cost = kf_sql_int_in(q, "cost", 0, INT64_MAX);
	return q->err;
}

int kf_store_usage_days(struct kf_store *store, const struct kf_usage_query *query,
			kf_usage_day_fn fn, void *context)
{
	char text[320];
	struct kf_usage_day_row row;
	int err = 0;

	snprintf(text, sizeof(text),
		 "SELECT seq, day, key, model, requests, prompt, cached, cache_write, completion, "
		 "cost FROM usage_day WHERE seq > ? AND day >= ?%s%s ORDER BY seq LIMIT ?",
		 query->key ? " AND key = ?" : "", query->model ? " AND model = ?" : "");

	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin_once(store, text);

	kf_sql_bind_int(&q, query->after);
	kf_sql_bind_int(&q, query->since / DAY_NS);
	if (query->key)
		kf_sql_bind_text(&q, query->key);
	if (query->model)
		kf_sql_bind_text(&q, query->model);
	kf_sql_bind_int(&q, query->limit);
	while (!err && kf_sql_step(&q)) {
		err = read_day(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}
