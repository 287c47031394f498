// SPDX-License-Identifier: GPL-2.0-only
/*
 * concurrency_test - what CPUs race for is counted exactly: penalties, places, SYNs, requests.
 *
 *   concurrency_test [OBJECT_DIR RACE_OBJECT]
 *
 * One thread on each of up to four CPUs runs the same program of concurrency.bpf.c over and over,
 * all begin at one moment. On the packet path a program is not preempted, and what it locks it
 * holds for some nanoseconds; so the threads are real-time ones, and need root. Without arguments:
 * the objects of $KF_BUILD (build).
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <keyfilter/penaltystate.h>

#include "abuse.h"
#include "concurrency.h"
#include "world.h"

#define KF_THREADS_MAX 4
#define KF_PRIORITY    1 /* of the runners; who starts them has a higher one */
#define KF_SOURCES     4 /* as many as one set has places */

struct kf_test {
	struct kf_world *world;
	struct bpf_object *object;
	struct kf_race *race; /* memory-mapped, by CPU */
	int cpus[KF_THREADS_MAX];
	int threads;
	int failed;
	uint32_t many; /* runs of a program that take a tenth of a second */
	/* the race that is being run */
	int fd;
	uint32_t repeat;
	atomic_int ready;
};

struct kf_runner {
	struct kf_test *test;
	pthread_t thread;
};

static const uint8_t kf_source_first[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 };

static void kf_expect(struct kf_test *test, const char *what, uint64_t found, uint64_t wanted)
{
	if (found == wanted)
		return;
	fprintf(stderr, "concurrency_test: %s: %llu, wanted %llu\n", what,
		(unsigned long long)found, (unsigned long long)wanted);
	test->failed++;
}

/* ---- the race -------------------------------------------------------------------------------- */

static void *kf_runner_run(void *context)
{
	struct kf_runner *runner = context;
	struct kf_test *test = runner->test;
	uint8_t frame[64] = {};
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
			    .data_size_in = sizeof(frame), .repeat = test->repeat);

	atomic_fetch_add(&test->ready, 1);
	while (atomic_load(&test->ready) < test->threads)
		;
	if (bpf_prog_test_run_opts(test->fd, &opts))
		err(1, "BPF_PROG_TEST_RUN");
	if (opts.retval != TC_ACT_OK)
		errx(1, "the program returned %u", opts.retval);
	return NULL;
}

/* Begins on @cpu: a thread that spins would keep others from being moved away from its own. */
static void kf_runner_start(struct kf_runner *runner, int cpu)
{
	struct sched_param priority = { .sched_priority = KF_PRIORITY };
	pthread_attr_t attr;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (pthread_attr_init(&attr) || pthread_attr_setaffinity_np(&attr, sizeof(set), &set) ||
	    pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED) ||
	    pthread_attr_setschedpolicy(&attr, SCHED_FIFO) ||
	    pthread_attr_setschedparam(&attr, &priority) ||
	    pthread_create(&runner->thread, &attr, kf_runner_run, runner))
		errx(1, "no thread on CPU %d", cpu);
	pthread_attr_destroy(&attr);
}

