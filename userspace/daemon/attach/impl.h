/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * impl.h - what the files of attach/ share among themselves.
 *
 *	attach.c	what an interface should carry, and in which order it is attached
 *	xdp.c		the XDP part
 *	xdp_held.c	keeps what ran as XDP
 *	xdp_stray.c	closes what libxdp forgot
 *	tc.c		the TC part, over tcx.c or clsact.c
 *	object.c	fits a program to the pinned maps, tells our programs from others
 *	running.c	finds the programs that run
 *	capture.c	turns what libbpf and libxdp print into an error
 *
 * Below attach.c an interface is named by its ifindex. Pins are in the directory <pin-dir>/links
 * and are named by ifindex too, since an interface's name may hold what a file name cannot:
 *
 *	7-in, 7-out	tcx links on ingress (of either program that runs there) and egress
 *	7-build		symlink to the build the interface carries, see kf_attach.build
 *	7-clsact	symlink: the clsact qdisc is of our making
 */
#ifndef KEYFILTER_DAEMON_ATTACH_IMPL_H
#define KEYFILTER_DAEMON_ATTACH_IMPL_H

#include <stdint.h>

#include <linux/types.h>

#include "attach/attach.h"
#include "maps/maps.h"

struct bpf_object;

/*
 * The programs on TC. One of two runs on ingress: in mode tc the whole filter, in the other modes
 * the program that answers for XDP. Attaching one of them replaces the other.
 */
enum kf_attach_part { KF_ATTACH_INGRESS, KF_ATTACH_ANSWER, KF_ATTACH_EGRESS };

struct kf_attach {
	char *pin_dir;
	int links_fd; /* the directory <pin-dir>/links */
	/* Ids of the pinned maps, 0: none. Programs that use this kf_config are ours. */
	__u32 map_id[KF_MAP_COUNT];
	/* So are programs whose kf_config has this secret, where the secret is known. */
	bool has_secret;
	__u64 secret[2];
	char build[17]; /* hash of the objects in this binary, in hex */
	bool tcx;	/* TC programs are attached as tcx links; false: as clsact filters */
	/* Programs found to be KF_ATTACH_OURS. They stay so: a program keeps its maps. */
	struct kf_attach_known *known;
	/* By interface, the XDP program that ran when all was in place; see xdp_held.c. */
	struct kf_attach_xdp_held *held;
};

/* By id, which is safe: the kernel uses an id again only after a very long time. */
struct kf_attach_known {
	struct {
		__u32 id;
		char name[16];
	} program[64];
	unsigned int next;
};

/* ---- capture.c ------------------------------------------------------------------------------- */

/* What libbpf and libxdp print between begin and end: the last of it, warnings only. */
struct kf_attach_capture {
	char text[4096];
	size_t length;
	struct kf_attach_capture *outer;
	void *libbpf_print;
	void *libxdp_print;
};

void kf_attach_capture_begin(struct kf_attach_capture *capture);
void kf_attach_capture_end(struct kf_attach_capture *capture);

/*
 * Returns @err; @why says "WHAT: what was printed; the mend", of one line. @dev is named in mends.
 */
int kf_attach_capture_explain(const struct kf_attach_capture *capture, int err, const char *dev,
			      struct kf_why *why, const char *what, ...)
	__attribute__((format(printf, 5, 6)));

/* Adds words of our own to what is kept, as if they were the kernel's last. */
void kf_attach_capture_say(const char *text);
#define KF_ATTACH_INGRESS_QDISC "an ingress qdisc has the place that a clsact one needs"

/* ---- xdp_stray.c ----------------------------------------------------------------------------- */

#define KF_ATTACH_STRAYS_MAX 64

/* Descriptors of programs that were open at the begin. */
struct kf_attach_xdp_strays {
	int fd[KF_ATTACH_STRAYS_MAX];
	int count; /* -errno: not known */
};

/* Between the two libxdp may be called; at the end what it has left open is closed. */
void kf_attach_xdp_strays_begin(struct kf_attach_xdp_strays *strays);
void kf_attach_xdp_strays_end(const struct kf_attach_xdp_strays *strays);

/* ---- object.c -------------------------------------------------------------------------------- */

/* KF_PROGRAM_* of what runs on TC. */
const char *kf_attach_object_program(enum kf_attach_part part);
/* Before the load: the object's maps of KF_MAPS become the pinned ones, if these fit. */
int kf_attach_object_bind(const struct kf_attach *attach, struct bpf_object *object,
			  struct kf_why *why);
