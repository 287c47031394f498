// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbpf and libxdp tell the cause of a failure by printing it: the kernel's extack, the verifier's
 * log, what the dispatcher misses. Their callbacks carry no context, hence the one pointer of each
 * thread; it is set only while a call into them runs, and what other threads print meanwhile is not
 * kept.
 */
#include "attach/impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "why.h"

#define EXTACK	"Kernel error message: "
#define LOG_END "processed " /* the verifier's last line; the one before is its reason */

static _Thread_local struct kf_attach_capture *current;

/*
 * First match wins; @err 0: any, @clue NULL: any. %1$s is the interface. The clues are texts of
 * Linux 6.1 to 6.18 (net/core/dev.c and the drivers), libbpf 1.1 and libxdp 1.3.
 */
static const struct {
	int err;
	const char *clue;
	const char *mend;
} mends[] = {
	{ 0, "open BPF file",
	  "install libxdp's dispatcher (Debian: libxdp1), or name its directory in "
	  "LIBXDP_OBJECT_PATH" },
	{ 0, "bpffs", "mount -t bpf bpf /sys/fs/bpf" },
	{ 0, "not using a dispatcher",
	  "attach with --mode tc beside it; or take that program off (see `xdp-loader status "
	  "%1$s`) and load it again with xdp-loader, where this kernel lets two run" },
	{ 0, "dispatcher version",
	  "take the other XDP programs off %1$s (xdp-loader unload %1$s --all) and load them again "
	  "after keyfilter" },
	{ 0, "vmlinux", "boot a kernel with CONFIG_DEBUG_INFO_BTF=y" },
	{ 0, "can't be active at the same time",
	  "the interface carries XDP in another mode: see `xdp-loader status %1$s`" },
	{ 0, "upper device",
	  "a bridge, bond or VLAN above %1$s carries XDP as well, and one of the two is enough: "
	  "detach that one first (keyfilterctl iface list, ip -d link show)" },
	{ 0, "GRO_HW", "ethtool -K %1$s rx-gro-hw off lro off" },
	{ 0, "HW-GRO", "ethtool -K %1$s rx-gro-hw off lro off" },
	{ 0, "LRO", "ethtool -K %1$s lro off" },
	{ 0, "CSUM", "ethtool -K %1$s rx off" },
	{ 0, "MTU",
	  "lower it (ip link set dev %1$s mtu 1500; on both ends of a veth), or attach with --mode "
	  "generic or --mode tc" },
	{ 0, "rx queues",
	  "let it receive on as many queues as its peer sends on (ethtool -L %1$s rx N, or "
	  "numrxqueues N when the veth is made)" },
	{ 0, "queue", "give XDP queues of its own: ethtool -L %1$s combined N with half as many" },
	{ 0, "TX ring",
	  "give XDP queues of its own: ethtool -L %1$s combined N with half as many" },
	{ 0, "in native mode", "attach with --mode generic or --mode tc" },
	{ 0, "kind does not match",
	  "another classifier holds priority 1 of %1$s (tc filter show dev %1$s ingress, egress): "
	  "give it another priority" },
	{ 0, KF_ATTACH_INGRESS_QDISC,
	  "see what it does (tc filter show dev %1$s ingress), delete it (tc qdisc del dev %1$s "
	  "ingress) and put its filters on a clsact one (tc qdisc add dev %1$s clsact), which "
	  "takes them as well" },
	{ EEXIST, NULL,
	  "something stands there already: see `tc filter show dev %1$s ingress`, the same with "
	  "egress, and `xdp-loader status %1$s`" },
	{ EPERM, NULL,
	  "run keyfilterd as root; and where it is root (in a container, in a unit), give it "
	  "CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN" },
	{ EACCES, NULL, "report it with the output of `keyfilterd --version` and `uname -r`" },
	{ EOPNOTSUPP, NULL,
	  "the driver or the kernel has no XDP of this kind: attach with --mode generic or --mode "
	  "tc" },
	{ ENOMEM, NULL, "free some memory and try again" },
	{ ENODEV, NULL, "the interface is gone: see `ip link`" },
	{ ENOENT, NULL, "the kernel lacks a part that is needed: see `keyfilterctl status`" },
	{ 0, NULL, "see the kernel's log (dmesg) and `xdp-loader status %1$s`" },
};

