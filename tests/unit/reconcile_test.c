// SPDX-License-Identifier: GPL-2.0-only
/*
 * Store and maps together, on maps of the kernel: what the operations leave in the maps must be
 * what a start from the same store makes, whatever happened in between, SIGKILL included. Needs
 * root (a bpffs of its own is mounted in a mount namespace); skipped otherwise. Links the daemon's
 * objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../userspace/daemon/key.h"
#include "../../userspace/daemon/key_slot.h"
#include "../../userspace/daemon/mapdiff.h"
#include "../../userspace/daemon/reconcile.h"
#include "../../userspace/daemon/service.h"
#include "../../userspace/daemon/source.h"
#include "../../userspace/daemon/why.h"

#define KEYS 80 /* more than one key may have secrets */
#define DAY  86400000000000ull

static const struct kf_maps_settings settings = {
	.keys_max = KEYS,
	.sources_max = 8,
	.flows_max = 5000,
	.heads_max = 2,
	.embryos = 64,
	.event_ring_bytes = 65536,
	.event_rate = 10,
	.head_timeout_ns = 1000000000,
};

struct fixture {
	char dir[64];
	char pins[96];
	struct kf_store *store;
	struct kf_secret *secret;
	struct kf_maps *maps;
	struct kf_reconcile *reconcile;
	struct kf_why why;
};

static int start(struct fixture *f)
{
	bool any;
	int err;

	err = kf_store_open(&f->store, f->dir, &f->why);
	err = err ?: kf_store_credential_any(f->store, &any);
	err = err ?: kf_secret_open(&f->secret, f->dir, !any, &f->why);
	err = err ?: kf_maps_open(&f->maps, f->pins, &settings, &f->why);
	return err ?: kf_reconcile_open(&f->reconcile, f->store, f->maps, f->secret, DAY, &f->why);
}

static void stop(struct fixture *f)
{
	kf_reconcile_close(f->reconcile);
	kf_maps_close(f->maps);
	kf_secret_close(f->secret);
	kf_store_close(f->store);
	f->reconcile = NULL;
	f->maps = NULL;
	f->secret = NULL;
	f->store = NULL;
}

static void restart(struct fixture *f)
{
	stop(f);
	if (start(f))
		fail_msg("%s", f->why.text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (geteuid())
		return 0;
	strcpy(f->dir, "/tmp/kf_reconcile_test.XXXXXX");
	if (!mkdtemp(f->dir) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	snprintf(f->pins, sizeof(f->pins), "%s/bpf", f->dir);
	if (mkdir(f->pins, 0700) || mount("bpf", f->pins, "bpf", 0, NULL))
		return -1;
	strcat(f->pins, "/keyfilter");
	if (!start(f))
		return 0;
	print_error("%s\n", f->why.text);
	return -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal", "keyfilter.db-shm",
					     "secret" };
	struct fixture *f = *state;
	char path[128];

	if (!geteuid()) {
		stop(f);
		kf_maps_unload(f->pins, &f->why);
		snprintf(path, sizeof(path), "%s/bpf", f->dir);
		umount2(path, MNT_DETACH);
		rmdir(path);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
			unlink(path);
		}
		rmdir(f->dir);
	}
	free(f);
	return 0;
}

#define NEEDS_ROOT()                                                                               \
	do {                                                                                       \
		if (geteuid())                                                                     \
			skip();                                                                    \
	} while (0)

/* Full is an answer, too; then nothing may have changed. */
#define OK_OR_FULL(f, call)                                                                        \
	do {                                                                                       \
		int _err = (call);                                                                 \
		if (_err && _err != -ENOSPC)                                                       \
			fail_msg("%s: %s", #call, (f)->why.text);                                  \
	} while (0)

#define OK(f, call)                                                                                \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, (f)->why.text);                                  \
	} while (0)

/* ---- what is in the maps -----------------------------------------------------------------------
 */

struct snapshot {
	char *text;
	size_t size;
	FILE *out;
};

struct line {
	char text[256];
};

struct lines {
	struct line *line;
	size_t count, key_size, value_size;
	bool is_ports;
};

