// SPDX-License-Identifier: GPL-2.0-only
/* Tasks beside the loop: in which order their parts run, in which thread, and what an end does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/queue.h"

struct task {
	struct kf_attach_task task; /* first */
	char name;
	int begun;		/* what begin() returns */
	int ran;		/* what run() returns */
	struct task *add;	/* added by begin() */
	struct task *add_first; /* added by end() */
	int result;
	pthread_t thread; /* that ran it */
};

static struct kf_attach_queue *queue;
static sd_event *event;
static char order[64]; /* a letter for a begin, a capital for an end */
static atomic_int running;
static atomic_bool may_end = true;

static void note(char letter)
{
	size_t length = strlen(order);

	assert_true(length < sizeof(order) - 1);
	order[length] = letter;
}

static int begin(struct kf_attach_task *task)
{
	struct task *self = (struct task *)task;

	assert_false(kf_attach_queue_is_busy(queue));
	note(self->name);
	if (self->add)
		kf_attach_queue_add(queue, &self->add->task);
	return self->begun;
}

static int run(struct kf_attach_task *task)
{
	struct task *self = (struct task *)task;

	if (atomic_fetch_add(&running, 1)) /* another one runs */
		abort();
	self->thread = pthread_self();
	while (!may_end)
		usleep(1000);
	atomic_fetch_sub(&running, 1);
	return self->ran;
}

static void end(struct kf_attach_task *task, int result)
{
	struct task *self = (struct task *)task;

	assert_false(kf_attach_queue_is_busy(queue));
	note((char)(self->name - 'a' + 'A'));
	self->result = result;
	if (self->add_first)
		kf_attach_queue_add_first(queue, &self->add_first->task);
}

static struct task make(char name)
{
	return (struct task){
		.task = { .begin = begin, .run = run, .end = end },
		.name = name,
		.result = 77,
	};
}

static int set_up(void **state)
{
	memset(order, 0, sizeof(order));
	may_end = true;
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(kf_attach_queue_open(&queue, event), 0);
	return 0;
}

static int tear_down(void **state)
{
	kf_attach_queue_close(queue);
	queue = NULL;
	event = sd_event_unref(event);
	return 0;
}

static void run_until(size_t letters)
{
	for (int turn = 0; strlen(order) < letters; turn++) {
		assert_true(turn < 1000);
		assert_true(sd_event_run(event, 10000) >= 0);
	}
}

static void test_attach_queue_order(void **state)
{
	struct task a = make('a'), b = make('b'), c = make('c'), d = make('d');

	may_end = false;
	b.ran = -ENODEV;
	kf_attach_queue_add(queue, &a.task);
	assert_true(kf_attach_queue_is_busy(queue));
	kf_attach_queue_add(queue, &b.task);
	kf_attach_queue_add(queue, &c.task);
	kf_attach_queue_add_first(queue, &d.task);
	assert_string_equal(order, "a"); /* the loop goes on meanwhile, and the others wait */
	may_end = true;
	run_until(8);
	assert_string_equal(order, "aAdDbBcC");
	assert_false(pthread_equal(a.thread, pthread_self()));
	assert_int_equal(a.result, 0);
	assert_int_equal(b.result, -ENODEV);
	assert_false(kf_attach_queue_is_busy(queue));
}

/* What is refused at its beginning, or has nothing to run, is over at once. */
static void test_attach_queue_at_once(void **state)
{
	struct task a = make('a'), b = make('b');

	a.begun = -EBUSY;
	b.task.run = NULL;
	kf_attach_queue_add(queue, &a.task);
	kf_attach_queue_add(queue, &b.task);
	assert_string_equal(order, "aAbB");
	assert_int_equal(a.result, -EBUSY);
	assert_int_equal(b.result, 0);
}

/* A part of a task is never interrupted by another task. */
static void test_attach_queue_added_inside(void **state)
{
	struct task a = make('a'), b = make('b'), c = make('c');

	a.add = &b;
	a.add_first = &c;
	kf_attach_queue_add(queue, &a.task);
	run_until(6);
	assert_string_equal(order, "aAcCbB");
}

/*
 * The one that runs is done to its end, those that wait have never begun, and later ones neither.
 */
static void test_attach_queue_end(void **state)
{
	struct task a = make('a'), b = make('b'), c = make('c');

	a.ran = -ENOMEM;
	kf_attach_queue_add(queue, &a.task);
	kf_attach_queue_add(queue, &b.task);
	kf_attach_queue_end(queue);
	assert_string_equal(order, "aAB");
	assert_int_equal(a.result, -ENOMEM);
	assert_int_equal(b.result, -ECANCELED);
	kf_attach_queue_add(queue, &c.task);
	assert_string_equal(order, "aABC");
	assert_int_equal(c.result, -ECANCELED);
	run_until(4); /* what the thread has written changes nothing any more */
	assert_true(sd_event_run(event, 1000) >= 0);
	assert_string_equal(order, "aABC");
}

/* Before there is a loop. */
static void test_attach_queue_none(void **state)
{
	struct task a = make('a');

	tear_down(state);
	kf_attach_queue_add(NULL, &a.task);
	assert_string_equal(order, "aA");
	assert_true(pthread_equal(a.thread, pthread_self()));
	set_up(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_attach_queue_order),	      TEST(test_attach_queue_at_once),
		TEST(test_attach_queue_added_inside), TEST(test_attach_queue_end),
		TEST(test_attach_queue_none),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
