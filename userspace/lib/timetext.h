/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * timetext.h - times and durations as operators and the API write them.
 *
 * Pure functions over text. As in store.h, times are wall-clock nanoseconds since the epoch (UTC)
 * and durations are nanoseconds.
 */
#ifndef KEYFILTER_DAEMON_TIMETEXT_H
#define KEYFILTER_DAEMON_TIMETEXT_H

#include <stdint.h>

#define KF_TIMETEXT_SIZE	 40

#define KF_TIMETEXT_SECOND	 1000000000ll
#define KF_TIMETEXT_DURATION_MAX (100 * 365 * 86400ll * KF_TIMETEXT_SECOND)

/* "2026-11-23T10:00:00Z"; what is less than a second is cut off. Returns @text. */
const char *kf_timetext_format(int64_t wall_ns, char text[static KF_TIMETEXT_SIZE]);

/* "2026-11-23T10:00:00.123456Z", as events have it. Returns @text. */
const char *kf_timetext_format_micros(int64_t wall_ns, char text[static KF_TIMETEXT_SIZE]);

/*
 * RFC 3339 section 5.6, with any offset and fraction. A leap second (:60) is the second after it.
 * 0; -EINVAL; -ERANGE: before 1970; -EOVERFLOW: after 2261, where nanoseconds end.
 */
int kf_timetext_parse(const char *text, int64_t *wall_ns);

/*
 * "90s", "15m", "12h", "30d", or "0"; any other number needs its unit, for 30 may be days or
 * seconds. 0; -EINVAL; -ERANGE: over KF_TIMETEXT_DURATION_MAX.
 */
int kf_timetext_duration(const char *text, int64_t *ns);

#endif