static int take_line(void *context, const void *key, const void *value)
{
	struct lines *lines = context;
	static const char nothing[sizeof(struct kf_port)];
	struct line *line;
	char *to;

	/* of the 65,536 ports those that lead somewhere */
	if (lines->value_size == sizeof(nothing) && !memcmp(value, nothing, sizeof(nothing)) &&
	    lines->is_ports)
		return 0;
	lines->line = reallocarray(lines->line, lines->count + 1, sizeof(*line));
	line = &lines->line[lines->count++];
	to = line->text;
	for (size_t i = 0; i < lines->key_size; i++)
		to += sprintf(to, "%02x", ((const uint8_t *)key)[i]);
	*to++ = ' ';
	for (size_t i = 0; i < lines->value_size; i++)
		to += sprintf(to, "%02x", ((const uint8_t *)value)[i]);
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->text, ((const struct line *)b)->text);
}

static void take_map(FILE *out, struct kf_maps *maps, enum kf_map map, size_t key, size_t value)
{
	struct lines lines = { .key_size = key, .value_size = value };

	lines.is_ports = map == KF_MAP_kf_ports;
	assert_int_equal(kf_maps_each(maps, map, take_line, &lines), 0);
	if (lines.count)
		qsort(lines.line, lines.count, sizeof(struct line), compare_lines);
	fprintf(out, "%s\n", kf_maps_name(map));
	for (size_t i = 0; i < lines.count; i++)
		fprintf(out, "%s\n", lines.line[i].text);
	free(lines.line);
}

/* All that the controller writes, as text. Free slots are alike, whoever had them. */
static char *snapshot(struct fixture *f)
{
	struct snapshot s = { 0 };

	s.out = open_memstream(&s.text, &s.size);
	take_map(s.out, f->maps, KF_MAP_kf_tags, 16, 4);
	take_map(s.out, f->maps, KF_MAP_kf_key_allow, sizeof(struct kf_key_prefix), 1);
	take_map(s.out, f->maps, KF_MAP_kf_hosts, 16, sizeof(struct kf_source));
	take_map(s.out, f->maps, KF_MAP_kf_prefixes, sizeof(struct kf_prefix),
		 sizeof(struct kf_source));
	take_map(s.out, f->maps, KF_MAP_kf_listeners, sizeof(struct kf_listener), 4);
	take_map(s.out, f->maps, KF_MAP_kf_services, 4, sizeof(struct kf_service));
	take_map(s.out, f->maps, KF_MAP_kf_ports, 4, sizeof(struct kf_port));
	for (uint32_t i = 0; i < KEYS; i++) {
		const struct kf_slot *slot = kf_maps_slot(f->maps, i);

		fprintf(s.out, "slot %u %u", i, slot->status);
		if (slot->status != KF_KEY_FREE)
			fprintf(s.out, " %u %d %02x%02x%02x%02x", slot->flags,
				slot->expires_ns == KF_NEVER, slot->tag[0], slot->tag[1],
				slot->tag[2], slot->tag[3]);
		fputc('\n', s.out);
	}
	fclose(s.out);
	return s.text;
}

static void assert_maps_equal(const char *a, const char *b)
{
	size_t at = 0;

	while (a[at] && a[at] == b[at])
		at++;
	if (a[at] == b[at])
		return;
	while (at && a[at - 1] != '\n')
		at--;
	fail_msg("the maps differ: %.120s | %.120s", a + at, b + at);
}

/* What is in the maps is what a start from this store makes, over them and without them. */
static void assert_maps_are_right(struct fixture *f)
{
	char *before = snapshot(f), *over, *fresh;

	restart(f);
	over = snapshot(f);
	assert_maps_equal(before, over);
	stop(f);
	OK(f, kf_maps_unload(f->pins, &f->why));
	OK(f, start(f));
	fresh = snapshot(f);
	assert_maps_equal(over, fresh);
	free(before);
	free(over);
	free(fresh);
}

/* ---- pins ------------------------------------------------------------------------------------ */

