// SPDX-License-Identifier: GPL-2.0-only
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "attach/iface.h"
#include "attach/queue.h"
#include "base/work.h"
#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "net/netlink.h"
#include "policy/expire.h"
#include "policy/policy.h"
#include "traffic/cut.h"
#include "traffic/events.h"
#include "traffic/flows.h"
#include "timetext.h"
#include "traffic/penalty.h"

#define SECOND_US      1000000ull
#define SWEEP_PAUSE_US 2000ull /* between slices of the flow sweep */
#define SWEEP_REST     100     /* times as long as a sweep took, before the next one; */
#define SWEEP_REST_MIN (10 * SECOND_US)
#define SWEEP_REST_MAX (60 * SECOND_US)
#define CUT_DELAY_US   200ull /* the answer to the revocation goes out first */
#define CUT_PAUSE_US   200ull /* between slices of the walk over revoked requests */
#define GUARD_REST_US  20000ull
#define CUT_REST       4 /* times as long as a walk took, before the next one */

enum job_number { CLOCK_JOB, STORE_JOB, EXPIRY_JOB, PENALTY_JOB, GUARD_JOB, PIN_JOB, JOB_COUNT };

/* The rest of a job, in slices. */
struct kf_loop_work {
	struct kf_work_item item; /* first */
	struct kf_loop *loop;
	bool queued;
};

struct kf_loop {
	sd_event_source *on_second;
	sd_event_source *on_sweep;
	sd_event_source *on_cut;
	sd_event_source *after_all;
	uint64_t sweep_took_us;
	struct kf_loop_work rest[JOB_COUNT];
	struct kf_daemon *daemon;
	bool cutting;		 /* a walk is under way */
	uint64_t cut_took_us;	 /* by it so far */
	uint64_t cut_not_before; /* CLOCK_MONOTONIC, microseconds */
	uint64_t guarded_us;	 /* when the interfaces were last looked at */
	int clock_fd;		 /* a timer that ends when the wall clock is set */
	uint64_t seconds;	 /* ticks so far */
	int last_err[JOB_COUNT]; /* of each job: one failure is one line, however long it lasts */
};

/* ---- every few seconds ----------------------------------------------------------------------- */

#define LATER 1 /* what became of a job is known when its work is done */

static void note_result(struct kf_loop *loop, size_t i, int err);

/* Gives the loop the rest of a job to do in its spare time, unless it has it already. */
static int do_later(struct kf_loop *loop, enum job_number job)
{
	struct kf_loop_work *rest = &loop->rest[job];

	if (!rest->queued) {
		rest->queued = true;
		kf_work_add(loop->daemon->work, &rest->item);
	}
	return LATER;
}

static void end_rest(struct kf_work_item *item, int result)
{
	struct kf_loop_work *rest = (struct kf_loop_work *)item;

	rest->queued = false;
	if (result != -ECANCELED)
		note_result(rest->loop, (size_t)(rest - rest->loop->rest), result);
}

static struct kf_policy *policy_of(struct kf_work_item *item)
{
	return ((struct kf_loop_work *)item)->loop->daemon->policy;
}

static int correct_some(struct kf_work_item *item)
{
	return kf_policy_clock_go_on(policy_of(item));
}

static int check_clock(struct kf_daemon *daemon)
{
	int more = kf_policy_clock_correct(daemon->policy);

	return more > 0 ? do_later(daemon->loop, CLOCK_JOB) : more;
}

static int mend_some(struct kf_work_item *item)
{
	return kf_policy_mend_step(policy_of(item));
}

/* What fails is logged where it begins and where it ends. */
static int settle(struct kf_daemon *daemon)
{
	kf_policy_mend_tick(daemon->policy);
	return daemon->policy->mend.comparing ? do_later(daemon->loop, STORE_JOB) : 0;
}

static int expire_some(struct kf_work_item *item)
{
	return kf_policy_expire(policy_of(item));
}

static int expire(struct kf_daemon *daemon)
{
	return do_later(daemon->loop, EXPIRY_JOB);
}

