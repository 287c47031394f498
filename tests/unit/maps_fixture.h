/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * maps_fixture.h - store and maps together, for tests that include it once, after cmocka.h.
 *
 * A store in a directory of its own, maps of the kernel on a bpffs of its own (bpffs.h), and what
 * is in them as text, so that two states can be compared.
 */
#ifndef KEYFILTER_TEST_MAPS_FIXTURE_H
#define KEYFILTER_TEST_MAPS_FIXTURE_H

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef KEYS
#define KEYS 80 /* more than one key may have secrets */
#endif
#ifndef FLOWS
#define FLOWS 5000
#endif
#include "bpffs.h"
#include "clock.h"
#include "policy/key.h"
#include "policy/policy.h"
#include "policy/source.h"
#include "traffic/flows.h"
#include "why.h"

/*
 * No program runs on these maps, so nobody has to be waited for: a grace period takes longer than
 * all the rest of a round. Arguments that were not given are passed on as they lie there.
 */
__attribute__((no_sanitize("address"))) long syscall(long number, ...)
{
	long (*real)(long, ...) = (__typeof__(real))dlsym(RTLD_NEXT, "syscall");
	long argument[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(args, long);
	va_end(args);
	return number == SYS_membarrier ? 0
					: real(number, argument[0], argument[1], argument[2],
					       argument[3], argument[4], argument[5]);
}

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of it */

#define DAY 86400000000000ull

struct fixture {
	char dir[64];
	char pins[96];
	struct kf_store *store;
	struct kf_secret *secret;
	struct kf_maps *maps;
	struct kf_policy *policy;
	struct kf_flows *flows;
	struct kf_why why;
};

static int load(struct fixture *f)
{
	int more;

	do
		more = kf_policy_load(f->policy, &f->why);
	while (more > 0);
	return more;
}

static int start(struct fixture *f)
{
	bool any;
	int err;

	err = kf_store_open(&f->store, f->dir, &f->why);
	err = err ?: kf_store_credential_any(f->store, &any);
	err = err ?: kf_store_secret_open(&f->secret, f->dir, !any, &f->why);
	err = err ?: kf_maps_open(&f->maps, f->pins, &settings, &f->why);
	err = err ?: kf_policy_open(&f->policy, f->store, f->maps, f->secret, &f->why);
	err = err ?: load(f);
	return err ?: kf_traffic_flows_open(&f->flows, f->maps, DAY);
}

/* The clock was set: whole, as the loop does it in slices. */
static int set_clock(struct fixture *f)
{
	int more = kf_policy_clock_correct(f->policy);

	while (more > 0)
		more = kf_policy_clock_go_on(f->policy);
	return more;
}

static void stop(struct fixture *f)
{
	kf_traffic_flows_close(f->flows);
	kf_policy_close(f->policy);
	kf_maps_close(f->maps);
	kf_store_secret_close(f->secret);
	kf_store_close(f->store);
	f->flows = NULL;
	f->policy = NULL;
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
	if (bpffs_mount(f->dir, f->pins))
		return -1;
	if (!start(f))
		return 0;
	print_error("%s\n", f->why.text);
	return -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!geteuid()) {
		stop(f);
		kf_maps_unload(f->pins, &f->why);
		bpffs_unmount(f->dir);
	}
	free(f);
	return 0;
}

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

/* ---- what is in the maps --------------------------------------------------------------------- */

struct line {
	char text[320];
};

struct lines {
	struct line *line;
	size_t count, key_size, value_size;
	bool is_ports, is_sources;
};

/* Two translations of one wall-clock time differ by some nanoseconds. */
static const char *time_of(uint64_t ns)
{
	return !ns ? "0" : ns == KF_NEVER ? "never" : ns > kf_clock_boot() ? "later" : "past";
}

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
	for (size_t i = 0; i < 2 && lines->is_sources; i++)
		to += sprintf(to, " %s", time_of(((const uint64_t *)value)[i]));
	for (size_t i = 0; !lines->is_sources && i < lines->value_size; i++)
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
	lines.is_sources = map == KF_MAP_kf_hosts || map == KF_MAP_kf_prefixes;
	assert_int_equal(kf_maps_each(maps, map, take_line, &lines), 0);
	if (lines.count)
		qsort(lines.line, lines.count, sizeof(struct line), compare_lines);
	fprintf(out, "%s\n", kf_maps_name(map));
	for (size_t i = 0; i < lines.count; i++)
		fprintf(out, "%s\n", lines.line[i].text);
	free(lines.line);
}

/* The chain of those that are drawn on, without what the kernel has taken. */
static void take_wallets(FILE *out, struct fixture *f, uint32_t first)
{
	const struct kf_wallet *wallet = kf_maps_wallet(f->maps, first);

	for (; wallet; wallet = kf_maps_wallet(f->maps, wallet->parent))
		fprintf(out, " %lld %u", (long long)wallet->limit, wallet->reason);
}

