// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of sources in slices, on maps of the kernel. After each slice every address is treated as
 * before the change or as after it; whatever else is changed between the slices, and wherever the
 * controller is killed, the maps come to say what a start from the same store makes. Needs root
 * (maps_fixture.h). Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <keyfilter/sourcestate.h>

#include "cidr.h"
#include "policy/source.h"
#define SOURCES 64
#include "clock.h"
#include "policy/expire.h"
#include "policy/reconcile.h"
#include "maps_fixture.h"

#define SLICE 3 /* rows */

static unsigned int roll(unsigned int sides)
{
	return (unsigned int)random() % sides;
}

/* Nested, with IPv6 blocks around IPv4, so that most changes cover several rows. */
static struct kf_cidr random_block(void)
{
	static const uint8_t lens[] = { 0, 1, 80, 96, 97, 104, 112, 120, 128, 128, 128, 128 };
	struct kf_cidr cidr = { .prefix_len = lens[roll(sizeof(lens))] };

	if (roll(6))
		cidr.addr[10] = cidr.addr[11] = 0xff;
	else
		cidr.addr[0] = (uint8_t)(roll(2) ? 0x20 : 0xa0);
	cidr.addr[12] = (uint8_t)(roll(2) ? 10 : 200);
	cidr.addr[13] = (uint8_t)roll(2);
	cidr.addr[15] = (uint8_t)roll(4);
	kf_cidr_mask(&cidr);
	return cidr;
}

static struct kf_source_row random_row(void)
{
	struct kf_source_row row = { .cidr = random_block(), .action = (uint8_t)roll(2) };

	row.expires =
		roll(3) ? KF_WALL_NEVER : kf_clock_now().wall_ns + (1 + roll(3)) * (int64_t)DAY;
	return row;
}

static int open_random(struct fixture *f, struct kf_source_change **out)
{
	struct kf_source_row row = random_row();

	return roll(3) ? kf_policy_source_change_put(out, f->policy, &row)
		       : kf_policy_source_change_remove(out, f->policy, &row.cidr);
}

/* 1: there is more. Not to find something, or no room, is an answer. */
static int step(struct fixture *f, struct kf_source_change *change)
{
	int more = kf_policy_source_change_step(change, &f->why);

	if (more < 0 && more != -ENOENT && more != -ENOSPC)
		fail_msg("%s", f->why.text);
	return more > 0;
}

