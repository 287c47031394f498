// SPDX-License-Identifier: GPL-2.0-only
#include "policy/key_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/work.h"
#include "cleanup.h"
#include "ledger/ledger.h"
#include "policy/account.h"
#include "policy/key_slot.h"
#include "policy/mend.h"
#include "policy/key_change.h"
#include "why.h"

#define TAGS_AT_ONCE  1024
#define CLEAN_AT_ONCE 256

struct fresh {
	struct kf_key_row row;
	struct kf_credential_row credential;
	char text[KF_KEY_TEXT_SIZE];
};

enum phase { STORE, LOAD_SLOTS, LOAD_TAGS, DONE };

struct kf_key_batch {
	struct kf_policy *policy;
	struct kf_key_wish wish;
	char name[KF_KEY_NAME_SIZE];
	char text[KF_KEY_MOST + 1]; /* of the one key that is imported */
	char group_name[KF_GROUP_NAME_SIZE];
	char owner[KF_KEY_OWNER_SIZE];
	struct kf_cidr allow[KF_KEY_ALLOW_MAX];
	struct kf_key_labels labels;
	struct kf_account_row account;
	int64_t now;
	uint32_t quantity;
	enum phase phase;
	uint32_t at;	 /* of the phase: the next key */
	uint32_t taken;	 /* the first so many have a slot; */
	uint32_t filled; /* and of those the first so many are in the kernel */
	bool noted;	 /* in the table key_batch, which hides them */
	bool stored;	 /* all are durable */
	struct kf_key_batch_range range;
	struct fresh *keys;
};

KF_CLEANUP_DEFINE(struct kf_key_batch, kf_policy_key_batch_close)

/* ---- open ------------------------------------------------------------------------------------ */

static int check_room(const struct kf_policy *policy, const struct kf_key_wish *wish,
		      uint32_t quantity, struct kf_why *why)
{
	uint64_t entries = kf_policy_key_slot_allow_entries(wish->allow, wish->allow_count);

	if (policy->loading)
		return kf_policy_key_change_explain_loading(why);
	if (quantity > kf_maps_slotpool_free(policy->slots))
		return kf_why_set(why, -ENOSPC,
				  "there is room for %u more keys; delete some, or raise keys_max "
				  "and start again after `keyfilterd --unload`",
				  kf_maps_slotpool_free(policy->slots));
	if (kf_policy_key_slot_allow_room(policy, quantity * entries))
		return kf_why_set(why, -ENOSPC,
				  "there is no room for so many allow lists; give fewer blocks (an "
				  "IPv6 block around ::ffff:0:0/96 needs many), or raise keys_max "
				  "and start again after `keyfilterd --unload`");
	return 0;
}

static struct kf_key_batch *make_batch(struct kf_policy *policy, const struct kf_key_wish *wish,
				       uint32_t quantity)
{
	struct kf_key_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return NULL;
	batch->keys = calloc(quantity, sizeof(*batch->keys));
	if (!batch->keys) {
		free(batch);
		return NULL;
	}
	batch->policy = policy;
	batch->quantity = quantity;
	batch->now = kf_policy_time(policy).wall_ns;
	batch->wish = *wish;
	snprintf(batch->name, sizeof(batch->name), "%s", wish->name);
	snprintf(batch->text, sizeof(batch->text), "%s", wish->text ?: "");
	if (wish->allow_count)
		memcpy(batch->allow, wish->allow, wish->allow_count * sizeof(*wish->allow));
	snprintf(batch->group_name, sizeof(batch->group_name), "%s", wish->group_name ?: "");
	snprintf(batch->owner, sizeof(batch->owner), "%s", wish->owner ?: "");
	if (wish->labels)
		batch->labels = *wish->labels;
	if (wish->account)
		batch->account = *wish->account;
	batch->wish.account = &batch->account;
	batch->wish.labels = &batch->labels;
	batch->wish.owner = batch->owner;
	batch->wish.name = batch->name;
	batch->wish.text = wish->text ? batch->text : NULL;
	batch->wish.group_name = batch->group_name;
	batch->wish.allow = batch->allow;
	return batch;
}

int kf_policy_key_batch_open(struct kf_key_batch **out, struct kf_policy *policy,
			     const struct kf_key_wish *wish, uint32_t quantity, struct kf_why *why)
{
	int err = check_room(policy, wish, quantity, why);
	struct kf_key_batch *batch;

	if (err)
		return err;
	if (quantity > KF_KEY_BATCH_SMALL && policy->making)
		return kf_why_set(why, -EBUSY,
				  "another request makes many keys; wait until it is done");
	if (quantity > KF_KEY_BATCH_SMALL && policy->leftover)
		return kf_why_set(why, -EAGAIN,
				  "the keys of a request that was not finished are being removed "
				  "again; wait until it is done");
	batch = make_batch(policy, wish, quantity);
	if (!batch)
		return kf_why_set(why, -ENOMEM,
				  "out of memory; free some, or ask for fewer keys at a time");
	if (quantity > KF_KEY_BATCH_SMALL)
		policy->making = batch;
	*out = batch;
	return 0;
}

