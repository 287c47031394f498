// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sources of the store. Their primary key (addr, prefix_len, action) is the order of a walk
 * down the tree of blocks, so that "what lies under this block" is one range and "what lies above
 * it" is at most 128 look-ups.
 */
#include <string.h>

#include "store/sqlite.h"

#define COLUMNS "addr, prefix_len, action, created, expires"
#define ORDER	" ORDER BY addr, prefix_len, action"

static int read_source(struct kf_sql *q, struct kf_source_row *row)
{
	char text[KF_CIDR_TEXT];

	memset(row, 0, sizeof(*row));
	kf_sql_name(q, "a source");
	kf_sql_cidr(q, &row->cidr);
	kf_cidr_format(&row->cidr, text);
	kf_sql_name(q, "source %s", text);
	row->action = (uint8_t)kf_sql_int_in(q, "action", KF_SOURCE_DENY, KF_SOURCE_ALLOW);
	row->created = kf_sql_int_in(q, "created", 0, INT64_MAX);
	row->expires = kf_sql_time_in(q, "expires");
	return q->err;
}

static int give_rows(struct kf_sql *q, kf_source_fn fn, void *context)
{
	struct kf_source_row row;
	int err = 0;

	while (!err && kf_sql_step(q)) {
		err = read_source(q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q->err;
}

static void bind_key(struct kf_sql *q, const struct kf_cidr *cidr, enum kf_source_action action)
{
	kf_sql_bind_blob(q, cidr->addr, sizeof(cidr->addr));
	kf_sql_bind_int(q, cidr->prefix_len);
	kf_sql_bind_int(q, action);
}

int kf_store_source_get(struct kf_store *store, const struct kf_cidr *cidr,
			enum kf_source_action action, struct kf_source_row *row)
{
	struct kf_source_row found;
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM source "
				    "WHERE addr = ? AND prefix_len = ? AND action = ?");

	bind_key(&q, cidr, action);
	if (!kf_sql_step(&q))
		return q.err ? q.err : -ENOENT;
	if (!read_source(&q, &found))
		*row = found;
	return q.err;
}

int kf_store_source_put(struct kf_store *store, const struct kf_source_row *row, bool *replaced)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO source (" COLUMNS ") VALUES (?, ?, ?, ?, ?) "
				    "ON CONFLICT (addr, prefix_len, action) DO UPDATE SET "
				    "created = excluded.created, expires = excluded.expires");
	struct kf_source_row before;
	int err = kf_store_source_get(store, &row->cidr, row->action, &before);

	if (err && err != -ENOENT)
		return err;
	bind_key(&q, &row->cidr, row->action);
	kf_sql_bind_int(&q, row->created);
	kf_sql_bind_time(&q, row->expires);
	if (kf_sql_run(&q))
		return q.err;
	if (replaced)
		*replaced = !err;
	return 0;
}

int kf_store_source_remove(struct kf_store *store, const struct kf_cidr *cidr,
			   enum kf_source_action action)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "DELETE FROM source WHERE addr = ? AND prefix_len = ? AND action = ?");

	bind_key(&q, cidr, action);
	return kf_sql_run_on_row(&q);
}

int kf_store_source_each(struct kf_store *store, kf_source_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM source" ORDER);

	return give_rows(&q, fn, context);
}

int kf_store_source_under(struct kf_store *store, const struct kf_cidr *within,
			  const struct kf_cidr *from, uint32_t limit, kf_source_fn fn,
			  void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT " COLUMNS " FROM source "
		       "WHERE (addr, prefix_len) >= (?, ?) AND addr <= ? AND prefix_len >= ?" ORDER
		       " LIMIT ?");
	uint8_t last[16];

	kf_cidr_last(within, last);
	kf_sql_bind_blob(&q, from->addr, sizeof(from->addr));
	kf_sql_bind_int(&q, from->prefix_len);
	kf_sql_bind_blob(&q, last, sizeof(last));
	kf_sql_bind_int(&q, within->prefix_len);
	kf_sql_bind_int(&q, limit);
	return give_rows(&q, fn, context);
}

/* Both actions of one block. */
static int give_block(struct kf_store *store, const struct kf_cidr *cidr, kf_source_fn fn,
		      void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT " COLUMNS " FROM source WHERE addr = ? AND prefix_len = ?" ORDER);

	kf_sql_bind_blob(&q, cidr->addr, sizeof(cidr->addr));
	kf_sql_bind_int(&q, cidr->prefix_len);
	return give_rows(&q, fn, context);
}

int kf_store_source_above(struct kf_store *store, const struct kf_cidr *within, kf_source_fn fn,
			  void *context)
{
	int err = 0;

	for (int len = 0; !err && len < within->prefix_len; len++) {
		struct kf_cidr cidr = *within;

		cidr.prefix_len = (uint8_t)len;
		kf_cidr_mask(&cidr);
		err = give_block(store, &cidr, fn, context);
	}
	return err;
}

int kf_store_source_page(struct kf_store *store, const struct kf_source_row *after, uint32_t limit,
			 kf_source_fn fn, void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT " COLUMNS " FROM source "
		       "WHERE (addr, prefix_len, action) > (?, ?, ?)" ORDER " LIMIT ?");

	if (after) {
		bind_key(&q, &after->cidr, after->action);
	} else { /* the empty blob is before every address */
		kf_sql_bind_blob(&q, "", 0);
		kf_sql_bind_int(&q, -1);
		kf_sql_bind_int(&q, -1);
	}
	kf_sql_bind_int(&q, limit);
	return give_rows(&q, fn, context);
}

int kf_store_source_expired(struct kf_store *store, int64_t now, uint32_t limit, kf_source_fn fn,
			    void *context)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM source "
				    "WHERE expires IS NOT NULL AND expires <= ? LIMIT ?");

	kf_sql_bind_int(&q, now);
	kf_sql_bind_int(&q, limit);
	return give_rows(&q, fn, context);
}

int kf_store_source_timed(struct kf_store *store, bool *any)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT 1 FROM source WHERE expires IS NOT NULL LIMIT 1");

	*any = kf_sql_step(&q);
	return q.err;
}

int kf_store_source_count(struct kf_store *store, uint64_t *count)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "SELECT count(*) FROM source");

	if (kf_sql_step(&q))
		*count = (uint64_t)kf_sql_int(&q);
	return q.err;
}