/* Runs @program @repeat times on each CPU; returns how often it let something pass. */
static uint64_t kf_race_run(struct kf_test *test, const char *program, uint32_t repeat,
			    uint32_t sources)
{
	struct kf_runner runners[KF_THREADS_MAX];
	uint64_t passed = 0;

	test->fd = bpf_program__fd(bpf_object__find_program_by_name(test->object, program));
	test->repeat = repeat;
	atomic_store(&test->ready, 0);
	for (int i = 0; i < test->threads; i++) {
		struct kf_race *race = &test->race[test->cpus[i]];

		*race = (struct kf_race){ .sources = sources, .slot = KF_WORLD_SLOT, .thread = i };
		memcpy(race->source, kf_source_first, 16);
		runners[i].test = test;
		kf_runner_start(&runners[i], test->cpus[i]);
	}
	for (int i = 0; i < test->threads; i++) {
		pthread_join(runners[i].thread, NULL);
		passed += test->race[test->cpus[i]].passed;
	}
	return passed;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void kf_renew(struct kf_test *test)
{
	kf_world_reset(test->world, KF_MODE_ENFORCE, 0, 0x1f);
	kf_world_event_rate(test->world, 0);
}

/* For rounds: one second of them, and no more once one has failed. */
static bool kf_goes_on(const struct kf_test *test, uint64_t *end)
{
	if (!*end)
		*end = kf_world_now() + 1000000000;
	return !test->failed && kf_world_now() < *end;
}

static struct kf_penalty kf_place(struct kf_test *test)
{
	struct kf_penalty *place = kf_abuse_place(test->world, kf_source_first);

	return place ? *place : (struct kf_penalty){};
}

/* The last failure of all raises the penalty: not one was lost, none counted twice. */
static void kf_test_threshold(struct kf_test *test)
{
	const uint32_t each = test->many, all = each * test->threads;
	struct kf_penalty place;

	kf_renew(test);
	kf_abuse_penalty(test->world, all, 3600, 3600, 3600);
	kf_race_run(test, "race_fail", each, 1);
	place = kf_place(test);
	kf_expect(test, "penalties at the threshold", kf_abuse_raised(test->world), 1);
	kf_expect(test, "its level", place.level, 1);
	kf_expect(test, "failures behind it", place.failures, 0);
	kf_expect(test, "in force", kf_abuse_in_force(&place), true);

	kf_renew(test);
	kf_abuse_penalty(test->world, all + 1, 3600, 3600, 3600);
	kf_race_run(test, "race_fail", each, 1);
	place = kf_place(test);
	kf_expect(test, "penalties below the threshold", kf_abuse_raised(test->world), 0);
	kf_expect(test, "failures below the threshold", place.failures, all);
}

/* Good requests between the failures: neither gets in the way of the other's count. */
static void kf_test_good(struct kf_test *test)
{
	struct kf_penalty place;

	kf_renew(test);
	kf_abuse_penalty(test->world, 1000000, 3600, 3600, 3600);
	kf_race_run(test, "race_both", test->many, 1);
	place = kf_place(test);
	kf_expect(test, "failures among good requests", place.failures,
		  (uint64_t)test->many * test->threads);
	kf_expect(test, "good requests that count", place.successes, KF_PENALTY_GOOD_MAX);
}

/* However many fail at the moment of the penalty, it is one. */
static void kf_test_one_penalty(struct kf_test *test)
{
	uint64_t end = 0;

	kf_renew(test);
	for (uint32_t round = 1; kf_goes_on(test, &end); round++) {
		memset(kf_world_penalties(test->world), 0,
		       (kf_world_config(test->world)->penalty_mask + 1) *
			       sizeof(struct kf_penalty_set));
		kf_abuse_penalty(test->world, 1 + round % 4, 3600, 3600, 3600);
		kf_race_run(test, "race_fail", 20, 1);
		kf_expect(test, "penalties at once", kf_abuse_raised(test->world), round);
		kf_expect(test, "level", kf_place(test).level, 1);
	}
}

/* Returns how many failures are missing. */
static uint64_t kf_check_places(struct kf_test *test, uint64_t failures)
{
	uint64_t missing = 0;

	for (int i = 0; i < KF_SOURCES; i++) {
		struct kf_penalty *place;
		uint8_t addr[16];

		memcpy(addr, kf_source_first, 16);
		addr[15] += i;
		place = kf_abuse_place(test->world, addr);
		kf_expect(test, "places of a source", kf_abuse_places(test->world, addr), 1);
		missing += failures - (place ? place->failures : 0);
	}
	return missing;
}

/*
 * Sources that all share one set, and come at the same moment, get one place each. A CPU that is
 * stopped by an interrupt or a hypervisor while it gives one away may cost others a count.
 */
static void kf_test_places(struct kf_test *test)
{
	const uint32_t each = 3;
	uint64_t missing = 0, failures = 0, end = 0;

	kf_renew(test);
	kf_world_config(test->world)->penalty_mask = 0;
	kf_abuse_penalty(test->world, 1000000, 3600, 3600, 3600);
	while (kf_goes_on(test, &end)) {
		failures += (uint64_t)each * KF_SOURCES * test->threads;
		memset(kf_world_penalties(test->world), 0, sizeof(struct kf_penalty_set));
		kf_race_run(test, "race_fail", each * KF_SOURCES, KF_SOURCES);
		missing += kf_check_places(test, (uint64_t)each * test->threads);
	}
	kf_expect(test, "too many failures not counted", missing > failures / 1000, false);
}

/*
 * More sources than places, and penalties that are over at once: places change hands all the time.
 */
static void kf_test_crowd(struct kf_test *test)
{
	kf_renew(test);
	kf_world_config(test->world)->penalty_mask = 0;
	kf_abuse_penalty(test->world, 1000000, 3600, 3600, 3600);
	kf_race_run(test, "race_fail", 100 * 2 * KF_SOURCES, 2 * KF_SOURCES);
	for (int i = 0; i < KF_PENALTY_WAYS; i++) {
		struct kf_penalty *ways = kf_world_penalties(test->world)[0].ways;

		for (int j = 0; j < i; j++)
			kf_expect(test, "two places of one source", ways[i].unit == ways[j].unit,
				  false);
		kf_expect(test, "failures in a crowd", ways[i].failures, 100ull * test->threads);
	}
}

/* A burst, and nothing behind it: the interval is an hour. */
static void kf_test_syns(struct kf_test *test)
{
	for (int round = 0; round < 10; round++) {
		uint64_t burst = 1 + test->many / 10 * round;

		kf_renew(test);
		kf_abuse_syn_rate(test->world, 3600000000001ull, burst);
		kf_expect(test, "SYNs in a burst", kf_race_run(test, "race_syn", test->many, 1),
			  burst);
	}
}

static void kf_test_rate(struct kf_test *test)
{
	for (uint32_t round = 0; round < 10; round++) {
		struct kf_slot *slot = kf_world_slot(test->world);
		uint64_t burst = 1 + test->many / 10 * round;

		kf_renew(test);
		slot->rate_slot = KF_WORLD_SLOT;
		slot->rate_interval_ns = 3600000000001ull;
		slot->rate_burst_ns = slot->rate_interval_ns * (burst - 1);
		kf_expect(test, "requests in a burst",
			  kf_race_run(test, "race_rate", test->many, 1), burst);
	}
}

/* At its rate, and not above it, for as long as the race lasts. */
static void kf_test_steady(struct kf_test *test)
{
	const uint64_t interval = 20000, burst = 10;
	struct kf_slot *slot = kf_world_slot(test->world);
	uint64_t begin, passed, least, most;

	for (int kind = 0; kind < 2; kind++) {
		kf_renew(test);
		slot->rate_slot = KF_WORLD_SLOT;
		slot->rate_interval_ns = interval;
		slot->rate_burst_ns = interval * (burst - 1);
		kf_abuse_syn_rate(test->world, interval, burst);
		begin = kf_world_now();
		passed = kf_race_run(test, kind ? "race_rate" : "race_syn", test->many, 1);
		/* the cells round down to two nanoseconds */
		most = burst + (kf_world_now() - begin) / (interval - 1) + 1;
		least = burst + 10;
		kf_expect(test, "more than its rate", passed > most, false);
		kf_expect(test, "hardly anything of its rate", passed < least, false);
	}
}

/* What ingress takes egress does not give back for what was there before. */
static void kf_test_head(struct kf_test *test)
{
	uint64_t taken;

	kf_renew(test);
	taken = kf_race_run(test, "race_head", test->many, 1);
	kf_expect(test, "places that stayed the flow's", taken, test->many);
	taken = kf_race_run(test, "race_head_late", 10, 1);
	kf_expect(test, "places that a late CPU left the flow", taken, 10);
}

/* An emulator is slow. */
static void kf_test_measure(struct kf_test *test)
{
	const uint32_t some = 1000;
	uint64_t begin, took;

	kf_renew(test);
	kf_abuse_penalty(test->world, 1000000, 3600, 3600, 3600);
	begin = kf_world_now();
	kf_race_run(test, "race_fail", some, 1);
	took = (kf_world_now() - begin) / some;
	test->many = 100000000 / (took ? took : 1);
	test->many = test->many < 1000 ? 1000 : test->many > 100000 ? 100000 : test->many;
}

static void kf_test_cpus(struct kf_test *test)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		err(1, "sched_getaffinity");
	for (int cpu = 0; cpu < KF_RACE_CPUS && test->threads < KF_THREADS_MAX; cpu++) {
		if (CPU_ISSET(cpu, &set))
			test->cpus[test->threads++] = cpu;
	}
}

