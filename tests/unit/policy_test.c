// SPDX-License-Identifier: GPL-2.0-only
/*
 * The policy compiler: clocks at their edges, and what a longest-match look-up in the compiled
 * sources finds, against a brute-force oracle over the rows. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "policy/compile.h"

#define WALL 1763890000000000000ll
#define BOOT 5000000000000ull

static const struct kf_clock ticking = { .wall_ns = WALL, .boot_ns = BOOT };

/* ---- time ------------------------------------------------------------------------------------ */

static void deadline_at_its_edges(void **state)
{
	struct kf_clock clock = ticking;

	assert_true(kf_policy_compile_deadline(&clock, KF_WALL_NEVER) == KF_NEVER);
	assert_int_equal(kf_policy_compile_deadline(&clock, WALL + 1), BOOT + 1);
	assert_int_equal(kf_policy_compile_deadline(&clock, WALL), 1);
	assert_int_equal(kf_policy_compile_deadline(&clock, WALL - 1), 1);
	assert_int_equal(kf_policy_compile_deadline(&clock, 0), 1);
	assert_int_equal(kf_policy_compile_deadline(&clock, INT64_MIN), 1);
	assert_true(kf_policy_compile_deadline(&clock, KF_WALL_NEVER - 1) ==
		    BOOT + (uint64_t)(KF_WALL_NEVER - 1 - WALL));
	clock.boot_ns = 0;
	assert_int_equal(kf_policy_compile_deadline(&clock, WALL + 1), 1);
	clock.boot_ns = KF_NEVER - 5;
	assert_true(kf_policy_compile_deadline(&clock, WALL + 5) ==
		    KF_NEVER - 1); /* would be KF_NEVER */
	assert_true(kf_policy_compile_deadline(&clock, WALL + 50) == KF_NEVER - 1);
	clock.wall_ns = INT64_MIN;
	clock.boot_ns = BOOT;
	assert_true(kf_policy_compile_deadline(&clock, KF_WALL_NEVER - 1) ==
		    KF_NEVER - 1); /* the sum would not fit */
}

static void wall_is_the_way_back(void **state)
{
	assert_true(kf_policy_compile_wall(&ticking, KF_NEVER) == KF_WALL_NEVER);
	assert_int_equal(kf_policy_compile_wall(&ticking, 0), 0);
	assert_int_equal(kf_policy_compile_wall(&ticking, BOOT), WALL);
	assert_int_equal(kf_policy_compile_wall(&ticking, 1), WALL - (int64_t)BOOT + 1);
	for (int64_t away = 1; away < 1000000000000000000ll; away *= 7)
		assert_int_equal(kf_policy_compile_wall(&ticking, kf_policy_compile_deadline(
									  &ticking, WALL + away)),
				 WALL + away);
}

/* ---- services -------------------------------------------------------------------------------- */

static void services_are_indexed_by_port(void **state)
{
	struct kf_policy_services *out = calloc(1, sizeof(*out));
	struct kf_service_row any = { .index = 3, .any = true, .port = 80, .mode = 1, .refuse = 2 };
	struct kf_service_row one = { .index = 0, .port = 80, .addr = { [15] = 1 } };
	struct kf_service_row two = { .index = 9, .port = 80, .addr = { [15] = 2 }, .flags = 1 };

	kf_policy_compile_service(out, &any);
	kf_policy_compile_service(out, &one);
	kf_policy_compile_service(out, &two);
	assert_int_equal(out->ports[80].any, 4);
	assert_int_equal(out->ports[80].listeners, 2);
	assert_int_equal(out->ports[81].any | out->ports[81].listeners, 0);
	assert_int_equal(out->listener_count, 2);
	assert_int_equal(out->listener_index[1], 9);
	assert_int_equal(out->listeners[1].addr[15], 2);
	assert_int_equal(out->services[3].mode, 1);
	assert_int_equal(out->services[3].refuse, 2);
	assert_int_equal(out->services[9].flags, 1);
	assert_true(out->services[0].live && !out->services[1].live);
	free(out);
}

