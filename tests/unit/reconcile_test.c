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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <sqlite3.h>

#include <keyfilter/sourcestate.h>

#include "api/events.h"
#include "clock.h"
#include "maps/diff.h"
#include "policy/answer.h"
#include "policy/expire.h"
#include "policy/key.h"
#include "policy/key_slot.h"
#include "policy/policy.h"
#include "policy/reconcile.h"
#include "policy/service.h"
#include "policy/source.h"
#include "reconcile_fixture.h"
#include "traffic/cut.h"
#include "traffic/events.h"
#include "why.h"

#define SECOND 1000000000ull

/* ---- answers --------------------------------------------------------------------------------- */

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
			unsigned int reason = row < KF_REASON_MAX ? row : KF_REASON_MALFORMED;
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

/* ---- counters and events --------------------------------------------------------------------- */

/* Each word of each CPU is in the sum. */
static void counters_are_summed(void **state)
{
	int cpus = libbpf_num_possible_cpus();
	struct kf_counters *each = calloc(cpus, sizeof(*each)), sum;
	uint64_t *words = (uint64_t *)&sum;
	struct fixture *f = *state;
	uint32_t service = 3;

	if (geteuid())
		free(each);
	NEEDS_ROOT();
	for (int cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < sizeof(*each) / sizeof(uint64_t); i++)
			((uint64_t *)&each[cpu])[i] = (cpu + 1) * 1000 + i;
	OK(f, kf_maps_put(f->maps, KF_MAP_kf_counters, &service, each));
	OK(f, kf_maps_counters(f->maps, service, &sum));
	for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
		assert_int_equal(words[i], (uint64_t)cpus * (cpus + 1) / 2 * 1000 + cpus * i);
	OK(f, kf_maps_counters_clear(f->maps, service));
	OK(f, kf_maps_counters(f->maps, service, &sum));
	for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
		assert_int_equal(words[i], 0);
	free(each);
}

/* The controller's own events have their numbers among the others. */
static void penalty_ends_are_events(void **state)
{
	static const uint8_t addr[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 1, 0, 2 };
	const struct kf_events_entry *entry;
	struct kf_events *events = NULL;
	struct fixture *f = *state;
	json_t *json;

	NEEDS_ROOT();
	OK(f, kf_traffic_events_open(&events, f->policy, &f->why));
	for (unsigned int i = 1; i <= KF_EVENTS_KEPT + 2; i++) {
		assert_int_equal(kf_traffic_events_next_seq(events), i);
		kf_traffic_events_add_penalty_end(events, addr, 9, 1795428000000001000);
	}
	assert_null(kf_traffic_events_get(events, 2));
	entry = kf_traffic_events_get(events, KF_EVENTS_KEPT + 2);
	assert_non_null(entry);
	json = kf_api_events_json(entry);
	assert_string_equal(json_string_value(json_object_get(json, "event")), "penalty_ended");
	assert_string_equal(json_string_value(json_object_get(json, "source")),
			    "2001:db8:1:2::/64");
	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "2026-11-23T10:00:00.000001Z");
	json_decref(json);
	kf_traffic_events_close(events);
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

