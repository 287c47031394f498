// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching and detaching, in every mode, against the kernel: in a network namespace and below a
 * pin directory of the test's own. Links userspace/daemon/attach*.o, netlink.o and why.o. Without
 * root, bpffs or `ip`, everything that needs them is skipped. What needs libxdp's dispatcher (other
 * XDP programs beside ours) is left out where the kernel refuses freplace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

/* ---- what the tests stand on -------------------------------------------------------------- */

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

/* ---- tests -------------------------------------------------------------------------------- */

static void check_mode(enum kf_attach_mode mode, bool tcx)
{
	struct kf_attach *attach = open_attach(0);
	int descriptors;
	__u32 before;

	attach->tcx = attach->tcx && tcx;
	assert_done(kf_attach_add(attach, "kfa", mode, &why));
	for (int other = KF_ATTACH_NATIVE; other <= KF_ATTACH_TC; other++) {
		assert_int_equal(kf_attach_is_on(attach, "kfa", other), (int)mode == other);
		if ((int)mode != other)
			assert_int_equal(kf_attach_add(attach, "kfa", other, &why), -EBUSY);
	}
	assert_false(kf_attach_is_on(attach, "kfb", mode));
	assert_on_tc(attach, mode == KF_ATTACH_TC, mode != KF_ATTACH_TC, true);

	descriptors = count_descriptors();
	for (int i = 0; i < 10; i++) {
		assert_true(kf_attach_is_on(attach, "kfa", mode));
		kf_attach_is_alone(attach, "kfa");
	}
	assert_int_equal(count_descriptors(), descriptors); /* it is asked for every status */

	before = xdp_id("kfa");
	assert_done(kf_attach_add(attach, "kfa", mode, &why));
	assert_int_equal(xdp_id("kfa"), before); /* the same build is left alone */
	strcpy(attach->build, "another");
	assert_done(kf_attach_add(attach, "kfa", mode, &why));
	assert_true(mode == KF_ATTACH_TC || xdp_id("kfa") != before);
	assert_true(kf_attach_is_on(attach, "kfa", mode));
	assert_programs(attach, 2); /* none of the build before */
	kf_attach_close(attach);

	attach = open_attach(0); /* a restarted controller finds it */
	attach->tcx = attach->tcx && tcx;
	assert_true(kf_attach_is_on(attach, "kfa", mode));
	assert_done(kf_attach_remove(attach, "kfa", &why));
	assert_false(kf_attach_is_on(attach, "kfa", mode));
	assert_nothing_left("kfa");
	assert_done(kf_attach_remove(attach, "kfa", &why));
	kf_attach_close(attach);
}

static void test_attach_modes(void **state)
{
	NEEDS_NAMESPACE();
	for (int mode = KF_ATTACH_NATIVE; mode <= KF_ATTACH_TC; mode++) {
		check_mode(mode, true);
		check_mode(mode, false);
	}
}

/* A part that somebody took off is put back; the rest stays. */
static void check_repairs(bool tcx)
{
	struct kf_attach *attach = open_attach(0);
	int kfa = (int)if_nametoindex("kfa");
	__u32 before;

	attach->tcx = attach->tcx && tcx;
	assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_NATIVE, &why));
	run("ip link set dev kfa xdp off");
	assert_int_equal(kf_attach_lacks(attach, "kfa", KF_ATTACH_NATIVE), KF_ATTACH_LACKS_FILTER);
	assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_NATIVE, &why));
	assert_true(kf_attach_is_on(attach, "kfa", KF_ATTACH_NATIVE));

	before = xdp_id("kfa");
	for (int part = KF_ATTACH_ANSWER; part <= KF_ATTACH_EGRESS; part++) {
		assert_done(kf_attach_tc_remove(attach, kfa, "kfa", part, &why));
		assert_int_equal(kf_attach_lacks(attach, "kfa", KF_ATTACH_NATIVE),
				 part == KF_ATTACH_ANSWER ? KF_ATTACH_LACKS_ANSWER
							  : KF_ATTACH_LACKS_EGRESS);
		assert_false(kf_attach_is_on(attach, "kfa", KF_ATTACH_NATIVE));
		assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_NATIVE, &why));
		assert_on_tc(attach, false, true, true);
	}
	assert_int_equal(xdp_id("kfa"), before);
	assert_done(kf_attach_remove(attach, "kfa", &why));
	assert_nothing_left("kfa");
	kf_attach_close(attach);
}

static void test_attach_repairs(void **state)
{
	NEEDS_NAMESPACE();
	check_repairs(true);
	check_repairs(false);
}