/* What a program is to us. */
enum kf_attach_kind {
	KF_ATTACH_OTHER,
	KF_ATTACH_STALE, /* ours, but it uses another map than the pinned one */
	KF_ATTACH_OURS,
};
/* @name: the name it must have to be ours. */
enum kf_attach_kind kf_attach_object_kind(const struct kf_attach *attach, int program_fd,
					  const char *name);
enum kf_attach_kind kf_attach_object_id_kind(const struct kf_attach *attach, __u32 id,
					     const char *name);

/* The search for what runs, on one interface. */
struct kf_attach_search {
	kf_attach_program_fn fn;
	void *context;
	const char *dev;
	int ifindex;
};

/* Calls search->fn for program @id, if its name is one of ours. */
int kf_attach_object_tell(const struct kf_attach_search *search, __u32 id);

/* ---- xdp.c, tcx.c, clsact.c, for running.c --------------------------------------------------- */

int kf_attach_xdp_running(const struct kf_attach_search *search);
int kf_attach_tcx_running(const struct kf_attach_search *search);
int kf_attach_clsact_running(const struct kf_attach_search *search);

/* ---- xdp.c ----------------------------------------------------------------------------------- */

/* What is on, and unless that is KF_ATTACH_OTHER, in which mode (native or generic). -errno. */
int kf_attach_xdp_find(const struct kf_attach *attach, int ifindex, enum kf_attach_mode *mode);
/* What program @id is to us, which runs, or ran last, on the interface: ours, or its dispatcher. */
enum kf_attach_kind kf_attach_xdp_kind(const struct kf_attach *attach, int ifindex, __u32 id);
/* Is it there without a dispatcher? */
bool kf_attach_xdp_is_alone(const struct kf_attach *attach, int ifindex);
/* Adds this build's program, then takes off older ones of ours. */
int kf_attach_xdp_add(const struct kf_attach *attach, int ifindex, const char *dev,
		      enum kf_attach_mode mode, struct kf_why *why);
int kf_attach_xdp_remove(const struct kf_attach *attach, int ifindex, const char *dev,
			 struct kf_why *why);
/* Removes libxdp's pins of dispatchers that held ours and are attached no more. */
void kf_attach_xdp_sweep(const struct kf_attach *attach);
/* The embedded object, for the build hash. */
const void *kf_attach_xdp_object(size_t *size);

/* ---- xdp_held.c ------------------------------------------------------------------------------ */

/* All is in place on the interface: what runs as XDP is held from now on. */
void kf_attach_xdp_held_note(struct kf_attach *attach, int ifindex, enum kf_attach_mode mode);
/* Nothing runs as XDP: is what is held there again? */
bool kf_attach_xdp_held_put_back(const struct kf_attach *attach, int ifindex,
				 enum kf_attach_mode mode);
void kf_attach_xdp_held_drop(struct kf_attach *attach, int ifindex); /* 0: of all interfaces */

/* ---- tc.c ------------------------------------------------------------------------------------ */

bool kf_attach_tc_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_part part);
/* Adds this build's program, or puts it in the place of one of ours on the same hook at once. */
int kf_attach_tc_add(const struct kf_attach *attach, int ifindex, const char *dev,
		     enum kf_attach_part part, struct kf_why *why);
/* Takes off what is ours on the hook of @part. */
int kf_attach_tc_remove(const struct kf_attach *attach, int ifindex, const char *dev,
			enum kf_attach_part part, struct kf_why *why);
const void *kf_attach_tc_object(size_t *size);

/* ---- tcx.c, clsact.c: 0 or -errno, which tc.c explains --------------------------------------- */

bool kf_attach_tcx_is_supported(void);
bool kf_attach_tcx_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_part part);
int kf_attach_tcx_add(const struct kf_attach *attach, int ifindex, enum kf_attach_part part,
		      int program_fd);
int kf_attach_tcx_remove(const struct kf_attach *attach, int ifindex, enum kf_attach_part part);

/* Tries it in a network namespace of its own. False also when that cannot be made. */
bool kf_attach_clsact_is_missing(void);
bool kf_attach_clsact_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_part part);
/* -EEXIST: an ingress qdisc stands where clsact would. */
int kf_attach_clsact_add(const struct kf_attach *attach, int ifindex, enum kf_attach_part part,
			 int program_fd);
int kf_attach_clsact_remove(const struct kf_attach *attach, int ifindex, enum kf_attach_part part);

#endif
