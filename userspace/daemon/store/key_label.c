// SPDX-License-Identifier: GPL-2.0-only
/* What operators find keys by. */
#include <string.h>

#include "store/sqlite.h"

static int remove_labels(struct kf_store *store, int64_t seq)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "DELETE FROM key_label WHERE key = ?");

	kf_sql_bind_int(&q, seq);
	return kf_sql_run(&q);
}

static int add_label(struct kf_store *store, int64_t seq, const struct kf_label *label)
{
	_cleanup_(kf_sql_end) struct kf_sql q =
		kf_sql_begin(store, "INSERT INTO key_label (key, name, value) VALUES (?, ?, ?)");

	kf_sql_bind_int(&q, seq);
	kf_sql_bind_text(&q, label->name);
	kf_sql_bind_text(&q, label->value);
	return kf_sql_run(&q);
}

int kf_store_key_labels_set(struct kf_store *store, int64_t seq, const struct kf_label *labels,
			    uint32_t count)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *own = NULL;
	int err = count > KF_KEY_LABELS_MAX ? -EINVAL : kf_store_begin_own(store, &own);

	if (!err)
		err = remove_labels(store, seq);
	for (uint32_t i = 0; !err && i < count; i++)
		err = add_label(store, seq, &labels[i]);
	return err || !own ? err : kf_store_commit(own);
}

int kf_store_key_labels_get(struct kf_store *store, int64_t seq,
			    struct kf_label labels[static KF_KEY_LABELS_MAX], uint32_t *count)
{
	_cleanup_(kf_sql_end) struct kf_sql q = kf_sql_begin(
		store, "SELECT name, value FROM key_label WHERE key = ? ORDER BY name LIMIT 16");
	uint32_t n = 0;

	_Static_assert(KF_KEY_LABELS_MAX == 16, "LIMIT above");
	kf_sql_bind_int(&q, seq);
	kf_sql_name(&q, "a label of key number %lld", (long long)seq);
	for (; kf_sql_step(&q); n++) {
		kf_sql_text_in(&q, "name", labels[n].name, sizeof(labels[n].name), KF_SQL_WORD);
		kf_sql_text_in(&q, "value", labels[n].value, sizeof(labels[n].value), NULL);
	}
	if (!q.err)
		*count = n;
	return q.err;
}