/* One that no running program uses; see recover.h for those that one does. */
static void missing_pin_is_made_anew(void **state)
{
	struct fixture *f = *state;
	char path[128];

	NEEDS_ROOT();
	stop(f);
	snprintf(path, sizeof(path), "%s/maps/kf_flows", f->pins);
	assert_int_equal(unlink(path), 0);
	OK(f, start(f));
	assert_int_equal(access(path, F_OK), 0);
	assert_maps_are_right(f);
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

static void key_lives_and_dies(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_times times = { 0 };
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, 3);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_ENABLED);
	OK(f, kf_policy_key_disable(f->policy, made.id[1], &times, &f->why));
	assert_true(times.kernel_ns && times.durable_ns > times.kernel_ns);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_DISABLED);
	restart(f);
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_DISABLED);
	assert_int_equal(find_slot(f, made.text[0])->status, KF_KEY_ENABLED);
	OK(f, kf_policy_key_enable(f->policy, made.id[1], &f->why));
	assert_int_equal(find_slot(f, made.text[1])->status, KF_KEY_ENABLED);
	OK(f, kf_policy_key_delete(f->policy, made.id[1], &times, &f->why));
	assert_null(find_slot(f, made.text[1]));
	assert_int_equal(kf_policy_key_get(f->policy, made.id[1], &key), -ENOENT);
	assert_int_equal(kf_policy_key_delete(f->policy, made.id[1], &times, &f->why), -ENOENT);
	assert_int_equal(kf_policy_key_get(f->policy, made.id[2], &key), 0);
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
	assert_int_equal(kf_policy_key_create(f->policy, &wish, 1, keep_made, &more, &f->why),
			 -ENOSPC);
	assert_non_null(strstr(f->why.text, "keys_max"));
	for (int i = 0; i < 10; i++)
		OK(f, kf_policy_key_delete(f->policy, made.id[i], &times, &f->why));
	create(f, &more, 10);
	assert_int_equal(kf_policy_key_create(f->policy, &wish, 1, keep_made, &more, &f->why),
			 -ENOSPC);
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
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 50000000, first, &f->why));
	assert_true(find_slot(f, made.text[0])->expires_ns < KF_NEVER);
	assert_true(find_slot(f, first)->expires_ns == KF_NEVER);
	kf_policy_key_get(f->policy, made.id[0], &key);
	assert_true(key.grace_until > kf_clock_now().wall_ns);
	assert_int_equal(key.requests_admitted, 5);
	assert_memory_equal(key.row.mask.tail, first + KF_KEY_LEN - 4, 4);
	OK(f, kf_policy_expire(f->policy));
	assert_non_null(find_slot(f, made.text[0])); /* not yet */
	usleep(60000);
	OK(f, kf_policy_expire(f->policy));
	assert_null(find_slot(f, made.text[0]));
	kf_policy_key_get(f->policy, made.id[0], &key);
	assert_int_equal(key.grace_until, 0);
	assert_int_equal(key.requests_admitted, 5); /* not lost with the slot */
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 0, second, &f->why));
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
		OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
	err = kf_policy_key_rotate(f->policy, made.id[0], DAY, last, &f->why);
	assert_int_equal(err, -ENOSPC);
	assert_non_null(strstr(f->why.text, "`grace` 0"));
	assert_non_null(find_slot(f, text));
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 0, last, &f->why));
	assert_null(find_slot(f, made.text[0]));
	assert_null(find_slot(f, text));
	assert_non_null(find_slot(f, last));
	assert_maps_are_right(f);
}

/* @count blocks of 10.0.0.0/8, the first of them of @first_len bits. */
static int list_blocks(struct fixture *f, const char *id, uint32_t count, uint8_t first_len)
{
	struct kf_cidr blocks[KF_KEY_ALLOW_MAX];
	struct kf_policy_key_edit edit = { .set_allow = true,
					   .allow = blocks,
					   .allow_count = count };
	char text[32];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", i);
		OK(f, kf_cidr_parse(text, &blocks[i]));
	}
	blocks[0].prefix_len = KF_CIDR_V4 + first_len;
	return kf_policy_key_edit(f->policy, id, &edit, &f->why);
}

/* A revocation never waits for room: what goes makes it. */
static void full_table_still_narrows(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };

	NEEDS_ROOT();
	create(f, &made, 2);
	OK(f, list_blocks(f, made.id[0], KEYS / 2, 16));
	OK(f, list_blocks(f, made.id[1], KEYS / 2, 16));
	assert_int_equal(list_blocks(f, made.id[0], KEYS / 2 + 1, 16), -ENOSPC);
	assert_maps_are_right(f);
	OK(f, list_blocks(f, made.id[0], KEYS / 2, 24)); /* one inside one that goes */
	assert_maps_are_right(f);
	OK(f, list_blocks(f, made.id[0], KEYS / 2, 16)); /* and back */
	assert_int_equal(kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why), -ENOSPC);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], 0, text, &f->why));
	assert_null(find_slot(f, made.text[0]));
	assert_int_equal(find_slot(f, text)->status, KF_KEY_ENABLED);
	assert_maps_are_right(f);
	OK(f, list_blocks(f, made.id[0], 1, 16));
	assert_maps_are_right(f);
}

