// SPDX-License-Identifier: GPL-2.0-only
#include "why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int kf_why_set(struct kf_why *why, int err, const char *format, ...)
{
	va_list args;

	if (!why)
		return err;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return err;
}

const char *kf_why_mend(int err)
{
	switch (-err) {
	case EPERM:
	case EACCES:
		return geteuid() ? "run keyfilterd as root"
				 : "root is not enough where a container, a unit or a security "
				   "module "
				   "takes it CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON or CAP_SYS_ADMIN: "
				   "give it these";
	case EROFS:
		return "mount it writable there; a systemd unit with ProtectKernelTunables=yes "
		       "makes "
		       "/sys read-only";
	case ENOENT:
	case ENOTDIR:
		return "make the directory above it, or give another one";
	case ENOSPC:
	case EDQUOT:
		return "make room there";
	case ENOMEM:
		return "free some memory";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (LimitNOFILE=)";
	default:
		return "see the kernel's log (dmesg)";
	}
}
