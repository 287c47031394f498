/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * failing_kernel.h - a kernel that fails on command, at the calls that change a map; for tests that
 * include it once.
 */
#ifndef KEYFILTER_TEST_FAILING_KERNEL_H
#define KEYFILTER_TEST_FAILING_KERNEL_H

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#include <bpf/bpf.h>

static struct {
	unsigned long calls, at; /* as in failing_vfs */
	bool goes_on;
} failing_kernel;

static bool kernel_fails(void)
{
	failing_kernel.calls++;
	if (!failing_kernel.at || failing_kernel.calls < failing_kernel.at)
		return false;
	return failing_kernel.goes_on || failing_kernel.calls == failing_kernel.at;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	return kernel_fails() ? -ENOMEM : REAL(bpf_map_update_elem)(fd, key, value, flags);
}

int bpf_map_delete_elem(int fd, const void *key)
{
	return kernel_fails() ? -ENOMEM : REAL(bpf_map_delete_elem)(fd, key);
}

/* What a batch cannot do is done one by one. */
int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	return -EOPNOTSUPP;
}

int bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	return -EOPNOTSUPP;
}

#endif /* KEYFILTER_TEST_FAILING_KERNEL_H */