/* A secret that leaked is replaced, with every place taken, in its own. */
static void full_slots_still_rotate(void **state)
{
	char text[KF_KEY_TEXT_SIZE], last[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	const struct kf_slot *slot;
	struct kf_key key;

	NEEDS_ROOT();
	create(f, &made, KEYS);
	slot = find_slot(f, made.text[3]);
	((struct kf_slot *)slot)->requests_admitted = 5;
	((struct kf_slot *)slot)->rate_tat_ns = 7;
	assert_int_equal(kf_policy_key_rotate(f->policy, made.id[3], DAY, text, &f->why), -ENOSPC);
	assert_non_null(strstr(f->why.text, "`grace` 0"));
	OK(f, kf_policy_key_rotate(f->policy, made.id[3], 0, text, &f->why));
	assert_null(find_slot(f, made.text[3]));
	assert_ptr_equal(find_slot(f, text), slot);
	assert_int_equal(slot->status, KF_KEY_ENABLED);
	assert_int_equal(slot->requests_admitted, 0);
	assert_int_equal(slot->rate_tat_ns, 7); /* no new burst */
	OK(f, kf_policy_key_get(f->policy, made.id[3], &key));
	assert_int_equal(key.requests_admitted, 5);
	assert_maps_are_right(f);
	OK(f, kf_policy_key_rotate(f->policy, made.id[3], 0, last, &f->why));
	assert_null(find_slot(f, text));
	assert_non_null(find_slot(f, last));
	assert_maps_are_right(f);
}

/* ---- the wall clock -------------------------------------------------------------------------- */

/* As if the clock, which is right now, had been set forward by @by a moment ago. */
static void step_forward(struct fixture *f, int64_t by)
{
	struct kf_policy *policy = f->policy;

	policy->walltime.ahead -= by;
	policy->walltime.latest -= by;
	policy->walltime.seen -= by;
	policy->clock.wall_ns -= by;
	policy->source_clock.wall_ns -= by;
	OK(f, set_clock(f));
}

/* A step of some seconds deleted timed denials and secrets in their grace, for good. */
static void step_forward_deletes_nothing(void **state)
{
	struct kf_source_row row = { .action = KF_SOURCE_DENY }, found;
	struct kf_source source = { 0 };
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };

	NEEDS_ROOT();
	create(f, &made, 1);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], SECOND, text, &f->why));
	OK(f, kf_cidr_parse("192.0.2.1", &row.cidr));
	row.expires = kf_clock_now().wall_ns + 1000000000;
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	row.expires -= 1000000000; /* as it would be, had the clock been set forward by that */
	OK(f, kf_store_source_put(f->store, &row, NULL));
	step_forward(f, 2600000000);
	OK(f, kf_policy_expire(f->policy));
	OK(f, kf_store_source_get(f->store, &row.cidr, KF_SOURCE_DENY, &found));
	OK(f, kf_maps_get(f->maps, KF_MAP_kf_hosts, row.cidr.addr, &source));
	assert_true(kf_sourcestate_in_force(source.deny_until, kf_clock_boot()));
	assert_non_null(find_slot(f, made.text[0]));
}

/* ---- rates ----------------------------------------------------------------------------------- */

static struct kf_slot *slot_of(struct fixture *f, const char *text)
{
	return (struct kf_slot *)find_slot(f, text);
}

static void set_rate(struct fixture *f, const char *id, uint32_t rpm, uint32_t rpm_burst)
{
	const struct kf_policy_key_edit edit = {
		.set_rpm = true, .rpm = rpm, .set_burst = true, .rpm_burst = rpm_burst
	};

	OK(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
}

static void assert_rate(struct fixture *f, const char *text, uint64_t interval, uint64_t burst)
{
	const struct kf_slot *slot = find_slot(f, text);

	assert_true(slot->rate_interval_ns == interval);
	assert_true(slot->rate_burst_ns == burst);
}

/* How far ahead of now the key is, as if so far for the programs. */
static void use_up(struct kf_slot *slot, uint64_t ahead)
{
	slot->rate_tat_ns = kf_clock_boot() + ahead;
}

static bool is_ahead(const struct kf_slot *slot, uint64_t by)
{
	uint64_t now = kf_clock_boot();

	return slot->rate_tat_ns <= now + by && slot->rate_tat_ns > now + by - 5 * SECOND;
}

static void rate_is_edited(void **state)
{
	struct kf_policy_key_edit edit = { .set_burst = true, .rpm_burst = 5 };
	struct kf_key_wish wish = { .name = "k", .expires = KF_WALL_NEVER, .rpm = 60 };
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key key;

	NEEDS_ROOT();
	OK(f, kf_policy_key_create(f->policy, &wish, 1, keep_made, &made, &f->why));
	assert_rate(f, made.text[0], SECOND, 59 * SECOND);
	set_rate(f, made.id[0], 600, 0);
	assert_rate(f, made.text[0], SECOND / 10, 599 * SECOND / 10);
	OK(f, kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why)); /* rpm stays */
	assert_rate(f, made.text[0], SECOND / 10, 4 * SECOND / 10);
	restart(f);
	assert_rate(f, made.text[0], SECOND / 10, 4 * SECOND / 10);
	edit = (struct kf_policy_key_edit){ .set_rpm = true, .rpm = 6 };
	OK(f, kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why)); /* the burst stays */
	assert_rate(f, made.text[0], 10 * SECOND, 40 * SECOND);
	edit.rpm = 0;
	OK(f,
	   kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why)); /* and goes with the rate */
	assert_rate(f, made.text[0], 0, 0);
	OK(f, kf_policy_key_get(f->policy, made.id[0], &key));
	assert_int_equal(key.row.rpm_burst, 0);
	edit = (struct kf_policy_key_edit){ .set_burst = true, .rpm_burst = 5 };
	assert_int_equal(kf_policy_key_edit(f->policy, made.id[0], &edit, &f->why), -EINVAL);
	assert_non_null(strstr(f->why.text, "; give the rate"));
	assert_rate(f, made.text[0], 0, 0);
	assert_maps_are_right(f);
}

