// SPDX-License-Identifier: GPL-2.0-only
/* How a million keys are listed in pages, filtered and counted. */
#include <string.h>

#include "store/sqlite.h"

/* ---- the query ------------------------------------------------------------------------------- */

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

#define CONDITIONS_SIZE 2048
#define VALUES_MAX	(8 + 2 * KF_KEY_LABELS_MAX)

/*
 * The conditions of a query, and the values of its parameters in the same order. A text is made
 * for each query, so that SQLite sees which of its indexes there is a condition for.
 */
struct conditions {
	char text[CONDITIONS_SIZE];
	size_t len;
	struct {
		const char *text; /* NULL: the number */
		int64_t number;
	} values[VALUES_MAX];
	int count;
	char pattern[PATTERN_SIZE];
};

static void add(struct conditions *to, const char *text)
{
	to->len += (size_t)snprintf(to->text + to->len, sizeof(to->text) - to->len, "%s", text);
}

static void add_number(struct conditions *to, const char *text, int64_t number)
{
	add(to, text);
	to->values[to->count++].number = number;
}

static void add_text(struct conditions *to, const char *text, const char *value)
{
	add(to, text);
	to->values[to->count++].text = value;
}

/* Nothing is left to spend: of the key's own, of its account. An index leads to each. */
#define QUOTA_SPENT "quota IS NOT NULL AND spent >= quota"
#define ACCOUNT_SPENT                                                                              \
	"account IS NOT NULL AND account IN "                                                      \
	"(SELECT id FROM account WHERE unlimited = 0 AND account.spent >= granted)"

static void add_status(struct conditions *to, const struct kf_key_query *query)
{
	switch (query->filter) {
	case KF_KEYS_ENABLED:
		add_number(to,
			   " AND disabled = 0 AND (expires IS NULL OR expires > ?) "
			   "AND NOT ((" QUOTA_SPENT ") OR (" ACCOUNT_SPENT "))",
			   query->now);
		break;
	case KF_KEYS_EXHAUSTED:
		add_number(to,
			   " AND seq IN (SELECT seq FROM api_key WHERE " QUOTA_SPENT
			   " UNION SELECT seq FROM api_key WHERE " ACCOUNT_SPENT ")"
			   " AND disabled = 0 AND (expires IS NULL OR expires > ?)",
			   query->now);
		break;
	case KF_KEYS_DISABLED:
		add(to, " AND disabled = 1");
		break;
	case KF_KEYS_EXPIRED:
		add_number(to, " AND disabled = 0 AND expires IS NOT NULL AND expires <= ?",
			   query->now);
		break;
	default:
		break;
	}
}

/* The rows of the first label lead to the keys, in their order; each of the others is looked up. */
static void add_labels(struct conditions *to, const struct kf_key_query *query)
{
	for (uint32_t i = 0; i < query->label_count; i++) {
		const struct kf_label *label = &query->labels[i];

		add_text(to,
			 i ? " AND EXISTS (SELECT 1 FROM key_label WHERE key = seq AND name = ?"
			   : " AND label_name = ?",
			 label->name);
		add_text(to, i ? " AND value = ?)" : " AND label_value = ?", label->value);
	}
}

static const char *order_of(const struct kf_key_query *query)
{
	return query->label_count ? "labelled" : "seq";
}

static bool is_searched(const struct kf_key_query *query)
{
	return query->search && *query->search;
}

/* -EINVAL: no key can match. */
static int make_conditions(struct conditions *to, const struct kf_key_query *query)
{
	to->len = 0;
	to->count = 0;
	memset(to->values, 0, sizeof(to->values));
	if (query->filter >= KF_KEYS_NONE ||
	    (is_searched(query) && make_pattern(query->search, to->pattern)))
		return -EINVAL;
	add(to, query->label_count ? " FROM (SELECT key AS labelled, name AS label_name, "
				     "value AS label_value FROM key_label) "
				     "CROSS JOIN api_key ON seq = labelled WHERE "
				   : " FROM api_key WHERE ");
	add(to, KF_SQL_THERE("seq"));
	if (query->last)
		add_number(to, " AND seq <= ?", query->last);
	add_status(to, query);
	add_labels(to, query);
	if (query->group)
		add_number(to, " AND in_group = ?", query->group);
	if (query->account)
		add_number(to, " AND account IS NOT NULL AND account = ?", query->account);
	if (query->no_account)
		add(to, " AND account IS NULL");
	if (query->owner)
		add_text(to, " AND owner <> '' AND owner = ?", query->owner);
	if (is_searched(query)) {
		add_text(to, " AND (substr(id, 1, length(?)) = ", query->search);
		add_text(to, "?", query->search);
		add_text(to, " OR name LIKE ? ESCAPE '\\')", to->pattern);
	}
	return 0;
}