static void second_one_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kf_maps *second = NULL;

	NEEDS_ROOT();
	assert_int_equal(kf_maps_open(&second, f->pins, &settings, &f->why), -EBUSY);
	assert_non_null(strstr(f->why.text, "another keyfilterd holds"));
	assert_int_equal(kf_maps_unload(f->pins, &f->why), -EBUSY);
}

static void other_sizes_are_refused(void **state)
{
	struct kf_maps_settings other = settings;
	struct fixture *f = *state;
	struct kf_maps *maps = NULL;

	NEEDS_ROOT();
	stop(f);
	other.heads_max = 3;
	assert_int_equal(kf_maps_open(&maps, f->pins, &other, &f->why), -EINVAL);
	assert_non_null(strstr(f->why.text, "heads_max 2, the setting is 3"));
	other = settings;
	other.event_ring_bytes = 131072;
	assert_int_equal(kf_maps_open(&maps, f->pins, &other, &f->why), -EINVAL);
	assert_non_null(strstr(f->why.text, "event_ring_kib 64, the setting is 128"));
	OK(f, start(f));
	assert_false(kf_maps_are_fresh(f->maps));
}

static void other_layout_is_refused(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	kf_maps_config(f->maps)->version = 77;
	stop(f);
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "layout 77"));
	assert_non_null(strstr(f->why.text, "--unload"));
	stop(f);
	OK(f, kf_maps_unload(f->pins, &f->why));
	assert_int_not_equal(access(f->pins, F_OK), 0); /* nothing is left behind */
	OK(f, start(f));
}

static void unsealed_pins_are_made_anew(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	assert_true(kf_maps_config(f->maps)->magic == KF_ABI_MAGIC);
	restart(f);
	assert_false(kf_maps_are_fresh(f->maps));
	kf_maps_config(f->maps)->magic = 0; /* as a crash during the first start leaves it */
	restart(f);
	assert_true(kf_maps_are_fresh(f->maps));
	assert_true(kf_maps_config(f->maps)->magic == KF_ABI_MAGIC);
}

static void missing_pin_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	snprintf(path, sizeof(path), "%s/maps/kf_flows", f->pins);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "kf_flows"));
}

static void other_secret_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	snprintf(path, sizeof(path), "%s/secret", f->dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "another secret"));
}

/* To follow an empty store would be to open every service. */
static void lost_store_is_refused(void **state)
{
	static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal",
					     "keyfilter.db-shm" };
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	assert_int_equal(start(f), -EPROTO);
	assert_non_null(strstr(f->why.text, "from a backup"));
	stop(f);
	assert_int_equal(start(f), -EPROTO); /* and the second try is no way around it */
}

static void plain_directory_is_refused(void **state)
{
	struct kf_maps *maps = NULL;
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	assert_int_equal(kf_maps_open(&maps, "/tmp/keyfilter-pins", &settings, &f->why), -ENOTSUP);
	assert_non_null(strstr(f->why.text, "mount -t bpf"));
	assert_int_not_equal(access("/tmp/keyfilter-pins", F_OK), 0);
	snprintf(path, sizeof(path), "%s/bpf/key.filter", f->dir);
	assert_int_equal(kf_maps_open(&maps, path, &settings, &f->why), -EPERM);
	assert_non_null(strstr(f->why.text, "dot"));
}

/* ---- keys ------------------------------------------------------------------------------------ */

struct made {
	char id[KEYS][KF_KEY_ID_SIZE];
	char text[KEYS][KF_KEY_TEXT_SIZE];
	uint32_t count;
};

static int keep_made(void *context, const struct kf_key_row *row, const char *text)
{
	struct made *made = context;

	memcpy(made->id[made->count], row->id, KF_KEY_ID_SIZE);
	memcpy(made->text[made->count++], text, KF_KEY_TEXT_SIZE);
	return 0;
}

static void create(struct fixture *f, struct made *made, uint32_t quantity)
{
	const struct kf_key_wish wish = { .name = "key", .expires = KF_WALL_NEVER };

	OK(f, kf_key_create(f->reconcile, &wish, quantity, keep_made, made, &f->why));
}

