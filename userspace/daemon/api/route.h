/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * route.h - which handler answers which request.
 *
 * Each noun has a table of its own, which ends with an entry without a method; the look-up goes
 * through them all, before a request's body is read. Pure.
 */
#ifndef KEYFILTER_DAEMON_API_ROUTE_H
#define KEYFILTER_DAEMON_API_ROUTE_H

#include "api/request.h"

struct kf_api_route {
	const char *method;  /* GET reads; all others write (auth.h) */
	const char *pattern; /* kf_api_uri_match() */
	kf_api_fn handle;
	bool has_revision; /* of what it names: it knows If-Match (kf_api_match()) */
};

extern const struct kf_api_route kf_api_service_routes[];
extern const struct kf_api_route kf_api_iface_routes[];
extern const struct kf_api_route kf_api_source_routes[];
extern const struct kf_api_route kf_api_group_routes[];
extern const struct kf_api_route kf_api_model_routes[];
extern const struct kf_api_route kf_api_account_routes[];
extern const struct kf_api_route kf_api_ledger_routes[];
extern const struct kf_api_route kf_api_usage_routes[];
extern const struct kf_api_route kf_api_key_routes[];
extern const struct kf_api_route kf_api_stats_routes[];
extern const struct kf_api_route kf_api_events_routes[];
extern const struct kf_api_route kf_api_status_routes[];
extern const struct kf_api_route kf_api_metrics_routes[];

#define KF_API_ALLOW_SIZE 40

/*
 * 0: *route, and *name to be freed. -ENOENT: no such path; -EOPNOTSUPP: not with this method, and
 * @allow lists those there are, as the Allow header wants; -EINVAL: the path's encoding is broken.
 */
int kf_api_route_find(const char *method, const char *path, const struct kf_api_route **route,
		      char **name, char allow[static KF_API_ALLOW_SIZE]);

#endif
