// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching and detaching, in every mode, against the kernel (attach_fixture.h). What needs
 * libxdp's dispatcher (other XDP programs beside ours) is left out where the kernel refuses
 * freplace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "attach_fixture.h"

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

static void test_attach_probe(void **state)
{
	NEEDS_NAMESPACE();
	assert_done(kf_attach_probe(&why));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_attach_mode_names),  cmocka_unit_test(test_attach_probe),
		cmocka_unit_test(test_attach_modes),	   cmocka_unit_test(test_attach_repairs),
		cmocka_unit_test(test_attach_left_answer), cmocka_unit_test(test_attach_stale),
	};

	return cmocka_run_group_tests(tests, enter_namespace, leave_namespace);
}