/* The way of the programs: text to tag to slot. NULL: the key is unknown. */
static const struct kf_slot *find_slot(struct fixture *f, const char *text)
{
	const struct kf_slot *slot;
	uint8_t tag[16];
	uint32_t index;

	kf_key_tag(f->secret, text, tag);
	if (kf_maps_get(f->maps, KF_MAP_kf_tags, tag, &index))
		return NULL;
	slot = kf_maps_slot(f->maps, index);
	assert_memory_equal(slot->tag, tag, 16);
	return slot;
}

static void key_lives_and_dies(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_times times = { 0 };
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, 3);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_ENABLED);
	OK(f, kf_key_disable(f->reconcile, made.id[1], &times, &f->why));
	assert_true(times.kernel_ns && times.durable_ns > times.kernel_ns);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_DISABLED);
	restart(f);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_DISABLED);
	assert_int_equal(find_slot(f, made.text[0])->status, KF_KEY_ENABLED);
	OK(f, kf_key_enable(f->reconcile, made.id[1], &f->why));
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_ENABLED);
	OK(f, kf_key_delete(f->reconcile, made.id[1], &times, &f->why));
	assert_null(find_slot(f, made.text[1]));
	assert_int_equal(kf_key_get(f->reconcile, made.id[1], &key), -ENOENT);
	assert_int_equal(kf_key_delete(f->reconcile, made.id[1], &times, &f->why), -ENOENT);
	assert_int_equal(kf_key_get(f->reconcile, made.id[2], &key), 0);
	assert_string_equal(key.row.name, "key-3");
	assert_maps_are_right(f);
}

static void slots_run_out_and_come_back(void **state)
{
	const struct kf_key_wish wish = { .name = "more", .expires = KF_WALL_NEVER };
	struct fixture *f = *state;
	struct made made = { 0 }, more = { 0 };
	struct kf_key_times times;

	NEEDS_ROOT();
	create(f, &made, KEYS);
	assert_int_equal(kf_key_create(f->reconcile, &wish, 1, keep_made, &more, &f->why), -ENOSPC);
	assert_non_null(strstr(f->why.text, "keys_max"));
	for (int i = 0; i < 10; i++)
		OK(f, kf_key_delete(f->reconcile, made.id[i], &times, &f->why));
	create(f, &more, 10);
	assert_int_equal(kf_key_create(f->reconcile, &wish, 1, keep_made, &more, &f->why), -ENOSPC);
	for (int i = 0; i < 10; i++)
		assert_non_null(find_slot(f, more.text[i]));
	assert_maps_are_right(f);
}

static void rotated_secret_has_its_grace(void **state)
{
	char first[KF_KEY_TEXT_SIZE], second[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *slot;
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, 1);
	slot = (struct kf_slot *)find_slot(f, made.text[0]);
	slot->requests_admitted = 5; /* as the programs count */
	OK(f, kf_key_rotate(f->reconcile, made.id[0], 50000000, first, &f->why));
	assert_true(find_slot(f, made.text[0])->expires_ns < KF_NEVER);
	assert_true(find_slot(f, first)->expires_ns == KF_NEVER);
	kf_key_get(f->reconcile, made.id[0], &key);
	assert_true(key.grace_until > kf_reconcile_now().wall_ns);
	assert_int_equal(key.requests_admitted, 5);
	assert_memory_equal(key.row.mask.tail, first + KF_KEY_LEN - 4, 4);
	OK(f, kf_reconcile_expire(f->reconcile));
	assert_non_null(find_slot(f, made.text[0])); /* not yet */
	usleep(60000);
	OK(f, kf_reconcile_expire(f->reconcile));
	assert_null(find_slot(f, made.text[0]));
	kf_key_get(f->reconcile, made.id[0], &key);
	assert_int_equal(key.grace_until, 0);
	assert_int_equal(key.requests_admitted, 5); /* not lost with the slot */
	OK(f, kf_key_rotate(f->reconcile, made.id[0], 0, second, &f->why));
	assert_null(find_slot(f, first));
	assert_non_null(find_slot(f, second));
	assert_maps_are_right(f);
}

