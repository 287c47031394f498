/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iface_guard.h - when to put back what somebody took off an interface.
 *
 * At once the first time. Somebody who takes it off again and again would only make two programs
 * fight, each load of ours costing the kernel's verifier a while: so each further time waits for
 * longer. Times are CLOCK_BOOTTIME nanoseconds. Pure; iface.c owns one for each interface.
 */
#ifndef KEYFILTER_DAEMON_ATTACH_IFACE_GUARD_H
#define KEYFILTER_DAEMON_ATTACH_IFACE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#define KF_IFACE_GUARD_CALM_S 600 /* so long after the last loss all are forgotten */
#define KF_IFACE_GUARD_REST_S 60  /* the longest wait */

struct kf_attach_iface_guard {
	bool off;	     /* it lacks something, and is to be attached again at next_ns */
	unsigned int lost;   /* so many times, without a calm in between */
	uint64_t lost_ns;    /* the last time */
	unsigned int failed; /* tries since then */
	uint64_t next_ns;
};

/* It lacks something at @now that was there before. */
void kf_attach_iface_guard_lose(struct kf_attach_iface_guard *guard, uint64_t now);
/* Attaching it at @now failed: the next try waits for longer. */
void kf_attach_iface_guard_fail(struct kf_attach_iface_guard *guard, uint64_t now);
/* It is in place again; what was lost before counts for a while. */
void kf_attach_iface_guard_restore(struct kf_attach_iface_guard *guard);

/* Its operator has attached it by hand: what was lost before does not count any more. */
void kf_attach_iface_guard_forget(struct kf_attach_iface_guard *guard);

bool kf_attach_iface_guard_is_due(const struct kf_attach_iface_guard *guard, uint64_t now);
/* Has it been taken off more than once of late? */
bool kf_attach_iface_guard_is_fight(const struct kf_attach_iface_guard *guard, uint64_t now);
/* Whole seconds until the next try. */
unsigned int kf_attach_iface_guard_wait(const struct kf_attach_iface_guard *guard, uint64_t now);

#endif
