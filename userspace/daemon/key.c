// SPDX-License-Identifier: GPL-2.0-only
#include "key.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "key_slot.h"
#include "why.h"

/* ---- text ------------------------------------------------------------------------------------ */

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/*
 * Of a random byte six bits are a digit; 62 and 63 are thrown away, so that every digit is equally
 * likely. Not terminated.
 */
static int random_text(char *out, size_t count)
{
	uint8_t bytes[128];
	size_t have = 0;
	ssize_t n = 0;

	while (have < count && n >= 0) {
		n = getrandom(bytes, sizeof(bytes), 0);
		for (ssize_t i = 0; i < n && have < count; i++)
			if ((bytes[i] & 63) < 62)
				out[have++] = base62[bytes[i] & 63];
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return n < 0 ? -EIO : 0;
}

int kf_key_text(char text[static KF_KEY_TEXT_SIZE])
{
	memcpy(text, "sk-", KF_KEY_PREFIX);
	text[KF_KEY_LEN] = '\0';
	return random_text(text + KF_KEY_PREFIX, KF_KEY_LEN - KF_KEY_PREFIX);
}

static int make_id(char id[static KF_KEY_ID_SIZE])
{
	memcpy(id, "k_", 2);
	id[KF_KEY_ID_SIZE - 1] = '\0';
	return random_text(id + 2, KF_KEY_ID_SIZE - 3);
}

void kf_key_masked(const struct kf_key_mask *mask, char text[static 16])
{
	snprintf(text, 16, "sk-%s...%s", mask->head, mask->tail);
}

void kf_key_mask_of(const char text[static KF_KEY_TEXT_SIZE], struct kf_key_mask *mask)
{
	memset(mask, 0, sizeof(*mask));
	memcpy(mask->head, text + KF_KEY_PREFIX, sizeof(mask->head) - 1);
	memcpy(mask->tail, text + KF_KEY_LEN - 4, sizeof(mask->tail) - 1);
}

void kf_key_tag(const struct kf_secret *secret, const char text[static KF_KEY_TEXT_SIZE],
		uint8_t tag[static 16])
{
	kf_keyhash(secret->key, (const __u8 *)text, KF_KEY_LEN, tag);
}

/* ---- create ---------------------------------------------------------------------------------- */

struct fresh {
	struct kf_key_row row;
	struct kf_credential_row credential;
	char text[KF_KEY_TEXT_SIZE];
};

struct batch {
	struct kf_reconcile *reconcile;
	const struct kf_key_wish *wish;
	uint32_t quantity;
	uint32_t taken;	 /* the first so many have a slot */
	uint32_t filled; /* and of those the first so many are in the kernel */
	bool stored;	 /* they are durable */
	bool done;	 /* nothing is to be taken back */
	struct fresh *keys;
};

static int remove_all(struct batch *batch)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = batch->reconcile->store;
	int err = kf_store_begin(open);

	for (uint32_t i = 0; !err && i < batch->quantity; i++)
		err = kf_store_key_remove(open, batch->keys[i].row.seq);
	return err ?: kf_store_commit(open);
}

/* Takes back what was not finished, kernel first. */
static void take_back(struct batch *batch)
{
	struct kf_reconcile *reconcile = batch->reconcile;

	for (uint32_t i = 0; i < batch->taken; i++) {
		const struct kf_credential_row *credential = &batch->keys[i].credential;

		if (i < batch->filled)
			kf_key_slot_drop(reconcile, credential, batch->wish->allow,
					 batch->wish->allow_count);
		else
			kf_slotpool_return(reconcile->slots, credential->slot);
	}
	if (batch->stored && remove_all(batch))
		kf_mend_note(reconcile, KF_MEND_KEYS, -EIO); /* they stay, and nobody has them */
}

static void batch_end(struct batch *batch)
{
	if (!batch->keys)
		return;
	if (!batch->done)
		take_back(batch);
	explicit_bzero(batch->keys, batch->quantity * sizeof(*batch->keys));
	free(batch->keys);
}