/* What the refusal names as the mend works: without a grace the older secrets make room. */
static void graces_run_out_of_places(void **state)
{
	char text[KF_KEY_TEXT_SIZE], last[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	int err;

	NEEDS_ROOT();
	create(f, &made, 1);
	for (int i = 1; i < KF_KEY_CREDENTIALS_MAX; i++)
		OK(f, kf_key_rotate(f->reconcile, made.id[0], DAY, text, &f->why));
	err = kf_key_rotate(f->reconcile, made.id[0], DAY, last, &f->why);
	assert_int_equal(err, -ENOSPC);
	assert_non_null(strstr(f->why.text, "--grace 0s"));
	assert_non_null(find_slot(f, text));
	OK(f, kf_key_rotate(f->reconcile, made.id[0], 0, last, &f->why));
	assert_null(find_slot(f, made.text[0]));
	assert_null(find_slot(f, text));
	assert_non_null(find_slot(f, last));
	assert_maps_are_right(f);
}

static void expiry_follows_the_clock(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_wish wish = { .name = "k" };
	uint64_t before, after;

	NEEDS_ROOT();
	wish.expires = kf_reconcile_now().wall_ns + 3600000000000ll;
	OK(f, kf_key_create(f->reconcile, &wish, 1, keep_made, &made, &f->why));
	before = find_slot(f, made.text[0])->expires_ns;
	assert_true(before <= kf_reconcile_now().boot_ns + 3600000000000ull);
	/* as if the wall clock had been set back by a minute since */
	f->reconcile->clock.wall_ns += 60000000000ll;
	((struct kf_slot *)find_slot(f, made.text[0]))->expires_ns -= 60000000000ull;
	OK(f, kf_reconcile_clock(f->reconcile));
	after = find_slot(f, made.text[0])->expires_ns;
	assert_true(after > before - 1000000 && after < before + 1000000);
}

/* ---- random operations ----------------------------------------------------------------------- */

static unsigned int roll(unsigned int sides)
{
	return (unsigned int)random() % sides;
}

static struct kf_cidr random_block(void)
{
	static const char *const texts[] = { "::/0",	      "::/1",	     "2000::/3",
					     "0.0.0.0/0",     "10.0.0.0/8",  "10.1.0.0/16",
					     "10.1.2.0/24",   "10.1.2.3",    "11.0.0.0/8",
					     "2001:db8::/32", "2001:db8::1", "8000::/1",
					     "::/80" };
	struct kf_cidr cidr;

	assert_int_equal(kf_cidr_parse(texts[roll(sizeof(texts) / sizeof(texts[0]))], &cidr), 0);
	return cidr;
}

static int keep_id(void *context, const struct kf_key_row *row)
{
	memcpy(context, row->id, KF_KEY_ID_SIZE);
	return 0;
}

static bool random_id(struct fixture *f, char id[KF_KEY_ID_SIZE])
{
	struct kf_key_query query = { .limit = 1 + roll(40) };

	id[0] = '\0';
	kf_store_key_list(f->store, &query, keep_id, id);
	return id[0];
}

static int ignore_made(void *context, const struct kf_key_row *row, const char *text)
{
	return 0;
}

static void change_key(struct fixture *f, const char *id)
{
	struct kf_cidr allow[3] = { random_block(), random_block(), random_block() };
	struct kf_key_edit edit = { .set_allow = true, .allow = allow, .allow_count = roll(4) };
	char text[KF_KEY_TEXT_SIZE];
	struct kf_key_times times;

	switch (roll(7)) {
	case 0:
		OK(f, kf_key_disable(f->reconcile, id, &times, &f->why));
		break;
	case 1:
		OK(f, kf_key_enable(f->reconcile, id, &f->why));
		break;
	case 2:
		OK(f, kf_key_delete(f->reconcile, id, &times, &f->why));
		break;
	case 3:
		if (kf_slotpool_free(f->reconcile->slots))
			OK_OR_FULL(f, kf_key_rotate(f->reconcile, id, roll(2) ? 0 : DAY, text,
						    &f->why));
		break;
	case 4:
		edit.set_expires = true;
		edit.expires = roll(2) ? KF_WALL_NEVER : kf_reconcile_now().wall_ns + (int64_t)DAY;
		/* fall through */
	default:
		OK_OR_FULL(f, kf_key_edit(f->reconcile, id, &edit, &f->why));
	}
}

static void change_source(struct fixture *f)
{
	struct kf_source_row row = { .cidr = random_block(), .action = (uint8_t)roll(2) };
	int err;

	row.expires = KF_WALL_NEVER;
	if (roll(2)) {
		OK_OR_FULL(f, kf_source_put(f->reconcile, &row, NULL, &f->why));
		return;
	}
	err = kf_source_remove(f->reconcile, &row.cidr, &f->why);
	assert_true(!err || err == -ENOENT);
}

static void change_service(struct fixture *f)
{
	struct kf_service_row row = { .any = roll(2), .mode = (uint8_t)roll(2) };
	int err;

	snprintf(row.name, sizeof(row.name), "s%u", roll(6));
	row.port = (uint16_t)(80 + roll(3));
	if (!row.any)
		row.addr[15] = (uint8_t)(1 + roll(2));
	if (roll(3) == 0)
		err = kf_service_remove(f->reconcile, row.name, &f->why);
	else if (roll(2))
		err = kf_service_add(f->reconcile, &row, &f->why);
	else if (!(err = kf_store_service_get(f->store, row.name, &row)))
		err = kf_service_edit(f->reconcile, &row, &f->why);
	assert_true(!err || err == -ENOENT || err == -EEXIST);
}

static void change_anything(struct fixture *f)
{
	struct kf_cidr allow[2] = { random_block(), random_block() };
	struct kf_key_wish wish = { .name = "k", .expires = KF_WALL_NEVER, .allow = allow };
	char id[KF_KEY_ID_SIZE];

	switch (roll(8)) {
	case 0:
		change_service(f);
		break;
	case 1:
	case 2:
		change_source(f);
		break;
	case 3:
		wish.allow_count = roll(3);
		if (kf_slotpool_free(f->reconcile->slots) >= 4)
			OK_OR_FULL(f, kf_key_create(f->reconcile, &wish, 1 + roll(4), ignore_made,
						    NULL, &f->why));
		break;
	default:
		if (random_id(f, id))
			change_key(f, id);
	}
}

static void any_change_leaves_the_maps_right(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	srandom(1);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 25; i++)
			change_anything(f);
		assert_maps_are_right(f);
	}
}