static int (*const rests[JOB_COUNT])(struct kf_work_item *item) = {
	[CLOCK_JOB] = correct_some,
	[STORE_JOB] = mend_some,
	[EXPIRY_JOB] = expire_some,
};

static int watch_penalties(struct kf_daemon *daemon)
{
	int ended = kf_traffic_penalty_watch_tick(daemon->penalties);

	return ended < 0 ? ended : 0;
}

static void tell_filter(struct kf_daemon *daemon, const char *dev, bool restored)
{
	kf_traffic_events_add_filter(daemon->events, dev, restored);
}

static int guard_ifaces(struct kf_daemon *daemon)
{
	daemon->loop->guarded_us = kf_clock_micros();
	kf_attach_iface_guard(daemon, tell_filter);
	return 0;
}

static int guard_pins(struct kf_daemon *daemon)
{
	return kf_attach_iface_pin_again(daemon);
}

static const struct job {
	const char *what;    /* fails, in the log */
	unsigned int period; /* seconds */
	int (*run)(struct kf_daemon *daemon);
} jobs[JOB_COUNT] = {
	[CLOCK_JOB] = { "the correction for the wall clock", 2, check_clock },
	[STORE_JOB] = { "the mending of store and kernel", 1, settle },
	[EXPIRY_JOB] = { "the removal of what has expired", 1, expire },
	[GUARD_JOB] = { "the watch over interfaces", 1, guard_ifaces },
	[PIN_JOB] = { "the watch over pins", 5, guard_pins },
	[PENALTY_JOB] = { "the watch over penalties", 1, watch_penalties },
};

static void note_result(struct kf_loop *loop, size_t i, int err)
{
	if (err < 0 && err != loop->last_err[i])
		kf_log_error("%s failed: %s; it is tried again every %u s", jobs[i].what,
			     strerror(-err), jobs[i].period);
	else if (!err && loop->last_err[i])
		kf_log_notice("%s works again", jobs[i].what);
	loop->last_err[i] = err < 0 ? err : 0;
}

static void run_job(struct kf_daemon *daemon, size_t i)
{
	int err = jobs[i].run(daemon);

	if (err <= 0)
		note_result(daemon->loop, i, err);
}

static int on_second(sd_event_source *source, uint64_t usec, void *context)
{
	struct kf_daemon *daemon = context;

	for (size_t i = 0; i < JOB_COUNT; i++)
		if (daemon->loop->seconds % jobs[i].period == 0)
			run_job(daemon, i);
	daemon->loop->seconds++;
	return sd_event_source_set_time_relative(source, SECOND_US);
}

/* A hundredth of the time, and so more often where there are few connections. */
static uint64_t rest_of_sweep(struct kf_loop *loop)
{
	uint64_t rest = SWEEP_REST * loop->sweep_took_us;

	loop->sweep_took_us = 0;
	if (rest < SWEEP_REST_MIN)
		return SWEEP_REST_MIN;
	return rest < SWEEP_REST_MAX ? rest : SWEEP_REST_MAX;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *context)
{
	struct kf_daemon *daemon = context;
	uint64_t begun = kf_clock_micros();
	int more = kf_traffic_flows_sweep(daemon->flows);

	if (more < 0)
		kf_log_error("the sweep over connections failed: %s; it begins anew in a minute",
			     strerror(-more));
	daemon->loop->sweep_took_us += kf_clock_micros() - begun;
	return sd_event_source_set_time_relative(source, more > 0 ? SWEEP_PAUSE_US
								  : rest_of_sweep(daemon->loop));
}

/* ---- what was revoked ------------------------------------------------------------------------ */

static void end_walk(struct kf_loop *loop, int err)
{
	if (err)
		kf_log_error("the walk over running requests failed: %s; those of revoked keys and "
			     "denied sources end at their next packet",
			     strerror(-err));
	loop->cutting = false;
	loop->cut_not_before = kf_clock_micros() + CUT_REST * loop->cut_took_us;
}

