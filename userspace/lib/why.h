/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * why.h - how a failure explains itself: its cause, and what to do about it.
 *
 * A function that can fail for reasons an operator can mend takes a struct kf_why, fills it once,
 * where the failure is understood, and returns -errno. Whoever handles the error prints the text.
 */
#ifndef KEYFILTER_LIB_WHY_H
#define KEYFILTER_LIB_WHY_H

struct kf_why {
	char cause[512];
	char mend[256]; /* "": none was given */
	char text[768]; /* "CAUSE; MEND", one line, for a log; "": nothing is known */
};

/*
 * Fills @why and returns @err, so that a failing function ends in one line. What divides
 * the two is the last "; " of @format itself: what is filled in may hold others. @why may be NULL.
 */
int kf_why_set(struct kf_why *why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * What to do where the kernel or a file system answered @err (negative) to the daemon: a user other
 * than root is told to run it as root, and root is told what root may lack.
 */
const char *kf_why_mend(int err);

#endif
