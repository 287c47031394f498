// SPDX-License-Identifier: GPL-2.0-only
/*
 * The answers to refused requests in the maps of the kernel: made at a start, and mended over what
 * is there. Needs root (maps_fixture.h), skipped otherwise. Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "policy/answer.h"
#include "maps_fixture.h"

static struct kf_answer answer_in_map(struct fixture *f, unsigned int reason, unsigned int detail,
				      unsigned int protocol)
{
	uint32_t index = kf_answer_index(reason, detail, protocol);
	struct kf_answer answer;

	OK(f, kf_maps_get(f->maps, KF_MAP_kf_answers, &index, &answer));
	return answer;
}

static void assert_answers_are_right(struct fixture *f)
{
	for (unsigned int row = 0; row < KF_ANSWER_ROWS; row++)
		for (unsigned int p = 0; p < KF_ANSWER_PROTOCOLS; p++) {
			unsigned int detail = row < KF_REASON_MAX ? 0 : row - KF_REASON_MAX;
			unsigned int reason = row < KF_REASON_MAX ? row : kf_detail_reason(detail);
			struct kf_answer want = { 0 }, have = answer_in_map(f, reason, detail, p);
			int err = kf_policy_answer_make(reason, detail, p, &want);

			assert_true(err == 0 || err == -ENOENT);
			assert_memory_equal(&have, &want, sizeof(have));
		}
}

/* What an older keyfilterd, or nobody, wrote there is not what clients are told. */
static void answers_are_written_and_mended(void **state)
{
	uint32_t index = kf_answer_index(KF_REASON_NO_KEY, 0, 1), none = kf_answer_index(0, 0, 0);
	struct kf_answer other = { .len = 4, .head_len = 2, .text = "old!" };
	struct fixture *f = *state;

	NEEDS_ROOT();
	assert_answers_are_right(f);
	assert_int_not_equal(answer_in_map(f, KF_REASON_NO_KEY, 0, 1).len, 0);
	OK(f, kf_maps_put(f->maps, KF_MAP_kf_answers, &index, &other));
	OK(f, kf_maps_put(f->maps, KF_MAP_kf_answers, &none, &other));
	restart(f);
	assert_false(kf_maps_are_fresh(f->maps));
	assert_answers_are_right(f);
	stop(f);
	OK(f, kf_maps_unload(f->pins, &f->why));
	OK(f, start(f));
	assert_answers_are_right(f);
}

/* One mark for as long as the maps live: running programs know what they sent by it. */
static void answer_mark_stays(void **state)
{
	struct fixture *f = *state;
	uint32_t mark;

	NEEDS_ROOT();
	mark = kf_maps_config(f->maps)->answer_mark;
	assert_int_not_equal(mark, 0);
	restart(f);
	assert_int_equal(kf_maps_config(f->maps)->answer_mark, mark);
	stop(f);
	OK(f, kf_maps_unload(f->pins, &f->why));
	OK(f, start(f));
	assert_int_not_equal(kf_maps_config(f->maps)->answer_mark, 0);
	assert_int_not_equal(kf_maps_config(f->maps)->answer_mark, mark); /* once in 2^32 */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_are_written_and_mended),
		TEST(answer_mark_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
