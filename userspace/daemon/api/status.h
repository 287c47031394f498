/* SPDX-License-Identifier: GPL-2.0-only */
/* status.h - when the status complains of a table. */
#ifndef KEYFILTER_DAEMON_API_STATUS_H
#define KEYFILTER_DAEMON_API_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* Is the table so full that it is time to say so? */
bool kf_api_status_is_nearly_full(uint64_t used, uint64_t max);

#endif
