// SPDX-License-Identifier: GPL-2.0-only
#include "policy/key.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "cleanup.h"
#include "policy/key_slot.h"
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

int kf_policy_key_text(char text[static KF_KEY_TEXT_SIZE])
{
	memcpy(text, "sk-", KF_KEY_PREFIX);
	text[KF_KEY_LEN] = '\0';
	return random_text(text + KF_KEY_PREFIX, KF_KEY_LEN - KF_KEY_PREFIX);
}

int kf_policy_key_id(char id[static KF_KEY_ID_SIZE])
{
	memcpy(id, "k_", 2);
	id[KF_KEY_ID_SIZE - 1] = '\0';
	return random_text(id + 2, KF_KEY_ID_SIZE - 3);
}

void kf_policy_key_masked(const struct kf_key_mask *mask, char text[static 16])
{
	snprintf(text, 16, "sk-%s...%s", mask->head, mask->tail);
}

bool kf_policy_key_is_text(const char *text)
{
	size_t len = strlen(text);

	return len <= KF_KEY_MOST && kf_key_shape((const __u8 *)text, (__u32)len) &&
	       len == strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789-_.~");
}

void kf_policy_key_mask_of(const char *text, struct kf_key_mask *mask)
{
	memset(mask, 0, sizeof(*mask));
	memcpy(mask->head, text + KF_KEY_PREFIX, sizeof(mask->head) - 1);
	memcpy(mask->tail, text + strlen(text) - 4, sizeof(mask->tail) - 1);
}

void kf_policy_key_tag(const struct kf_secret *secret, const char *text, uint8_t tag[static 16])
{
	kf_keyhash(secret->key, (const __u8 *)text, (__u32)strlen(text), tag);
}

/* ---- view ------------------------------------------------------------------------------------ */

int kf_policy_key_view(struct kf_policy *policy, const struct kf_key_row *row, struct kf_key *key)
{
	int64_t now = kf_policy_time(policy).wall_ns;
	struct kf_key_row graced = { 0 };
	struct kf_key_state state;
	int err = kf_policy_key_slot_state(policy, row, &state);

	if (err)
		return err;
	memset(key, 0, sizeof(*key));
	key->row = *row;
	key->expired = row->expires <= now;
	memcpy(key->allow, state.allow, sizeof(key->allow));
	key->allow_count = state.allow_count;
	for (uint32_t i = 0; i < state.credential_count; i++) {
		const struct kf_credential_row *credential = &state.credentials[i];

		kf_policy_key_slot_keep_counts(policy, credential, &state.row);
		if (credential->until == KF_WALL_NEVER || credential->until <= now)
			continue;
		kf_policy_key_slot_keep_counts(policy, credential, &graced);
		if (credential->until > key->grace_until)
			key->grace_until = credential->until;
	}
	key->grace_used = graced.past_used;
	key->requests_admitted = state.row.past_admitted;
	key->requests_refused = state.row.past_refused;
	key->last_used = state.row.past_used;
	return kf_store_key_labels_get(policy->store, row->seq, key->labels.list,
				       &key->labels.count);
}

int kf_policy_key_get(struct kf_policy *policy, const char *id, struct kf_key *key)
{
	struct kf_key_row row;
	int err = kf_store_key_get(policy->store, id, &row);

	return err ? err : kf_policy_key_view(policy, &row, key);
}

int kf_policy_key_find(struct kf_policy *policy, const char *text, struct kf_key *key,
		       int64_t *until)
{
	struct kf_credential_row credential;
	struct kf_key_row row;
	uint8_t tag[16];
	int err;

	if (!kf_policy_key_is_text(text))
		return -ENOENT;
	kf_policy_key_tag(policy->secret, text, tag);
	err = kf_store_credential_find(policy->store, tag, &credential);
	if (!err && credential.until <= kf_policy_time(policy).wall_ns)
		err = -ENOENT; /* over, and not removed yet */
	if (!err)
		err = kf_store_key_of_slot(policy->store, credential.slot, &row);
	if (!err)
		err = kf_policy_key_view(policy, &row, key);
	if (!err)
		*until = credential.until;
	return err;
}

int kf_policy_key_id_of_slot(struct kf_policy *policy, uint32_t slot,
			     char id[static KF_KEY_ID_SIZE])
{
	struct kf_key_row row;
	int err;

	if (slot == KF_SLOT_NONE)
		return -ENOENT;
	err = kf_store_key_of_slot(policy->store, slot, &row);
	if (!err)
		memcpy(id, row.id, KF_KEY_ID_SIZE);
	return err;
}
