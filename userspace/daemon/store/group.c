// SPDX-License-Identifier: GPL-2.0-only
/* The groups of the store: few rows, read whole. */
#include <string.h>

#include <keyfilter/http1_state.h>

#include "store/sqlite.h"

#define COLUMNS "name, idx, protocols, revision, coalesce(models, 0), multiplier"

static int read_group(struct kf_sql *q, struct kf_group_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "a group");
	kf_sql_text_in(q, "name", row->name, sizeof(row->name), KF_SQL_WORD);
	kf_sql_name(q, "group %s", row->name);
	row->index = (uint32_t)kf_sql_int_in(q, "idx", 1, KF_GROUPS_MAX - 1);
	row->protocols = (uint32_t)kf_sql_int_in(q, "protocols", 1, KF_PROTOCOLS_ALL);
	row->revision = (uint64_t)kf_sql_int_in(q, "revision", INT64_MIN, INT64_MAX);
	row->models = (uint32_t)kf_sql_int_in(q, "models", 0, UINT32_MAX);
	row->multiplier = kf_sql_int_in(q, "multiplier", 0, KF_MULTIPLIER_TOP);
	return q->err;
}

static int find_free_index(struct kf_store *store, uint32_t *index)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT idx FROM key_group ORDER BY idx");
	uint32_t free = 1;

	while (kf_sql_step(&q) && (uint32_t)kf_sql_int(&q) == free)
		free++;
	if (q.err)
		return q.err;
	if (free >= KF_GROUPS_MAX)
		return -E2BIG;
	*index = free;
	return 0;
}

int kf_store_group_restore(struct kf_store *store, const struct kf_group_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO key_group (name, idx, protocols, revision, models, multiplier) "
		       "VALUES (?, ?, ?, ?, ?, ?)");

	kf_sql_bind_text(&q, row->name);
	kf_sql_bind_int(&q, row->index);
	kf_sql_bind_int(&q, row->protocols);
	kf_sql_bind_int(&q, (int64_t)row->revision);
	kf_sql_bind_time(&q, row->models ? row->models : KF_WALL_NEVER);
	kf_sql_bind_int(&q, row->multiplier);
	return kf_sql_run(&q);
}

int kf_store_group_add(struct kf_store *store, struct kf_group_row *row)
{
	struct kf_group_row added = *row;
	int err = find_free_index(store, &added.index);

	added.revision = kf_sql_revision();
	if (!err)
		err = kf_store_group_restore(store, &added);
	if (!err)
		*row = added;
	return err;
}

int kf_store_group_update(struct kf_store *store, const struct kf_group_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store,
		"UPDATE key_group SET protocols = ?, revision = ?, models = ?, multiplier = ? "
		"WHERE name = ?");

	kf_sql_bind_int(&q, row->protocols);
	kf_sql_bind_int(&q, (int64_t)kf_sql_revision());
	kf_sql_bind_time(&q, row->models ? row->models : KF_WALL_NEVER);
	kf_sql_bind_int(&q, row->multiplier);
	kf_sql_bind_text(&q, row->name);
	return kf_sql_run_on_row(&q);
}

int kf_store_group_remove(struct kf_store *store, const char *name)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM key_group WHERE name = ?");

	kf_sql_bind_text(&q, name);
	return kf_sql_run_on_row(&q);
}

int kf_store_group_get(struct kf_store *store, const char *name, struct kf_group_row *row)
{
	struct kf_group_row found;
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM key_group WHERE name = ?");

	kf_sql_bind_text(&q, name);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	if (!read_group(&q, &found))
		*row = found;
	return q.err;
}

int kf_store_group_each(struct kf_store *store, kf_group_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM key_group ORDER BY name");
	struct kf_group_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		err = read_group(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

/* Of the index alone. */
int kf_store_group_keys(struct kf_store *store, uint32_t index, uint32_t most, uint64_t *count)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT count(*) FROM (SELECT 1 FROM api_key "
				    "WHERE in_group = ? LIMIT ?)");

	kf_sql_bind_int(&q, index);
	kf_sql_bind_int(&q, most);
	if (kf_sql_step(&q))
		*count = (uint64_t)kf_sql_int(&q);
	return q.err;
}
