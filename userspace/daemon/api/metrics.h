/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * metrics.h - the counters as Prometheus reads them, text format 0.0.4.
 *
 * The counters are those of the maps, which outlive the daemon: a restart does not reset them.
 */
#ifndef KEYFILTER_DAEMON_API_METRICS_H
#define KEYFILTER_DAEMON_API_METRICS_H

#include <stdio.h>

#include "base/daemon.h"

/* Writes all of it to @out. 0 or -errno, and then a part may be written. */
int kf_api_metrics_write(struct kf_daemon *daemon, FILE *out);

/* @text as a label's value: backslash, quote and line feed escaped. */
void kf_api_metrics_label(FILE *out, const char *text);

#endif
