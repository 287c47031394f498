/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * attach.h - puts the programs on interfaces and takes them off.
 *
 * An interface carries, in modes native and generic, the filter on XDP and on TC ingress the
 * program that answers for it; in mode tc the filter, which answers by itself, on TC ingress; in
 * every mode a program on TC egress. XDP goes through libxdp's dispatcher, so that other XDP
 * programs keep running beside ours; those on TC are tcx links where the kernel has them
 * (Linux 6.6), else clsact filters with a priority of our own. Everything outlives the process:
 * what is attached is found again by looking at the kernel, not at memory, and is ours when it runs
 * over this pin directory's kf_config, or over one with this installation's secret; so several
 * instances can share an interface. It is in place when all of its maps are the pinned ones.
 *
 * To be used by one thread at a time (queue.h says which), and in the network namespace that it
 * filters. Needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN (programs by id). Functions
 * return 0 or -errno, and @why, which may be NULL only where a function says so, then holds cause
 * and mend, with the kernel's extack text where there is one. Nothing is left half attached.
 */
#ifndef KEYFILTER_DAEMON_ATTACH_ATTACH_H
#define KEYFILTER_DAEMON_ATTACH_ATTACH_H

#include <stdbool.h>
#include <stddef.h>

#include "why.h"

enum kf_attach_mode { KF_ATTACH_NATIVE, KF_ATTACH_GENERIC, KF_ATTACH_TC };

/* @pin_dir/KF_ATTACH_NETNS is a symlink to what the network namespace of the last open was. */
#define KF_ATTACH_NETNS "netns"

struct kf_secret;
struct kf_attach; /* the pin directory and what the programs need; owned by the caller */

/*
 * @secret: of the installation, whose programs are its own also where they run over other maps than
 * the pinned ones; NULL: not known, and the maps alone tell.
 * @pin_dir: maps are pinned at @pin_dir/maps/NAME, links below @pin_dir/links. The maps must be
 * there already (kf_maps_open()), and stay the same while this is open.
 */
int kf_attach_open(struct kf_attach **out, const char *pin_dir, const struct kf_secret *secret,
		   struct kf_why *why);
/* What is noted beside the maps may be gone with the pins: makes room for it again. */
int kf_attach_open_again(struct kf_attach *attach, struct kf_why *why);
void kf_attach_close(struct kf_attach *attach); /* takes nothing off; NULL is fine */

/*
 * Is this the network namespace of the last open? -EXDEV: another one, where what runs on the
 * interfaces cannot be seen from here.
 */
int kf_attach_check_namespace(const char *pin_dir, struct kf_why *why);

/*
 * Calls @fn for each program of one of our names that runs on an interface of this network
 * namespace, whatever maps it uses. What @fn returns other than 0 ends it, and is returned.
 */
typedef int (*kf_attach_program_fn)(void *context, const char *dev, int program_fd);
int kf_attach_running_each(kf_attach_program_fn fn, void *context);

/*
 * Attaches @dev exactly as asked, XDP last; never falls back to another mode. An interface that
 * carries the same build of the programs already is left alone; another build is replaced without a
 * moment unfiltered. -EBUSY: attached in another mode (detach first), or other XDP programs stand
 * in the way; -ENODEV: no such interface.
 */
int kf_attach_add(struct kf_attach *attach, const char *dev, enum kf_attach_mode mode,
		  struct kf_why *why);

/*
 * Takes everything of ours off @dev, and what vanished interfaces left behind. 0 also when there
 * was nothing. -EBUSY: XDP stays as long as an interface above @dev (a bridge of which it is a
 * port, a VLAN) has it too, and then all stays. Else goes on after an error and returns the first.
 */
int kf_attach_remove(struct kf_attach *attach, const char *dev, struct kf_why *why);

/* What an interface may lack of what its mode needs; or-ed. */
enum kf_attach_lack {
	KF_ATTACH_LACKS_FILTER = 0x1, /* nothing is filtered */
	KF_ATTACH_LACKS_ANSWER = 0x2, /* XDP refuses, and nobody tells the client */
	KF_ATTACH_LACKS_EGRESS = 0x4, /* what the backend says and acknowledges is not seen */
};

/*
 * 0: all of @mode is in place on @dev. Asks the kernel, some ten system calls; any build will do.
 */
unsigned int kf_attach_lacks(struct kf_attach *attach, const char *dev, enum kf_attach_mode mode);
bool kf_attach_is_on(struct kf_attach *attach, const char *dev, enum kf_attach_mode mode);

/*
 * Ours runs on @dev as XDP but without a dispatcher, as the kernel refuses freplace: filtering is
 * whole, but no other XDP program can join. Worth a warning.
 */
bool kf_attach_is_alone(struct kf_attach *attach, const char *dev);

/*
 * Names what this kernel lacks of what the programs need: -EOPNOTSUPP; 0 when nothing. Attaches
 * nothing, and needs no maps. -EPERM: not permitted to ask.
 */
int kf_attach_probe(struct kf_why *why);

/* "native", "generic", "tc"; parse: -EINVAL for any other word. */
const char *kf_attach_mode_name(enum kf_attach_mode mode);
int kf_attach_mode_parse(const char *text, enum kf_attach_mode *out);

#endif
