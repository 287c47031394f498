// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyfilter-seed - fills the store of a stopped keyfilterd with many keys, for benchmarks and
 *tests.
 *
 *	keyfilter-seed [--state-dir DIR] [--keys N] [--expires SECONDS] [--show N]
 *
 * Adds N keys (1,000,000) named seed-1 and so on in one transaction, as keyfilterd would have made
 * them, and prints "ID KEY" for N of them (3), spread over all. Uses the daemon's own store, secret
 * and key code. The slots it takes are those behind the highest in use.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "policy/key.h"
#include "store/secret.h"
#include "store/store.h"
#include "why.h"

struct options {
	const char *state_dir;
	uint32_t keys;
	uint32_t show;
	int64_t expires; /* seconds from now; 0: never */
};

static int64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int find_highest(void *context, const struct kf_slot_row *row)
{
	uint32_t *next = context;

	if (row->slot >= *next)
		*next = row->slot + 1;
	return 0;
}

static int make_id(char id[static KF_KEY_ID_SIZE])
{
	char text[KF_KEY_TEXT_SIZE];
	int err = kf_policy_key_text(text);

	memcpy(id, "k_", 2);
	memcpy(id + 2, text + 3, KF_KEY_ID_SIZE - 3);
	id[KF_KEY_ID_SIZE - 1] = '\0';
	explicit_bzero(text, sizeof(text));
	return err;
}

static int seed_one(struct kf_store *store, const struct kf_secret *secret,
		    const struct options *options, uint32_t number, uint32_t slot)
{
	uint32_t step = options->show ? options->keys / options->show : 0;
	struct kf_credential_row credential = { .slot = slot, .until = KF_WALL_NEVER };
	struct kf_key_row row = { .created = wall_ns(), .expires = KF_WALL_NEVER };
	char text[KF_KEY_TEXT_SIZE];
	int err;

	err = make_id(row.id) ?: kf_policy_key_text(text);
	if (err)
		return err;
	snprintf(row.name, sizeof(row.name), "seed-%u", number + 1);
	if (options->expires)
		row.expires = row.created + options->expires * 1000000000ll;
	kf_policy_key_mask_of(text, &row.mask);
	kf_policy_key_tag(secret, text, credential.tag);
	err = kf_store_key_add(store, &row);
	credential.key = row.seq;
	err = err ?: kf_store_credential_add(store, &credential);
	if (!err && step && number % step == 0 && number / step < options->show)
		printf("%s %s\n", row.id, text);
	explicit_bzero(text, sizeof(text));
	return err;
}

static int seed(struct kf_store *store, const struct kf_secret *secret,
		const struct options *options)
{
	uint32_t slot = 0;
	int err = kf_store_slot_each(store, 0, KF_SLOT_NONE, find_highest, &slot);

	err = err ?: kf_store_begin(store);
	for (uint32_t i = 0; !err && i < options->keys; i++)
		err = seed_one(store, secret, options, i, slot + i);
	err = err ?: kf_store_commit(store);
	if (err)
		fprintf(stderr,
			"keyfilter-seed: cannot store the keys: %s; stop keyfilterd and look at "
			"the disk\n",
			kf_store_error(store));
	return err;
}

static int run(const struct options *options)
{
	struct kf_secret *secret = NULL;
	struct kf_store *store = NULL;
	struct kf_why why = { 0 };
	bool any = false;
	int err;

	mkdir(options->state_dir, 0700);
	err = kf_store_open(&store, options->state_dir, &why);
	err = err ?: kf_store_credential_any(store, &any);
	err = err ?: kf_store_secret_open(&secret, options->state_dir, !any, &why);
	if (err)
		fprintf(stderr, "keyfilter-seed: %s\n", why.text);
	err = err ?: seed(store, secret, options);
	kf_store_secret_close(secret);
	kf_store_close(store);
	return err;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "state-dir", required_argument, NULL, 'd' },
		{ "keys", required_argument, NULL, 'k' },
		{ "expires", required_argument, NULL, 'e' },
		{ "show", required_argument, NULL, 's' },
		{ 0 },
	};
	struct options options = { .state_dir = "/var/lib/keyfilter", .keys = 1000000, .show = 3 };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'd')
			options.state_dir = optarg;
		else if (c == 'k')
			options.keys = (uint32_t)strtoul(optarg, NULL, 10);
		else if (c == 'e')
			options.expires = strtoll(optarg, NULL, 10);
		else if (c == 's')
			options.show = (uint32_t)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	return run(&options) ? 1 : 0;
}
