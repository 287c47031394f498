// SPDX-License-Identifier: GPL-2.0-only
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "clock.h"
#include "attach/iface.h"
#include "log.h"
#include "policy/policy.h"
#include "policy/reconcile_keys.h"
#include "why.h"
#include "base/work.h"

#define FIRST_NS 100000000ull  /* before the socket is there */
#define TELL_NS	 1000000000ull /* between two words to systemd */

struct kf_load {
	struct kf_work_item item;
	struct kf_daemon *daemon;
	struct kf_why why;
	uint64_t begun_ns, told_ns;
};

static void tell_ready(struct kf_daemon *daemon)
{
	uint64_t took_ns = kf_clock_boot() - daemon->load->begun_ns;

	sd_notify(0, "READY=1\nSTATUS=filtering");
	kf_log_notice("keyfilterd " KF_VERSION
		      " runs; admin socket in %s, pins in %s; the keys took %llu ms",
		      daemon->run_dir, daemon->pin_dir, (unsigned long long)took_ns / 1000000);
}

/* All keys are in: a program that runs from here on refuses nobody whose key is good. */
static void attach_all(struct kf_daemon *daemon, void (*then)(struct kf_daemon *daemon))
{
	daemon->loading = false;
	kf_attach_iface_open(daemon, then);
}

static int give_up(const struct kf_load *load, int err)
{
	kf_log_error("%s", *load->why.text ? load->why.text : strerror(-err));
	return err;
}

int kf_load_open(struct kf_daemon *daemon)
{
	uint64_t now = kf_clock_boot(), until = now + FIRST_NS;
	struct kf_load *load = calloc(1, sizeof(*load));
	int more = 1;

	if (!load)
		return -ENOMEM;
	daemon->load = load;
	daemon->loading = true;
	load->daemon = daemon;
	load->begun_ns = now;
	while (more > 0 && kf_clock_boot() < until)
		more = kf_policy_load(daemon->policy, &load->why);
	if (!more)
		attach_all(daemon, NULL);
	return more < 0 ? give_up(load, more) : 0;
}

static void tell_progress(struct kf_load *load)
{
	uint64_t now = kf_clock_boot();

	if (now - load->told_ns < TELL_NS)
		return;
	load->told_ns = now;
	sd_notifyf(0, "STATUS=starting: %u %% of the keys are in the kernel",
		   kf_policy_reconcile_keys_done(load->daemon->policy));
}

static int load_some(struct kf_work_item *item)
{
	struct kf_load *load = (struct kf_load *)item;

	tell_progress(load);
	return kf_policy_load(load->daemon->policy, &load->why);
}

static void end_load(struct kf_work_item *item, int result)
{
	struct kf_load *load = (struct kf_load *)item;
	struct kf_daemon *daemon = load->daemon;

	if (result == -ECANCELED)
		return;
	if (result) {
		daemon->failed = give_up(load, result);
		sd_event_exit(daemon->event, 0);
		return;
	}
	attach_all(daemon, tell_ready);
}

void kf_load_go_on(struct kf_daemon *daemon)
{
	struct kf_load *load = daemon->load;

	if (!daemon->loading) {
		tell_ready(daemon);
		return;
	}
	kf_log_notice("keyfilterd " KF_VERSION " starts; admin socket in %s, the keys follow",
		      daemon->run_dir);
	load->item = (struct kf_work_item){ .step = load_some, .done = end_load };
	kf_work_add(daemon->work, &load->item);
}

void kf_load_close(struct kf_daemon *daemon)
{
	free(daemon->load);
	daemon->load = NULL;
}
