// SPDX-License-Identifier: GPL-2.0-only
#include "attach/impl.h"

#include <errno.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <keyfilter/abi.h>

#include "bpf/keyfilter_tc.skel.h"
#include "cleanup.h"

KF_CLEANUP_DEFINE(struct keyfilter_tc, keyfilter_tc__destroy)

static const char *words(enum kf_attach_part part)
{
	return part == KF_ATTACH_EGRESS ? "egress" : "ingress";
}

/* Loads the one program that is asked for; the others of the object stay out of the kernel. */
static int load(const struct kf_attach *attach, enum kf_attach_part part, struct keyfilter_tc **out,
		struct kf_why *why)
{
	_cleanup_(keyfilter_tc__destroyp) struct keyfilter_tc *skeleton = keyfilter_tc__open();
	struct bpf_program *program;
	int err;

	if (!skeleton)
		return -errno;
	bpf_object__for_each_program(program, skeleton->obj) bpf_program__set_autoload(
		program, !strcmp(bpf_program__name(program), kf_attach_object_program(part)));
	err = kf_attach_object_bind(attach, skeleton->obj, why);
	if (!err)
		err = keyfilter_tc__load(skeleton);
	if (err)
		return err;
	*out = TAKE_PTR(skeleton);
	return 0;
}

static int load_and_add(const struct kf_attach *attach, int ifindex, enum kf_attach_part part,
			struct kf_why *why)
{
	_cleanup_(keyfilter_tc__destroyp) struct keyfilter_tc *skeleton = NULL;
	const struct bpf_program *program;
	int err = load(attach, part, &skeleton, why);
	int fd;

	if (err)
		return err;
	program = bpf_object__find_program_by_name(skeleton->obj, kf_attach_object_program(part));
	fd = program ? bpf_program__fd(program) : -ENOENT;
	if (fd < 0)
		return fd;
	return attach->tcx ? kf_attach_tcx_add(attach, ifindex, part, fd)
			   : kf_attach_clsact_add(attach, ifindex, part, fd);
}

int kf_attach_tc_add(const struct kf_attach *attach, int ifindex, const char *dev,
		     enum kf_attach_part part, struct kf_why *why)
{
	struct kf_attach_capture capture;
	struct kf_why unfit = { 0 };
	int err;

	kf_attach_capture_begin(&capture);
	err = load_and_add(attach, ifindex, part, &unfit);
	kf_attach_capture_end(&capture);
	if (err && unfit.text[0])
		*why = unfit;
	else if (err)
		kf_attach_capture_explain(&capture, err, dev, why, "cannot attach to TC %s of %s",
					  words(part), dev);
	return err;
}

int kf_attach_tc_remove(const struct kf_attach *attach, int ifindex, const char *dev,
			enum kf_attach_part part, struct kf_why *why)
{
	struct kf_attach_capture capture;
	int err;

	kf_attach_capture_begin(&capture);
	err = attach->tcx ? kf_attach_tcx_remove(attach, ifindex, part)
			  : kf_attach_clsact_remove(attach, ifindex, part);
	kf_attach_capture_end(&capture);
	if (err)
		kf_attach_capture_explain(&capture, err, dev, why, "cannot detach from TC %s of %s",
					  words(part), dev);
	return err;
}

bool kf_attach_tc_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_part part)
{
	return attach->tcx ? kf_attach_tcx_is_on(attach, ifindex, part)
			   : kf_attach_clsact_is_on(attach, ifindex, part);
}

const void *kf_attach_tc_object(size_t *size)
{
	return keyfilter_tc__elf_bytes(size);
}
