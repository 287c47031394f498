// SPDX-License-Identifier: GPL-2.0-only
#include "policy/reconcile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "maps/diff.h"
#include "policy/answer.h"
#include "policy/policy.h"

/* ---- services -------------------------------------------------------------------------------- */

static int want_service(void *context, const struct kf_service_row *row)
{
	kf_policy_compile_service(context, row);
	return 0;
}

static int read_port(void *context, const void *key, const void *value)
{
	struct kf_port *have = context;
	uint32_t port;

	memcpy(&port, key, sizeof(port));
	memcpy(&have[port], value, sizeof(have[port]));
	return 0;
}

/* An index that was free begins to count from zero. */
static int put_services(struct kf_maps *maps, const struct kf_policy_services *want, bool live)
{
	struct kf_service have;
	int err = 0;

	for (uint32_t i = 0; !err && i < KF_SERVICES_MAX; i++) {
		if (want->services[i].live != live)
			continue;
		err = kf_maps_get(maps, KF_MAP_kf_services, &i, &have);
		if (err || !memcmp(&have, &want->services[i], sizeof(have)))
			continue;
		if (live && !have.live)
			err = kf_maps_counters_clear(maps, i);
		if (!err)
			err = kf_maps_put(maps, KF_MAP_kf_services, &i, &want->services[i]);
	}
	return err;
}

static int put_ports(struct kf_maps *maps, const struct kf_port *want, const struct kf_port *have,
		     bool used)
{
	int err = 0;

	for (uint32_t port = 0; !err && port < 65536; port++)
		if (!!(want[port].any | want[port].listeners) == used &&
		    memcmp(&want[port], &have[port], sizeof(*want)))
			err = kf_maps_put(maps, KF_MAP_kf_ports, &port, &want[port]);
	return err;
}

/*
 * What a packet finds first is written last: the service, the listener that leads to it, the port
 * that leads to that; and taken away in reverse. A port that stays in use is changed by one store.
 */
static int apply_services(struct kf_maps *maps, const struct kf_policy_services *want,
			  const struct kf_port *have, struct kf_mapdiff *listeners)
{
	int err = put_services(maps, want, true);

	if (!err)
		err = kf_maps_diff_put(listeners);
	if (!err)
		err = put_ports(maps, want->ports, have, true);
	if (!err)
		err = put_ports(maps, want->ports, have, false);
	if (!err)
		err = kf_maps_diff_delete(listeners);
	return err ? err : put_services(maps, want, false);
}

int kf_policy_reconcile_services(struct kf_policy *policy)
{
	_cleanup_free_ struct kf_policy_services *want = calloc(1, sizeof(*want));
	_cleanup_free_ struct kf_port *have = calloc(65536, sizeof(*have));
	_cleanup_(kf_maps_diff_end) struct kf_mapdiff listeners;
	struct kf_maps *maps = policy->maps;
	int err;

	kf_maps_diff_begin(&listeners, maps, KF_MAP_kf_listeners, sizeof(struct kf_listener),
			   sizeof(uint32_t));
	if (!want || !have)
		return -ENOMEM;
	err = kf_store_service_each(policy->store, want_service, want);
	for (uint32_t i = 0; !err && i < want->listener_count; i++)
		err = kf_maps_diff_want(&listeners, &want->listeners[i], &want->listener_index[i]);
	if (!err)
		err = kf_maps_diff_read(&listeners);
	if (!err)
		err = kf_maps_each(maps, KF_MAP_kf_ports, read_port, have);
	return err ? err : apply_services(maps, want, have, &listeners);
}

/* ---- sources --------------------------------------------------------------------------------- */

struct sources {
	struct kf_policy_walk walk;
	struct kf_mapdiff hosts;
	struct kf_mapdiff prefixes;
};

static int want_source(void *context, const struct kf_policy_source *entry)
{
	struct sources *sources = context;
	struct kf_prefix prefix = { .prefix_len = entry->cidr.prefix_len };

	if (entry->cidr.prefix_len == KF_CIDR_BITS)
		return kf_maps_diff_want(&sources->hosts, entry->cidr.addr, &entry->source);
	memcpy(prefix.addr, entry->cidr.addr, sizeof(prefix.addr));
	return kf_maps_diff_want(&sources->prefixes, &prefix, &entry->source);
}