static int make_one(struct batch *batch, uint32_t index, int64_t now)
{
	const struct kf_key_wish *wish = batch->wish;
	struct fresh *fresh = &batch->keys[index];
	int n, err;

	err = kf_slotpool_take(batch->reconcile->slots, &fresh->credential.slot);
	if (err)
		return err;
	batch->taken++;
	err = make_id(fresh->row.id);
	if (!err)
		err = kf_key_text(fresh->text);
	if (err)
		return err;
	n = batch->quantity == 1
		    ? snprintf(fresh->row.name, KF_KEY_NAME_SIZE, "%s", wish->name)
		    : snprintf(fresh->row.name, KF_KEY_NAME_SIZE, "%s-%u", wish->name, index + 1);
	if (n < 1 || n >= KF_KEY_NAME_SIZE)
		return -ENAMETOOLONG;
	fresh->row.created = now;
	fresh->row.expires = wish->expires;
	fresh->row.rpm = wish->rpm;
	fresh->row.rpm_burst = wish->rpm_burst;
	kf_key_mask_of(fresh->text, &fresh->row.mask);
	kf_key_tag(batch->reconcile->secret, fresh->text, fresh->credential.tag);
	fresh->credential.until = KF_WALL_NEVER;
	return 0;
}

static int store_one(struct batch *batch, struct fresh *fresh)
{
	struct kf_store *store = batch->reconcile->store;
	int err = kf_store_key_add(store, &fresh->row);

	if (err)
		return err;
	fresh->credential.key = fresh->row.seq;
	err = kf_store_credential_add(store, &fresh->credential);
	if (!err && batch->wish->allow_count)
		err = kf_store_key_allow_set(store, fresh->row.seq, batch->wish->allow,
					     batch->wish->allow_count);
	return err;
}

static int store_all(struct batch *batch)
{
	_cleanup_(kf_store_rollbackp) struct kf_store *open = batch->reconcile->store;
	int err = kf_store_begin(open);

	for (uint32_t i = 0; !err && i < batch->quantity; i++)
		err = store_one(batch, &batch->keys[i]);
	if (!err)
		err = kf_store_commit(open);
	batch->stored = !err;
	return err;
}

/* Every slot is whole before the first tag leads to one. */
static int load_all(struct batch *batch)
{
	_cleanup_free_ uint8_t(*tags)[16] = calloc(batch->quantity, sizeof(*tags));
	_cleanup_free_ uint32_t *slots = calloc(batch->quantity, sizeof(*slots));
	int err = 0;

	if (!tags || !slots)
		return -ENOMEM;
	for (uint32_t i = 0; !err && i < batch->quantity; i++) {
		struct fresh *fresh = &batch->keys[i];

		memcpy(tags[i], fresh->credential.tag, sizeof(tags[i]));
		slots[i] = fresh->credential.slot;
		batch->filled++;
		err = kf_key_slot_fill(batch->reconcile, &fresh->row, batch->wish->allow,
				       batch->wish->allow_count, &fresh->credential);
	}
	return err ? err
		   : kf_maps_put_many(batch->reconcile->maps, KF_MAP_kf_tags, tags, slots,
				      batch->quantity);
}

static int check_room(const struct kf_reconcile *reconcile, const struct kf_key_wish *wish,
		      uint32_t quantity, struct kf_why *why)
{
	uint64_t entries = kf_key_slot_allow_entries(wish->allow, wish->allow_count);

	if (quantity > kf_slotpool_free(reconcile->slots))
		return kf_why_set(why, -ENOSPC,
				  "there is room for %u more keys; delete some, or raise keys_max "
				  "and start again after `keyfilterd --unload`",
				  kf_slotpool_free(reconcile->slots));
	if (kf_key_slot_allow_room(reconcile, quantity * entries))
		return kf_why_set(
			why, -ENOSPC,
			"there is no room for so many allow lists; give fewer "
			"blocks (an IPv6 block around ::ffff:0:0/96 needs many), or raise "
			"keys_max and start again after `keyfilterd --unload`");
	return 0;
}