static void service_limits_its_sources(void **state)
{
	struct kf_policy_services *out = calloc(1, sizeof(*out));
	struct kf_service_row row = {
		.index = 2,
		.port = 80,
		.penalty_failures = 5,
		.penalty_window = 60,
		.penalty_time = 30,
		.penalty_time_max = 3600,
	};
	const struct kf_service *service = &out->services[2];

	kf_policy_compile_service(out, &row);
	assert_int_equal(service->penalty_failures, 5);
	assert_int_equal(service->penalty_window, 60);
	assert_int_equal(service->penalty_time, 30);
	assert_int_equal(service->penalty_time_max, 3600);
	assert_int_equal(service->syn_interval_ns, 0);
	assert_int_equal(service->syn_burst_ns, 0);
	row.syn_rate = 4;
	kf_policy_compile_service(out, &row);
	assert_int_equal(service->syn_interval_ns, 250000000);
	assert_int_equal(service->syn_burst_ns, 3 * 250000000ull); /* as many as a second */
	row.syn_burst = 1;
	kf_policy_compile_service(out, &row);
	assert_int_equal(service->syn_burst_ns, 0);
	row.syn_rate = 1;
	row.syn_burst = KF_SYN_RATE_TOP;
	kf_policy_compile_service(out, &row);
	assert_int_equal(service->syn_burst_ns, (KF_SYN_RATE_TOP - 1) * 1000000000ull);
	row.syn_rate = KF_SYN_RATE_TOP;
	kf_policy_compile_service(out, &row);
	assert_int_equal(service->syn_interval_ns, 1000);
	free(out);
}

static void service_adds_methods(void **state)
{
	struct kf_policy_services *out = calloc(1, sizeof(*out));
	struct kf_service_row row = { .index = 2, .port = 80 };
	const struct kf_service *service = &out->services[2];
	static const char want[KF_METHODS_MAX][16] = { "QUERY", "BASELINE-CONTROL" };
	static const char none[KF_METHODS_MAX][16];

	strcpy(row.methods, "QUERY BASELINE-CONTROL");
	kf_policy_compile_service(out, &row);
	assert_memory_equal(service->methods, want, sizeof(want));
	row.methods[0] = '\0';
	kf_policy_compile_service(out, &row);
	assert_memory_equal(service->methods, none, sizeof(none));
	free(out);
}

/* ---- sources against the oracle -------------------------------------------------------------- */

#define ROWS	300
#define ENTRIES 1200

struct table {
	struct kf_policy_source entry[ENTRIES];
	int count;
};

static int append(void *context, const struct kf_policy_source *entry)
{
	struct table *table = context;

	for (int i = 0; i < table->count; i++)
		assert_false(
			kf_cidr_equal(&table->entry[i].cidr, &entry->cidr)); /* given out once */
	table->entry[table->count++] = *entry;
	return 0;
}

static int by_tree(const void *a, const void *b)
{
	const struct kf_source_row *x = a, *y = b;
	int order = memcmp(x->cidr.addr, y->cidr.addr, 16);

	if (!order)
		order = (int)x->cidr.prefix_len - (int)y->cidr.prefix_len;
	return order ? order : (int)x->action - (int)y->action;
}

static unsigned int roll(unsigned int sides)
{
	return (unsigned int)random() % sides;
}

/* Few distinct bits, so that blocks nest, repeat and touch the border of IPv4. */
static struct kf_cidr random_block(void)
{
	static const uint8_t lens[] = { 0,  1,	2,  64,	 79,  80,  81,	95,
					96, 97, 98, 104, 112, 120, 127, 128 };
	struct kf_cidr cidr = { .prefix_len = lens[roll(sizeof(lens))] };

	if (roll(4))
		cidr.addr[10] = cidr.addr[11] = 0xff;
	else
		cidr.addr[roll(16)] = (uint8_t)(roll(2) ? 0x80 : 0xff);
	cidr.addr[12] = (uint8_t)(roll(3) << 6);
	cidr.addr[13] = (uint8_t)roll(2);
	cidr.addr[15] = (uint8_t)roll(3);
	kf_cidr_mask(&cidr);
	return cidr;
}

static int make_rows(struct kf_source_row *rows, int count)
{
	int n = 0;

	for (int i = 0; i < count; i++) {
		struct kf_source_row row = { .cidr = random_block(), .action = (uint8_t)roll(2) };

		row.expires = roll(3) ? WALL - 50 + (int64_t)roll(100) : KF_WALL_NEVER;
		for (int j = 0; j < n; j++)
			if (!by_tree(&rows[j], &row))
				goto twice;
		rows[n++] = row;
	twice:;
	}
	qsort(rows, (size_t)n, sizeof(*rows), by_tree);
	return n;
}

static struct kf_cidr host(const uint8_t addr[16])
{
	struct kf_cidr cidr = { .prefix_len = 128 };

	memcpy(cidr.addr, addr, 16);
	return cidr;
}

