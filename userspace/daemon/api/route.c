// SPDX-License-Identifier: GPL-2.0-only
#include "api/route.h"

#include <errno.h>
#include <string.h>

#include "api/uri.h"
#include "cleanup.h"

static const struct kf_api_route *const nouns[] = {
	kf_api_service_routes, kf_api_iface_routes,   kf_api_source_routes,  kf_api_group_routes,
	kf_api_model_routes,   kf_api_key_routes,     kf_api_stats_routes,   kf_api_events_routes,
	kf_api_status_routes,  kf_api_metrics_routes, kf_api_account_routes, kf_api_ledger_routes,
	kf_api_usage_routes,
};

static void add_method(char allow[static KF_API_ALLOW_SIZE], const char *method)
{
	if (*allow)
		strncat(allow, ", ", KF_API_ALLOW_SIZE - strlen(allow) - 1);
	strncat(allow, method, KF_API_ALLOW_SIZE - strlen(allow) - 1);
}

/*
 * 1: @route fits, *@name is to be freed; 0: it does not, @allow has its method if only that
 * differs.
 */
static int try_route(const struct kf_api_route *route, const char *method, const char *path,
		     char **name, char allow[static KF_API_ALLOW_SIZE])
{
	_cleanup_free_ char *piece = NULL;
	int matches = kf_api_uri_match(route->pattern, path, &piece);

	if (matches <= 0)
		return matches;
	if (strcmp(route->method, method)) {
		add_method(allow, route->method);
		return 0;
	}
	*name = TAKE_PTR(piece);
	return 1;
}

int kf_api_route_find(const char *method, const char *path, const struct kf_api_route **route,
		      char **name, char allow[static KF_API_ALLOW_SIZE])
{
	*allow = '\0';
	for (size_t i = 0; i < KF_API_COUNT(nouns); i++)
		for (const struct kf_api_route *at = nouns[i]; at->method; at++) {
			int found = try_route(at, method, path, name, allow);

			if (found > 0)
				*route = at;
			if (found)
				return found < 0 ? found : 0;
		}
	return *allow ? -EOPNOTSUPP : -ENOENT;
}
