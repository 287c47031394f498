/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * attach_fixture.h - a network namespace and a pin directory of the test's own, for tests of
 * attaching that include it once, after cmocka.h.
 *
 * Link userspace/daemon/attach*.o, netlink.o and why.o. Without root, bpffs or `ip`, everything
 * that needs them is skipped.
 */
#ifndef KEYFILTER_TEST_ATTACH_FIXTURE_H
#define KEYFILTER_TEST_ATTACH_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "attach/impl.h"
#include "attach/recover.h"
#include "store/secret.h"
#include "unload.h"
#include "bpf/keyfilter_xdp.skel.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of it */

#define BPFFS "/sys/fs/bpf"

static bool have_namespace;
static char pin_dirs[2][64];

#define NEEDS_NAMESPACE()                                                                          \
	do {                                                                                       \
		if (!have_namespace) {                                                             \
			print_message("SKIP: needs root, bpffs and iproute2\n");                   \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

#define assert_done(call)                                                                          \
	do {                                                                                       \
		int _err = (call);                                                                 \
		if (_err)                                                                          \
			print_message("%s: %d %s\n", #call, _err, why.text);                       \
		assert_int_equal(_err, 0);                                                         \
	} while (0)

static struct kf_why why;

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* The maps that the programs want, small, pinned where maps.c would. */
static void pin_maps(const char *pin_dir)
{
	struct keyfilter_xdp *skeleton = keyfilter_xdp__open();
	struct bpf_map *map;
	char path[256];

	assert_non_null(skeleton);
	bpf_object__for_each_map(map, skeleton->obj) {
		LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = bpf_map__map_flags(map));
		int fd;

		if (bpf_map__is_internal(map))
			continue;
		fd = bpf_map_create(bpf_map__type(map), bpf_map__name(map), bpf_map__key_size(map),
				    bpf_map__value_size(map), bpf_map__max_entries(map), &options);
		snprintf(path, sizeof(path), "%s/maps/%s", pin_dir, bpf_map__name(map));
		assert_true(fd >= 0);
		assert_int_equal(bpf_obj_pin(fd, path), 0);
		close(fd);
	}
	keyfilter_xdp__destroy(skeleton);
}

static int enter_namespace(void **state)
{
	char path[128];

	have_namespace = !access(BPFFS, W_OK) && !unshare(CLONE_NEWNET) &&
			 !system("ip link add kfa type veth peer name kfb 2>/dev/null");
	for (int i = 0; have_namespace && i < 2; i++) {
		/* bpffs keeps dots in names for itself */
		snprintf(pin_dirs[i], sizeof(pin_dirs[i]), BPFFS "/attach_test-%d-%d", getpid(), i);
		if (mkdir(pin_dirs[i], 0700)) {
			have_namespace = false;
			break;
		}
		snprintf(path, sizeof(path), "%s/maps", pin_dirs[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		pin_maps(pin_dirs[i]);
	}
	return 0;
}

static int leave_namespace(void **state)
{
	char command[128];

	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof(command), "rm -rf %s", pin_dirs[i]);
		if (have_namespace && system(command))
			return -1;
	}
	return 0;
}

static struct kf_attach *open_attach(int instance)
{
	struct kf_attach *attach = NULL;

	assert_done(kf_attach_open(&attach, pin_dirs[instance], NULL, &why));
	return attach;
}

static int count_pins(int instance)
{
	const struct dirent *entry;
	char path[128];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/links", pin_dirs[instance]);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static __u32 xdp_id(const char *dev)
{
	__u32 id = 0;

	assert_int_equal(bpf_xdp_query_id((int)if_nametoindex(dev), 0, &id), 0);
	return id;
}

static bool has_clsact(const char *dev)
{
	char command[128];

	snprintf(command, sizeof(command), "tc qdisc show dev %s | grep -q clsact", dev);
	return !system(command);
}

static void assert_nothing_left(const char *dev)
{
	assert_int_equal(xdp_id(dev), 0);
	assert_int_equal(count_pins(0), 0);
	assert_false(has_clsact(dev));
}

/* Which of our programs are on TC. */
static void assert_on_tc(const struct kf_attach *attach, bool ingress, bool answer, bool egress)
{
	int kfa = (int)if_nametoindex("kfa");

	assert_int_equal(kf_attach_tc_is_on(attach, kfa, KF_ATTACH_INGRESS), ingress);
	assert_int_equal(kf_attach_tc_is_on(attach, kfa, KF_ATTACH_ANSWER), answer);
	assert_int_equal(kf_attach_tc_is_on(attach, kfa, KF_ATTACH_EGRESS), egress);
}

/* Programs on TC, loaded now, that run over the maps of the first pin directory. */
static int count_programs(const struct kf_attach *attach)
{
	__u32 id = 0;
	int count = 0;

	while (!bpf_prog_get_next_id(id, &id))
		for (int part = KF_ATTACH_INGRESS; part <= KF_ATTACH_EGRESS; part++)
			count += kf_attach_object_id_kind(attach, id,
							  kf_attach_object_program(part)) ==
				 KF_ATTACH_OURS;
	return count;
}

/* What was replaced goes a moment later. */
static void assert_programs(const struct kf_attach *attach, int count)
{
	for (int i = 0; i < 200 && count_programs(attach) != count; i++)
		usleep(10000);
	assert_int_equal(count_programs(attach), count);
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif /* KEYFILTER_TEST_ATTACH_FIXTURE_H */