/* Garbage in the maps, as no crash leaves it, goes all the same, without a flush. */
static void start_mends_any_maps(void **state)
{
	struct fixture *f = *state;
	char *good, *mended;

	NEEDS_ROOT();
	srandom(2);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 25; i++)
			change_anything(f);
		good = snapshot(f);
		for (int i = 0; i < 20; i++) {
			struct kf_slot *slot = (struct kf_slot *)kf_maps_slot(f->maps, roll(KEYS));
			uint8_t tag[16] = { (uint8_t)roll(256), 1 };
			struct kf_key_prefix prefix = { .prefix_len = 32 + 8, .slot = roll(KEYS) };
			struct kf_source source = { .allow_until = roll(9) };
			const uint8_t one = 1;
			uint32_t index = roll(KEYS);

			if (roll(2))
				slot->status = roll(4);
			if (roll(3) == 0)
				slot->tag[0] ^= 1;
			if (roll(4) == 0)
				kf_maps_delete(f->maps, KF_MAP_kf_tags, slot->tag);
			kf_maps_put(f->maps, KF_MAP_kf_tags, tag, &index);
			kf_maps_put(f->maps, KF_MAP_kf_key_allow, &prefix, &one);
			kf_maps_put(f->maps, KF_MAP_kf_hosts, tag, &source);
		}
		restart(f);
		mended = snapshot(f);
		assert_maps_equal(good, mended);
		free(good);
		free(mended);
	}
}