int main(int argc, char **argv)
{
	const char *build = getenv("KF_BUILD");
	struct kf_test test = {};
	char dir[2048], race[4096];

	snprintf(dir, sizeof(dir), "%s/bpf", build ? build : "build");
	snprintf(race, sizeof(race), "%s/tests/packet/concurrency.bpf.o", build ? build : "build");
	if (sched_setscheduler(0, SCHED_FIFO,
			       &(struct sched_param){ .sched_priority = KF_PRIORITY + 1 }))
		err(1, "SCHED_FIFO");
	kf_test_cpus(&test);
	if (test.threads < 2) {
		printf("skip one CPU: nothing is concurrent here\n");
		return 77;
	}
	test.world = kf_world_new(argc > 2 ? argv[1] : dir);
	test.object = kf_world_join(test.world, argc > 2 ? argv[2] : race);
	test.race = mmap(NULL, KF_RACE_CPUS * sizeof(struct kf_race), PROT_READ | PROT_WRITE,
			 MAP_SHARED, bpf_object__find_map_fd_by_name(test.object, "race"), 0);
	if (test.race == MAP_FAILED)
		err(1, "mmap race");
	kf_test_measure(&test);
	kf_test_threshold(&test);
	kf_test_good(&test);
	kf_test_one_penalty(&test);
	kf_test_places(&test);
	kf_test_crowd(&test);
	kf_test_syns(&test);
	kf_test_rate(&test);
	kf_test_steady(&test);
	kf_test_head(&test);
	munmap(test.race, KF_RACE_CPUS * sizeof(struct kf_race));
	bpf_object__close(test.object);
	kf_world_free(test.world);
	printf("concurrency_test: %d CPUs, %d failed\n", test.threads, test.failed);
	return test.failed ? 1 : 0;
}
