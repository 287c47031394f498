// SPDX-License-Identifier: GPL-2.0-only
/*
 * A key's allow list, changed block by block. The list is read and written by one operation, so
 * that two administrators who each add a block both have theirs in it.
 */
#include "policy/key_change.h"

#include <errno.h>
#include <string.h>

#include "why.h"

static bool has(const struct kf_cidr *list, uint32_t count, const struct kf_cidr *cidr)
{
	for (uint32_t i = 0; i < count; i++)
		if (kf_cidr_equal(&list[i], cidr))
			return true;
	return false;
}

/* A block that leaves must be there: one that only looks like it would stay, unseen. */
static int check_removals(const struct kf_key_state *old, const struct kf_policy_key_edit *edit,
			  struct kf_why *why)
{
	char text[KF_CIDR_TEXT];

	for (uint32_t i = 0; i < edit->remove_count; i++) {
		kf_cidr_format(&edit->remove[i], text);
		if (has(edit->add, edit->add_count, &edit->remove[i]))
			return kf_why_set(
				why, -EINVAL,
				"%s is to join the allow list and to leave it; give one of the two",
				text);
		if (!has(old->allow, old->allow_count, &edit->remove[i]))
			return kf_why_set(
				why, -EINVAL,
				"%s is not in the allow list of %s; see `keyfilterctl key show %s` "
				"for its blocks, and give one as it stands there",
				text, old->row.id, old->row.id);
	}
	return 0;
}

/*
 * No list begins by a block that joins it, or ends by one that leaves it: the key would be served
 * from that block alone, or from anywhere, and nobody has asked for that.
 */
static int check_ends(const struct kf_key_state *old, const struct kf_policy_key_edit *edit,
		      uint32_t count, struct kf_why *why)
{
	if (edit->add_count && !old->allow_count)
		return kf_why_set(
			why, -EINVAL,
			"%s has no allow list and is served from anywhere; begin one with "
			"`allow_ips`, if it is to be served from these addresses only",
			old->row.id);
	if (!count && old->allow_count)
		return kf_why_set(why, -EINVAL,
				  "without a block %s would be served from anywhere; disable it, "
				  "add another block, or empty the list with `allow_ips`",
				  old->row.id);
	if (count > KF_KEY_ALLOW_MAX)
		return kf_why_set(why, -EINVAL,
				  "the allow list of %s would have %u blocks, at most %d are "
				  "possible; give wider blocks, or remove some",
				  old->row.id, count, KF_KEY_ALLOW_MAX);
	return 0;
}

int kf_policy_key_change_allow(const struct kf_key_state *old, struct kf_policy_key_edit *edit,
			       struct kf_cidr list[static KF_KEY_ALLOW_MAX], struct kf_why *why)
{
	struct kf_cidr made[2 * KF_KEY_ALLOW_MAX];
	uint32_t count = 0;
	int err;

	if (edit->set_allow || (!edit->add_count && !edit->remove_count))
		return 0;
	err = check_removals(old, edit, why);
	if (err)
		return err;
	for (uint32_t i = 0; i < old->allow_count; i++)
		if (!has(edit->remove, edit->remove_count, &old->allow[i]))
			made[count++] = old->allow[i];
	for (uint32_t i = 0; i < edit->add_count; i++)
		if (!has(made, count, &edit->add[i]))
			made[count++] = edit->add[i];
	err = check_ends(old, edit, count, why);
	if (err)
		return err;
	memcpy(list, made, count * sizeof(made[0]));
	edit->set_allow = true;
	edit->allow = list;
	edit->allow_count = count;
	return 0;
}