bool kf_policy_key_batch_is_for(const struct kf_key_batch *batch, uint32_t group)
{
	return batch && batch->wish.group == group;
}

bool kf_policy_key_batch_has_models(const struct kf_key_batch *batch, uint32_t models)
{
	return batch && batch->wish.models == models;
}

/* ---- store ----------------------------------------------------------------------------------- */

static int make_one(struct kf_key_batch *batch, uint32_t index)
{
	const struct kf_key_wish *wish = &batch->wish;
	struct fresh *fresh = &batch->keys[index];
	const char *text = wish->text ?: fresh->text;
	int n, err;

	err = kf_maps_slotpool_take(batch->policy->slots, &fresh->credential.slot);
	if (err)
		return err;
	batch->taken++;
	err = kf_policy_key_id(fresh->row.id);
	if (!err && !wish->text)
		err = kf_policy_key_text(fresh->text);
	if (err)
		return err;
	n = batch->quantity == 1
		    ? snprintf(fresh->row.name, KF_KEY_NAME_SIZE, "%s", wish->name)
		    : snprintf(fresh->row.name, KF_KEY_NAME_SIZE, "%s-%u", wish->name, index + 1);
	if (n < 1 || n >= KF_KEY_NAME_SIZE)
		return -ENAMETOOLONG;
	fresh->row.created = batch->now;
	fresh->row.expires = wish->expires;
	fresh->row.rpm = wish->rpm;
	fresh->row.rpm_burst = wish->rpm_burst;
	fresh->row.group = wish->group;
	fresh->row.models = wish->models;
	memcpy(fresh->row.group_name, batch->group_name, sizeof(fresh->row.group_name));
	memcpy(fresh->row.owner, batch->owner, sizeof(fresh->row.owner));
	fresh->row.account = batch->account.id;
	fresh->row.account_wallet = batch->account.wallet;
	memcpy(fresh->row.account_name, batch->account.name, sizeof(fresh->row.account_name));
	kf_policy_key_mask_of(text, &fresh->row.mask);
	kf_policy_key_tag(batch->policy->secret, text, fresh->credential.tag);
	fresh->credential.until = KF_WALL_NEVER;
	return 0;
}

static int store_one(struct kf_key_batch *batch, uint32_t index)
{
	struct kf_store *store = batch->policy->store;
	struct fresh *fresh = &batch->keys[index];
	int err = 0;

	fresh->row.seq = batch->noted ? batch->range.first + index : 0;
	if (batch->wish.set_quota)
		err = kf_ledger_quota_before(store, &fresh->row, batch->wish.quota,
					     kf_policy_account_places(batch->policy));
	if (!err)
		err = batch->noted ? kf_store_key_add_at(store, &fresh->row)
				   : kf_store_key_add(store, &fresh->row);
	if (!err && batch->wish.set_quota)
		err = kf_ledger_quota_after(store, &(struct kf_key_row){ 0 }, &fresh->row,
					    batch->now, "");
	if (err)
		return err;
	fresh->credential.key = fresh->row.seq;
	err = kf_store_credential_add(store, &fresh->credential);
	if (!err && batch->wish.allow_count)
		err = kf_store_key_allow_set(store, fresh->row.seq, batch->allow,
					     batch->wish.allow_count);
	if (!err && batch->labels.count)
		err = kf_store_key_labels_set(store, fresh->row.seq, batch->labels.list,
					      batch->labels.count);
	return err;
}

static bool is_large(const struct kf_key_batch *batch)
{
	return batch->quantity > KF_KEY_BATCH_SMALL;
}

static int begin_large(struct kf_key_batch *batch)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = batch->policy->store;
	int err = kf_store_begin(open);

	if (!err)
		err = kf_store_batch_begin(open, batch->quantity, &batch->range);
	if (!err)
		err = kf_store_commit(open);
	batch->noted = !err;
	return err;
}