/* Free slots are alike, whoever had them. */
static void take_keys(FILE *out, struct fixture *f)
{
	take_map(out, f->maps, KF_MAP_kf_tags, 16, 4);
	take_map(out, f->maps, KF_MAP_kf_key_allow, sizeof(struct kf_key_prefix), 1);
	for (uint32_t i = 0; i < KEYS; i++) {
		const struct kf_slot *slot = kf_maps_slot(f->maps, i);

		fprintf(out, "slot %u %u", i, slot->status);
		if (slot->status != KF_KEY_FREE)
			fprintf(out, " %u %d %02x%02x%02x%02x %llu %llu %u %u %u", slot->flags,
				slot->expires_ns == KF_NEVER, slot->tag[0], slot->tag[1],
				slot->tag[2], slot->tag[3], slot->rate_interval_ns,
				slot->rate_burst_ns, slot->rate_slot, slot->group, slot->models);
		if (slot->status != KF_KEY_FREE)
			take_wallets(out, f, slot->wallet);
		fputc('\n', out);
	}
}

static void take_sources(FILE *out, struct fixture *f)
{
	take_map(out, f->maps, KF_MAP_kf_hosts, 16, sizeof(struct kf_source));
	take_map(out, f->maps, KF_MAP_kf_prefixes, sizeof(struct kf_prefix),
		 sizeof(struct kf_source));
}

static void take_services(FILE *out, struct fixture *f)
{
	take_map(out, f->maps, KF_MAP_kf_listeners, sizeof(struct kf_listener), 4);
	take_map(out, f->maps, KF_MAP_kf_services, 4, sizeof(struct kf_service));
	take_map(out, f->maps, KF_MAP_kf_ports, 4, sizeof(struct kf_port));
}

static void take_groups(FILE *out, struct fixture *f)
{
	for (uint32_t i = 0; i < KF_GROUPS_MAX; i++)
		if (kf_maps_group(f->maps, i)->protocols)
			fprintf(out, "group %u %u %u\n", i, kf_maps_group(f->maps, i)->protocols,
				kf_maps_group(f->maps, i)->models);
}

struct accounts {
	FILE *out;
	struct fixture *f;
};

static int take_account(void *context, const struct kf_account_row *row)
{
	struct accounts *accounts = context;

	fprintf(accounts->out, "account %s", row->name);
	take_wallets(accounts->out, accounts->f, row->wallet);
	fputc('\n', accounts->out);
	return 0;
}

static void take_accounts(FILE *out, struct fixture *f)
{
	assert_int_equal(
		kf_store_account_each(f->store, take_account, &(struct accounts){ out, f }), 0);
}

/* What the controller writes of @parts (KF_MEND_*), as text. */
static char *snapshot_of(struct fixture *f, unsigned int parts)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (parts & KF_MEND_KEYS)
		take_keys(out, f);
	if (parts & KF_MEND_GROUPS)
		take_groups(out, f);
	if (parts & KF_MEND_ACCOUNTS)
		take_accounts(out, f);
	if (parts & KF_MEND_MODELS)
		take_map(out, f->maps, KF_MAP_kf_models, sizeof(struct kf_set_model), 1);
	if (parts & KF_MEND_SOURCES)
		take_sources(out, f);
	if (parts & KF_MEND_SERVICES)
		take_services(out, f);
	fclose(out);
	return text;
}

static char *snapshot(struct fixture *f)
{
	return snapshot_of(f, KF_MEND_KEYS | KF_MEND_GROUPS | KF_MEND_MODELS | KF_MEND_ACCOUNTS |
				      KF_MEND_SOURCES | KF_MEND_SERVICES);
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

static void assert_maps_are(struct fixture *f, const char *before)
{
	char *now = snapshot(f);

	assert_maps_equal(before, now);
	free(now);
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

	OK(f, kf_policy_key_create(f->policy, &wish, quantity, keep_made, made, &f->why));
}

/* The way of the programs: text to tag to slot. NULL: the key is unknown. */
static const struct kf_slot *find_slot(struct fixture *f, const char *text)
{
	const struct kf_slot *slot;
	uint8_t tag[16];
	uint32_t index;

	kf_policy_key_tag(f->secret, text, tag);
	if (kf_maps_get(f->maps, KF_MAP_kf_tags, tag, &index))
		return NULL;
	slot = kf_maps_slot(f->maps, index);
	assert_memory_equal(slot->tag, tag, 16);
	return slot;
}

/* ---- sources --------------------------------------------------------------------------------- */

/* @count blocks of 10.0.0.0/8. */
static int deny_blocks(struct fixture *f, int count)
{
	struct kf_source_row row = { .action = KF_SOURCE_DENY, .expires = KF_WALL_NEVER };
	char text[32];
	int err = 0;

	for (int i = 0; !err && i < count; i++) {
		snprintf(text, sizeof(text), "10.%d.0.0/16", i);
		err = kf_cidr_parse(text, &row.cidr);
		err = err ?: kf_policy_source_put(f->policy, &row, NULL, &f->why);
	}
	return err;
}

#endif
