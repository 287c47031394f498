// SPDX-License-Identifier: GPL-2.0-only
/* The services and interfaces of the store: few rows, read whole. */
#include <string.h>

#include "store/sqlite.h"

#define SERVICE_COLUMNS                                                                            \
	"name, idx, listen_addr, port, mode, refuse, key_sources, flags, penalty_failures, "       \
	"penalty_window, penalty_time, penalty_time_max, syn_rate, syn_burst, methods, revision"

#define METHOD_LETTERS KF_SQL_WORD "!#$%&'*+^`|~ "

static void read_listen(struct kf_sql *q, struct kf_service_row *row)
{
	row->any = sqlite3_column_type(q->statement, q->column) == SQLITE_NULL;
	if (row->any)
		q->column++;
	else
		kf_sql_blob_in(q, "listen_addr", row->addr, sizeof(row->addr));
	row->port = (uint16_t)kf_sql_int_in(q, "port", 1, 65535);
}

/* None is the rule. */
static void read_methods(struct kf_sql *q, struct kf_service_row *row)
{
	if (!sqlite3_column_bytes(q->statement, q->column))
		q->column++;
	else
		kf_sql_text_in(q, "methods", row->methods, sizeof(row->methods), METHOD_LETTERS);
}

static int read_service(struct kf_sql *q, struct kf_service_row *row)
{
	uint32_t some;

	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "a service");
	kf_sql_text_in(q, "name", row->name, sizeof(row->name), KF_SQL_WORD);
	kf_sql_name(q, "service %s", row->name);
	row->index = (uint32_t)kf_sql_int_in(q, "idx", 0, KF_SERVICES_MAX - 1);
	read_listen(q, row);
	row->mode = (uint8_t)kf_sql_int_in(q, "mode", KF_MODE_ENFORCE, KF_MODE_MONITOR);
	row->refuse = (uint8_t)kf_sql_int_in(q, "refuse", KF_REFUSE_REPLY, KF_REFUSE_DROP);
	row->key_sources = (uint32_t)kf_sql_int_in(q, "key_sources", 0, UINT8_MAX);
	row->flags = (uint32_t)kf_sql_int_in(q, "flags", 0, UINT8_MAX);
	row->penalty_failures =
		(uint32_t)kf_sql_int_in(q, "penalty_failures", 0, KF_PENALTY_FAILURES_TOP);
	some = row->penalty_failures > 0;
	row->penalty_window =
		(uint32_t)kf_sql_int_in(q, "penalty_window", some, KF_PENALTY_SECONDS_TOP);
	row->penalty_time =
		(uint32_t)kf_sql_int_in(q, "penalty_time", some, KF_PENALTY_SECONDS_TOP);
	row->penalty_time_max = (uint32_t)kf_sql_int_in(q, "penalty_time_max", row->penalty_time,
							KF_PENALTY_SECONDS_TOP);
	row->syn_rate = (uint32_t)kf_sql_int_in(q, "syn_rate", 0, KF_SYN_RATE_TOP);
	row->syn_burst = (uint32_t)kf_sql_int_in(q, "syn_burst", 0, KF_SYN_RATE_TOP);
	read_methods(q, row);
	row->revision = (uint64_t)kf_sql_int_in(q, "revision", INT64_MIN, INT64_MAX);
	return q->err;
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
	kf_sql_bind_text(q, row->methods);
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

static int insert_service(struct kf_store *store, const struct kf_service_row *row, uint32_t index,
			  uint64_t revision)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store,
		"INSERT INTO service (listen_addr, port, mode, refuse, key_sources, flags, "
		"penalty_failures, penalty_window, penalty_time, penalty_time_max, syn_rate, "
		"syn_burst, methods, revision, name, idx) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
		"?, ?, ?, ?, ?)");

	bind_service(&q, row, revision);
	kf_sql_bind_int(&q, index);
	return kf_sql_run(&q);
}

int kf_store_service_add(struct kf_store *store, struct kf_service_row *row)
{
	uint64_t revision = kf_sql_revision();
	uint32_t index;
	int err = find_free_index(store, &index);

	if (!err)
		err = insert_service(store, row, index, revision);
	if (err)
		return err;
	row->index = index;
	row->revision = revision;
	return 0;
}

int kf_store_service_restore(struct kf_store *store, const struct kf_service_row *row)
{
	return insert_service(store, row, row->index, row->revision);
}

int kf_store_service_update(struct kf_store *store, const struct kf_service_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "UPDATE service SET listen_addr = ?, port = ?, mode = ?, refuse = ?, "
		       "key_sources = ?, flags = ?, penalty_failures = ?, "
		       "penalty_window = ?, penalty_time = ?, penalty_time_max = ?, "
		       "syn_rate = ?, syn_burst = ?, methods = ?, revision = ? WHERE name = ?");

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
	struct kf_service_row found;
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " SERVICE_COLUMNS " FROM service WHERE name = ?");

	kf_sql_bind_text(&q, name);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	if (!read_service(&q, &found))
		*row = found;
	return q.err;
}

int kf_store_service_each(struct kf_store *store, kf_service_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " SERVICE_COLUMNS " FROM service ORDER BY name");
	struct kf_service_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		err = read_service(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static int read_iface(struct kf_sql *q, struct kf_iface_row *row)
{
	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "an interface");
	kf_sql_text_in(q, "dev", row->dev, sizeof(row->dev), NULL);
	kf_sql_name(q, "interface %s", row->dev);
	if (!*row->dev || strpbrk(row->dev, "/ \t\n"))
		kf_sql_refuse(q, "it is no name of an interface");
	row->mode = (uint8_t)kf_sql_int_in(q, "mode", 0, 2);
	row->reset = kf_sql_int_in(q, "existing", 0, 1);
	row->created = kf_sql_int_in(q, "created", 0, INT64_MAX);
	return q->err;
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
	struct kf_iface_row found;
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT dev, mode, existing, created FROM iface WHERE dev = ?");

	kf_sql_bind_text(&q, dev);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	if (!read_iface(&q, &found))
		*row = found;
	return q.err;
}

int kf_store_iface_each(struct kf_store *store, kf_iface_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT dev, mode, existing, created FROM iface ORDER BY dev");
	struct kf_iface_row row;
	int err = 0;

	while (!err && kf_sql_step(&q)) {
		err = read_iface(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}
