/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * api_route.h - which handler answers which request: the one table of the admin API.
 *
 * Pure look-up, called by api.c for each request before its body is read.
 */
#ifndef KEYFILTER_DAEMON_API_ROUTE_H
#define KEYFILTER_DAEMON_API_ROUTE_H

#include "api/api.h"

struct kf_api_route {
	const char *method;  /* GET reads; all others write (api_auth.h) */
	const char *pattern; /* kf_api_uri_match() */
	kf_api_fn handle;
};

#define KF_API_ALLOW_SIZE 40

/*
 * 0: *route, and *name to be freed. -ENOENT: no such path; -EOPNOTSUPP: not with this method, and
 * @allow lists those there are, as the Allow header wants; -EINVAL: the path's encoding is broken.
 */
int kf_api_route_find(const char *method, const char *path, const struct kf_api_route **route,
		      char **name, char allow[static KF_API_ALLOW_SIZE]);

/* Does it know If-Match: does its handler ask kf_api_match() before it changes anything? */
bool kf_api_route_matches(const struct kf_api_route *route);

#endif