static void fill(struct fixture *f, int count)
{
	struct kf_source_row row;

	for (int i = 0; i < count; i++) {
		row = random_row();
		OK_OR_FULL(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	}
}

/* ---- what the programs do -------------------------------------------------------------------- */

#define PROBES 96

static struct kf_cidr probes[PROBES];

static void make_probes(void)
{
	for (int i = 0; i < PROBES; i++) {
		probes[i] = random_block();
		probes[i].prefix_len = KF_CIDR_BITS;
	}
}

/* 'a' allowed, 'd' denied, '-' neither: the first hit decides, as in bpf/source.h. */
static char treated(struct fixture *f, const struct kf_cidr *address)
{
	struct kf_prefix prefix = { .prefix_len = KF_CIDR_BITS };
	struct kf_source source = { 0 };
	uint64_t now = kf_clock_boot();

	memcpy(prefix.addr, address->addr, sizeof(prefix.addr));
	if (kf_maps_get(f->maps, KF_MAP_kf_hosts, address->addr, &source) &&
	    kf_maps_get(f->maps, KF_MAP_kf_prefixes, &prefix, &source))
		return '-';
	if (source.allow_until && kf_sourcestate_in_force(source.allow_until, now))
		return 'a';
	return source.deny_until && kf_sourcestate_in_force(source.deny_until, now) ? 'd' : '-';
}

static void treat_all(struct fixture *f, char out[PROBES])
{
	for (int i = 0; i < PROBES; i++)
		out[i] = treated(f, &probes[i]);
}

/* ---- tests ----------------------------------------------------------------------------------- */

#define STEPS 256

static void every_slice_is_as_before_or_after(void **state)
{
	static char seen[STEPS][PROBES];
	struct kf_source_change *change;
	struct kf_source_row row;
	struct fixture *f = *state;
	int count, sliced = 0;

	NEEDS_ROOT();
	srandom(11);
	for (int round = 0; round < 300; round++) {
		if (round % 30 == 0)
			fill(f, 30);
		make_probes();
		f->policy->sources_at_once = SLICE;
		row = random_row();
		treat_all(f, seen[0]);
		count = 1;
		OK(f, kf_policy_source_change_put(&change, f->policy, &row));
		while (step(f, change)) {
			assert_true(count < STEPS - 1);
			treat_all(f, seen[count++]);
		}
		kf_policy_source_change_close(change);
		treat_all(f, seen[count]);
		sliced += count > 3;
		for (int i = 1; i < count; i++)
			for (int j = 0; j < PROBES; j++)
				assert_true(seen[i][j] == seen[0][j] ||
					    seen[i][j] == seen[count][j]);
		if (round % 60 == 59)
			assert_maps_are_right(f);
	}
	assert_true(sliced > 30);
}

#define AT_ONCE 4

/* Changes of other blocks, corrections of the clock and what expires come between the slices. */
static void changes_go_on_side_by_side(void **state)
{
	struct kf_source_change *changes[AT_ONCE] = { NULL };
	struct fixture *f = *state;
	int open;

	NEEDS_ROOT();
	srandom(12);
	for (int round = 0; round < 120; round++) {
		if (round % 15 == 0)
			fill(f, 30);
		f->policy->sources_at_once = SLICE + roll(3);
		open = AT_ONCE;
		for (int i = 0; i < AT_ONCE; i++)
			OK(f, open_random(f, &changes[i]));
		while (open) {
			int i = (int)roll(AT_ONCE);

			if (roll(20) == 0)
				OK(f, kf_policy_reconcile_sources(f->policy));
			if (!changes[i] || step(f, changes[i]))
				continue;
			kf_policy_source_change_close(changes[i]);
			changes[i] = NULL;
			open--;
		}
		assert_int_equal(kf_policy_hold_source_count(f->policy->holds), 0);
		if (round % 20 == 19)
			assert_maps_are_right(f);
	}
}

/* Blocks of rows whose time has come are refreshed in slices, too. */
static void expired_blocks_go_in_slices(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row row = { .action = KF_SOURCE_ALLOW };
	int more, slices = 0;

	NEEDS_ROOT();
	srandom(13);
	fill(f, 60);
	OK(f, kf_cidr_parse("0.0.0.0/0", &row.cidr));
	row.expires = kf_clock_now().wall_ns + 1000;
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	usleep(1000);
	f->policy->sources_at_once = SLICE;
	while ((more = kf_policy_source_expire(f->policy)) > 0)
		slices++;
	assert_int_equal(more, 0);
	assert_true(slices > 3);
	assert_maps_are_right(f);
}

/* SIGKILL between any two slices: what was not durable is undone by the next start. */
static void killed_between_slices(void **state)
{
	struct kf_source_change *change;
	struct fixture *f = *state;
	int status;
	pid_t pid;

	NEEDS_ROOT();
	srandom(14);
	fill(f, 50);
	for (int round = 0; round < 20; round++) {
		stop(f);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			srandom((unsigned int)round);
			if (start(f))
				_exit(1);
			f->policy->sources_at_once = SLICE;
			for (int left = (int)roll(60);; left--) {
				if (!left)
					kill(getpid(), SIGKILL);
				if (open_random(f, &change))
					_exit(2);
				while (step(f, change))
					if (!left--)
						kill(getpid(), SIGKILL);
				kf_policy_source_change_close(change);
				left += !left;
			}
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		OK(f, start(f));
		assert_maps_are_right(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_slice_is_as_before_or_after),
		TEST(changes_go_on_side_by_side),
		TEST(expired_blocks_go_in_slices),
		TEST(killed_between_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