/* SIGKILL at any instant: the next start finds store and maps, and makes them agree. */
static void killed_anywhere_is_mended(void **state)
{
	struct fixture *f = *state;
	struct timespec pause = { 0 };
	int status;
	pid_t pid;

	NEEDS_ROOT();
	srandom(3);
	for (int round = 0; round < 40; round++) {
		stop(f);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			srandom((unsigned int)round);
			if (start(f))
				_exit(1);
			for (;;)
				change_anything(f);
		}
		pause.tv_nsec = 20000000 + (long)roll(40000000);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		OK(f, start(f));
		assert_maps_are_right(f);
	}
}

/* ---- services, flows ------------------------------------------------------------------------- */

static void reused_index_counts_from_zero(void **state)
{
	struct kf_service_row row = { .name = "a", .any = true, .port = 80 };
	struct fixture *f = *state;
	struct kf_counters counters, *each;
	uint32_t zero = 0;

	NEEDS_ROOT();
	OK(f, kf_service_add(f->reconcile, &row, &f->why));
	each = calloc(1024, sizeof(*each));
	each[0].packets[KF_REASON_ADMITTED] = 7;
	each[1].packets[KF_REASON_ADMITTED] = 8; /* not there with one CPU */
	kf_maps_put(f->maps, KF_MAP_kf_counters, &zero, each);
	free(each);
	restart(f);
	assert_int_equal(kf_maps_counters(f->maps, 0, &counters), 0);
	assert_true(counters.packets[KF_REASON_ADMITTED] >= 7); /* a restart loses none */
	OK(f, kf_service_edit(f->reconcile, &row, &f->why));
	kf_maps_counters(f->maps, 0, &counters);
	assert_true(counters.packets[KF_REASON_ADMITTED] >= 7);
	OK(f, kf_service_remove(f->reconcile, "a", &f->why));
	OK(f, kf_service_add(f->reconcile, &row, &f->why));
	assert_int_equal(row.index, 0);
	kf_maps_counters(f->maps, 0, &counters);
	assert_int_equal(counters.packets[KF_REASON_ADMITTED], 0);
}

static void sweep(struct fixture *f)
{
	int more;

	while ((more = kf_reconcile_flows(f->reconcile)) == 1)
		;
	assert_int_equal(more, 0);
}

static void silent_flows_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct kf_flow_key key = { 0 };
	struct kf_flow flow = { .slot = KF_SLOT_NONE };
	struct timespec t;
	uint32_t now;

	NEEDS_ROOT();
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	now = (uint32_t)(((uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec) >> 30);
	for (int i = 0; i < 4500; i++) {
		key.client_port = (uint16_t)i;
		flow.seen = i % 3 ? now : now - (uint32_t)(DAY >> 30) - 5;
		assert_int_equal(kf_maps_put(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	}
	sweep(f);
	assert_int_equal(f->reconcile->flows_live, 4500); /* found silent, still there */
	key.client_port = 3;
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state, KF_FLOW_CLOSED);
	assert_int_equal(flow.busy, 1); /* and stays locked when it is deleted */
	sweep(f);
	assert_int_equal(f->reconcile->flows_live, 3000);
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), -ENOENT);
	key.client_port = 4;
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state, KF_FLOW_HEAD);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(second_one_is_refused),
		TEST(other_sizes_are_refused),
		TEST(other_layout_is_refused),
		TEST(unsealed_pins_are_made_anew),
		TEST(missing_pin_is_refused),
		TEST(other_secret_is_refused),
		TEST(lost_store_is_refused),
		TEST(plain_directory_is_refused),
		TEST(key_lives_and_dies),
		TEST(slots_run_out_and_come_back),
		TEST(rotated_secret_has_its_grace),
		TEST(graces_run_out_of_places),
		TEST(expiry_follows_the_clock),
		TEST(any_change_leaves_the_maps_right),
		TEST(start_mends_any_maps),
		TEST(killed_anywhere_is_mended),
		TEST(reused_index_counts_from_zero),
		TEST(silent_flows_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