/* In one transaction with the last of them the note goes, and all are there. */
static int store_some(struct kf_key_batch *batch)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = batch->policy->store;
	struct kf_work_slice slice = kf_work_slice_before_commit();
	uint32_t at = batch->at;
	int err = 0;

	if (is_large(batch) && !batch->noted)
		return begin_large(batch);
	err = kf_store_begin(open);
	while (!err && at < batch->quantity &&
	       !(batch->noted && at > batch->at && kf_work_slice_is_over(&slice))) {
		err = make_one(batch, at);
		if (!err)
			err = store_one(batch, at++);
	}
	if (!err && at == batch->quantity && batch->noted)
		err = kf_store_batch_end(open);
	if (!err)
		err = kf_store_commit(open);
	if (err)
		return err;
	batch->at = at;
	if (at < batch->quantity)
		return 0;
	batch->stored = true;
	batch->noted = false;
	batch->phase = LOAD_SLOTS;
	batch->at = 0;
	return 0;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

/* Every slot is whole before the first tag leads to one. */
static int fill_some(struct kf_key_batch *batch)
{
	struct kf_work_slice slice = kf_work_slice();
	int err = 0;

	while (!err && batch->at < batch->quantity && !kf_work_slice_is_over(&slice)) {
		struct fresh *fresh = &batch->keys[batch->at++];

		batch->filled++;
		kf_policy_key_slot_wallet(batch->policy, &fresh->row, true);
		err = kf_policy_key_slot_fill(batch->policy, &fresh->row, batch->allow,
					      batch->wish.allow_count, &fresh->credential);
	}
	if (!err && batch->at == batch->quantity) {
		batch->phase = LOAD_TAGS;
		batch->at = 0;
	}
	return err;
}

/* The next one may begin. */
static void end_making(struct kf_key_batch *batch)
{
	if (batch->policy->making == batch)
		batch->policy->making = NULL;
}

static int tag_some(struct kf_key_batch *batch)
{
	uint8_t tags[TAGS_AT_ONCE][16];
	uint32_t slots[TAGS_AT_ONCE], count = 0;
	int err;

	for (; count < TAGS_AT_ONCE && batch->at + count < batch->quantity; count++) {
		const struct fresh *fresh = &batch->keys[batch->at + count];

		memcpy(tags[count], fresh->credential.tag, sizeof(tags[count]));
		slots[count] = fresh->credential.slot;
	}
	err = kf_maps_put_many(batch->policy->maps, KF_MAP_kf_tags, tags, slots, count);
	if (err)
		return err;
	batch->at += count;
	if (batch->at < batch->quantity)
		return 0;
	batch->phase = DONE;
	end_making(batch);
	return 0;
}

/* ---- what is not finished -------------------------------------------------------------------- */

static int remove_stored(struct kf_key_batch *batch)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = batch->policy->store;
	int err = kf_store_begin(open);

	for (uint32_t i = 0; !err && i < batch->quantity; i++)
		err = kf_store_key_remove(open, batch->keys[i].row.seq);
	return err ? err : kf_store_commit(open);
}

/* Hides them all at once; they are removed in slices after that. */
static void note_again(struct kf_key_batch *batch)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = batch->policy->store;

	if (kf_store_begin(open) || kf_store_batch_note(open, &batch->range))
		return;
	batch->noted = !kf_store_commit(open);
}

/*
 * Kernel first. The slot of a key that is in the store still is not free:
 * kf_policy_key_batch_clean() gives it back with its row.
 */
static void take_back(struct kf_key_batch *batch)
{
	struct kf_policy *policy = batch->policy;
	uint32_t stored = batch->stored ? batch->quantity : batch->noted ? batch->at : 0;

	if (batch->noted && kf_store_is_unsure(policy->store))
		stored = batch->taken; /* the last step may be stored */
	for (uint32_t i = 0; i < batch->filled; i++)
		kf_maps_slot_status(policy->maps, batch->keys[i].credential.slot, KF_KEY_DELETED);
	if (batch->stored && is_large(batch))
		note_again(batch);
	else if (batch->stored && !remove_stored(batch))
		stored = 0;
	else if (batch->stored)
		kf_policy_mend_note(policy, KF_MEND_KEYS,
				    -EIO); /* they stay, and nobody knows their texts */
	for (uint32_t i = 0; i < batch->taken; i++) {
		const struct kf_credential_row *credential = &batch->keys[i].credential;
		bool clean = i >= batch->filled ||
			     kf_policy_key_slot_clear(policy, credential, batch->allow,
						      batch->wish.allow_count);

		if (i >= stored && clean)
			kf_maps_slotpool_retire(policy->slots, credential->slot);
	}
	policy->leftover |= batch->noted;
}

void kf_policy_key_batch_close(struct kf_key_batch *batch)
{
	if (!batch)
		return;
	if (batch->phase != DONE) {
		take_back(batch);
		end_making(batch);
	}
	explicit_bzero(batch->text, sizeof(batch->text));
	explicit_bzero(batch->keys, batch->quantity * sizeof(*batch->keys));
	free(batch->keys);
	free(batch);
}

