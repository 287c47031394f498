// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching beside others, several times, and where it fails, against the kernel
 * (attach_fixture.h): nothing of ours is left then, and nothing of theirs is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attach_fixture.h"

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
		cmocka_unit_test(test_attach_explain),
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
