// SPDX-License-Identifier: GPL-2.0-only
#include "attach_impl.h"

#include <errno.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <keyfilter/abi.h>

#include "bpf/keyfilter_tc.skel.h"
#include "cleanup.h"

KF_CLEANUP_DEFINE(struct keyfilter_tc, keyfilter_tc__destroy)

static const char *words(enum kf_attach_side side)
{
	return side == KF_ATTACH_INGRESS ? "ingress" : "egress";
}

/* Loads the one program that is asked for; the other half of the object stays out of the kernel. */
static int load(const struct kf_attach *attach, enum kf_attach_side side, struct keyfilter_tc **out,
		struct kf_why *why)
{
	_cleanup_(keyfilter_tc__destroyp) struct keyfilter_tc *skeleton = keyfilter_tc__open();
	int err;

	if (!skeleton)
		return -errno;
	bpf_program__set_autoload(skeleton->progs.keyfilter_in, side == KF_ATTACH_INGRESS);
	bpf_program__set_autoload(skeleton->progs.keyfilter_out, side == KF_ATTACH_EGRESS);
	err = kf_attach_object_bind(attach, skeleton->obj, why);
	if (!err)
		err = keyfilter_tc__load(skeleton);
	if (err)
		return err;
	*out = TAKE_PTR(skeleton);
	return 0;
}

static int load_and_add(const struct kf_attach *attach, int ifindex, enum kf_attach_side side,
			struct kf_why *why)
{
	_cleanup_(keyfilter_tc__destroyp) struct keyfilter_tc *skeleton = NULL;
	int err = load(attach, side, &skeleton, why);
	int fd;

	if (err)
		return err;
	fd = bpf_program__fd(side == KF_ATTACH_INGRESS ? skeleton->progs.keyfilter_in
						       : skeleton->progs.keyfilter_out);
	return attach->tcx ? kf_attach_tcx_add(attach, ifindex, side, fd)
			   : kf_attach_clsact_add(attach, ifindex, side, fd);
}

int kf_attach_tc_add(const struct kf_attach *attach, int ifindex, const char *dev,
		     enum kf_attach_side side, struct kf_why *why)
{
	struct kf_attach_capture capture;
	struct kf_why unfit = { 0 };
	int err;

	kf_attach_capture_begin(&capture);
	err = load_and_add(attach, ifindex, side, &unfit);
	kf_attach_capture_end(&capture);
	if (err && unfit.text[0])
		*why = unfit;
	else if (err)
		kf_attach_capture_explain(&capture, err, dev, why, "cannot attach to TC %s of %s",
					  words(side), dev);
	return err;
}

int kf_attach_tc_remove(const struct kf_attach *attach, int ifindex, const char *dev,
			enum kf_attach_side side, struct kf_why *why)
{
	struct kf_attach_capture capture;
	int err;

	kf_attach_capture_begin(&capture);
	err = attach->tcx ? kf_attach_tcx_remove(attach, ifindex, side)
			  : kf_attach_clsact_remove(attach, ifindex, side);
	kf_attach_capture_end(&capture);
	if (err)
		kf_attach_capture_explain(&capture, err, dev, why, "cannot detach from TC %s of %s",
					  words(side), dev);
	return err;
}

bool kf_attach_tc_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_side side)
{
	return attach->tcx ? kf_attach_tcx_is_on(attach, ifindex, side)
			   : kf_attach_clsact_is_on(attach, ifindex, side);
}

const void *kf_attach_tc_object(size_t *size)
{
	return keyfilter_tc__elf_bytes(size);
}