/* In force at WALL + @after, straight from the rows: an IPv6 block does not speak about IPv4. */
static bool oracle(const struct kf_source_row *rows, int count, const struct kf_cidr *address,
		   enum kf_source_action action, int64_t after)
{
	for (int i = 0; i < count; i++)
		if (rows[i].action == action && rows[i].expires > WALL + after &&
		    kf_cidr_covers(&rows[i].cidr, address) &&
		    kf_cidr_is_v4(&rows[i].cidr) == kf_cidr_is_v4(address))
			return true;
	return false;
}

/* What the programs do: the longest match, and its times alone. */
static struct kf_source lookup(const struct table *table, const struct kf_cidr *address)
{
	const struct kf_policy_source *best = NULL;

	for (int i = 0; i < table->count; i++)
		if (kf_cidr_covers(&table->entry[i].cidr, address) &&
		    (!best || table->entry[i].cidr.prefix_len > best->cidr.prefix_len))
			best = &table->entry[i];
	return best ? best->source : (struct kf_source){ 0 };
}

static bool in_force(uint64_t until, uint64_t now)
{
	return until == KF_NEVER || (until && now < until);
}

static void check_address(const struct kf_source_row *rows, int count, const struct table *table,
			  const uint8_t addr[16])
{
	struct kf_cidr address = host(addr);
	struct kf_source found = lookup(table, &address);

	for (int64_t after = 0; after < 60; after += 7) {
		uint64_t now = BOOT + (uint64_t)after;

		assert_int_equal(in_force(found.deny_until, now),
				 oracle(rows, count, &address, KF_SOURCE_DENY, after));
		assert_int_equal(in_force(found.allow_until, now),
				 oracle(rows, count, &address, KF_SOURCE_ALLOW, after));
	}
}

static void compile(const struct kf_source_row *rows, int count, struct table *table)
{
	static struct kf_policy_walk walk;

	table->count = 0;
	kf_policy_compile_walk_begin(&walk, &ticking, NULL, append, table);
	for (int i = 0; i < count; i++)
		assert_int_equal(kf_policy_compile_walk_next(&walk, &rows[i]), 0);
	assert_int_equal(kf_policy_compile_walk_finish(&walk), 0);
}

static void effective_times_are_those_of_the_oracle(void **state)
{
	static struct kf_source_row rows[ROWS];
	static struct table table;

	srandom(20261123);
	for (int round = 0; round < 300; round++) {
		int count = make_rows(rows, 1 + (int)roll(round % 3 ? 12 : ROWS));

		compile(rows, count, &table);
		for (int i = 0; i < 100; i++) {
			struct kf_cidr block = random_block();
			uint8_t last[16];

			kf_cidr_last(&block, last);
			check_address(rows, count, &table, block.addr);
			check_address(rows, count, &table, last);
		}
	}
}

/* ---- a part of the tree ---------------------------------------------------------------------- */

/* The walk over one block gives out exactly what the walk over everything does below it. */
static void compile_within(const struct kf_source_row *rows, int count,
			   const struct kf_cidr *within, struct table *table)
{
	static struct kf_policy_walk walk;

	table->count = 0;
	kf_policy_compile_walk_begin(&walk, &ticking, within, append, table);
	walk.quiet = true;
	for (int i = 0; i < count; i++)
		if (kf_cidr_covers(&rows[i].cidr, within) && !kf_cidr_equal(&rows[i].cidr, within))
			kf_policy_compile_walk_next(&walk, &rows[i]);
	walk.quiet = false;
	for (int i = 0; i < count; i++)
		if (kf_cidr_covers(within, &rows[i].cidr))
			kf_policy_compile_walk_next(&walk, &rows[i]);
	kf_policy_compile_walk_finish(&walk);
}

static void part_agrees_with_whole(void **state)
{
	static struct kf_source_row rows[ROWS];
	static struct table whole, part;

	srandom(7);
	for (int round = 0; round < 300; round++) {
		int count = make_rows(rows, 1 + (int)roll(60)), expected = 0;
		struct kf_cidr within =
			round % 2 ? rows[roll((unsigned int)count)].cidr : random_block();

		compile(rows, count, &whole);
		compile_within(rows, count, &within, &part);
		for (int i = 0; i < whole.count; i++) {
			if (!kf_cidr_covers(&within, &whole.entry[i].cidr))
				continue;
			assert_true(expected < part.count);
			assert_memory_equal(&part.entry[expected].source, &whole.entry[i].source,
					    sizeof(struct kf_source));
			assert_true(
				kf_cidr_equal(&part.entry[expected].cidr, &whole.entry[i].cidr));
			expected++;
		}
		assert_int_equal(part.count, expected);
	}
}