/* What answers for XDP is not the filter of mode tc, and gives way to it. */
static void check_left_answer(bool tcx)
{
	struct kf_attach *attach = open_attach(0);

	attach->tcx = attach->tcx && tcx;
	assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_NATIVE, &why));
	run("ip link set dev kfa xdp off");
	assert_false(kf_attach_is_on(attach, "kfa", KF_ATTACH_TC));
	assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_TC, &why));
	assert_true(kf_attach_is_on(attach, "kfa", KF_ATTACH_TC));
	assert_on_tc(attach, true, false, true);
	assert_programs(attach, 2);
	assert_int_equal(kf_attach_add(attach, "kfa", KF_ATTACH_NATIVE, &why), -EBUSY);
	assert_done(kf_attach_remove(attach, "kfa", &why));
	assert_nothing_left("kfa");
	assert_programs(attach, 0);
	kf_attach_close(attach);
}

static void test_attach_left_answer(void **state)
{
	NEEDS_NAMESPACE();
	check_left_answer(true);
	check_left_answer(false);
}

static void set_secret(int instance, const struct kf_secret *secret)
{
	struct kf_config config = { .magic = KF_ABI_MAGIC, .version = KF_ABI_VERSION };
	char path[128];
	__u32 zero = 0;
	int fd;

	memcpy(config.secret, secret->key, sizeof(config.secret));
	snprintf(path, sizeof(path), "%s/maps/kf_config", pin_dirs[instance]);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, &config, 0), 0);
	close(fd);
}

/* A program of this installation over other maps than the pinned ones is ours, and does not do. */
static void check_stale(enum kf_attach_mode mode, bool tcx)
{
	const struct kf_secret secret = { { 1, 2 } }, other = { { 1, 3 } };
	struct kf_attach *attach = open_attach(0);
	__u32 before;

	attach->tcx = attach->tcx && tcx;
	set_secret(0, &secret);
	set_secret(1, &secret);
	assert_done(kf_attach_add(attach, "kfa", mode, &why));
	assert_int_equal(kf_attach_recover_is_off(pin_dirs[0], &other, &why), 0);
	assert_int_equal(kf_attach_recover_is_off(pin_dirs[0], &secret, &why), -EBUSY);
	assert_int_equal(kf_attach_recover_pins(pin_dirs[0], &secret, &why), 0);
	assert_int_equal(kf_attach_recover_pins(pin_dirs[1], &other, &why), 0);
	assert_int_equal(kf_attach_recover_pins(pin_dirs[1], &secret, &why), -EBUSY);
	assert_non_null(strstr(why.text, pin_dirs[0]));
	kf_attach_close(attach);

	before = xdp_id("kfa");
	assert_done(kf_attach_open(&attach, pin_dirs[1], &secret, &why));
	attach->tcx = attach->tcx && tcx;
	assert_int_not_equal(kf_attach_lacks(attach, "kfa", mode), 0);
	assert_done(kf_attach_add(attach, "kfa", mode, &why));
	assert_true(kf_attach_is_on(attach, "kfa", mode));
	assert_true(mode == KF_ATTACH_TC || xdp_id("kfa") != before);
	assert_done(kf_attach_remove(attach, "kfa", &why));
	kf_attach_close(attach);
	attach = open_attach(0);
	attach->tcx = attach->tcx && tcx;
	assert_done(kf_attach_remove(attach, "kfa", &why));
	assert_nothing_left("kfa");
	assert_int_equal(kf_attach_recover_is_off(pin_dirs[0], &secret, &why), 0);
	kf_attach_close(attach);
}

static void test_attach_stale(void **state)
{
	NEEDS_NAMESPACE();
	check_stale(KF_ATTACH_NATIVE, true);
	check_stale(KF_ATTACH_GENERIC, false);
	check_stale(KF_ATTACH_TC, false);
}

/* Attaching, replacing and detaching leave no descriptor open, neither ours nor libxdp's. */
static void test_attach_descriptors(void **state)
{
	struct kf_attach *attach;
	int before;

	NEEDS_NAMESPACE();
	attach = open_attach(0);
	before = count_descriptors();
	for (int mode = KF_ATTACH_NATIVE; mode <= KF_ATTACH_TC; mode++) {
		for (int i = 0; i < 2; i++) {
			assert_done(kf_attach_add(attach, "kfa", mode, &why));
			strcpy(attach->build, i % 2 ? "another" : "yet another");
			assert_done(kf_attach_add(attach, "kfa", mode, &why));
			assert_done(kf_attach_remove(attach, "kfa", &why));
			assert_int_equal(count_descriptors(), before);
		}
	}
	kf_attach_close(attach);
}

