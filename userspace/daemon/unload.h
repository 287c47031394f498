/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * unload.h - takes the filter off: programs from all interfaces, pins from the pin directory.
 *
 * The one thing that opens what was filtered, so it happens only when asked for by name, with
 * `keyfilterd --unload`: that asks a running daemon, which does it on its way out, or does it
 * itself where none runs. State directory and store stay. One thread.
 */
#ifndef KEYFILTER_DAEMON_UNLOAD_H
#define KEYFILTER_DAEMON_UNLOAD_H

#include <sys/types.h>

struct kf_attach;
struct kf_secret;
struct kf_why;

/* Takes the programs off every interface there is. 0, or the first error, and goes on after it. */
int kf_unload_programs(struct kf_attach *attach, struct kf_why *why);
/* Removes what is pinned below @pin_dir, and the directory. Maps and attach must be closed. */
int kf_unload_pins(const char *pin_dir, struct kf_why *why);

/*
 * Both, for a pin directory that no daemon holds. 0 also when there was nothing. With @secret,
 * which may be NULL, also what runs without its pins. -EXDEV: its interfaces are in another network
 * namespace than this process; -EBUSY: something of ours still runs, or may be ours.
 */
int kf_unload_alone(const char *pin_dir, const struct kf_secret *secret, struct kf_why *why);

/* Asks the daemon at @run_dir (its pid is @pid) to do it, and waits until it has ended. */
int kf_unload_ask(const char *run_dir, pid_t pid, struct kf_why *why);

#endif
