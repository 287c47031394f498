// SPDX-License-Identifier: GPL-2.0-only
/*
 * libxdp 1.3 forgets to close a descriptor of the program on an interface each time it looks there
 * (xdp_multiprog__get_from_ifindex(), which attaching and detaching do by themselves), and gives
 * nobody its number. So the descriptors of programs that are open before a call into it are noted,
 * and those that are new once all of its handles are closed are closed as well. Nothing else in the
 * process opens programs meanwhile: only attach/ does, in one thread at a time. Where there is no
 * /proc nothing is closed.
 */
#include "attach/impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "anon_inode:bpf-prog"

static bool is_program(int fds, const char *name)
{
	char target[sizeof(PROGRAM)];

	return readlinkat(fds, name, target, sizeof(target)) == sizeof(PROGRAM) - 1 &&
	       !memcmp(target, PROGRAM, sizeof(PROGRAM) - 1);
}

/* How many descriptors of programs are open; at most KF_ATTACH_STRAYS_MAX of them. */
static int list_programs(int out[static KF_ATTACH_STRAYS_MAX])
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int count = 0;

	if (!dir)
		return -errno;
	while (count < KF_ATTACH_STRAYS_MAX && (entry = readdir(dir)))
		if (is_program(dirfd(dir), entry->d_name))
			out[count++] = atoi(entry->d_name);
	closedir(dir);
	return count;
}

static bool is_among(const int *fds, int count, int fd)
{
	while (count-- > 0)
		if (fds[count] == fd)
			return true;
	return false;
}

void kf_attach_xdp_strays_begin(struct kf_attach_xdp_strays *strays)
{
	strays->count = list_programs(strays->fd);
}

void kf_attach_xdp_strays_end(const struct kf_attach_xdp_strays *strays)
{
	int now[KF_ATTACH_STRAYS_MAX];
	int count = list_programs(now);

	/* a full list does not tell what was there before */
	if (strays->count < 0 || strays->count == KF_ATTACH_STRAYS_MAX)
		return;
	for (int i = 0; i < count; i++)
		if (!is_among(strays->fd, strays->count, now[i]))
			close(now[i]);
}