/*
 * A walk in slices, each of which knows only where the one before ended: it begins with the block
 * that was fed last, which that one did not give out.
 */
static void compile_in_slices(const struct kf_source_row *rows, int count,
			      const struct kf_cidr *within, struct table *table)
{
	static struct kf_policy_walk walk;
	struct kf_cidr from = *within;
	int left, fed;

	table->count = 0;
	do {
		left = 3 + (int)roll(9);
		kf_policy_compile_walk_begin(&walk, &ticking, within, append, table);
		kf_policy_compile_walk_from(&walk, &from);
		walk.quiet = true;
		for (int i = 0; i < count; i++)
			if (kf_cidr_covers(&rows[i].cidr, &from) &&
			    !kf_cidr_equal(&rows[i].cidr, &from))
				kf_policy_compile_walk_next(&walk, &rows[i]);
		walk.quiet = false;
		fed = -1;
		for (int i = 0; left && i < count; i++) {
			struct kf_source_row begin = { .cidr = from };

			if (by_tree(&rows[i], &begin) < 0 || !kf_cidr_covers(within, &rows[i].cidr))
				continue;
			kf_policy_compile_walk_next(&walk, &rows[i]);
			fed = i;
			left--;
		}
		if (!left)
			from = rows[fed].cidr;
	} while (!left);
	kf_policy_compile_walk_finish(&walk);
}