static int on_cut(sd_event_source *source, uint64_t usec, void *context)
{
	struct kf_daemon *daemon = context;
	struct kf_loop *loop = daemon->loop;
	uint64_t begun = kf_clock_micros();
	int more = 0;

	if (!loop->cutting) {
		more = kf_traffic_cut_begin(daemon->cut, kf_policy_take_revoked(daemon->policy));
		loop->cutting = true;
		loop->cut_took_us = 0;
	}
	if (!more)
		more = kf_traffic_cut_step(daemon->cut);
	loop->cut_took_us += kf_clock_micros() - begun;
	if (more <= 0)
		end_walk(loop, more);
	return more > 0 ? sd_event_source_set_time_relative(source, CUT_PAUSE_US)
			: sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* Whatever was done in this turn of the loop: did it revoke something? Several make one walk. */
static int after_all(sd_event_source *source, void *context)
{
	struct kf_daemon *daemon = context;
	struct kf_loop *loop = daemon->loop;
	uint64_t at = kf_clock_micros() + CUT_DELAY_US;
	int enabled = SD_EVENT_OFF, err;

	err = sd_event_source_get_enabled(loop->on_cut, &enabled);
	if (err < 0 || !kf_policy_has_revoked(daemon->policy) || enabled != SD_EVENT_OFF)
		return err < 0 ? err : 0;
	err = sd_event_source_set_time(loop->on_cut,
				       at > loop->cut_not_before ? at : loop->cut_not_before);
	return err < 0 ? err : sd_event_source_set_enabled(loop->on_cut, SD_EVENT_ON);
}

/* ---- when something happens ------------------------------------------------------------------ */

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct kf_daemon *daemon = context;
	int taken = kf_traffic_events_dispatch(daemon->events);

	if (taken < 0)
		kf_log_error("cannot read the events: %s; restart keyfilterd", strerror(-taken));
	return taken < 0 ? taken : 0; /* an error takes the source off the loop: no busy loop */
}

static int on_link(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct kf_daemon *daemon = context;
	int err = kf_net_linkwatch_dispatch(daemon->linkwatch);

	if (err)
		kf_log_warning("cannot read about links: %s; the next message tries again",
			       strerror(-err));
	/* what was taken off is told like any change of a link; many at once wait for the tick */
	if (kf_clock_micros() - daemon->loop->guarded_us >= GUARD_REST_US)
		guard_ifaces(daemon);
	return 0;
}

/* Ends with ECANCELED when the wall clock is set (timerfd_create(2)), and else never. */
static int arm_clock(int fd)
{
	const struct itimerspec never = { .it_value.tv_sec = (time_t)1 << 40 };

	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL)
		       ? -errno
		       : 0;
}

static int on_clock(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct kf_daemon *daemon = context;
	uint64_t expirations;

	if (read(fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN)
		return 0;
	arm_clock(fd);
	run_job(daemon, CLOCK_JOB);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *context)
{
	if (info->ssi_signo == SIGHUP) {
		kf_log_notice("SIGHUP changes nothing: settings are read at the start; restart "
			      "keyfilterd, the filter goes on meanwhile");
		return 0;
	}
	kf_log_notice("ending on signal %u; the filter stays in place", info->ssi_signo);
	sd_event_exit(((struct kf_daemon *)context)->event, 0);
	return 0;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static int add_signals(struct kf_daemon *daemon, sd_event *event)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		int err = sd_event_add_signal(event, NULL, signals[i], on_signal, daemon);

		if (err < 0)
			return err;
	}
	return 0;
}

static int add_descriptors(struct kf_daemon *daemon, struct kf_loop *loop)
{
	int err;

	loop->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->clock_fd < 0)
		return -errno;
	err = arm_clock(loop->clock_fd);
	if (err < 0)
		return err;
	err = sd_event_add_io(daemon->event, NULL, loop->clock_fd, EPOLLIN, on_clock, daemon);
	if (err < 0)
		return err;
	err = sd_event_add_io(daemon->event, NULL, kf_traffic_events_fd(daemon->events), EPOLLIN,
			      on_events, daemon);
	if (err < 0)
		return err;
	return sd_event_add_io(daemon->event, NULL, kf_net_linkwatch_fd(daemon->linkwatch), EPOLLIN,
			       on_link, daemon);
}