/* A bridge and its port: the kernel lets the port's XDP go only when the bridge has none. */
static void test_attach_bridge(void **state)
{
	struct kf_attach *attach;

	NEEDS_NAMESPACE();
	run("ip link add kfbr type bridge && ip link set kfa master kfbr");
	attach = open_attach(0);
	for (int mode = KF_ATTACH_NATIVE; mode <= KF_ATTACH_GENERIC; mode++) {
		assert_done(kf_attach_add(attach, "kfa", mode, &why));
		assert_done(kf_attach_add(attach, "kfbr", KF_ATTACH_GENERIC, &why));
		assert_int_equal(kf_attach_remove(attach, "kfa", &why), -EBUSY);
		assert_non_null(strstr(why.text, "detach that one first"));
		assert_int_equal(kf_attach_lacks(attach, "kfa", mode), 0);
		assert_done(kf_unload_programs(attach, &why));
		assert_nothing_left("kfa");
		assert_nothing_left("kfbr");
	}
	kf_attach_close(attach);
	run("ip link delete kfbr");
}

static void test_attach_failures(void **state)
{
	struct kf_attach *attach;

	NEEDS_NAMESPACE();
	attach = open_attach(0);
	assert_int_equal(kf_attach_add(attach, "none", KF_ATTACH_TC, &why), -ENODEV);
	assert_done(kf_attach_remove(attach, "none", &why));

	/* the kernel's words, and what to do; nothing stays half attached */
	assert_int_equal(kf_attach_add(attach, "lo", KF_ATTACH_NATIVE, &why), -EOPNOTSUPP);
	assert_non_null(strstr(why.text, "driver does not support XDP in native mode; "));
	assert_non_null(strstr(why.text, "--mode generic"));
	assert_nothing_left("lo");

	/* XDP comes last: where it cannot be, what was put on TC before goes again */
	attach->tcx = false;
	assert_int_equal(kf_attach_add(attach, "lo", KF_ATTACH_NATIVE, &why), -EOPNOTSUPP);
	assert_nothing_left("lo");
	assert_programs(attach, 0);

	/* filters for egress would run on ingress */
	run("tc qdisc add dev kfa ingress");
	assert_int_equal(kf_attach_add(attach, "kfa", KF_ATTACH_TC, &why), -EEXIST);
	assert_non_null(
		strstr(why.text, ": an ingress qdisc has the place that a clsact one needs; "));
	run("tc qdisc del dev kfa ingress");
	assert_nothing_left("kfa");
	kf_attach_close(attach);

	assert_int_equal(kf_attach_open(&attach, BPFFS "/attach_test-none", NULL, &why), -ENOENT);
	assert_non_null(strstr(why.text, "kf_config"));
}

static void test_attach_keeps_others(void **state)
{
	struct kf_attach *attach;

	NEEDS_NAMESPACE();
	attach = open_attach(0);
	attach->tcx = false;
	run("tc qdisc add dev kfa clsact");
	assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_TC, &why));
	assert_done(kf_attach_remove(attach, "kfa", &why));
	assert_true(has_clsact("kfa"));
	run("tc qdisc del dev kfa clsact");
	kf_attach_close(attach);
}

static void check_instances(enum kf_attach_mode mode, bool tcx)
{
	struct kf_attach *one = open_attach(0), *two = open_attach(1);

	one->tcx = two->tcx = one->tcx && tcx;
	assert_done(kf_attach_add(one, "kfa", mode, &why));
	assert_false(kf_attach_is_on(two, "kfa", mode));
	if (!kf_attach_is_alone(one, "kfa")) {
		assert_done(kf_attach_add(two, "kfa", mode, &why));
		assert_true(kf_attach_is_on(one, "kfa", mode));
		assert_done(kf_attach_remove(two, "kfa", &why));
	} else {
		assert_int_equal(kf_attach_add(two, "kfa", mode, &why), -EBUSY);
		assert_non_null(strstr(why.text, "dispatcher"));
	}
	assert_true(kf_attach_is_on(one, "kfa", mode));
	assert_false(kf_attach_is_on(two, "kfa", mode));
	assert_done(kf_attach_remove(one, "kfa", &why));
	assert_nothing_left("kfa");
	assert_int_equal(count_pins(1), 0);
	kf_attach_close(one);
	kf_attach_close(two);
}

static void test_attach_instances(void **state)
{
	NEEDS_NAMESPACE();
	check_instances(KF_ATTACH_TC, true);
	check_instances(KF_ATTACH_TC, false);
	check_instances(KF_ATTACH_NATIVE, true);
}

