/* SPDX-License-Identifier: GPL-2.0-only */
/* events.h - events as the API shows them. */
#ifndef KEYFILTER_DAEMON_API_EVENTS_H
#define KEYFILTER_DAEMON_API_EVENTS_H

#include <jansson.h>

struct kf_events_entry;

/* A new reference, NULL when out of memory. */
json_t *kf_api_events_json(const struct kf_events_entry *entry);

#endif
