// SPDX-License-Identifier: GPL-2.0-only
#include "api/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/uri.h"

static const struct kf_api_route routes[] = {
	{ "GET", "/v1/services", kf_api_service_list },
	{ "POST", "/v1/services", kf_api_service_create },
	{ "GET", "/v1/services/{}", kf_api_service_show },
	{ "PATCH", "/v1/services/{}", kf_api_service_edit },
	{ "DELETE", "/v1/services/{}", kf_api_service_delete },

	{ "GET", "/v1/ifaces", kf_api_iface_list },
	{ "POST", "/v1/ifaces", kf_api_iface_attach },
	{ "GET", "/v1/ifaces/{}", kf_api_iface_show },
	{ "DELETE", "/v1/ifaces/{}", kf_api_iface_detach },

	{ "GET", "/v1/sources", kf_api_source_list },
	{ "POST", "/v1/sources", kf_api_source_create },
	{ "POST", "/v1/sources/forgive", kf_api_source_forgive },
	{ "DELETE", "/v1/sources/{*}", kf_api_source_delete }, /* a CIDR has a slash in it */

	{ "GET", "/v1/keys", kf_api_key_list },
	{ "POST", "/v1/keys", kf_api_key_create },
	{ "GET", "/v1/keys/{}", kf_api_key_show },
	{ "PATCH", "/v1/keys/{}", kf_api_key_edit },
	{ "DELETE", "/v1/keys/{}", kf_api_key_delete },
	{ "POST", "/v1/keys/{}/enable", kf_api_key_enable },
	{ "POST", "/v1/keys/{}/disable", kf_api_key_disable },
	{ "POST", "/v1/keys/{}/rotate", kf_api_key_rotate },

	{ "GET", "/v1/stats", kf_api_stats_show },
	{ "GET", "/v1/events", kf_api_events_list },
	{ "GET", "/v1/status", kf_api_status_show },
	{ "POST", "/v1/unload", kf_api_status_unload },
	{ "GET", "/metrics", kf_api_metrics_show },
};

static void add_method(char allow[static KF_API_ALLOW_SIZE], const char *method)
{
	if (*allow)
		strncat(allow, ", ", KF_API_ALLOW_SIZE - strlen(allow) - 1);
	strncat(allow, method, KF_API_ALLOW_SIZE - strlen(allow) - 1);
}

int kf_api_route_find(const char *method, const char *path, const struct kf_api_route **route,
		      char **name, char allow[static KF_API_ALLOW_SIZE])
{
	*allow = '\0';
	for (size_t i = 0; i < KF_API_COUNT(routes); i++) {
		char *piece = NULL;
		int matches = kf_api_uri_match(routes[i].pattern, path, &piece);

		if (matches < 0)
			return matches;
		if (!matches)
			continue;
		if (!strcmp(routes[i].method, method)) {
			*route = &routes[i];
			*name = piece;
			return 0;
		}
		free(piece);
		add_method(allow, routes[i].method);
	}
	return *allow ? -EOPNOTSUPP : -ENOENT;
}

/* All that names one key or one service: those have a revision. */
bool kf_api_route_matches(const struct kf_api_route *route)
{
	static const char keys[] = "/v1/keys/{}", services[] = "/v1/services/{}";

	return !strncmp(route->pattern, keys, sizeof(keys) - 1) ||
	       !strncmp(route->pattern, services, sizeof(services) - 1);
}
