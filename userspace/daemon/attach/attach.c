// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an interface carries is read from the kernel each time. Only one thing is not written there:
 * which build of the programs it is. That stands in a symlink beside the pinned links, taken away
 * before a change and made again after it, so that a change cut short is done again.
 */
#include "attach/impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "store/secret.h"
#include "why.h"

static const char *const mode_names[] = {
	[KF_ATTACH_NATIVE] = "native",
	[KF_ATTACH_GENERIC] = "generic",
	[KF_ATTACH_TC] = "tc",
};

const char *kf_attach_mode_name(enum kf_attach_mode mode)
{
	return mode_names[mode];
}

int kf_attach_mode_parse(const char *text, enum kf_attach_mode *out)
{
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
		if (!strcmp(text, mode_names[i])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* ---- the build ------------------------------------------------------------------------------- */

/* FNV-1a: tells builds apart, no more. */
static uint64_t hash(uint64_t sum, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

static void name_build(struct kf_attach *attach)
{
	uint64_t sum = 0xcbf29ce484222325;
	const void *object;
	size_t size;

	object = kf_attach_xdp_object(&size);
	sum = hash(sum, object, size);
	object = kf_attach_tc_object(&size);
	sum = hash(sum, object, size);
	snprintf(attach->build, sizeof(attach->build), "%016" PRIx64, sum);
}

static bool is_same_build(const struct kf_attach *attach, int ifindex)
{
	char name[32], build[sizeof(attach->build)] = "";

	snprintf(name, sizeof(name), "%d-build", ifindex);
	return readlinkat(attach->links_fd, name, build, sizeof(build) - 1) > 0 &&
	       !strcmp(build, attach->build);
}

static int forget_build(const struct kf_attach *attach, int ifindex)
{
	char name[32];

	snprintf(name, sizeof(name), "%d-build", ifindex);
	return unlinkat(attach->links_fd, name, 0) && errno != ENOENT ? -errno : 0;
}

static int note_build(const struct kf_attach *attach, int ifindex)
{
	char name[32];

	snprintf(name, sizeof(name), "%d-build", ifindex);
	return symlinkat(attach->build, attach->links_fd, name) ? -errno : 0;
}

/* ---- open, close ----------------------------------------------------------------------------- */

void kf_attach_close(struct kf_attach *attach)
{
	if (!attach)
		return;
	if (attach->links_fd >= 0)
		close(attach->links_fd);
	kf_attach_xdp_held_drop(attach, 0);
	free(attach->pin_dir);
	free(attach->known);
	explicit_bzero(attach, sizeof(*attach));
	free(attach);
}

KF_CLEANUP_DEFINE(struct kf_attach, kf_attach_close)

static int open_links(const char *pin_dir, struct kf_why *why)
{
	struct statfs fs;
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/links", pin_dir) >= (int)sizeof(path))
		return kf_why_set(
			why, -ENAMETOOLONG,
			"the pin directory's name is too long; choose a shorter --pin-dir");
	if (statfs(pin_dir, &fs) || fs.f_type != BPF_FS_MAGIC)
		return kf_why_set(why, -ENOTSUP,
				  "%s is not on a BPF file system; mount -t bpf bpf /sys/fs/bpf, "
				  "or choose a --pin-dir below one",
				  pin_dir);
	if (mkdir(path, 0700) && errno != EEXIST)
		return kf_why_set(why, -errno, "cannot make %s: %s; %s", path, strerror(errno),
				  kf_why_mend(-errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return kf_why_set(why, -errno, "cannot open %s: %s; %s", path, strerror(errno),
				  kf_why_mend(-errno));
	return fd;
}

int kf_attach_check_namespace(const char *pin_dir, struct kf_why *why)
{
	char path[PATH_MAX], own[64] = "", noted[64] = "";

	snprintf(path, sizeof(path), "%s/%s", pin_dir, KF_ATTACH_NETNS);
	if (readlink(path, noted, sizeof(noted) - 1) < 0 ||
	    readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0 || !strcmp(own, noted))
		return 0;
	return kf_why_set(why, -EXDEV,
			  "%s belongs to the network namespace %s, and this is %s; run it there "
			  "(nsenter --net=FILE), or, if that one is gone, remove %s first",
			  pin_dir, noted, own, path);
}

/* For an unload, which finds the interfaces only where they are. */
static int note_namespace(const char *pin_dir, struct kf_why *why)
{
	char path[PATH_MAX], own[64] = "";

	if (readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0)
		return 0; /* without /proc an unload cannot ask, either */
	snprintf(path, sizeof(path), "%s/%s", pin_dir, KF_ATTACH_NETNS);
	if ((unlink(path) && errno != ENOENT) || symlink(own, path))
		return kf_why_set(why, -errno, "cannot write %s: %s; %s", path, strerror(errno),
				  kf_why_mend(-errno));
	return 0;
}

int kf_attach_open_again(struct kf_attach *attach, struct kf_why *why)
{
	char path[PATH_MAX];
	struct stat there, ours;
	int fd;

	snprintf(path, sizeof(path), "%s/links", attach->pin_dir);
	if (!stat(path, &there) && !fstat(attach->links_fd, &ours) && there.st_dev == ours.st_dev &&
	    there.st_ino == ours.st_ino)
		return 0;
	fd = open_links(attach->pin_dir, why);
	if (fd < 0)
		return fd;
	close(attach->links_fd);
	attach->links_fd = fd;
	return note_namespace(attach->pin_dir, why);
}

/* Without kf_config only the secret could tell what is ours. */
static int open_maps(struct kf_attach *attach, const char *pin_dir, struct kf_why *why)
{
	kf_maps_pin_ids(pin_dir, attach->map_id);
	if (attach->map_id[KF_MAP_kf_config] || attach->has_secret)
		return 0;
	return kf_why_set(
		why, -ENOENT,
		"there is no map %s/maps/kf_config; see that bpffs is mounted there (mount -t bpf "
		"bpf /sys/fs/bpf) and that it is the --pin-dir that keyfilterd was started with",
		pin_dir);
}

int kf_attach_open(struct kf_attach **out, const char *pin_dir, const struct kf_secret *secret,
		   struct kf_why *why)
{
	_cleanup_(kf_attach_closep) struct kf_attach *attach = calloc(1, sizeof(*attach));
	int err;

	if (!attach)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	attach->links_fd = -1;
	attach->pin_dir = strdup(pin_dir);
	attach->known = calloc(1, sizeof(*attach->known));
	if (!attach->pin_dir || !attach->known)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	attach->has_secret = secret;
	if (secret)
		memcpy(attach->secret, secret->key, sizeof(attach->secret));
	err = open_maps(attach, pin_dir, why);
	if (err)
		return err;
	attach->links_fd = open_links(pin_dir, why);
	if (attach->links_fd < 0)
		return attach->links_fd;
	err = note_namespace(pin_dir, why);
	if (err)
		return err;
	name_build(attach);
	attach->tcx = kf_attach_tcx_is_supported();
	*out = TAKE_PTR(attach);
	return 0;
}

/* ---- vanished interfaces --------------------------------------------------------------------- */

/* A tcx link is dead without its interface; its pin, and what stands beside it, are not. */
static void sweep(struct kf_attach *attach)
{
	int fd = openat(attach->links_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char name[IF_NAMESIZE];

	while (dir && (entry = readdir(dir))) {
		int ifindex = atoi(entry->d_name);

		if (ifindex > 0 && !if_indextoname(ifindex, name) && errno == ENXIO) {
			kf_attach_xdp_held_drop(attach, ifindex);
			unlinkat(attach->links_fd, entry->d_name, 0);
		}
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	kf_attach_xdp_sweep(attach);
}

/* ---- attach, detach -------------------------------------------------------------------------- */

/* The filter of ours on the ingress side; what answers for XDP is none. */
struct ingress {
	enum kf_attach_kind kind;
	enum kf_attach_mode mode;
};

static int look_at_ingress(const struct kf_attach *attach, int ifindex, struct ingress *out)
{
	enum kf_attach_mode mode = KF_ATTACH_TC;
	int found = kf_attach_xdp_find(attach, ifindex, &mode);

	if (found < 0)
		return found;
	if (!found && kf_attach_tc_is_on(attach, ifindex, KF_ATTACH_INGRESS))
		found = KF_ATTACH_OURS;
	*out = (struct ingress){ .kind = found, .mode = mode };
	return 0;
}

/* Which programs are on an interface; those that its mode does not have count as there. */
struct parts {
	bool egress;
	bool answer;
	bool ingress;
};

static bool is_answer_on(const struct kf_attach *attach, int ifindex, enum kf_attach_mode mode)
{
	return mode == KF_ATTACH_TC || kf_attach_tc_is_on(attach, ifindex, KF_ATTACH_ANSWER);
}

static int explain_links(const struct kf_attach *attach, int err, struct kf_why *why)
{
	return kf_why_set(why, err, "cannot write below %s/links: %s; %s", attach->pin_dir,
			  strerror(-err), kf_why_mend(err));
}

static int add_ingress(const struct kf_attach *attach, int ifindex, const char *dev,
		       enum kf_attach_mode mode, struct kf_why *why)
{
	if (mode == KF_ATTACH_TC)
		return kf_attach_tc_add(attach, ifindex, dev, KF_ATTACH_INGRESS, why);
	return kf_attach_xdp_add(attach, ifindex, dev, mode, why);
}

/*
 * Egress first: it sees the handshakes that ingress asks for. XDP last: what it hands over to be
 * answered, the stack would drop in silence.
 */
static int add_parts(const struct kf_attach *attach, int ifindex, const char *dev,
		     enum kf_attach_mode mode, const struct parts *fine, struct kf_why *why)
{
	int err = 0;

	if (!fine->egress)
		err = kf_attach_tc_add(attach, ifindex, dev, KF_ATTACH_EGRESS, why);
	if (!err && !fine->answer)
		err = kf_attach_tc_add(attach, ifindex, dev, KF_ATTACH_ANSWER, why);
	if (!err && !fine->ingress)
		err = add_ingress(attach, ifindex, dev, mode, why);
	return err;
}

static int add_missing(const struct kf_attach *attach, int ifindex, const char *dev,
		       enum kf_attach_mode mode, bool ingress_on, struct kf_why *why)
{
	const struct parts on = {
		.egress = kf_attach_tc_is_on(attach, ifindex, KF_ATTACH_EGRESS),
		.answer = is_answer_on(attach, ifindex, mode),
		.ingress = ingress_on,
	};
	const struct parts stale = { .answer = mode == KF_ATTACH_TC };
	bool same = is_same_build(attach, ifindex);
	int err;

	if (same && on.egress && on.answer && on.ingress)
		return 0;
	err = forget_build(attach, ifindex);
	if (err)
		return explain_links(attach, err, why);
	err = add_parts(attach, ifindex, dev, mode, same ? &on : &stale, why);
	if (err) {
		if (!on.answer)
			kf_attach_tc_remove(attach, ifindex, dev, KF_ATTACH_ANSWER, NULL);
		if (!on.egress)
			kf_attach_tc_remove(attach, ifindex, dev, KF_ATTACH_EGRESS, NULL);
		return err;
	}
	err = note_build(attach, ifindex);
	return err ? explain_links(attach, err, why) : 0;
}

int kf_attach_add(struct kf_attach *attach, const char *dev, enum kf_attach_mode mode,
		  struct kf_why *why)
{
	int ifindex = (int)if_nametoindex(dev);
	struct ingress ingress;
	int err;

	/* before the sweep, which takes away what is attached no more */
	if (ifindex && is_same_build(attach, ifindex))
		kf_attach_xdp_held_put_back(attach, ifindex, mode);
	else if (ifindex)
		kf_attach_xdp_held_drop(attach, ifindex);
	sweep(attach);
	if (!ifindex)
		return kf_why_set(why, -ENODEV, "there is no interface %s here; see `ip link`",
				  dev);
	err = look_at_ingress(attach, ifindex, &ingress);
	if (err)
		return kf_why_set(
			why, err,
			"cannot see what runs on %s: %s; %s, and see `xdp-loader status %s`", dev,
			strerror(-err), kf_why_mend(err), dev);
	if (ingress.kind && ingress.mode != mode)
		return kf_why_set(
			why, -EBUSY,
			"%s is attached in %s mode; detach it first (keyfilterctl iface detach %s)",
			dev, mode_names[ingress.mode], dev);
	return add_missing(attach, ifindex, dev, mode, ingress.kind == KF_ATTACH_OURS, why);
}

int kf_attach_remove(struct kf_attach *attach, const char *dev, struct kf_why *why)
{
	int ifindex = (int)if_nametoindex(dev);
	int err = 0, first = 0;

	if (ifindex)
		kf_attach_xdp_held_drop(attach, ifindex);
	sweep(attach);
	if (!ifindex)
		return 0;
	first = kf_attach_xdp_remove(attach, ifindex, dev, why); /* in reverse */
	if (first)
		return first; /* the filter stays, and needs what is on TC */
	err = kf_attach_tc_remove(attach, ifindex, dev, KF_ATTACH_INGRESS, first ? NULL : why);
	first = first ? first : err;
	err = kf_attach_tc_remove(attach, ifindex, dev, KF_ATTACH_EGRESS, first ? NULL : why);
	first = first ? first : err;
	return first ? first : forget_build(attach, ifindex);
}

unsigned int kf_attach_lacks(struct kf_attach *attach, const char *dev, enum kf_attach_mode mode)
{
	int ifindex = (int)if_nametoindex(dev);
	struct ingress ingress;
	unsigned int lacks = 0;

	if (!ifindex || look_at_ingress(attach, ifindex, &ingress) ||
	    ingress.kind != KF_ATTACH_OURS || ingress.mode != mode)
		lacks |= KF_ATTACH_LACKS_FILTER;
	if (!ifindex || !is_answer_on(attach, ifindex, mode))
		lacks |= KF_ATTACH_LACKS_ANSWER;
	if (!ifindex || !kf_attach_tc_is_on(attach, ifindex, KF_ATTACH_EGRESS))
		lacks |= KF_ATTACH_LACKS_EGRESS;
	if (!lacks)
		kf_attach_xdp_held_note(attach, ifindex, mode);
	return lacks;
}

bool kf_attach_is_on(struct kf_attach *attach, const char *dev, enum kf_attach_mode mode)
{
	return !kf_attach_lacks(attach, dev, mode);
}

bool kf_attach_is_alone(struct kf_attach *attach, const char *dev)
{
	int ifindex = (int)if_nametoindex(dev);

	return ifindex && kf_attach_xdp_is_alone(attach, ifindex);
}
