// SPDX-License-Identifier: GPL-2.0-only
/* The keys of the store, their allow lists, and how a million of them is listed in pages. */
#include <string.h>

#include "store/sqlite.h"

#define COLUMNS                                                                                    \
	"seq, id, name, mask_head, mask_tail, disabled, created, expires, past_admitted, "         \
	"past_refused, past_used, rpm, rpm_burst, revision, coalesce(in_group, 0), "               \
	"(SELECT g.name FROM key_group g WHERE g.idx = in_group), coalesce(models, 0)"

static int read_key(struct kf_sql *q, struct kf_key_row *row)
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
}

int kf_store_key_add(struct kf_store *store, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "INSERT INTO api_key (id, name, mask_head, mask_tail, disabled, "
		       "created, expires, past_admitted, past_refused, past_used, rpm, "
		       "rpm_burst, revision, in_group, models) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
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
		       "in_group, models, seq) "
		       "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
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
		       "in_group = ?, models = ? WHERE seq = ?");

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
	if (!read_key(q, &found))
		*row = found;
	return q->err;
}

int kf_store_key_get(struct kf_store *store, const char *id, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM api_key WHERE id = ?");

	kf_sql_bind_text(&q, id);
	return get_one(&q, row);
}

int kf_store_key_of_slot(struct kf_store *store, uint32_t slot, struct kf_key_row *row)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT " COLUMNS " FROM api_key "
				    "WHERE seq = (SELECT key FROM credential WHERE slot = ?)");

	kf_sql_bind_int(&q, slot);
	return get_one(&q, row);
}

/* ---- listing --------------------------------------------------------------------------------- */

/*
 * One text for each filter, with and without search, so that SQLite sees constant conditions and
 * can use the partial indexes. ?1 now, ?2 after, ?3 limit, ?4 beginning of id, ?5 pattern for name,
 * ?6 group.
 * `?1 = ?1` keeps the parameter where a filter needs no time.
 */
#define F_ALL	   "?1 = ?1"
#define F_ENABLED  "disabled = 0 AND (expires IS NULL OR expires > ?1)"
#define F_DISABLED "disabled = 1 AND ?1 = ?1"
#define F_EXPIRED  "disabled = 0 AND expires IS NOT NULL AND expires <= ?1"
#define THERE	   " AND " KF_SQL_THERE("seq")
#define SEARCHED   " AND (substr(id, 1, length(?4)) = ?4 OR name LIKE ?5 ESCAPE '\\')"

#define GROUPED	   " AND in_group = ?6"

#define LIST(filter, search)                                                                       \
	"SELECT " COLUMNS " FROM api_key WHERE " filter " AND seq > ?2" THERE search               \
	" ORDER BY seq LIMIT ?3"
#define TOTAL(filter, search) "SELECT count(*) FROM api_key WHERE " filter THERE search
/* Of all: an index is counted, and no row is looked at but those of a batch. */
#define TOTAL_ALL                                                                                  \
	"SELECT (SELECT count(*) FROM api_key) - (SELECT count(*) FROM api_key WHERE seq BETWEEN " \
	"(SELECT max(first) FROM key_batch) AND (SELECT max(last) FROM key_batch)) WHERE ?1 = ?1"

/* By kind_of(). */
#define KINDS 4
#define QUERIES_OF(form, filter)                                                                   \
	{                                                                                          \
		form(filter, ""), form(filter, SEARCHED), form(filter, GROUPED),                   \
			form(filter, SEARCHED GROUPED)                                             \
	}
#define QUERIES(form)                                                                              \
	{                                                                                          \
		[KF_KEYS_ALL] = QUERIES_OF(form, F_ALL),                                           \
		[KF_KEYS_ENABLED] = QUERIES_OF(form, F_ENABLED),                                   \
		[KF_KEYS_DISABLED] = QUERIES_OF(form, F_DISABLED),                                 \
		[KF_KEYS_EXPIRED] = QUERIES_OF(form, F_EXPIRED),                                   \
	}

static const char *const lists[KF_KEYS_NONE][KINDS] = QUERIES(LIST);
static const char *const totals[KF_KEYS_NONE][KINDS] = QUERIES(TOTAL);

#define PATTERN_SIZE (2 * KF_KEY_NAME_SIZE + 4)

/* "%text%", with what LIKE takes for a wildcard escaped; -EINVAL: longer than any name. */
static int make_pattern(const char *text, char pattern[static PATTERN_SIZE])
{
	char *to = pattern;

	if (strlen(text) >= KF_KEY_NAME_SIZE)
		return -EINVAL;
	*to++ = '%';
	for (; *text; text++) {
		if (strchr("%_\\", *text))
			*to++ = '\\';
		*to++ = *text;
	}
	*to++ = '%';
	*to = '\0';
	return 0;
}

static bool is_searched(const struct kf_key_query *query)
{
	return query->search && *query->search;
}

static int kind_of(const struct kf_key_query *query)
{
	return (is_searched(query) ? 1 : 0) + (query->group ? 2 : 0);
}

