// SPDX-License-Identifier: GPL-2.0-only
/*
 * XDP, through libxdp's dispatcher: our program is one of up to ten that run on the interface,
 * early, and hands on what it passes. libxdp pins each program of dispatcher D of interface I below
 * /sys/fs/bpf/xdp/dispatch-I-D/ (its protocol.org); the dispatcher itself lives by being attached.
 * Where the kernel refuses freplace, libxdp attaches a single program without a dispatcher, in the
 * mode asked for: then ours is alone on the interface ("legacy" in libxdp's words).
 *
 * What is asked often is asked without libxdp, which is slower and loses descriptors
 * (xdp_stray.c).
 */
#include "attach/impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <keyfilter/abi.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "bpf/keyfilter_xdp.skel.h"
#include "cleanup.h"
#include "why.h"

#define RUN_PRIORITY 10 /* libxdp's default is 50; low runs early */
#define PROGRAMS_MAX 10 /* of a dispatcher */
#define LOOKS_MAX    8

KF_CLEANUP_DEFINE(struct keyfilter_xdp, keyfilter_xdp__destroy)
KF_CLEANUP_DEFINE(struct xdp_program, xdp_program__close)
KF_CLEANUP_DEFINE(struct xdp_multiprog, xdp_multiprog__close)

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static const char *words(enum kf_attach_mode mode)
{
	return mode == KF_ATTACH_NATIVE ? "native" : "generic";
}

static enum xdp_attach_mode xdp_mode(enum kf_attach_mode mode)
{
	return mode == KF_ATTACH_NATIVE ? XDP_MODE_NATIVE : XDP_MODE_SKB;
}

/* What runs on the interface, NULL when nothing does. */
static int open_multiprog(int ifindex, struct xdp_multiprog **out)
{
	struct xdp_multiprog *multiprog;
	__u32 id = 0;
	int err = bpf_xdp_query_id(ifindex, 0, &id);

	*out = NULL;
	if (err)
		return err;
	multiprog = xdp_multiprog__get_from_ifindex(ifindex);
	err = libxdp_get_error(multiprog);
	if (!err)
		*out = multiprog;
	return err == -ENOENT ? 0 : err;
}

static bool is_ours(const struct kf_attach *attach, int program_fd)
{
	return kf_attach_object_kind(attach, program_fd, KF_PROGRAM_XDP) != KF_ATTACH_OTHER;
}

/* A program of ours other than @but (0: any); borrowed from @multiprog. */
static struct xdp_program *find_ours(const struct kf_attach *attach,
				     const struct xdp_multiprog *multiprog, __u32 but)
{
	struct xdp_program *program = NULL;

	if (xdp_multiprog__is_legacy(multiprog)) {
		program = xdp_multiprog__main_prog(multiprog);
		if (program && xdp_program__id(program) != but &&
		    is_ours(attach, xdp_program__fd(program)))
			return program;
		return NULL;
	}
	while ((program = xdp_multiprog__next_prog(program, multiprog)))
		if (xdp_program__id(program) != but && is_ours(attach, xdp_program__fd(program)))
			return program;
	return NULL;
}

