// SPDX-License-Identifier: GPL-2.0-only
#include "why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BETWEEN "\x1f\x1f" /* in the place of "; ", and in no text: units of ASCII */

/* The last "; " of @text, or NULL. */
static char *find_last(char *text)
{
	char *last = NULL;

	for (char *at = text; (at = strstr(at, "; ")); at += 2)
		last = at;
	return last;
}

/* text holds BETWEEN where the mend begins. */
static void divide(struct kf_why *why)
{
	char *between = strstr(why->text, BETWEEN);
	int cause_len = between ? (int)(between - why->text) : (int)strlen(why->text);

	snprintf(why->cause, sizeof(why->cause), "%.*s", cause_len, why->text);
	snprintf(why->mend, sizeof(why->mend), "%s", between ? between + 2 : "");
	if (between)
		memcpy(between, "; ", 2);
}

int kf_why_set(struct kf_why *why, int err, const char *format, ...)
{
	char marked[sizeof(why->text)], *between;
	va_list args;

	if (!why)
		return err;
	snprintf(marked, sizeof(marked), "%s", format);
	between = find_last(marked);
	if (between)
		memcpy(between, BETWEEN, 2);
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), marked, args);
	va_end(args);
	divide(why);
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