static void bind_at(struct kf_sql *q, int index, int64_t value)
{
	q->bound = index - 1;
	kf_sql_bind_int(q, value);
}

static void bind_search(struct kf_sql *q, const char *search, const char *pattern)
{
	q->bound = 3;
	kf_sql_bind_text(q, search);
	kf_sql_bind_text(q, pattern);
}

int kf_store_key_list(struct kf_store *store, const struct kf_key_query *query, kf_key_fn fn,
		      void *context)
{
	bool searched = is_searched(query);
	char pattern[PATTERN_SIZE];
	struct kf_key_row row;
	int err = 0;

	if (query->filter >= KF_KEYS_NONE)
		return 0;
	if (searched && make_pattern(query->search, pattern))
		return 0;

	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, lists[query->filter][kind_of(query)]);

	bind_at(&q, 1, query->now);
	bind_at(&q, 2, query->after);
	bind_at(&q, 3, query->limit);
	if (searched)
		bind_search(&q, query->search, pattern);
	if (query->group)
		bind_at(&q, 6, query->group);
	while (!err && kf_sql_step(&q)) {
		err = read_key(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

static int count_matches(struct kf_store *store, const struct kf_key_query *query, uint64_t *total)
{
	bool searched = is_searched(query);
	char pattern[PATTERN_SIZE];

	if (searched && make_pattern(query->search, pattern)) {
		*total = 0;
		return 0;
	}

	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, totals[query->filter][kind_of(query)]);

	bind_at(&q, 1, query->now);
	if (searched)
		bind_search(&q, query->search, pattern);
	if (query->group)
		bind_at(&q, 6, query->group);
	if (kf_sql_step(&q))
		*total = (uint64_t)kf_sql_int(&q);
	return q.err;
}

static int count_rows(struct kf_store *store, uint64_t *total)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, TOTAL_ALL);

	kf_sql_bind_int(&q, 0);
	if (kf_sql_step(&q))
		*total = (uint64_t)kf_sql_int(&q);
	return q.err;
}

/* Counting all keys reads an index of them all, so it is done again only when something changed. */
static int count_all(struct kf_store *store, uint64_t *total)
{
	sqlite3_int64 changes = sqlite3_total_changes64(store->db); /* by this connection */
	unsigned int version = 0;				    /* and by others */
	int err;

	sqlite3_file_control(store->db, "main", SQLITE_FCNTL_DATA_VERSION, &version);
	if (store->total_at != changes || store->total_version != version) {
		err = count_rows(store, &store->total);
		if (err)
			return err;
		store->total_at = changes;
		store->total_version = version;
	}
	*total = store->total;
	return 0;
}

int kf_store_key_count(struct kf_store *store, int64_t now, struct kf_key_counts *counts)
{
	const struct kf_key_query disabled = { .filter = KF_KEYS_DISABLED };
	const struct kf_key_query expired = { .filter = KF_KEYS_EXPIRED, .now = now };
	struct kf_key_counts found;
	int err;

	err = count_all(store, &found.total);
	if (!err)
		err = count_matches(store, &disabled, &found.disabled);
	if (!err)
		err = count_matches(store, &expired, &found.expired);
	if (err)
		return err;
	found.enabled = found.total - found.disabled - found.expired;
	*counts = found;
	return 0;
}

int kf_store_key_lapsed(struct kf_store *store, int64_t since, int64_t now, bool *any)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT 1 FROM api_key WHERE expires > ?1 AND expires <= ?2 UNION ALL "
		       "SELECT 1 FROM credential WHERE until > ?1 AND until <= ?2 LIMIT 1");
	bool found;

	kf_sql_bind_int(&q, since);
	kf_sql_bind_int(&q, now);
	found = kf_sql_step(&q);
	if (!q.err)
		*any = found;
	return q.err;
}

/* The two large totals come from the small ones, whose rows have an index of their own. */
int kf_store_key_total(struct kf_store *store, const struct kf_key_query *query, uint64_t *total)
{
	struct kf_key_counts counts;
	int err;

	if (query->filter >= KF_KEYS_NONE) {
		*total = 0;
		return 0;
	}
	if (kind_of(query))
		return count_matches(store, query, total);
	err = kf_store_key_count(store, query->now, &counts);
	if (err)
		return err;
	*total = query->filter == KF_KEYS_ENABLED    ? counts.enabled
		 : query->filter == KF_KEYS_DISABLED ? counts.disabled
		 : query->filter == KF_KEYS_EXPIRED  ? counts.expired
						     : counts.total;
	return 0;
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
	_cleanup_(kf_store_rollbackp) struct kf_store *open = NULL;
	int err = 0;

	if (count > KF_KEY_ALLOW_MAX)
		return -EINVAL;
	if (sqlite3_get_autocommit(store->db)) {
		err = kf_store_begin(store);
		if (err)
			return err;
		open = store;
	}
	err = remove_allow(store, seq);
	for (uint32_t i = 0; !err && i < count; i++)
		err = add_allow(store, seq, &cidrs[i]);
	if (!err && open)
		err = kf_store_commit(store);
	return err;
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