/* Below this, libxdp pins. */
static int path_of(char out[PATH_MAX], const char *name)
{
	const char *bpffs = secure_getenv("LIBXDP_BPFFS");
	int length = snprintf(out, PATH_MAX, "%s/xdp%s", bpffs ? bpffs : "/sys/fs/bpf", name);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int pin_of(char out[PATH_MAX], int ifindex, __u32 dispatcher)
{
	char name[64];

	snprintf(name, sizeof(name), "/dispatch-%d-%u", ifindex, dispatcher);
	return path_of(out, name);
}

/* The best that a dispatcher holds. */
static enum kf_attach_kind kind_held(const struct kf_attach *attach, const char *dispatcher)
{
	enum kf_attach_kind best = KF_ATTACH_OTHER, kind;

	for (int i = 0; i < PROGRAMS_MAX; i++) {
		_cleanup_close_ int fd = -1;
		char path[PATH_MAX + 32];

		snprintf(path, sizeof(path), "%s/prog%d-prog", dispatcher, i);
		fd = bpf_obj_get(path);
		if (fd < 0)
			break;
		kind = kf_attach_object_kind(attach, fd, KF_PROGRAM_XDP);
		best = kind > best ? kind : best;
	}
	return best;
}

/* How ours runs on an interface. */
struct place {
	__u32 id; /* of what the interface runs: our program, or the dispatcher before it */
	enum kf_attach_kind kind;
	bool alone;
	enum kf_attach_mode mode;
};

enum kf_attach_kind kf_attach_xdp_kind(const struct kf_attach *attach, int ifindex, __u32 id)
{
	enum kf_attach_kind kind = kf_attach_object_id_kind(attach, id, KF_PROGRAM_XDP);
	char path[PATH_MAX];

	if (kind != KF_ATTACH_OTHER || pin_of(path, ifindex, id))
		return kind;
	return kind_held(attach, path);
}

static int look(const struct kf_attach *attach, int ifindex, struct place *out)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char path[PATH_MAX];
	int err = bpf_xdp_query(ifindex, 0, &query);

	*out = (struct place){ .id = query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id,
			       .mode = query.drv_prog_id ? KF_ATTACH_NATIVE : KF_ATTACH_GENERIC };
	if (err || !out->id)
		return err;
	out->kind = kf_attach_object_id_kind(attach, out->id, KF_PROGRAM_XDP);
	out->alone = out->kind != KF_ATTACH_OTHER;
	if (out->alone)
		return 0;
	err = pin_of(path, ifindex, out->id);
	if (err)
		return err;
	out->kind = kind_held(attach, path);
	return 0;
}

/* Again where somebody changed the dispatcher meanwhile: its pins are another's then. */
static int find_place(const struct kf_attach *attach, int ifindex, struct place *out)
{
	int err = look(attach, ifindex, out);
	struct place again = { 0 };

	for (int i = 0; !err && !out->kind && i < LOOKS_MAX; i++) {
		err = look(attach, ifindex, &again);
		if (again.id == out->id)
			break;
		*out = again;
	}
	return err;
}

int kf_attach_xdp_find(const struct kf_attach *attach, int ifindex, enum kf_attach_mode *mode)
{
	struct place place;
	int err = find_place(attach, ifindex, &place);

	if (err)
		return err;
	if (place.kind)
		*mode = place.mode;
	return (int)place.kind;
}

bool kf_attach_xdp_is_alone(const struct kf_attach *attach, int ifindex)
{
	struct place place;

	return !find_place(attach, ifindex, &place) && place.alone;
}

/* Takes off every program of ours but @but. */
static int drop_ours(const struct kf_attach *attach, int ifindex, __u32 but)
{
	for (int i = 0; i <= PROGRAMS_MAX; i++) {
		_cleanup_(xdp_multiprog__closep) struct xdp_multiprog *multiprog = NULL;
		struct xdp_program *program;
		int err = open_multiprog(ifindex, &multiprog);

		if (err || !multiprog)
			return err;
		program = find_ours(attach, multiprog, but);
		if (!program)
			return 0;
		err = xdp_program__detach(program, ifindex, xdp_multiprog__attach_mode(multiprog),
					  0);
		if (err)
			return err;
	}
	return -EAGAIN;
}

/* The object is the skeleton's: close the program first. */
static int make_program(const struct kf_attach *attach, struct keyfilter_xdp *skeleton,
			struct xdp_program **out, struct kf_why *why)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, options, .obj = skeleton->obj,
			    .prog_name = KF_PROGRAM_XDP);
	_cleanup_(xdp_program__closep) struct xdp_program *program = NULL;
	struct xdp_program *made;
	int err = kf_attach_object_bind(attach, skeleton->obj, why);

	if (err)
		return err;
	made = xdp_program__create(&options);
	err = libxdp_get_error(made);
	if (err)
		return err;
	program = made;

	for (unsigned int action = XDP_ABORTED; !err && action <= XDP_REDIRECT; action++)
		err = xdp_program__set_chain_call_enabled(program, action, action == XDP_PASS);
	if (!err)
		err = xdp_program__set_run_prio(program, RUN_PRIORITY);
	if (!err)
		err = xdp_program__set_xdp_frags_support(program, true);
	if (err)
		return err;
	*out = TAKE_PTR(program);
	return 0;
}

/* Do programs still run in a dispatcher? They hang on it by links, wherever these are pinned. */
static bool has_links(__u32 dispatcher)
{
	__u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		_cleanup_close_ int fd = bpf_link_get_fd_by_id(id);
		struct bpf_link_info info = { 0 };
		__u32 size = sizeof(info);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
		    info.type == BPF_LINK_TYPE_TRACING && info.tracing.target_obj_id == dispatcher)
			return true;
	}
	return false;
}