/* What is used up stays so, but nobody waits for longer than one request takes at the new rate. */
static void edit_scales_what_is_used_up(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *slot;

	NEEDS_ROOT();
	create(f, &made, 1);
	slot = slot_of(f, made.text[0]);
	set_rate(f, made.id[0], 1, 10);
	use_up(slot, 600 * SECOND);
	set_rate(f, made.id[0], 60, 0); /* raised: ten requests are ten requests */
	assert_true(is_ahead(slot, 10 * SECOND));
	set_rate(f, made.id[0], 6, 2); /* lowered: of more than the burst is, the burst */
	assert_true(is_ahead(slot, 20 * SECOND));
	set_rate(f, made.id[0], 6, 50);
	assert_true(is_ahead(slot, 20 * SECOND));
	set_rate(f, made.id[0], 60, 30);
	use_up(slot, 20 * SECOND);
	set_rate(f, made.id[0], 30, 30);
	assert_true(is_ahead(slot, 40 * SECOND));
	set_rate(f, made.id[0], 0, 0);
	use_up(slot, 600 * SECOND); /* left from long before */
	set_rate(f, made.id[0], 6, 1);
	assert_true(is_ahead(slot, 10 * SECOND));
	set_rate(f, made.id[0], 1, KF_RPM_TOP);
	use_up(slot, 60 * SECOND * KF_RPM_TOP); /* nothing overflows */
	set_rate(f, made.id[0], KF_RPM_TOP, KF_RPM_TOP);
	assert_true(is_ahead(slot, 60 * SECOND));
}

/* Killed between the store and the kernel, or amid the kernel's part. */
static void start_mends_the_time(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *slot;

	NEEDS_ROOT();
	create(f, &made, 1);
	set_rate(f, made.id[0], 60, 0);
	slot = slot_of(f, made.text[0]);
	slot->rate_interval_ns = 60 * SECOND;
	use_up(slot, 600 * SECOND);
	restart(f);
	assert_rate(f, made.text[0], SECOND, 59 * SECOND);
	assert_true(is_ahead(slot_of(f, made.text[0]), 10 * SECOND));
	use_up(slot_of(f, made.text[0]), 100000 * SECOND);
	restart(f);
	assert_true(is_ahead(slot_of(f, made.text[0]), 60 * SECOND));
}

static void restart_keeps_what_is_used_up(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };

	NEEDS_ROOT();
	create(f, &made, 2);
	set_rate(f, made.id[0], 60, 0);
	use_up(slot_of(f, made.text[0]), 30 * SECOND);
	restart(f);
	assert_true(is_ahead(slot_of(f, made.text[0]), 30 * SECOND));
}

static void secrets_share_a_rate(void **state)
{
	char first[KF_KEY_TEXT_SIZE], second[KF_KEY_TEXT_SIZE], third[KF_KEY_TEXT_SIZE];
	struct kf_slot *old, *slot;
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_times times;

	NEEDS_ROOT();
	create(f, &made, 3);
	set_rate(f, made.id[1], 60, 0);
	old = slot_of(f, made.text[1]);
	use_up(old, 40 * SECOND);
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], DAY, first, &f->why));
	slot = slot_of(f, first);
	assert_true(is_ahead(slot, 40 * SECOND));
	assert_ptr_equal(kf_maps_slot(f->maps, old->rate_slot), slot);
	assert_ptr_equal(kf_maps_slot(f->maps, slot->rate_slot), slot);
	use_up(slot, 50 * SECOND); /* and a third one, while the first has its grace */
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], DAY, second, &f->why));
	assert_true(is_ahead(slot_of(f, second), 50 * SECOND));
	assert_ptr_equal(kf_maps_slot(f->maps, old->rate_slot), slot_of(f, second));
	assert_ptr_equal(kf_maps_slot(f->maps, slot->rate_slot), slot_of(f, second));
	set_rate(f, made.id[1], 60, 10); /* all of them get it, and the one time that counts */
	assert_rate(f, made.text[1], SECOND, 9 * SECOND);
	assert_rate(f, second, SECOND, 9 * SECOND);
	assert_true(is_ahead(slot_of(f, second), 10 * SECOND));
	set_rate(f, made.id[1], 30, 10); /* scaled once, not once for each of them */
	assert_true(is_ahead(slot_of(f, second), 20 * SECOND));
	set_rate(f, made.id[1], 60, 10);
	assert_true(is_ahead(slot_of(f, second), 10 * SECOND));
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], 0, third, &f->why));
	assert_true(is_ahead(slot_of(f, third), 10 * SECOND)); /* a new secret is no new burst */
	OK(f, kf_policy_key_delete(f->policy, made.id[1], &times, &f->why));
	assert_maps_are_right(f);
}

