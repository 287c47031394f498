// SPDX-License-Identifier: GPL-2.0-only
/* The services and interfaces of the store: few rows, read whole. */
#include <string.h>

#include "store_sqlite.h"

#define SERVICE_COLUMNS                                                                            \
	"name, idx, listen_addr, port, mode, refuse, key_sources, flags, penalty_failures, "       \
	"penalty_window, penalty_time, penalty_time_max, syn_rate, syn_burst, revision"

static void read_service(struct kf_sql *q, struct kf_service_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_text(q, row->name, sizeof(row->name));
	row->index = (uint32_t)kf_sql_int(q);
	row->any = !kf_sql_blob(q, row->addr, sizeof(row->addr));
	row->port = (uint16_t)kf_sql_int(q);
	row->mode = (uint8_t)kf_sql_int(q);
	row->refuse = (uint8_t)kf_sql_int(q);
	row->key_sources = (uint32_t)kf_sql_int(q);
	row->flags = (uint32_t)kf_sql_int(q);
	row->penalty_failures = (uint32_t)kf_sql_int(q);
	row->penalty_window = (uint32_t)kf_sql_int(q);
	row->penalty_time = (uint32_t)kf_sql_int(q);
	row->penalty_time_max = (uint32_t)kf_sql_int(q);
	row->syn_rate = (uint32_t)kf_sql_int(q);
	row->syn_burst = (uint32_t)kf_sql_int(q);
	row->revision = (uint64_t)kf_sql_int(q);
}

/* What add and update have in common, in the same order. */
static void bind_service(struct kf_sql *q, const struct kf_service_row *row, uint64_t revision)
{
	kf_sql_bind_blob(q, row->any ? NULL : row->addr, sizeof(row->addr));
	kf_sql_bind_int(q, row->port);
	kf_sql_bind_int(q, row->mode);
	kf_sql_bind_int(q, row->refuse);
	kf_sql_bind_int(q, row->key_sources);
	kf_sql_bind_int(q, row->flags);
	kf_sql_bind_int(q, row->penalty_failures);
	kf_sql_bind_int(q, row->penalty_window);
	kf_sql_bind_int(q, row->penalty_time);
	kf_sql_bind_int(q, row->penalty_time_max);
	kf_sql_bind_int(q, row->syn_rate);
	kf_sql_bind_int(q, row->syn_burst);
	kf_sql_bind_int(q, (int64_t)revision);
	kf_sql_bind_text(q, row->name);
}

static int find_free_index(struct kf_store *store, uint32_t *index)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT idx FROM service ORDER BY idx");
	uint32_t free = 0;

	while (kf_sql_step(&q) && (uint32_t)kf_sql_int(&q) == free)
		free++;
	if (q.err)
		return q.err;
	if (free >= KF_SERVICES_MAX)
		return -E2BIG;
	*index = free;
	return 0;
}

int kf_store_service_add(struct kf_store *store, struct kf_service_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store,
		"INSERT INTO service (listen_addr, port, mode, refuse, key_sources, flags, "
		"penalty_failures, penalty_window, penalty_time, penalty_time_max, syn_rate, "
		"syn_burst, revision, name, idx) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
		"?)");
	uint64_t revision = kf_sql_revision();
	uint32_t index;
	int err;

	err = find_free_index(store, &index);
	if (err)
		return err;
	bind_service(&q, row, revision);
	kf_sql_bind_int(&q, index);
	err = kf_sql_run(&q);
	if (err)
		return err;
	row->index = index;
	row->revision = revision;
	return 0;
}

int kf_store_service_update(struct kf_store *store, const struct kf_service_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "UPDATE service SET listen_addr = ?, port = ?, mode = ?, refuse = ?, "
		       "key_sources = ?, flags = ?, penalty_failures = ?, "
		       "penalty_window = ?, penalty_time = ?, penalty_time_max = ?, "
		       "syn_rate = ?, syn_burst = ?, revision = ? WHERE name = ?");

	bind_service(&q, row, kf_sql_revision());
	return kf_sql_run_on_row(&q);
}

int kf_store_service_remove(struct kf_store *store, const char *name)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM service WHERE name = ?");

	kf_sql_bind_text(&q, name);
	return kf_sql_run_on_row(&q);
}

int kf_store_service_get(struct kf_store *store, const char *name, struct kf_service_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " SERVICE_COLUMNS " FROM service WHERE name = ?");

	kf_sql_bind_text(&q, name);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	read_service(&q, row);
	return 0;
}

int kf_store_service_each(struct kf_store *store, kf_service_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " SERVICE_COLUMNS " FROM service ORDER BY name");
	struct kf_service_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		read_service(&q, &row);
		err = fn(context, &row);
	}
	return err ? err : q.err;
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static void read_iface(struct kf_sql *q, struct kf_iface_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_text(q, row->dev, sizeof(row->dev));
	row->mode = (uint8_t)kf_sql_int(q);
	row->reset = kf_sql_int(q);
	row->created = kf_sql_int(q);
}

int kf_store_iface_put(struct kf_store *store, const struct kf_iface_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO iface (dev, mode, existing, created) "
				    "VALUES (?, ?, ?, ?) ON CONFLICT (dev) DO UPDATE SET "
				    "mode = excluded.mode, existing = excluded.existing");

	kf_sql_bind_text(&q, row->dev);
	kf_sql_bind_int(&q, row->mode);
	kf_sql_bind_int(&q, row->reset);
	kf_sql_bind_int(&q, row->created);
	return kf_sql_run(&q);
}

int kf_store_iface_remove(struct kf_store *store, const char *dev)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM iface WHERE dev = ?");

	kf_sql_bind_text(&q, dev);
	return kf_sql_run_on_row(&q);
}

int kf_store_iface_get(struct kf_store *store, const char *dev, struct kf_iface_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT dev, mode, existing, created FROM iface WHERE dev = ?");

	kf_sql_bind_text(&q, dev);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	read_iface(&q, row);
	return 0;
}

int kf_store_iface_each(struct kf_store *store, kf_iface_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT dev, mode, existing, created FROM iface ORDER BY dev");
	struct kf_iface_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		read_iface(&q, &row);
		err = fn(context, &row);
	}
	return err ? err : q.err;
}
