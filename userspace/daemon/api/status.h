/* SPDX-License-Identifier: GPL-2.0-only */
/* status.h - at which size a table is reported as nearly full. */
#ifndef KEYFILTER_DAEMON_API_STATUS_H
#define KEYFILTER_DAEMON_API_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* Is the table full enough for the status to complain? */
bool kf_api_status_is_nearly_full(uint64_t used, uint64_t max);

#endif