/* Killed when the new secret was durable and the kernel had not heard of it. */
static void start_shares_a_rate(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct kf_slot *old, *fresh;

	NEEDS_ROOT();
	for (int round = 0; round < 8; round++) { /* the slots lie in either order */
		struct made made = { 0 };

		create(f, &made, 1);
		set_rate(f, made.id[0], 60, 0);
		OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
		old = slot_of(f, made.text[0]);
		old->rate_slot = (uint32_t)(old - kf_maps_slot(f->maps, 0));
		use_up(old, 40 * SECOND);
		fresh = slot_of(f, text);
		kf_maps_delete(f->maps, KF_MAP_kf_tags, fresh->tag);
		memset(fresh, 0, sizeof(*fresh));
		restart(f);
		assert_ptr_equal(kf_maps_slot(f->maps, slot_of(f, made.text[0])->rate_slot),
				 slot_of(f, text));
		assert_true(is_ahead(slot_of(f, text), 40 * SECOND));
	}
	assert_maps_are_right(f);
}

/* Killed when an edited rate was durable and the kernel had not heard of it. */
static void start_scales_what_is_shared(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct kf_key_row row;

	NEEDS_ROOT();
	for (int round = 0; round < 8; round++) { /* the slots lie in either order */
		struct made made = { 0 };

		create(f, &made, 1);
		set_rate(f, made.id[0], 60, 0);
		OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
		use_up(slot_of(f, text), 60 * SECOND);
		OK(f, kf_store_key_get(f->store, made.id[0], &row));
		row.rpm = 600;
		row.rpm_burst = 60;
		OK(f, kf_store_key_update(f->store, &row));
		restart(f);
		assert_rate(f, made.text[0], SECOND / 10, 59 * SECOND / 10);
		assert_rate(f, text, SECOND / 10, 59 * SECOND / 10);
		assert_true(is_ahead(slot_of(f, text), 6 * SECOND));
	}
	assert_maps_are_right(f);
}

/* As above in the maps alone, where the home comes last. */
static void home_is_scaled_by_itself(void **state)
{
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_slot *old, *home;

	NEEDS_ROOT();
	create(f, &made, 1);
	set_rate(f, made.id[0], 60, 0);
	OK(f, kf_policy_key_rotate(f->policy, made.id[0], DAY, text, &f->why));
	old = slot_of(f, made.text[0]);
	home = slot_of(f, text);
	use_up(home, 60 * SECOND);
	kf_maps_slot_rate(f->maps, (uint32_t)(old - kf_maps_slot(f->maps, 0)), SECOND / 10,
			  59 * SECOND / 10);
	kf_maps_slot_rate(f->maps, (uint32_t)(home - kf_maps_slot(f->maps, 0)), SECOND / 10,
			  59 * SECOND / 10);
	assert_true(is_ahead(home, 6 * SECOND));
}

static void next_owner_begins_afresh(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 }, next = { 0 };
	struct kf_key_times times;

	NEEDS_ROOT();
	create(f, &made, KEYS);
	for (int i = 0; i < KEYS; i++) {
		set_rate(f, made.id[i], 60, 0);
		use_up(slot_of(f, made.text[i]), 40 * SECOND);
		OK(f, kf_policy_key_delete(f->policy, made.id[i], &times, &f->why));
	}
	create(f, &next, 5);
	for (int i = 0; i < 5; i++) {
		assert_true(slot_of(f, next.text[i])->rate_tat_ns == 0);
		assert_rate(f, next.text[i], 0, 0);
	}
}

