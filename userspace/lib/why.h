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
	char text[768];		/* "CAUSE; MEND", one line, for a log; "": nothing is known */
	unsigned int cause_len; /* bytes of text that are the cause */
	unsigned int mend_at;	/* where in text the mend begins */
};

/*
 * Writes "CAUSE; MEND" and returns @err, so that a failing function ends in one line. What divides
 * the two is the last "; " of @format itself: what is filled in may hold others. @why may be NULL.
 */
int kf_why_set(struct kf_why *why, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The mend alone; "": none was given. */
const char *kf_why_mend_of(const struct kf_why *why);

/*
 * What to do where the kernel or a file system answered @err (negative) to the daemon: a user other
 * than root is told to run it as root, and root is told what root may lack.
 */
const char *kf_why_mend(int err);

#endif
