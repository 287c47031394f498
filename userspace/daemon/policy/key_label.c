// SPDX-License-Identifier: GPL-2.0-only
/* A key's labels, changed one by one: each stands for itself, whatever others change meanwhile. */
#include "policy/key_change.h"

#include <errno.h>
#include <string.h>

#include "why.h"

/* The place of the label named @name, or where it belongs. */
static uint32_t place_of(const struct kf_key_labels *labels, const char *name)
{
	uint32_t at = 0;

	while (at < labels->count && strcmp(labels->list[at].name, name) < 0)
		at++;
	return at;
}

static bool is_at(const struct kf_key_labels *labels, uint32_t at, const char *name)
{
	return at < labels->count && !strcmp(labels->list[at].name, name);
}

static void remove_label(struct kf_key_labels *labels, const char *name)
{
	uint32_t at = place_of(labels, name);

	if (!is_at(labels, at, name))
		return;
	labels->count--;
	memmove(&labels->list[at], &labels->list[at + 1],
		(labels->count - at) * sizeof(labels->list[0]));
}

int kf_policy_key_label_put(struct kf_key_labels *labels, const struct kf_label *label)
{
	uint32_t at = place_of(labels, label->name);

	if (!is_at(labels, at, label->name)) {
		if (labels->count == KF_KEY_LABELS_MAX)
			return -ENOSPC;
		memmove(&labels->list[at + 1], &labels->list[at],
			(labels->count - at) * sizeof(labels->list[0]));
		labels->count++;
	}
	labels->list[at] = *label;
	return 0;
}

int kf_policy_key_change_labels(struct kf_policy *policy, const struct kf_key_row *row,
				const struct kf_policy_key_edit *edit, struct kf_key_labels *old,
				struct kf_key_labels *out, struct kf_why *why)
{
	int err = kf_store_key_labels_get(policy->store, row->seq, old->list, &old->count);

	if (err)
		return kf_why_set(why, err,
				  "cannot read the labels of key %s: %s; see to the disk of the "
				  "state directory",
				  row->id, kf_store_error(policy->store));
	*out = *old;
	for (uint32_t i = 0; i < edit->label_count; i++)
		if (edit->labels[i].remove)
			remove_label(out, edit->labels[i].label.name);
	for (uint32_t i = 0; !err && i < edit->label_count; i++)
		if (!edit->labels[i].remove)
			err = kf_policy_key_label_put(out, &edit->labels[i].label);
	if (err)
		return kf_why_set(why, -EINVAL,
				  "%s would have more than %d labels; remove some of them", row->id,
				  KF_KEY_LABELS_MAX);
	return 0;
}