static int walk_source(void *context, const struct kf_source_row *row)
{
	struct sources *sources = context;

	return kf_policy_compile_walk_next(&sources->walk, row);
}

static uint32_t source_flags(const struct sources *sources)
{
	return (sources->hosts.want.count ? KF_CONFIG_HOSTS : 0) |
	       (sources->prefixes.want.count ? KF_CONFIG_PREFIXES : 0);
}

/*
 * Every entry is right by itself, so what is new goes in before what is old goes out; where there
 * is no room for that, the other way round.
 */
static int apply_sources(struct kf_maps *maps, struct sources *sources)
{
	bool again;
	int err;

	kf_maps_config_flags(maps, source_flags(sources), 0);
	err = kf_maps_diff_put(&sources->prefixes);
	if (!err)
		err = kf_maps_diff_put(&sources->hosts);
	if (err && err != -E2BIG && err != -ENOSPC)
		return err;
	again = err;
	err = kf_maps_diff_delete(&sources->hosts);
	if (!err)
		err = kf_maps_diff_delete(&sources->prefixes);
	if (!err && again)
		err = kf_maps_diff_put(&sources->prefixes);
	if (!err && again)
		err = kf_maps_diff_put(&sources->hosts);
	if (!err)
		kf_maps_config_flags(
			maps, 0, ~source_flags(sources) & (KF_CONFIG_HOSTS | KF_CONFIG_PREFIXES));
	return err;
}

static void sources_end(struct sources *sources)
{
	kf_maps_diff_end(&sources->hosts);
	kf_maps_diff_end(&sources->prefixes);
}

int kf_policy_reconcile_sources(struct kf_policy *policy)
{
	_cleanup_(sources_end) struct sources sources;
	struct kf_maps *maps = policy->maps;
	struct kf_clock clock = kf_policy_time(policy);
	struct kf_hold_feed feed;
	int err;

	kf_maps_diff_begin(&sources.hosts, maps, KF_MAP_kf_hosts, 16, sizeof(struct kf_source));
	kf_maps_diff_begin(&sources.prefixes, maps, KF_MAP_kf_prefixes, sizeof(struct kf_prefix),
			   sizeof(struct kf_source));
	kf_policy_compile_walk_begin(&sources.walk, &clock, NULL, want_source, &sources);
	kf_policy_hold_feed_begin(&feed, policy->holds, KF_HOLD_ALL, NULL, walk_source, &sources);
	err = kf_store_source_each(policy->store, kf_policy_hold_feed_row, &feed);
	if (!err)
		err = kf_policy_hold_feed_finish(&feed);
	if (!err)
		err = kf_policy_compile_walk_finish(&sources.walk);
	if (!err)
		err = kf_maps_diff_read(&sources.hosts);
	if (!err)
		err = kf_maps_diff_read(&sources.prefixes);
	if (err)
		return err;
	err = apply_sources(maps, &sources);
	kf_maps_sources_changed(maps); /* on failure too: some may be written */
	if (!err)
		policy->source_clock = clock;
	return err;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Where there is no answer for the reason, the map says so with zeros. */
static int put_answer(struct kf_maps *maps, uint32_t row, uint32_t protocol)
{
	uint32_t detail = row < KF_REASON_MAX ? 0 : row - KF_REASON_MAX;
	uint32_t reason = row < KF_REASON_MAX ? row : kf_detail_reason(row - KF_REASON_MAX);
	uint32_t index = row * KF_ANSWER_PROTOCOLS + protocol;
	struct kf_answer want = { 0 }, have;
	int err = kf_policy_answer_make(reason, detail, protocol, &want);

	if (err && err != -ENOENT)
		return err;
	err = kf_maps_get(maps, KF_MAP_kf_answers, &index, &have);
	if (err || !memcmp(&have, &want, sizeof(have)))
		return err;
	return kf_maps_put(maps, KF_MAP_kf_answers, &index, &want);
}

/*
 * Maps of an older keyfilterd get the words of this one. A client refused in the very moment of the
 * change may read a mixture; it is refused all the same.
 */
int kf_policy_reconcile_answers(struct kf_policy *policy)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < KF_ANSWERS_MAX; i++)
		err = put_answer(policy->maps, i / KF_ANSWER_PROTOCOLS, i % KF_ANSWER_PROTOCOLS);
	return err;
}