/*
 * A dispatcher whose pins are gone runs nothing any more, but is in the way: libxdp takes it
 * neither over nor off.
 */
static int drop_empty_dispatcher(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	LIBBPF_OPTS(bpf_xdp_attach_opts, options);
	_cleanup_close_ int fd = -1;
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info), id;
	char path[PATH_MAX];
	int err = bpf_xdp_query(ifindex, 0, &query);

	id = query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	if (err || !id || pin_of(path, ifindex, id) || !access(path, F_OK))
		return err;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ||
	    strcmp(info.name, "xdp_dispatcher") || has_links(id))
		return 0;
	options.old_prog_fd = fd;
	return bpf_xdp_detach(ifindex,
			      (query.drv_prog_id ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE) |
				      XDP_FLAGS_REPLACE,
			      &options);
}

/* A dispatcher runs the old and the new one, until the old is taken off. */
static int load_and_add(const struct kf_attach *attach, int ifindex, enum kf_attach_mode mode,
			struct kf_why *why)
{
	_cleanup_(keyfilter_xdp__destroyp) struct keyfilter_xdp *skeleton = keyfilter_xdp__open();
	_cleanup_(xdp_program__closep) struct xdp_program *program = NULL;
	int err;

	if (!skeleton)
		return -errno;
	err = make_program(attach, skeleton, &program, why);
	if (!err)
		err = xdp_program__attach(program, ifindex, xdp_mode(mode), 0);
	return err ? err : drop_ours(attach, ifindex, xdp_program__id(program));
}

/* Without a dispatcher the new program takes the place of @old in one step. */
static int load_and_replace(const struct kf_attach *attach, int ifindex, enum kf_attach_mode mode,
			    const struct xdp_program *old, struct kf_why *why)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = xdp_program__fd(old));
	_cleanup_(keyfilter_xdp__destroyp) struct keyfilter_xdp *skeleton = keyfilter_xdp__open();
	__u32 flags = mode == KF_ATTACH_NATIVE ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
	int err;

	if (!skeleton)
		return -errno;
	err = kf_attach_object_bind(attach, skeleton->obj, why);
	if (!err)
		err = keyfilter_xdp__load(skeleton);
	if (err)
		return err;
	return bpf_xdp_attach(ifindex, bpf_program__fd(skeleton->progs.keyfilter_xdp),
			      flags | XDP_FLAGS_REPLACE, &options);
}

static int add_or_replace(const struct kf_attach *attach, int ifindex, enum kf_attach_mode mode,
			  struct kf_why *why)
{
	_cleanup_(xdp_multiprog__closep) struct xdp_multiprog *multiprog = NULL;
	const struct xdp_program *old = NULL;
	int err = open_multiprog(ifindex, &multiprog);

	if (err)
		return err;
	if (multiprog && xdp_multiprog__is_legacy(multiprog))
		old = find_ours(attach, multiprog, 0);
	return old ? load_and_replace(attach, ifindex, mode, old, why)
		   : load_and_add(attach, ifindex, mode, why);
}

/* Others on the interface decide the mode, and must share it by a dispatcher. */
static int check_others(const struct kf_attach *attach, int ifindex, const char *dev,
			enum kf_attach_mode mode, struct kf_why *why)
{
	_cleanup_(xdp_multiprog__closep) struct xdp_multiprog *multiprog = NULL;
	int err = open_multiprog(ifindex, &multiprog);

	if (err || !multiprog || find_ours(attach, multiprog, 0))
		return err;
	if (xdp_multiprog__is_legacy(multiprog))
		return kf_why_set(why, -EBUSY,
				  "another XDP program (%s) holds %s without libxdp's dispatcher; "
				  "attach with --mode tc beside it, or, where this kernel has "
				  "freplace, take it off (ip link set dev %s xdp off) and load it "
				  "again with xdp-loader, so that both can run",
				  xdp_program__name(xdp_multiprog__main_prog(multiprog)), dev, dev);
	if (xdp_multiprog__attach_mode(multiprog) != xdp_mode(mode))
		return kf_why_set(why, -EBUSY,
				  "other XDP programs run on %s in %s mode; attach with --mode %s, "
				  "or take them off first (xdp-loader unload %s --all)",
				  dev, words(!mode), words(!mode), dev);
	return 0;
}