static int add_timer(struct kf_daemon *daemon, sd_event_source **source, uint64_t first_us,
		     sd_event_time_handler_t handler)
{
	int err = sd_event_add_time_relative(daemon->event, source, CLOCK_MONOTONIC, first_us, 1000,
					     handler, daemon);

	return err < 0 ? err : sd_event_source_set_enabled(*source, SD_EVENT_ON);
}

static void tell_cut(void *context, const struct kf_event *event)
{
	struct kf_daemon *daemon = context;

	kf_traffic_events_add_cut(daemon->events, event);
}

static int add_cut(struct kf_daemon *daemon)
{
	int err = kf_traffic_cut_open(&daemon->cut, daemon->maps, tell_cut, daemon);

	if (err >= 0)
		err = sd_event_add_time(daemon->event, &daemon->loop->on_cut, CLOCK_MONOTONIC, 0, 1,
					on_cut, daemon);
	if (err >= 0)
		err = sd_event_source_set_enabled(daemon->loop->on_cut, SD_EVENT_OFF);
	return err < 0 ? err
		       : sd_event_add_post(daemon->event, &daemon->loop->after_all, after_all,
					   daemon);
}

static int add_work(struct kf_daemon *daemon)
{
	uint64_t idle_ns = daemon->settings.flow_idle * (uint64_t)KF_TIMETEXT_SECOND;
	int err = kf_work_open(&daemon->work, daemon->event);

	if (err >= 0)
		err = kf_attach_queue_open(&daemon->attaching, daemon->event);
	if (err >= 0)
		err = kf_traffic_flows_open(&daemon->flows, daemon->maps, idle_ns);
	return err < 0 ? err : add_timer(daemon, &daemon->loop->on_sweep, SECOND_US, on_sweep);
}

int kf_loop_open(struct kf_daemon *daemon)
{
	struct kf_loop *loop = calloc(1, sizeof(*loop));
	int err;

	if (!loop)
		return -ENOMEM;
	loop->clock_fd = -1;
	loop->daemon = daemon;
	for (int i = 0; i < JOB_COUNT; i++)
		loop->rest[i] = (struct kf_loop_work){
			.item = { .step = rests[i], .done = end_rest },
			.loop = loop,
		};
	daemon->loop = loop;
	err = sd_event_new(&daemon->event);
	if (err >= 0)
		err = add_signals(daemon, daemon->event);
	if (err >= 0)
		err = add_descriptors(daemon, loop);
	if (err >= 0)
		err = add_timer(daemon, &loop->on_second, SECOND_US, on_second);
	if (err >= 0)
		err = add_work(daemon);
	if (err >= 0)
		err = add_cut(daemon);
	if (err >= 0)
		err = sd_event_set_watchdog(daemon->event,
					    true); /* nothing without WATCHDOG_USEC */
	if (err < 0)
		kf_loop_close(daemon);
	return err < 0 ? err : 0;
}

void kf_loop_close(struct kf_daemon *daemon)
{
	struct kf_loop *loop = daemon->loop;

	if (!loop)
		return;
	sd_event_source_disable_unref(loop->on_second);
	sd_event_source_disable_unref(loop->on_sweep);
	sd_event_source_disable_unref(loop->on_cut);
	sd_event_source_disable_unref(loop->after_all);
	kf_attach_queue_close(daemon->attaching);
	daemon->attaching = NULL;
	kf_work_close(daemon->work);
	daemon->work = NULL;
	daemon->event = sd_event_unref(daemon->event);
	if (loop->clock_fd >= 0)
		close(loop->clock_fd);
	kf_traffic_cut_close(daemon->cut);
	daemon->cut = NULL;
	kf_traffic_flows_close(daemon->flows);
	daemon->flows = NULL;
	free(loop);
	daemon->loop = NULL;
}

int kf_loop_run(struct kf_daemon *daemon)
{
	return sd_event_loop(daemon->event);
}