static void test_attach_after_vanishing(void **state)
{
	struct kf_attach *attach;

	NEEDS_NAMESPACE();
	attach = open_attach(0);
	for (int mode = KF_ATTACH_NATIVE; mode <= KF_ATTACH_TC; mode++) {
		assert_done(kf_attach_add(attach, "kfa", mode, &why));
		run("ip link del kfa; ip link add kfa type veth peer name kfb");
		assert_false(kf_attach_is_on(attach, "kfa", mode));
		assert_done(kf_attach_add(attach, "kfa", mode, &why));
		assert_true(kf_attach_is_on(attach, "kfa", mode));
		assert_done(kf_attach_remove(attach, "kfa", &why));
		assert_nothing_left("kfa");
	}
	kf_attach_close(attach);
}

/* From another network namespace nothing could be taken off, so nothing may be forgotten either. */
static void test_unload_elsewhere(void **state)
{
	struct kf_attach *attach;
	int status = 0;

	NEEDS_NAMESPACE();
	attach = open_attach(0);
	assert_done(kf_attach_add(attach, "kfa", KF_ATTACH_TC, &why));
	if (!fork())
		_exit(unshare(CLONE_NEWNET) || kf_unload_alone(pin_dirs[0], NULL, &why) != -EXDEV);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	assert_true(kf_attach_is_on(attach, "kfa", KF_ATTACH_TC));
	assert_done(kf_attach_remove(attach, "kfa", &why));
	assert_nothing_left("kfa");
	kf_attach_close(attach);
}

static void test_attach_probe(void **state)
{
	NEEDS_NAMESPACE();
	assert_done(kf_attach_probe(NULL, &why));
	assert_false(kf_attach_clsact_is_missing());
}

static void test_attach_mode_names(void **state)
{
	enum kf_attach_mode mode;

	assert_int_equal(kf_attach_mode_parse("generic", &mode), 0);
	assert_int_equal(mode, KF_ATTACH_GENERIC);
	assert_string_equal(kf_attach_mode_name(mode), "generic");
	assert_int_equal(kf_attach_mode_parse("xdp", &mode), -EINVAL);
}

/* Printed by libxdp before it gave up is not the cause, if the kernel said something after it. */
static void test_attach_explain(void **state)
{
	struct kf_attach_capture capture = {
		.text = "libbpf: failed to load object 'x.o'\n"
			"libbpf: Kernel error message: MTU; too large\n"
			"libxdp: XDP mode not supported\n"
	};

	assert_int_equal(
		kf_attach_capture_explain(&capture, -EINVAL, "eth0", &why, "no %s", "luck"),
		-EINVAL);
	assert_non_null(strstr(why.text, "no luck: Invalid argument: MTU, too large; lower it"));
	assert_non_null(strstr(why.text, "ip link set dev eth0 mtu"));

	capture.text[0] = '\0';
	kf_attach_capture_explain(&capture, -EPERM, "eth0", &why, "cannot");
	assert_non_null(
		strstr(why.text, "cannot: Operation not permitted; run keyfilterd as root"));

	/* not everything that is there already is a qdisc */
	kf_attach_capture_explain(&capture, -EEXIST, "eth0", &why, "cannot");
	assert_null(strstr(why.text, "qdisc"));

	strcpy(capture.text, "libbpf: load failed\n-- BEGIN --\n1: (79) r1 = *(u64 *)(r2 +0)\n"
			     "R2 invalid mem access 'scalar'\nprocessed 9 insns\n-- END --\n");
	kf_attach_capture_explain(&capture, -EACCES, "eth0", &why, "cannot");
	assert_non_null(strstr(why.text, "Permission denied: R2 invalid mem access 'scalar'; "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_mode_names),
		cmocka_unit_test(test_attach_explain),
		cmocka_unit_test(test_attach_probe),
		cmocka_unit_test(test_attach_modes),
		cmocka_unit_test(test_attach_repairs),
		cmocka_unit_test(test_attach_left_answer),
		cmocka_unit_test(test_attach_stale),
		cmocka_unit_test(test_attach_descriptors),
		cmocka_unit_test(test_attach_bridge),
		cmocka_unit_test(test_attach_failures),
		cmocka_unit_test(test_attach_keeps_others),
		cmocka_unit_test(test_attach_instances),
		cmocka_unit_test(test_attach_after_vanishing),
		cmocka_unit_test(test_unload_elsewhere),
	};

	return cmocka_run_group_tests(tests, enter_namespace, leave_namespace);
}
