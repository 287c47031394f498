/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * daemon.h - the state of one keyfilterd, passed to every part that needs it.
 *
 * main.c owns the struct: it opens the members in the order in which they stand here (the order is
 * the security argument, see main.c) and closes them in reverse. All that changes anything runs in
 * one thread, the loop's, so nothing here is locked; attach/queue.h lends attach to another, api.h
 * says what runs beside it. Members are pointers to what other files own; a file that gets the
 * whole struct (the API handlers, the timers) may use every member, and must not keep a copy of
 * one.
 */
#ifndef KEYFILTER_DAEMON_BASE_DAEMON_H
#define KEYFILTER_DAEMON_BASE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/lock.h"

struct kf_store;
struct kf_maps;
struct kf_secret;
struct kf_policy;
struct kf_attach;
struct kf_attach_queue;
struct kf_iface;
struct kf_linkwatch;
struct kf_events;
struct kf_penalty_watch;
struct kf_api;
struct kf_ask;
struct kf_load;
struct kf_loop;
struct kf_work;
struct kf_api_usage;
struct kf_cut;
struct kf_flows;
struct sd_event;

/* Reports of what requests have used. The loop's thread; others have a copy. */
struct kf_daemon_usage {
	uint64_t booked;
	uint64_t repeated; /* booked before */
	uint64_t refused;
};

struct kf_daemon {
	struct kf_config_settings settings; /* defaults filled in; read only after the start */
	const char *state_dir;		    /* 0700: store and secret */
	const char *run_dir;		    /* 0755: socket, and the lock with our pid in it */
	const char *pin_dir;		    /* on bpffs; kf_maps_open() locks it */
	uint64_t started_ns;		    /* CLOCK_BOOTTIME */

	struct kf_lock state_lock; /* one daemon per state directory, */
	struct kf_lock run_lock;   /* and per run directory */
	struct kf_store *store;
	struct kf_secret *secret;
	struct kf_maps *maps;
	struct kf_policy *policy;
	struct kf_attach *attach; /* in the loop only while no task of attaching runs */
	struct kf_linkwatch *linkwatch;
	struct kf_iface *ifaces; /* what iface.c remembers */
	struct kf_events *events;
	struct kf_penalty_watch *penalties;
	struct sd_event *event;		   /* the loop's, for sources of one's own */
	struct kf_attach_queue *attaching; /* interfaces that are attached beside the loop */
	struct kf_work *work;		   /* what takes long */
	struct kf_api_usage *usage;	   /* reports that wait to be booked; NULL: none does */
	struct kf_daemon_usage used;	   /* reports since the start */
	struct kf_flows *flows;		   /* the sweep over connections */
	struct kf_cut *cut;		   /* the walk over revoked requests */
	struct kf_load *load;		   /* the start's long part */
	struct kf_loop *loop;
	struct kf_api *api; /* last to open, first to close */
	/*
	 * NULL in main.c's struct. A reading thread of the admin server gets a copy of it in which
	 * store, policy and maps are for reading, what belongs to the loop is NULL, and this is the
	 * way to ask for it (ask.h).
	 */
	struct kf_ask *ask;

	bool guarding; /* a look at the interfaces waits for its turn */
	bool loading;  /* not all keys are in the kernel yet: nothing is attached (load.h) */
	int failed;    /* -errno that ends it, logged; 0: none */
	bool unload;   /* set by POST /v1/unload: take everything off at the end */
};

#endif
