// SPDX-License-Identifier: GPL-2.0-only
/*
 * sourcehash.h: the unit in two loads is that of abi.h, and sources that are neighbours, as an
 * attacker's are, fill the sets of kf_penalties as evenly as random ones would.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <keyfilter/sourcehash.h>

#define SETS	1024
#define SOURCES (4 * SETS)

static __u64 random_word(void)
{
	return (__u64)random() << 42 ^ (__u64)random() << 21 ^ (__u64)random();
}

static void loads_the_unit(void **state)
{
	__u8 addr[16];

	for (int i = 0; i < 100000; i++) {
		__u64 words[2] = { random_word(), random_word() };

		/* the forms that lie close to IPv4's */
		if (i % 4)
			words[0] = 0;
		if (i % 4 == 2)
			words[1] = (words[1] & ~0xffffffffull) | 0xffff0000;
		memcpy(addr, words, sizeof(addr));
		if (i % 4 == 3)
			addr[8 + random() % 4] = random() % 2 ? 0xff : 0;
		assert_int_equal(kf_source_unit_load(addr), kf_source_unit(addr));
	}
}

static void keeps_families_apart(void **state)
{
	const __u8 v4[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 };
	const __u8 zeros[16] = { [15] = 1 };
	__u8 v6[16] = { 0xfd, [7] = 1, [15] = 2 };
	__u64 unit = kf_source_unit_load(v6);

	assert_int_not_equal(kf_source_unit_load(v4), 0);
	assert_int_not_equal(kf_source_unit_load(v4), unit);
	assert_int_equal(kf_source_unit_load(zeros), 0);
	v6[8] = 9;
	v6[15] = 3;
	assert_int_equal(kf_source_unit_load(v6), unit);
	v6[7] = 2;
	assert_int_not_equal(kf_source_unit_load(v6), unit);
}

/* The most sources that one set gets, by either half of the hash. */
static unsigned int fullest(const __u64 secret[8], __u64 first, __u64 step, int shift)
{
	unsigned int sets[SETS] = { 0 }, most = 0;

	for (__u64 i = 0; i < SOURCES; i++) {
		__u64 hash = kf_source_hash(secret, first + i * step);
		unsigned int n = ++sets[hash >> shift & (SETS - 1)];

		most = n > most ? n : most;
	}
	return most;
}

static void spreads_neighbours(void **state)
{
	/* the last byte of an IPv4 address, the next one, and those of an IPv6 /64 */
	static const int steps[] = { 56, 48, 40, 32, 24, 0 };
	__u64 secret[8];

	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 8; i++)
			secret[i] = random_word();
		for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
			__u64 step = 1ull << steps[i], first = random_word();

			/* 4 on average; 20 and more in any of 1,024 sets: once in millions */
			if (steps[i] > 48)
				continue; /* fewer than SOURCES of them */
			assert_in_range(fullest(secret, first, step, 0), 4, 20);
			assert_in_range(fullest(secret, first, step, 32), 4, 20);
		}
	}
}

static void depends_on_the_secret(void **state)
{
	__u64 secret[8], unit = random_word();
	int same = 0;

	for (int i = 0; i < 8; i++)
		secret[i] = random_word();
	for (int round = 0; round < 1000; round++) {
		__u64 other[8];

		memcpy(other, secret, sizeof(other));
		other[0] = random_word();
		same += kf_source_hash(secret, unit) % SETS == kf_source_hash(other, unit) % SETS;
	}
	assert_in_range(same, 0, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_the_unit),
		cmocka_unit_test(keeps_families_apart),
		cmocka_unit_test(spreads_neighbours),
		cmocka_unit_test(depends_on_the_secret),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