int kf_attach_xdp_add(const struct kf_attach *attach, int ifindex, const char *dev,
		      enum kf_attach_mode mode, struct kf_why *why)
{
	struct kf_attach_capture capture;
	struct kf_attach_xdp_strays strays;
	struct kf_why told = { 0 };
	int err;

	kf_attach_xdp_strays_begin(&strays);
	kf_attach_capture_begin(&capture);
	err = drop_empty_dispatcher(ifindex);
	if (!err)
		err = check_others(attach, ifindex, dev, mode, &told);
	if (!err)
		err = add_or_replace(attach, ifindex, mode, &told);
	kf_attach_capture_end(&capture);
	kf_attach_xdp_strays_end(&strays);
	if (err && told.text[0])
		*why = told;
	else if (err)
		kf_attach_capture_explain(&capture, err, dev, why,
					  "cannot attach XDP to %s in %s mode", dev, words(mode));
	return err;
}

int kf_attach_xdp_remove(const struct kf_attach *attach, int ifindex, const char *dev,
			 struct kf_why *why)
{
	struct kf_attach_capture capture;
	struct kf_attach_xdp_strays strays;
	int err;

	kf_attach_xdp_strays_begin(&strays);
	kf_attach_capture_begin(&capture);
	err = drop_empty_dispatcher(ifindex);
	if (!err)
		err = drop_ours(attach, ifindex, 0);
	kf_attach_capture_end(&capture);
	kf_attach_xdp_strays_end(&strays);
	if (err)
		kf_attach_capture_explain(&capture, err, dev, why, "cannot detach XDP from %s",
					  dev);
	return err;
}

/* ---- what runs ------------------------------------------------------------------------------- */

int kf_attach_xdp_running(const struct kf_attach_search *search)
{
	char dispatcher[PATH_MAX], path[PATH_MAX + 32];
	__u32 id = 0;
	int err = bpf_xdp_query_id(search->ifindex, 0, &id);

	if (err || !id)
		return err == -ENODEV ? 0 : err;
	err = kf_attach_object_tell(search, id);
	if (!err)
		err = pin_of(dispatcher, search->ifindex, id);
	for (int i = 0; !err && i < PROGRAMS_MAX; i++) {
		struct bpf_prog_info info = { 0 };
		_cleanup_close_ int fd = -1;
		__u32 size = sizeof(info);

		snprintf(path, sizeof(path), "%s/prog%d-prog", dispatcher, i);
		fd = bpf_obj_get(path);
		if (fd < 0)
			break;
		err = bpf_obj_get_info_by_fd(fd, &info, &size);
		if (!err)
			err = kf_attach_object_tell(search, info.id);
	}
	return err;
}

/* ---- what vanished interfaces leave behind --------------------------------------------------- */

static void remove_pins(const char *dispatcher)
{
	_cleanup_(close_dir) DIR *dir = opendir(dispatcher);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	rmdir(dispatcher);
}

/*
 * libxdp_clean_references() would do, but it takes an interface of another network namespace for a
 * vanished one, and its programs off with it. A dispatcher that holds ours is of this namespace.
 */
void kf_attach_xdp_sweep(const struct kf_attach *attach)
{
	_cleanup_(close_dir) DIR *dir = NULL;
	const struct dirent *entry;
	char path[PATH_MAX], name[sizeof(entry->d_name) + 1];
	int ifindex;
	__u32 id;

	if (path_of(path, ""))
		return;
	dir = opendir(path);
	if (!dir || flock(dirfd(dir), LOCK_EX)) /* libxdp's lock; closedir() lets it go */
		return;
	while ((entry = readdir(dir))) {
		__u32 attached = 0;

		if (sscanf(entry->d_name, "dispatch-%d-%u", &ifindex, &id) != 2)
			continue;
		if (!bpf_xdp_query_id(ifindex, 0, &attached) && attached == id)
			continue;
		snprintf(name, sizeof(name), "/%s", entry->d_name);
		if (!path_of(path, name) && kind_held(attach, path))
			remove_pins(path);
	}
}

const void *kf_attach_xdp_object(size_t *size)
{
	return keyfilter_xdp__elf_bytes(size);
}