static void expiry_follows_the_clock(void **state)
{
	struct fixture *f = *state;
	struct made made = { 0 };
	struct kf_key_wish wish = { .name = "k" };
	uint64_t before, after;

	NEEDS_ROOT();
	wish.expires = kf_clock_now().wall_ns + 3600000000000ll;
	OK(f, kf_policy_key_create(f->policy, &wish, 1, keep_made, &made, &f->why));
	before = find_slot(f, made.text[0])->expires_ns;
	assert_true(before <= kf_clock_boot() + 3600000000000ull);
	/* as if the wall clock had been set back by a minute since */
	f->policy->clock.wall_ns += 60000000000ll;
	((struct kf_slot *)find_slot(f, made.text[0]))->expires_ns -= 60000000000ull;
	OK(f, set_clock(f));
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
	struct kf_policy_key_edit edit = { .set_allow = true,
					   .allow = allow,
					   .allow_count = roll(4) };
	char text[KF_KEY_TEXT_SIZE];
	struct kf_key_times times;

	switch (roll(8)) {
	case 7:
		edit.set_allow = false;
		edit.set_rpm = edit.set_burst = true;
		edit.rpm = roll(3) ? 1 + roll(600) : 0;
		edit.rpm_burst = edit.rpm ? roll(50) : 0;
		OK(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
		break;
	case 0:
		OK(f, kf_policy_key_disable(f->policy, id, &times, &f->why));
		break;
	case 1:
		OK(f, kf_policy_key_enable(f->policy, id, &f->why));
		break;
	case 2:
		OK(f, kf_policy_key_delete(f->policy, id, &times, &f->why));
		break;
	case 3:
		if (kf_maps_slotpool_free(f->policy->slots))
			OK_OR_FULL(f, kf_policy_key_rotate(f->policy, id, roll(2) ? 0 : DAY, text,
							   &f->why));
		break;
	case 4:
		edit.set_expires = true;
		edit.expires = roll(2) ? KF_WALL_NEVER : kf_clock_now().wall_ns + (int64_t)DAY;
		/* fall through */
	default:
		OK_OR_FULL(f, kf_policy_key_edit(f->policy, id, &edit, &f->why));
	}
}

static void change_source(struct fixture *f)
{
	struct kf_source_row row = { .cidr = random_block(), .action = (uint8_t)roll(2) };
	int err;

	row.expires = KF_WALL_NEVER;
	if (roll(2)) {
		OK_OR_FULL(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
		return;
	}
	err = kf_policy_source_remove(f->policy, &row.cidr, &f->why);
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
		err = kf_policy_service_remove(f->policy, row.name, &f->why);
	else if (roll(2))
		err = kf_policy_service_add(f->policy, &row, &f->why);
	else if (!(err = kf_store_service_get(f->store, row.name, &row)))
		err = kf_policy_service_edit(f->policy, &row, &f->why);
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
		wish.rpm = roll(100);
		wish.rpm_burst = wish.rpm ? roll(100) : 0;
		if (kf_maps_slotpool_free(f->policy->slots) >= 4)
			OK_OR_FULL(f, kf_policy_key_create(f->policy, &wish, 1 + roll(4),
							   ignore_made, NULL, &f->why));
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
			if (roll(3) == 0)
				slot->rate_interval_ns = roll(1000);
			if (roll(3) == 0)
				slot->rate_burst_ns = roll(1000);
			if (roll(3) == 0)
				slot->rate_slot = roll(4) ? roll(KEYS) : (uint32_t)-1;
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

/* sqlite3 calls these when something becomes durable. */
static bool dies_at_sync;

static int sync_or_die(long number, int fd)
{
	if (dies_at_sync)
		kill(getpid(), SIGKILL);
	return (int)syscall(number, fd);
}

int fsync(int fd)
{
	return sync_or_die(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_or_die(SYS_fdatasync, fd);
}

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

/* A process that allows ::/0 and is killed when that is durable; else it says how that ended. */
static int allow_all_and_die(struct fixture *f)
{
	struct kf_source_row row = { .action = KF_SOURCE_ALLOW, .expires = KF_WALL_NEVER };
	int status;
	pid_t pid;

	stop(f);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (start(f))
			_exit(1);
		dies_at_sync = true;
		_exit(kf_policy_source_put(f->policy, &row, NULL, &f->why) == -ENOSPC ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ::/0 needs two places, of which only one may be left: see struct kf_policy_walk. */
static void killed_with_a_full_table(void **state)
{
	struct kf_source_row row = { .action = KF_SOURCE_ALLOW, .expires = KF_WALL_NEVER };
	struct fixture *f = *state;

	NEEDS_ROOT();
	OK(f, deny_blocks(f, 7)); /* of 8 */
	assert_int_equal(allow_all_and_die(f), 2);
	OK(f, start(f));
	OK(f, kf_cidr_parse("10.7.0.0/16", &row.cidr));
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why)); /* the place is free again */
	OK(f, kf_policy_source_remove(f->policy, &row.cidr, &f->why));
	OK(f, kf_cidr_parse("10.6.0.0/16", &row.cidr));
	OK(f, kf_policy_source_remove(f->policy, &row.cidr, &f->why));
	assert_int_equal(allow_all_and_die(f), -SIGKILL);
	OK(f, start(f));
	assert_maps_are_right(f);
}

/* ---- rows that cannot be --------------------------------------------------------------------- */

static void write_past_checks(const struct fixture *f, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/keyfilter.db", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA ignore_check_constraints = 1", NULL, NULL, NULL);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* What is in the kernel goes on: a row that is passed over may be the one that closes something. */
static void bad_row_stops_the_start(void **state)
{
	static const struct {
		const char *spoil, *mend, *words;
	} rows[] = {
		{ "UPDATE service SET idx = 300", "UPDATE service SET idx = 0",
		  "service a: idx is 300" },
		{ "UPDATE source SET action = 7", "UPDATE source SET action = 0",
		  "source 10.0.0.0/16: action is 7" },
		{ "UPDATE credential SET slot = -1", "UPDATE credential SET slot = 0",
		  "slot is -1" },
		{ "UPDATE iface SET mode = 9", "UPDATE iface SET mode = 0",
		  "interface eth0: mode is 9" },
	};
	struct kf_service_row service = { .name = "a", .any = true, .port = 80 };
	struct kf_iface_row iface = { .dev = "eth0" };
	struct fixture *f = *state;
	struct made made = { 0 };
	char *before;

	NEEDS_ROOT();
	create(f, &made, 1);
	OK(f, deny_blocks(f, 1));
	OK(f, kf_policy_service_add(f->policy, &service, &f->why));
	OK(f, kf_store_iface_put(f->store, &iface));
	before = snapshot(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		stop(f);
		write_past_checks(f, rows[i].spoil);
		assert_int_equal(start(f), -EUCLEAN);
		if (!strstr(f->why.text, rows[i].words) || !strstr(f->why.text, "from a backup"))
			fail_msg("'%s' does not say '%s'", f->why.text, rows[i].words);
		assert_maps_are(f, before);
		stop(f);
		write_past_checks(f, rows[i].mend);
		OK(f, start(f));
	}
	free(before);
}

/* ---- services, flows ------------------------------------------------------------------------- */

static void reused_index_counts_from_zero(void **state)
{
	struct kf_service_row row = { .name = "a", .any = true, .port = 80 };
	struct fixture *f = *state;
	struct kf_counters counters, *each;
	uint32_t zero = 0;

	NEEDS_ROOT();
	OK(f, kf_policy_service_add(f->policy, &row, &f->why));
	each = calloc(1024, sizeof(*each));
	each[0].packets[KF_REASON_ADMITTED] = 7;
	each[1].packets[KF_REASON_ADMITTED] = 8; /* not there with one CPU */
	kf_maps_put(f->maps, KF_MAP_kf_counters, &zero, each);
	free(each);
	restart(f);
	assert_int_equal(kf_maps_counters(f->maps, 0, &counters), 0);
	assert_true(counters.packets[KF_REASON_ADMITTED] >= 7); /* a restart loses none */
	OK(f, kf_policy_service_edit(f->policy, &row, &f->why));
	kf_maps_counters(f->maps, 0, &counters);
	assert_true(counters.packets[KF_REASON_ADMITTED] >= 7);
	OK(f, kf_policy_service_remove(f->policy, "a", &f->why));
	OK(f, kf_policy_service_add(f->policy, &row, &f->why));
	assert_int_equal(row.index, 0);
	kf_maps_counters(f->maps, 0, &counters);
	assert_int_equal(counters.packets[KF_REASON_ADMITTED], 0);
}

static void sweep(struct fixture *f)
{
	int more;

	while ((more = kf_traffic_flows_sweep(f->flows)) == 1)
		;
	assert_int_equal(more, 0);
}

static uint32_t generation(const struct fixture *f)
{
	return kf_maps_config(f->maps)->source_generation;
}

/* Established flows go by it: each change must move it, once it is in the maps. */
static void changed_sources_are_counted(void **state)
{
	struct fixture *f = *state;
	struct kf_source_row row = { .expires = KF_WALL_NEVER };
	uint32_t before;

	NEEDS_ROOT();
	OK(f, kf_cidr_parse("192.0.2.0/24", &row.cidr));
	before = generation(f);
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	OK(f, kf_policy_source_remove(f->policy, &row.cidr, &f->why));
	assert_int_not_equal(generation(f), before);
	row.expires = kf_clock_now().wall_ns + 1000;
	OK(f, kf_policy_source_put(f->policy, &row, NULL, &f->why));
	before = generation(f);
	usleep(1000);
	OK(f, kf_policy_source_expire(f->policy));
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	OK(f, kf_policy_source_expire(f->policy)); /* none any more */
	assert_int_equal(generation(f), before);
	restart(f);
	assert_int_not_equal(generation(f), before);
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
	assert_int_equal(kf_traffic_flows_live(f->flows), 4500); /* found silent, still there */
	key.client_port = 3;
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state, KF_FLOW_CLOSED);
	assert_int_equal(flow.busy, 1); /* and stays locked when it is deleted */
	sweep(f);
	assert_int_equal(kf_traffic_flows_live(f->flows), 3000);
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), -ENOENT);
	key.client_port = 4;
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state, KF_FLOW_HEAD);
}

