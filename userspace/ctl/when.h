/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * when.h - the daemon's times, as the operator's clock would tell them.
 *
 * In: RFC 3339 in UTC ("Z"), as the admin socket writes it. Out: RFC 3339 in the local zone, and
 * how long from now. Pure but for the zone, which TZ sets.
 */
#ifndef KEYFILTER_CTL_WHEN_H
#define KEYFILTER_CTL_WHEN_H

#include <time.h>

#define KF_WHEN_SIZE 48

/*
 * "2026-11-23T10:00:00Z" -> "2026-11-23T11:00:00+01:00"; a fraction of the second is kept. -EINVAL:
 * not such a time, and @out is untouched.
 */
int kf_when_local(const char *utc, char out[static KF_WHEN_SIZE]);

/* "in 30 d", "3 min ago", "now". */
int kf_when_relative(const char *utc, time_t now, char out[static KF_WHEN_SIZE]);

/* 7265 -> "2 h": the largest unit of which there are at least two, else the smaller one. */
void kf_when_span(long long seconds, char out[static KF_WHEN_SIZE]);

#endif
