// SPDX-License-Identifier: GPL-2.0-only
#include "policy/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* Both tables are sorted: one is asked for each slot of a start, the other is merged with rows. */
struct kf_holds {
	struct kf_hold *keys;
	uint32_t key_count, key_room;
	struct kf_source_row *sources;
	uint32_t source_count, source_room;
};

int kf_policy_hold_open(struct kf_holds **out)
{
	struct kf_holds *holds = calloc(1, sizeof(*holds));

	if (!holds)
		return -ENOMEM;
	*out = holds;
	return 0;
}

void kf_policy_hold_close(struct kf_holds *holds)
{
	if (!holds)
		return;
	for (uint32_t i = 0; i < holds->key_count; i++)
		free(holds->keys[i].allow);
	free(holds->keys);
	free(holds->sources);
	free(holds);
}

/* Room for one more entry of @size in a table. */
static int grow(void **table, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t wanted = *room ? 2 * *room : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*table, wanted, size);
	if (!grown)
		return -ENOMEM;
	*table = grown;
	*room = wanted;
	return 0;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Where the key is, or would be. */
static uint32_t place_of(const struct kf_holds *holds, int64_t key)
{
	uint32_t low = 0, high = holds->key_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (holds->keys[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct kf_hold *find(const struct kf_holds *holds, int64_t key)
{
	uint32_t place = holds ? place_of(holds, key) : 0;

	return holds && place < holds->key_count && holds->keys[place].key == key
		       ? &holds->keys[place]
		       : NULL;
}

const struct kf_hold *kf_policy_hold_find(const struct kf_holds *holds, int64_t key)
{
	return find(holds, key);
}

static struct kf_hold *insert(struct kf_holds *holds, const struct kf_hold *like)
{
	uint32_t place = place_of(holds, like->key);
	struct kf_hold *to;

	if (grow((void **)&holds->keys, holds->key_count, &holds->key_room, sizeof(*to)))
		return NULL;
	to = &holds->keys[place];
	memmove(to + 1, to, (holds->key_count - place) * sizeof(*to));
	holds->key_count++;
	*to = (struct kf_hold){ .key = like->key };
	memcpy(to->id, like->id, sizeof(to->id));
	return to;
}

static int64_t earlier(unsigned int has, int64_t a, int64_t b)
{
	return has && a < b ? a : b;
}

static void add_rate(struct kf_hold *hold, const struct kf_hold *more)
{
	bool has = hold->what & KF_HOLD_RATE;

	hold->rpm = has && hold->rpm < more->rpm ? hold->rpm : more->rpm;
	hold->rpm_burst =
		has && hold->rpm_burst < more->rpm_burst ? hold->rpm_burst : more->rpm_burst;
}

static void add(struct kf_hold *hold, const struct kf_hold *more, struct kf_cidr *allow)
{
	if (more->what & KF_HOLD_EXPIRES)
		hold->expires = earlier(hold->what & KF_HOLD_EXPIRES, hold->expires, more->expires);
	if (more->what & KF_HOLD_SECRETS)
		hold->until = earlier(hold->what & KF_HOLD_SECRETS, hold->until, more->until);
	if (more->what & KF_HOLD_RATE)
		add_rate(hold, more);
	if (more->what & KF_HOLD_GROUP)
		hold->group = more->group;
	if (more->what & KF_HOLD_MODELS)
		hold->models = more->models;
	if (more->what & KF_HOLD_ALLOW) {
		free(hold->allow);
		hold->allow = allow;
		hold->allow_count = more->allow_count;
	}
	hold->what |= more->what;
}

int kf_policy_hold_add(struct kf_holds *holds, const struct kf_hold *more)
{
	_cleanup_free_ struct kf_cidr *allow = NULL;
	struct kf_hold *hold;

	if (!more->what)
		return 0;
	if (more->what & KF_HOLD_ALLOW) {
		allow = calloc(more->allow_count + 1, sizeof(*allow));
		if (!allow)
			return -ENOMEM;
		if (more->allow_count)
			memcpy(allow, more->allow, more->allow_count * sizeof(*allow));
	}
	hold = find(holds, more->key) ?: insert(holds, more);
	if (!hold)
		return -ENOMEM;
	add(hold, more, TAKE_PTR(allow));
	return 0;
}

void kf_policy_hold_drop(struct kf_holds *holds, int64_t key, unsigned int what)
{
	struct kf_hold *hold = find(holds, key);

	if (!hold)
		return;
	if (hold->what & what & KF_HOLD_ALLOW) {
		free(hold->allow);
		hold->allow = NULL;
		hold->allow_count = 0;
	}
	hold->what &= ~what;
	if (hold->what)
		return;
	holds->key_count--;
	memmove(hold, hold + 1, (size_t)(holds->keys + holds->key_count - hold) * sizeof(*hold));
}

void kf_policy_hold_narrow(const struct kf_hold *hold, struct kf_slot_row *row)
{
	if (!hold)
		return;
	row->disabled = row->disabled || (hold->what & KF_HOLD_DISABLED);
	row->gone =
		(hold->what & KF_HOLD_DELETED) || ((hold->what & KF_HOLD_SECRETS) && !hold->until);
	row->expires = earlier(hold->what & KF_HOLD_EXPIRES, hold->expires, row->expires);
	row->expires =
		earlier((hold->what & KF_HOLD_SECRETS) && hold->until, hold->until, row->expires);
	row->allowlist = row->allowlist || (hold->what & KF_HOLD_ALLOW);
	if (hold->what & KF_HOLD_RATE) {
		row->rpm = hold->rpm;
		row->rpm_burst = hold->rpm_burst;
	}
	if (hold->what & KF_HOLD_GROUP)
		row->group = hold->group;
	if (hold->what & KF_HOLD_MODELS)
		row->models = hold->models;
}

bool kf_policy_hold_has_group(const struct kf_holds *holds, uint32_t group)
{
	for (uint32_t i = 0; i < holds->key_count; i++)
		if ((holds->keys[i].what & KF_HOLD_GROUP) && holds->keys[i].group == group)
			return true;
	return false;
}

bool kf_policy_hold_has_models(const struct kf_holds *holds, uint32_t models)
{
	for (uint32_t i = 0; i < holds->key_count; i++)
		if ((holds->keys[i].what & KF_HOLD_MODELS) && holds->keys[i].models == models)
			return true;
	return false;
}

uint32_t kf_policy_hold_count(const struct kf_holds *holds)
{
	return holds->key_count;
}

const struct kf_hold *kf_policy_hold_at(const struct kf_holds *holds, uint32_t index)
{
	return &holds->keys[index];
}

/* ---- sources --------------------------------------------------------------------------------- */

/* The order of the store: see store/source.c. */
static int compare(const struct kf_cidr *a, uint8_t a_action, const struct kf_cidr *b,
		   uint8_t b_action)
{
	int order = memcmp(a->addr, b->addr, sizeof(a->addr));

	order = order ? order : (int)a->prefix_len - (int)b->prefix_len;
	return order ? order : (int)a_action - (int)b_action;
}

static uint32_t source_place(const struct kf_holds *holds, const struct kf_cidr *cidr,
			     uint8_t action)
{
	uint32_t place = 0;

	while (place < holds->source_count &&
	       compare(&holds->sources[place].cidr, holds->sources[place].action, cidr, action) < 0)
		place++;
	return place;
}

static bool is_at(const struct kf_holds *holds, uint32_t place, const struct kf_cidr *cidr,
		  uint8_t action)
{
	return place < holds->source_count &&
	       !compare(&holds->sources[place].cidr, holds->sources[place].action, cidr, action);
}

int kf_policy_hold_source_add(struct kf_holds *holds, const struct kf_source_row *row)
{
	uint32_t place = source_place(holds, &row->cidr, row->action);
	struct kf_source_row *to;

	if (!is_at(holds, place, &row->cidr, row->action)) {
		if (grow((void **)&holds->sources, holds->source_count, &holds->source_room,
			 sizeof(*to)))
			return -ENOMEM;
		to = &holds->sources[place];
		memmove(to + 1, to, (holds->source_count - place) * sizeof(*to));
		holds->source_count++;
		*to = *row;
		return 0;
	}
	to = &holds->sources[place];
	if (row->action == KF_SOURCE_DENY ? row->expires > to->expires : row->expires < to->expires)
		to->expires = row->expires;
	return 0;
}

static void remove_at(struct kf_holds *holds, uint32_t place)
{
	struct kf_source_row *at = &holds->sources[place];

	holds->source_count--;
	memmove(at, at + 1, (holds->source_count - place) * sizeof(*at));
}

bool kf_policy_hold_source_drop(struct kf_holds *holds, const struct kf_cidr *cidr,
				enum kf_source_action action)
{
	uint32_t place = source_place(holds, cidr, (uint8_t)action);

	if (!is_at(holds, place, cidr, (uint8_t)action))
		return false;
	remove_at(holds, place);
	return true;
}

bool kf_policy_hold_source_is(const struct kf_holds *holds, const struct kf_cidr *cidr,
			      enum kf_source_action action)
{
	return is_at(holds, source_place(holds, cidr, (uint8_t)action), cidr, (uint8_t)action);
}

bool kf_policy_hold_source_expire(struct kf_holds *holds, int64_t now, struct kf_cidr *cidr)
{
	for (uint32_t i = 0; i < holds->source_count; i++) {
		const struct kf_source_row *row = &holds->sources[i];

		if (row->action != KF_SOURCE_DENY || row->expires > now)
			continue;
		*cidr = row->cidr;
		remove_at(holds, i);
		return true;
	}
	return false;
}

uint32_t kf_policy_hold_source_count(const struct kf_holds *holds)
{
	return holds->source_count;
}

const struct kf_source_row *kf_policy_hold_source_at(const struct kf_holds *holds, uint32_t index)
{
	return &holds->sources[index];
}

/* ---- the feed -------------------------------------------------------------------------------- */

void kf_policy_hold_feed_begin(struct kf_hold_feed *feed, const struct kf_holds *holds,
			       enum kf_hold_range range, const struct kf_cidr *cidr,
			       kf_source_fn fn, void *context)
{
	*feed = (struct kf_hold_feed){ holds, range, cidr, 0, fn, context };
}

void kf_policy_hold_feed_from(struct kf_hold_feed *feed, const struct kf_cidr *from)
{
	feed->next = source_place(feed->holds, from, KF_SOURCE_DENY);
}

static bool is_in_range(const struct kf_hold_feed *feed, const struct kf_cidr *cidr)
{
	switch (feed->range) {
	case KF_HOLD_UNDER:
		return kf_cidr_covers(feed->cidr, cidr);
	case KF_HOLD_ABOVE:
		return kf_cidr_covers(cidr, feed->cidr) && !kf_cidr_equal(cidr, feed->cidr);
	default:
		return true;
	}
}

/* The denials that come before @row (NULL: all that are left). */
static int give_held(struct kf_hold_feed *feed, const struct kf_source_row *row)
{
	const struct kf_source_row *held;
	int err = 0;

	while (!err && feed->next < feed->holds->source_count) {
		held = &feed->holds->sources[feed->next];
		if (row && compare(&held->cidr, held->action, &row->cidr, row->action) >= 0)
			break;
		if (held->action == KF_SOURCE_DENY && is_in_range(feed, &held->cidr))
			err = feed->fn(feed->context, held);
		feed->next++;
	}
	return err;
}

int kf_policy_hold_feed_row(void *context, const struct kf_source_row *row)
{
	struct kf_hold_feed *feed = context;
	struct kf_source_row narrowed = *row;
	const struct kf_source_row *held;
	int err = give_held(feed, row);

	if (err)
		return err;
	if (is_at(feed->holds, feed->next, &row->cidr, row->action)) {
		held = &feed->holds->sources[feed->next++];
		if (row->action == KF_SOURCE_DENY ? held->expires > row->expires
						  : held->expires < row->expires)
			narrowed.expires = held->expires;
	}
	return feed->fn(feed->context, &narrowed);
}

int kf_policy_hold_feed_finish(struct kf_hold_feed *feed)
{
	return give_held(feed, NULL);
}
