// SPDX-License-Identifier: GPL-2.0-only
/* The models of the store: those that are known, and the sets that groups and keys are held to. */
#include <string.h>

#include "store/sqlite.h"

int kf_store_model_add(struct kf_store *store, const char *name)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO model (name) VALUES (?)");

	kf_sql_bind_text(&q, name);
	return kf_sql_run(&q);
}

int kf_store_model_remove(struct kf_store *store, const char *name)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM model WHERE name = ?");

	kf_sql_bind_text(&q, name);
	return kf_sql_run_on_row(&q);
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
