/* SPDX-License-Identifier: GPL-2.0-only */
/* iface.h - the interfaces as the API shows them. */
#ifndef KEYFILTER_DAEMON_API_IFACE_H
#define KEYFILTER_DAEMON_API_IFACE_H

#include <jansson.h>

#include "base/daemon.h"

/* All of them, in an array; a new reference, NULL when out of memory. */
json_t *kf_api_iface_json_all(struct kf_daemon *daemon);

#endif