static int explain_create(struct batch *batch, int err, struct kf_why *why)
{
	if (err == -ENAMETOOLONG)
		return kf_why_set(why, err,
				  "the name is empty or longer than 128 bytes; give another");
	if (err == -ENOMEM)
		return kf_why_set(why, err,
				  "out of memory; free some, or ask for fewer keys at a time");
	if (batch->stored)
		return kf_why_set(why, err,
				  "the kernel did not take the key: %s; if memory is short, "
				  "free some",
				  strerror(-err));
	return kf_why_set(why, err, "cannot store the key: %s; %s%s",
			  kf_store_error(batch->reconcile->store),
			  kf_store_is_unsure(batch->reconcile->store)
				  ? "it is not known whether it is stored, and no one has it; "
				  : "",
			  kf_store_mend(err));
}

/*
 * A crash before the commit leaves nothing, a crash after it leaves keys that nobody was told: both
 * are no one's loss. In the kernel they begin to count only now, so nothing has to be undone there.
 */
int kf_key_create(struct kf_reconcile *reconcile, const struct kf_key_wish *wish, uint32_t quantity,
		  kf_key_made_fn made, void *context, struct kf_why *why)
{
	_cleanup_(batch_end) struct batch batch = {
		.reconcile = reconcile,
		.wish = wish,
		.quantity = quantity,
	};
	int64_t now = kf_reconcile_time(reconcile).wall_ns;
	int err = check_room(reconcile, wish, quantity, why);

	if (err)
		return err;
	batch.keys = calloc(quantity, sizeof(*batch.keys));
	if (!batch.keys)
		return explain_create(&batch, -ENOMEM, why);
	for (uint32_t i = 0; !err && i < quantity; i++)
		err = make_one(&batch, i, now);
	if (!err)
		err = store_all(&batch);
	if (!err)
		err = load_all(&batch);
	if (err)
		return explain_create(&batch, err, why);
	batch.done = true;
	for (uint32_t i = 0; !err && i < quantity; i++)
		err = made(context, &batch.keys[i].row, batch.keys[i].text);
	return err;
}

/* ---- view ------------------------------------------------------------------------------------ */

int kf_key_view(struct kf_reconcile *reconcile, const struct kf_key_row *row, struct kf_key *key)
{
	int64_t now = kf_reconcile_time(reconcile).wall_ns;
	struct kf_key_state state;
	int err = kf_key_slot_state(reconcile, row, &state);

	if (err)
		return err;
	memset(key, 0, sizeof(*key));
	key->row = *row;
	key->expired = row->expires <= now;
	memcpy(key->allow, state.allow, sizeof(key->allow));
	key->allow_count = state.allow_count;
	for (uint32_t i = 0; i < state.credential_count; i++) {
		const struct kf_credential_row *credential = &state.credentials[i];

		kf_key_slot_keep_counts(reconcile, credential->slot, &state.row);
		if (credential->until != KF_WALL_NEVER && credential->until > now &&
		    credential->until > key->grace_until)
			key->grace_until = credential->until;
	}
	key->requests_admitted = state.row.past_admitted;
	key->requests_refused = state.row.past_refused;
	key->last_used = state.row.past_used;
	return 0;
}

int kf_key_get(struct kf_reconcile *reconcile, const char *id, struct kf_key *key)
{
	struct kf_key_row row;
	int err = kf_store_key_get(reconcile->store, id, &row);

	return err ? err : kf_key_view(reconcile, &row, key);
}

int kf_key_id_of_slot(struct kf_reconcile *reconcile, uint32_t slot, char id[static KF_KEY_ID_SIZE])
{
	struct kf_key_row row;
	int err;

	if (slot == KF_SLOT_NONE)
		return -ENOENT;
	err = kf_store_key_of_slot(reconcile->store, slot, &row);
	if (!err)
		memcpy(id, row.id, KF_KEY_ID_SIZE);
	return err;
}