static void bind_values(struct kf_sql *q, const struct conditions *conditions)
{
	for (int i = 0; i < conditions->count; i++) {
		if (conditions->values[i].text)
			kf_sql_bind_text(q, conditions->values[i].text);
		else
			kf_sql_bind_int(q, conditions->values[i].number);
	}
}

/* ---- pages ----------------------------------------------------------------------------------- */

int kf_store_key_list(struct kf_store *store, const struct kf_key_query *query, kf_key_fn fn,
		      void *context)
{
	char text[CONDITIONS_SIZE + 1024];
	struct conditions conditions;
	struct kf_key_row row;
	int err = 0;

	if (make_conditions(&conditions, query))
		return 0;
	snprintf(text, sizeof(text), "SELECT " KF_SQL_KEY "%s AND %s %s ? ORDER BY %s %s LIMIT ?",
		 conditions.text, order_of(query), query->newest ? "<" : ">", order_of(query),
		 query->newest ? "DESC" : "ASC");

	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin_once(store, text);

	bind_values(&q, &conditions);
	kf_sql_bind_int(&q, query->newest && !query->after ? INT64_MAX : query->after);
	kf_sql_bind_int(&q, query->limit);
	while (!err && kf_sql_step(&q)) {
		err = kf_sql_key(&q, &row);
		if (!err)
			err = fn(context, &row);
	}
	return err ? err : q.err;
}

int kf_store_key_last(struct kf_store *store, int64_t *seq)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "SELECT coalesce(max(seq), 0) FROM api_key");

	if (kf_sql_step(&q))
		*seq = kf_sql_int(&q);
	return q.err;
}

/* ---- totals ---------------------------------------------------------------------------------- */

/* Of all: an index is counted, and no row is looked at but those of a batch. */
#define TOTAL_ALL                                                                                  \
	"SELECT (SELECT count(*) FROM api_key) - (SELECT count(*) FROM api_key WHERE seq BETWEEN " \
	"(SELECT max(first) FROM key_batch) AND (SELECT max(last) FROM key_batch))"

static int count_matches(struct kf_store *store, const struct kf_key_query *query, uint64_t *total)
{
	char text[CONDITIONS_SIZE + 64];
	struct conditions conditions;

	*total = 0;
	if (make_conditions(&conditions, query))
		return 0;
	snprintf(text, sizeof(text), "SELECT count(*)%s", conditions.text);

	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin_once(store, text);

	bind_values(&q, &conditions);
	if (kf_sql_step(&q))
		*total = (uint64_t)kf_sql_int(&q);
	return q.err;
}

static int count_rows(struct kf_store *store, uint64_t *total)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, TOTAL_ALL);

	if (kf_sql_step(&q))
		*total = (uint64_t)kf_sql_int(&q);
	return q.err;
}

/* A number that becomes another one when another connection writes; asking it reads the file. */
static int read_data_version(struct kf_store *store, uint32_t *version)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(store, "PRAGMA data_version");

	if (kf_sql_step(&q))
		*version = (uint32_t)kf_sql_int(&q);
	return q.err;
}

/* Counting all keys reads an index of them all, so it is done again only when something changed. */
static int count_all(struct kf_store *store, uint64_t *total)
{
	sqlite3_int64 changes = sqlite3_total_changes64(store->db); /* by this connection */
	uint32_t version = 0;					    /* and by others */
	int err = read_data_version(store, &version);

	if (!err && (store->total_at != changes || store->total_version != version)) {
		err = count_rows(store, &store->total);
		if (!err) {
			store->total_at = changes;
			store->total_version = version;
		}
	}
	if (!err)
		*total = store->total;
	return err;
}

int kf_store_key_count(struct kf_store *store, int64_t now, struct kf_key_counts *counts)
{
	const struct kf_key_query disabled = { .filter = KF_KEYS_DISABLED };
	const struct kf_key_query expired = { .filter = KF_KEYS_EXPIRED, .now = now };
	const struct kf_key_query exhausted = { .filter = KF_KEYS_EXHAUSTED, .now = now };
	struct kf_key_counts found;
	int err;

	err = count_all(store, &found.total);
	if (!err)
		err = count_matches(store, &disabled, &found.disabled);
	if (!err)
		err = count_matches(store, &expired, &found.expired);
	if (!err)
		err = count_matches(store, &exhausted, &found.exhausted);
	if (err)
		return err;
	found.enabled = found.total - found.disabled - found.expired - found.exhausted;
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

	if (query->filter >= KF_KEYS_NONE || is_searched(query) || query->group || query->account ||
	    query->no_account || query->owner || query->label_count)
		return count_matches(store, query, total);
	err = kf_store_key_count(store, query->now, &counts);
	if (err)
		return err;
	*total = query->filter == KF_KEYS_ENABLED     ? counts.enabled
		 : query->filter == KF_KEYS_DISABLED  ? counts.disabled
		 : query->filter == KF_KEYS_EXPIRED   ? counts.expired
		 : query->filter == KF_KEYS_EXHAUSTED ? counts.exhausted
						      : counts.total;
	return 0;
}
