// SPDX-License-Identifier: GPL-2.0-only
/* The models of the store: those that are known, and the sets that groups and keys are held to. */
#include <string.h>

#include "store/sqlite.h"

#define COLUMNS "name, input, cached, cache_write, output, per_request, context, max_output"

static void bind_price(struct kf_sql *q, int64_t price)
{
	kf_sql_bind_time(q, price == KF_NO_PRICE ? KF_WALL_NEVER : price);
}

static void bind_model(struct kf_sql *q, const struct kf_model_row *row)
{
	for (int i = 0; i < KF_PRICES; i++)
		bind_price(q, row->price[i]);
	kf_sql_bind_time(q, row->context ? row->context : KF_WALL_NEVER);
	kf_sql_bind_time(q, row->max_output ? row->max_output : KF_WALL_NEVER);
	kf_sql_bind_text(q, row->name);
}

int kf_store_model_add(struct kf_store *store, const struct kf_model_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO model (input, cached, cache_write, output, per_request, "
		       "context, max_output, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?)");

	bind_model(&q, row);
	return kf_sql_run(&q);
}

int kf_store_model_update(struct kf_store *store, const struct kf_model_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "UPDATE model SET input = ?, cached = ?, cache_write = ?, output = ?, "
		       "per_request = ?, context = ?, max_output = ? WHERE name = ?");

	bind_model(&q, row);
	return kf_sql_run_on_row(&q);
}

int kf_store_model_remove(struct kf_store *store, const char *name)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM model WHERE name = ?");

	kf_sql_bind_text(&q, name);
	return kf_sql_run_on_row(&q);
}

/* A number that may be NULL, which is @none. */
static int64_t read_number(struct kf_sql *q, const char *column, int64_t least, int64_t most,
			   int64_t none)
{
	if (sqlite3_column_type(q->statement, q->column) != SQLITE_NULL)
		return kf_sql_int_in(q, column, least, most);
	q->column++;
	return none;
}

static int read_model(struct kf_sql *q, struct kf_model_row *row)
{
	static const char *const prices[KF_PRICES] = { "input", "cached", "cache_write", "output",
						       "per_request" };

	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "a model");
	kf_sql_text_in(q, "name", row->name, sizeof(row->name), NULL);
	kf_sql_name(q, "model %.60s", row->name);
	for (int i = 0; i < KF_PRICES; i++)
		row->price[i] = read_number(q, prices[i], 0, KF_PRICE_TOP, KF_NO_PRICE);
	row->context = (uint32_t)read_number(q, "context", 1, KF_MODEL_TOKENS_TOP, 0);
	row->max_output = (uint32_t)read_number(q, "max_output", 1, KF_MODEL_TOKENS_TOP, 0);
	return q->err;
}

int kf_store_model_get(struct kf_store *store, const char *name, struct kf_model_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM model WHERE name = ?");
	struct kf_model_row found;

	kf_sql_bind_text(&q, name);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	if (!read_model(&q, &found))
		*row = found;
	return q.err;
}

int kf_store_model_rows(struct kf_store *store, kf_model_row_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM model ORDER BY name");
	struct kf_model_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		err = read_model(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

static int give_names(struct kf_sql *q, kf_model_fn fn, void *context)
{
	char name[KF_MODEL_NAME_SIZE];
	int err = 0;

	kf_sql_name(q, "a model");
	while (!err && kf_sql_step(q)) {
		kf_sql_text_in(q, "name", name, sizeof(name), NULL);
		err = q->err ? q->err : fn(context, name);
	}
	return err ? err : q->err;
}

int kf_store_model_each(struct kf_store *store, const char *prefix, kf_model_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT name FROM model WHERE substr(name, 1, length(?1)) = ?1 "
				    "ORDER BY name");

	kf_sql_bind_text(&q, prefix);
	return give_names(&q, fn, context);
}

/* ---- sets ------------------------------------------------------------------------------------ */

int kf_store_model_set_find(struct kf_store *store, const char *names, uint32_t *index)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT idx FROM model_set WHERE names = ?");
	uint32_t found;

	kf_sql_bind_text(&q, names);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	found = (uint32_t)kf_sql_int_in(&q, "idx", 1, UINT32_MAX);
	if (!q.err)
		*index = found;
	return q.err;
}

int kf_store_model_set_add(struct kf_store *store, const char *names, uint32_t *index)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO model_set (names) VALUES (?)");

	kf_sql_bind_text(&q, names);
	if (kf_sql_run(&q))
		return q.err;
	*index = (uint32_t)sqlite3_last_insert_rowid(store->db);
	return 0;
}

int kf_store_model_set_remove(struct kf_store *store, uint32_t index)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM model_set WHERE idx = ?");

	kf_sql_bind_int(&q, index);
	return kf_sql_run_on_row(&q);
}

static int read_set(struct kf_sql *q, struct kf_model_set_row *row)
{
	kf_sql_name(q, "a set of models");
	row->index = (uint32_t)kf_sql_int_in(q, "idx", 1, UINT32_MAX);
	kf_sql_name(q, "set %u of models", row->index);
	kf_sql_text_in(q, "names", row->names, sizeof(row->names), NULL);
	return q->err;
}

int kf_store_model_set_get(struct kf_store *store, uint32_t index, struct kf_model_set_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT idx, names FROM model_set WHERE idx = ?");

	kf_sql_bind_int(&q, index);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	return read_set(&q, row);
}

int kf_store_model_set_each(struct kf_store *store, kf_model_set_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT idx, names FROM model_set ORDER BY idx");
	struct kf_model_set_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		err = read_set(&q, &row) ?: fn(context, &row);
	}
	return err ? err : q.err;
}

#define UNUSED                                                                                     \
	"NOT EXISTS (SELECT 1 FROM api_key k WHERE k.models = model_set.idx) AND "                 \
	"NOT EXISTS (SELECT 1 FROM key_group g WHERE g.models = model_set.idx)"

int kf_store_model_set_used(struct kf_store *store, uint32_t index, bool *used)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT 1 FROM model_set WHERE idx = ? AND " UNUSED);
	bool unused;

	kf_sql_bind_int(&q, index);
	unused = kf_sql_step(&q);
	if (!q.err)
		*used = !unused;
	return q.err;
}

int kf_store_model_set_collect(struct kf_store *store)
{
	_cleanup_(kf_sql_end) struct kf_sql any =
		kf_sql_begin(store, "SELECT 1 FROM model_set WHERE " UNUSED " LIMIT 1");
	bool found = kf_sql_step(&any);

	if (any.err || !found)
		return any.err;

	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM model_set WHERE " UNUSED);

	return kf_sql_run(&q);
}
