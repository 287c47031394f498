// SPDX-License-Identifier: GPL-2.0-only
#include "attach/impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "why.h"

#define VMLINUX_BTF "/sys/kernel/btf/vmlinux"
#define JIT_SYSCTL  "/proc/sys/net/core/bpf_jit_enable"

static bool has_bpf(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_ARRAY, NULL) > 0;
}

static bool has_btf(void)
{
	return !access(VMLINUX_BTF, R_OK);
}

static bool has_xdp(void)
{
	return libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) > 0;
}

static bool has_classifier(void)
{
	return libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SCHED_CLS, NULL) > 0;
}

static bool has_mmap(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kf_probe", 4, 8, 1, &options);

	return fd >= 0;
}

static bool has_lpm(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_LPM_TRIE, NULL) > 0;
}

static bool has_ringbuf(void)
{
	return libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) > 0;
}

static bool has_loop(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_loop, NULL) > 0;
}

/* The helper and the flag came together. */
static bool has_frags(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_xdp_load_bytes, NULL) > 0;
}

/* Freplace, which libxdp's dispatcher is made of, is not interpreted. */
static bool has_jit(void)
{
	_cleanup_fclose_ FILE *file = fopen(JIT_SYSCTL, "re");
	int enabled;

	return !file || fscanf(file, "%d", &enabled) != 1 || enabled;
}

static bool has_tc_hook(void)
{
	return kf_attach_tcx_is_supported() || !kf_attach_clsact_is_missing();
}

/*
 * Freplace (Linux 5.10) is older than bpf_loop and needs the BTF and the JIT: no probe of its own,
 * as libbpf 1.1's answers no on kernels that have it.
 */
static const struct {
	bool (*has)(void);
	const char *name;
} needs[] = {
	{ has_bpf, "BPF (CONFIG_BPF_SYSCALL)" },
	{ has_btf, VMLINUX_BTF " (CONFIG_DEBUG_INFO_BTF)" },
	{ has_jit, "the BPF JIT (CONFIG_BPF_JIT, sysctl net.core.bpf_jit_enable=1)" },
	{ has_xdp, "XDP programs (CONFIG_NET)" },
	{ has_classifier, "TC programs (CONFIG_NET_CLS_BPF or Linux 6.6)" },
	{ has_mmap, "memory-mapped arrays (Linux 5.5)" },
	{ has_lpm, "LPM tries (Linux 4.11)" },
	{ has_ringbuf, "ring buffers (Linux 5.8)" },
	{ has_loop, "bpf_loop (Linux 5.17)" },
	{ has_frags, "XDP over several buffers (Linux 5.18)" },
	{ has_tc_hook, "tcx (Linux 6.6) or clsact (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)" },
};

/* Without the right to ask, every answer would be "missing". */
static bool may_load(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "kf_probe", "GPL", pass, 2, NULL);

	return fd != -EPERM;
}

static size_t list_missing(char *out, size_t size)
{
	size_t length = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (!needs[i].has() && length < size)
			length += snprintf(out + length, size - length, "%s%s", length ? ", " : "",
					   needs[i].name);
	return length;
}

int kf_attach_probe(struct kf_why *why)
{
	struct kf_attach_capture capture; /* only to keep libbpf quiet */
	struct utsname kernel;
	char missing[512];

	if (!may_load())
		return kf_why_set(why, -EPERM, "not permitted to load BPF programs; %s",
				  kf_why_mend(-EPERM));
	kf_attach_capture_begin(&capture);
	list_missing(missing, sizeof(missing));
	kf_attach_capture_end(&capture);
	if (!missing[0])
		return 0;
	uname(&kernel);
	return kf_why_set(why, -EOPNOTSUPP,
			  "this kernel (%s) lacks %s; boot Linux 6.1 or newer, built with these",
			  kernel.release, missing);
}