struct leftover {
	struct kf_policy *policy;
	struct kf_credential_row rows[CLEAN_AT_ONCE];
	uint32_t count;
};

static int collect(void *context, const struct kf_credential_row *row)
{
	struct leftover *leftover = context;

	leftover->rows[leftover->count++] = *row;
	return 0;
}

static int remove_some(struct kf_policy *policy, struct leftover *leftover,
		       const struct kf_key_batch_range *range)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = policy->store;
	uint32_t removed = 0;
	int err = kf_store_batch_each(open, range, CLEAN_AT_ONCE, collect, leftover);
	struct kf_work_slice slice = kf_work_slice_before_commit();

	if (!err)
		err = kf_store_begin(open);
	while (!err && removed < leftover->count && !(removed && kf_work_slice_is_over(&slice)))
		err = kf_store_key_remove(open, leftover->rows[removed++].key);
	if (!err && !leftover->count)
		err = kf_store_batch_end(open);
	if (!err)
		err = kf_store_commit(open);
	leftover->count = err ? 0 : removed;
	return err ? err : removed > 0;
}

int kf_policy_key_batch_clean(struct kf_policy *policy)
{
	struct leftover leftover = { .policy = policy };
	struct kf_key_batch_range range;
	int more;

	if (!policy->leftover)
		return 0;
	if (kf_store_is_behind(policy->store))
		return 1;
	more = kf_store_batch_get(policy->store, &range);
	if (!more && range.last >= range.first)
		more = remove_some(policy, &leftover, &range);
	for (uint32_t i = 0; i < leftover.count; i++)
		kf_maps_slotpool_put_back(policy->slots, leftover.rows[i].slot);
	if (!more)
		policy->leftover = false;
	return more;
}

/* ---- step ------------------------------------------------------------------------------------ */

static int explain(const struct kf_key_batch *batch, int err, struct kf_why *why)
{
	if (err == -ENAMETOOLONG)
		return kf_why_set(why, err,
				  "the name is empty or longer than 128 bytes; give another");
	if (err == -EEXIST && batch->wish.text)
		return kf_why_set(why, err,
				  "this key is one already; `keyfilterctl key find` shows which");
	if (batch->phase != STORE)
		return kf_why_set(
			why, err,
			"the kernel did not take the key: %s; if memory is short, free some",
			strerror(-err));
	if (err == -E2BIG)
		return kf_why_set(
			why, err,
			"there is no place for so many keys with a quota, %u of these and "
			"accounts are possible; delete some, or raise keys_max and start "
			"again after `keyfilterd --unload`",
			kf_policy_account_places(batch->policy));
	if (err == -ENOSPC && batch->taken < batch->quantity && batch->taken == batch->at)
		return kf_why_set(why, err,
				  "there is no place for so many keys any more; delete some, or "
				  "raise keys_max and start again after `keyfilterd --unload`");
	return kf_why_set(why, err, "cannot store the key: %s; %s%s",
			  kf_store_error(batch->policy->store),
			  kf_store_is_unsure(batch->policy->store)
				  ? "it is not known whether it is stored, and no one has it; "
				  : "",
			  kf_store_mend(err));
}

/*
 * A crash before all are stored leaves none; a crash after it leaves keys whose texts nobody was
 * told, to be deleted. The kernel gets them only once all are stored.
 */
int kf_policy_key_batch_step(struct kf_key_batch *batch, struct kf_why *why)
{
	int err = 0;

	if (batch->policy->keys && is_large(batch))
		return 1; /* a comparison must not find half of them */
	if (batch->noted && kf_store_is_behind(batch->policy->store))
		return 1;
	switch (batch->phase) {
	case STORE:
		err = store_some(batch);
		break;
	case LOAD_SLOTS:
		err = fill_some(batch);
		break;
	case LOAD_TAGS:
		err = tag_some(batch);
		break;
	case DONE:
		break;
	}
	if (err)
		return explain(batch, err, why);
	return batch->phase != DONE;
}

int kf_policy_key_batch_each(const struct kf_key_batch *batch, kf_key_made_fn made, void *context)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < batch->quantity; i++)
		err = made(context, &batch->keys[i].row, batch->keys[i].text);
	return err;
}

int kf_policy_key_create(struct kf_policy *policy, const struct kf_key_wish *wish,
			 uint32_t quantity, kf_key_made_fn made, void *context, struct kf_why *why)
{
	_cleanup_(kf_policy_key_batch_closep) struct kf_key_batch *batch = NULL;
	int more = kf_policy_key_batch_open(&batch, policy, wish, quantity, why);

	if (more)
		return more;
	do
		more = kf_policy_key_batch_step(batch, why);
	while (more > 0);
	return more ? more : kf_policy_key_batch_each(batch, made, context);
}