static void append(struct kf_attach_capture *capture, const char *text, size_t length)
{
	size_t room = sizeof(capture->text) - 1;

	if (length > room) {
		text += length - room;
		length = room;
	}
	if (capture->length + length > room) {
		size_t drop = capture->length + length - room;

		memmove(capture->text, capture->text + drop, capture->length - drop);
		capture->length -= drop;
	}
	memcpy(capture->text + capture->length, text, length);
	capture->length += length;
	capture->text[capture->length] = '\0';
}

void kf_attach_capture_say(const char *text)
{
	if (!current)
		return;
	append(current, EXTACK, strlen(EXTACK));
	append(current, text, strlen(text));
	append(current, "\n", 1);
}

static int print(const char *format, va_list args)
{
	char *text = NULL;
	int length = vasprintf(&text, format, args);

	if (length > 0 && current)
		append(current, text, length);
	if (length >= 0)
		free(text);
	return 0;
}

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? print(format, args) : 0;
}

static int print_libxdp(enum libxdp_print_level level, const char *format, va_list args)
{
	return level == LIBXDP_WARN ? print(format, args) : 0;
}

void kf_attach_capture_begin(struct kf_attach_capture *capture)
{
	capture->length = 0;
	capture->text[0] = '\0';
	capture->outer = current;
	current = capture;
	capture->libbpf_print = libbpf_set_print(print_libbpf);
	capture->libxdp_print = libxdp_set_print(print_libxdp);
}

void kf_attach_capture_end(struct kf_attach_capture *capture)
{
	libxdp_set_print(capture->libxdp_print);
	libbpf_set_print(capture->libbpf_print);
	current = capture->outer;
}

/* Copies the line at @from, without the library's name before it; one line, no "; " within. */
static void copy_line(char *out, size_t size, const char *from)
{
	size_t length = strcspn(from, "\n");

	if (!strncmp(from, "libbpf: ", 8) || !strncmp(from, "libxdp: ", 8)) {
		from += 8;
		length -= 8;
	}
	while (length && isspace((unsigned char)from[length - 1]))
		length--;
	snprintf(out, size, "%.*s", (int)length, from);
	for (char *c = out; *c; c++) {
		if (*c == ';')
			*c = ',';
		else if (!isprint((unsigned char)*c))
			*c = ' ';
	}
}

static const char *line_before(const char *text, const char *line)
{
	if (line == text)
		return line;
	line--;
	while (line > text && line[-1] != '\n')
		line--;
	return line;
}

/* The kernel's own words, the last that it said; NULL: none. */
static const char *find_extack(const char *text)
{
	const char *found = NULL;

	for (const char *at = text; (at = strstr(at, EXTACK));) {
		at += strlen(EXTACK);
		if (strncmp(at, "(null)", 6))
			found = at;
	}
	return found;
}

/* The most telling line: the kernel's own words, the verifier's, else the first warning. */
static const char *pick_cause(const struct kf_attach_capture *capture)
{
	const char *extack = find_extack(capture->text);
	const char *verdict = NULL;

	for (const char *at = capture->text; (at = strstr(at, "\n" LOG_END)); at++)
		verdict = at + 1;
	if (extack)
		return extack;
	return verdict ? line_before(capture->text, verdict) : capture->text;
}

/* Clues are looked for in @text, the cause and what followed it; not in what came before. */
static const char *pick_mend(const char *text, int err)
{
	size_t i = 0;

	while ((mends[i].err && mends[i].err != -err) ||
	       (mends[i].clue && !strcasestr(text, mends[i].clue)))
		i++;
	return mends[i].mend;
}

int kf_attach_capture_explain(const struct kf_attach_capture *capture, int err, const char *dev,
			      struct kf_why *why, const char *what, ...)
{
	const char *found = pick_cause(capture);
	char doing[160], cause[320], mend[320];
	va_list args;

	va_start(args, what);
	vsnprintf(doing, sizeof(doing), what, args);
	va_end(args);
	copy_line(cause, sizeof(cause), found);
	snprintf(mend, sizeof(mend), pick_mend(found, err), dev);
	return kf_why_set(why, err, "%s: %s%s%s; %s", doing, strerror(-err), cause[0] ? ": " : "",
			  cause, mend);
}