static void check_patience(struct fixture *f, const struct kf_flow *as, uint32_t age, bool closed)
{
	struct kf_flow_key key = { 0 };
	struct kf_flow flow = *as;
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	flow.seen = (uint32_t)(((uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec) >> 30);
	flow.seen -= age;
	assert_int_equal(kf_maps_put(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	sweep(f);
	assert_int_equal(kf_maps_get(f->maps, KF_MAP_kf_flows, &key, &flow), 0);
	assert_int_equal(flow.state == KF_FLOW_CLOSED, closed);
}

/* What was answered or cut goes sooner than what may still end, and that sooner than the rest. */
static void ending_flows_go_sooner(void **state)
{
	const struct kf_flow idle = { 0 }, answered = { .state = KF_FLOW_ANSWERED };
	const struct kf_flow cut = { .cut = KF_REASON_KEY_DISABLED };
	const struct kf_flow refused = { .state = KF_FLOW_REFUSED };
	const struct kf_flow ending = { .out_flags = KF_FLOW_FIN_OUT, .out_seq = 1 };
	const struct kf_flow half = { .flags = KF_FLOW_FIN_IN, .requests = 1 };
	struct fixture *f = *state;

	NEEDS_ROOT();
	check_patience(f, &answered, 20, false);
	check_patience(f, &answered, 31, true);
	check_patience(f, &cut, 20, false);
	check_patience(f, &cut, 31, true);
	check_patience(f, &refused, 105, false);
	check_patience(f, &refused, 115, true);
	check_patience(f, &ending, 105, false);
	check_patience(f, &ending, 115, true);
	check_patience(f, &half, 115, false); /* its response may be long in coming */
	check_patience(f, &idle, 115, false);
}

/* Did that revoke? Asked for once. */
static void assert_revoked(struct fixture *f, unsigned int what)
{
	assert_int_equal(kf_policy_take_revoked(f->policy), what);
}

/* Every way to revoke asks for a walk over running requests, and nothing else does. */
static void revocations_are_noted(void **state)
{
	struct kf_source_row source = { .action = KF_SOURCE_DENY, .expires = KF_WALL_NEVER };
	struct kf_policy_key_edit edit = { .set_expires = true };
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = *state;
	struct kf_key_times times;
	struct made made = { 0 };

	NEEDS_ROOT();
	assert_revoked(f,
		       KF_REVOKED_KEYS | KF_REVOKED_SOURCES); /* a start: whatever a crash left */
	create(f, &made, 2);
	OK(f, kf_policy_expire(f->policy));
	OK(f, kf_policy_key_enable(f->policy, made.id[0], &f->why));
	assert_revoked(f, 0);
	OK(f, kf_policy_key_disable(f->policy, made.id[0], &times, &f->why));
	assert_revoked(f, KF_REVOKED_KEYS);
	OK(f, kf_policy_key_delete(f->policy, made.id[0], &times, &f->why));
	assert_revoked(f, KF_REVOKED_KEYS);
	OK(f, kf_policy_key_rotate(f->policy, made.id[1], 0, text, &f->why));
	assert_revoked(f, KF_REVOKED_KEYS);

	edit.expires = kf_clock_now().wall_ns + 50000000;
	OK(f, kf_policy_key_edit(f->policy, made.id[1], &edit, &f->why));
	kf_policy_take_revoked(f->policy);
	usleep(60000);
	OK(f, kf_policy_expire(f->policy));
	assert_revoked(f, KF_REVOKED_KEYS);
	OK(f, kf_policy_expire(f->policy));
	assert_revoked(f, 0); /* once */

	OK(f, kf_cidr_parse("192.0.2.1", &source.cidr));
	OK(f, kf_policy_source_put(f->policy, &source, NULL, &f->why));
	assert_revoked(f, KF_REVOKED_SOURCES);
	OK(f, kf_policy_source_remove(f->policy, &source.cidr, &f->why));
	assert_revoked(f, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_are_written_and_mended),
		TEST(answer_mark_stays),
		TEST(counters_are_summed),
		TEST(penalty_ends_are_events),
		TEST(second_one_is_refused),
		TEST(other_sizes_are_refused),
		TEST(other_layout_is_refused),
		TEST(unsealed_pins_are_made_anew),
		TEST(missing_pin_is_made_anew),
		TEST(other_secret_is_refused),
		TEST(lost_store_is_refused),
		TEST(plain_directory_is_refused),
		TEST(key_lives_and_dies),
		TEST(slots_run_out_and_come_back),
		TEST(rotated_secret_has_its_grace),
		TEST(graces_run_out_of_places),
		TEST(full_table_still_narrows),
		TEST(full_slots_still_rotate),
		TEST(step_forward_deletes_nothing),
		TEST(expiry_follows_the_clock),
		TEST(rate_is_edited),
		TEST(edit_scales_what_is_used_up),
		TEST(start_mends_the_time),
		TEST(restart_keeps_what_is_used_up),
		TEST(secrets_share_a_rate),
		TEST(start_shares_a_rate),
		TEST(start_scales_what_is_shared),
		TEST(home_is_scaled_by_itself),
		TEST(next_owner_begins_afresh),
		TEST(any_change_leaves_the_maps_right),
		TEST(start_mends_any_maps),
		TEST(killed_anywhere_is_mended),
		TEST(killed_with_a_full_table),
		TEST(bad_row_stops_the_start),
		TEST(reused_index_counts_from_zero),
		TEST(changed_sources_are_counted),
		TEST(silent_flows_are_forgotten),
		TEST(ending_flows_go_sooner),
		TEST(revocations_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