static void slices_agree_with_whole(void **state)
{
	static struct kf_source_row rows[ROWS];
	static struct table part, slices;

	srandom(8);
	for (int round = 0; round < 3000; round++) {
		int count = make_rows(rows, 1 + (int)roll(round % 3 ? 60 : ROWS));
		struct kf_cidr within =
			round % 2 ? rows[roll((unsigned int)count)].cidr : random_block();

		if (round % 5 == 0)
			within = (struct kf_cidr){ 0 };
		compile_within(rows, count, &within, &part);
		compile_in_slices(rows, count, &within, &slices);
		assert_int_equal(slices.count, part.count);
		for (int i = 0; i < part.count; i++) {
			assert_true(kf_cidr_equal(&slices.entry[i].cidr, &part.entry[i].cidr));
			assert_memory_equal(&slices.entry[i].source, &part.entry[i].source,
					    sizeof(struct kf_source));
		}
	}
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void slot_says_what_the_row_says(void **state)
{
	struct kf_slot_row row = { .slot = 1, .tag = { 1, 2, 3 }, .expires = WALL + 9 };
	struct kf_slot slot;

	kf_policy_compile_slot(&ticking, &row, &slot);
	assert_int_equal(slot.status, KF_KEY_ENABLED);
	assert_int_equal(slot.flags, 0);
	assert_int_equal(slot.expires_ns, BOOT + 9);
	assert_memory_equal(slot.tag, row.tag, 16);
	row.disabled = row.allowlist = true;
	row.expires = KF_WALL_NEVER;
	kf_policy_compile_slot(&ticking, &row, &slot);
	assert_int_equal(slot.status, KF_KEY_DISABLED);
	assert_int_equal(slot.flags, KF_KEY_HAS_ALLOWLIST);
	assert_true(slot.expires_ns == KF_NEVER);
}

static void rate_is_kept_exactly(void **state)
{
	static const struct {
		uint32_t rpm, rpm_burst;
		uint64_t interval, burst;
	} cases[] = {
		{ 0, 0, 0, 0 },
		{ 60, 0, 1000000000, 59000000000 },
		{ 60, 1, 1000000000, 0 },
		{ 6, 50, 10000000000, 490000000000 },
		{ 1, 0, 60000000000, 0 },
		{ 1, KF_RPM_TOP, 60000000000, 359999940000000000 },
		{ KF_RPM_TOP, 0, 10000, 59999990000 },
		{ KF_RPM_TOP, 1, 10000, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct kf_slot_row row = { .slot = 1,
						 .expires = KF_WALL_NEVER,
						 .rpm = cases[i].rpm,
						 .rpm_burst = cases[i].rpm_burst,
						 .rate_slot = 7 };
		struct kf_slot slot;

		kf_policy_compile_slot(&ticking, &row, &slot);
		assert_true(slot.rate_interval_ns == cases[i].interval);
		assert_true(slot.rate_burst_ns == cases[i].burst);
		assert_int_equal(slot.rate_slot, 7);
		assert_int_equal(slot.rate_tat_ns, 0);
	}
}

/* The kernel's rule (bpf/key.h) over these numbers. */
static bool admits(struct kf_slot *slot, uint64_t now)
{
	uint64_t start = slot->rate_tat_ns > now ? slot->rate_tat_ns : now;

	if (start - now > slot->rate_burst_ns)
		return false;
	slot->rate_tat_ns = start + slot->rate_interval_ns;
	return true;
}

/* Who sends no more than rpm requests in any minute is admitted, however they lie in it. */
static void who_keeps_to_the_rate_is_admitted(void **state)
{
	srandom(11);
	for (int round = 0; round < 200; round++) {
		const struct kf_slot_row row = { .rpm = 1 + roll(round % 2 ? 50 : 5000) };
		uint64_t minute = BOOT;
		struct kf_slot slot;

		kf_policy_compile_slot(&ticking, &row, &slot);
		for (int minutes = 0; minutes < 5; minutes++) {
			uint64_t burst_at = minute + roll(2) * 30000000000ull;

			for (uint32_t i = 0; i < row.rpm; i++)
				assert_true(admits(&slot, burst_at));
			assert_false(admits(&slot, burst_at));
			minute = burst_at + 60000000000ull;
		}
	}
}

static bool allowed(const struct kf_key_prefix *prefixes, uint32_t count,
		    const struct kf_cidr *address)
{
	for (uint32_t i = 0; i < count; i++) {
		struct kf_cidr cidr = { .prefix_len = (uint8_t)(prefixes[i].prefix_len - 32) };

		memcpy(cidr.addr, prefixes[i].addr, 16);
		assert_int_equal(prefixes[i].slot, 5);
		if (kf_cidr_covers(&cidr, address))
			return true;
	}
	return false;
}

static void ipv6_block_allows_no_ipv4(void **state)
{
	struct kf_key_prefix prefixes[KF_POLICY_ALLOW_MAX];

	srandom(3);
	for (int round = 0; round < 20000; round++) {
		struct kf_cidr block = random_block(), other = random_block(), address;
		uint32_t count = kf_policy_compile_allow(5, &block, prefixes);
		bool expected;

		address = host(other.addr);
		expected = kf_cidr_covers(&block, &address) &&
			   kf_cidr_is_v4(&block) == kf_cidr_is_v4(&address);
		assert_int_equal(allowed(prefixes, count, &address), expected);
	}
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void cidr_text_goes_both_ways(void **state)
{
	static const char *const good[][2] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },		 { "0.0.0.0/0", "0.0.0.0/0" },
		{ "192.0.2.1", "192.0.2.1/32" },	 { "::/0", "::/0" },
		{ "2001:DB8::/32", "2001:db8::/32" },	 { "::1", "::1/128" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
	};
	static const char *const bad[] = { "",
					   "/",
					   "10.0.0.0/33",
					   "10.0.0.0/",
					   "10.0.0/8",
					   "::/129",
					   "::/-1",
					   "::/0008",
					   "10.0.0.0/08",
					   "0.0.0.0/00",
					   "10.0.0.0/8x",
					   "010.0.0.1",
					   " ::1",
					   "1:2:3:4:5:6:7:8:9/128",
					   "10.0.0.0/8/8" };
	char text[KF_CIDR_TEXT];
	struct kf_cidr cidr;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(kf_cidr_parse(good[i][0], &cidr), 0);
		kf_cidr_format(&cidr, text);
		assert_string_equal(text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(kf_cidr_parse(bad[i], &cidr), -22);
	assert_int_equal(kf_cidr_parse("10.1.2.3/8", &cidr), -34);
	kf_cidr_format(&cidr, text);
	assert_string_equal(text, "10.0.0.0/8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(deadline_at_its_edges),
		cmocka_unit_test(wall_is_the_way_back),
		cmocka_unit_test(services_are_indexed_by_port),
		cmocka_unit_test(service_limits_its_sources),
		cmocka_unit_test(service_adds_methods),
		cmocka_unit_test(effective_times_are_those_of_the_oracle),
		cmocka_unit_test(part_agrees_with_whole),
		cmocka_unit_test(slices_agree_with_whole),
		cmocka_unit_test(slot_says_what_the_row_says),
		cmocka_unit_test(rate_is_kept_exactly),
		cmocka_unit_test(who_keeps_to_the_rate_is_admitted),
		cmocka_unit_test(ipv6_block_allows_no_ipv4),
		cmocka_unit_test(cidr_text_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
