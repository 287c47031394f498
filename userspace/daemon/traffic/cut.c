// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk takes the buckets of kf_flows by batches, each bucket whole, so what is deleted
 * meanwhile makes it miss nothing that was there before and still is. It costs about a microsecond
 * a flow. (An iterator in the kernel took half of that in a full table, and eight times as long in
 * an empty one.)
 *
 * Only the very connection that was found is ended, although its addresses may be in use again by
 * the time. First the socket is looked up and its cookie noted, then the flow is read once more: it
 * must be the same connection (both first sequence numbers) with the same requests outstanding. The
 * programs drop the flow of an older connection when its successor's SYN-ACK leaves, before there
 * is a socket of the new one; so the socket that was looked up was the flow's, or an older one's
 * that is gone by now. The cookie, at last, names a socket and none that comes after it; without it
 * the kernel, finding no connection, would take the listening socket.
 */
#include "traffic/cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/flowstate.h>
#include <keyfilter/keystate.h>
#include <keyfilter/sourcestate.h>

#include "clock.h"
#include "log.h"
#include "maps/maps.h"
#include "net/netlink.h"
#include "policy/policy.h"
#include "traffic/penalty.h"

#define SLICE	     2048 /* flows read at a time */
#define ENDS_AT_ONCE 32	  /* sockets ended at a time: three system calls and more each */

/* A flow that was found, as it was. */
struct doomed {
	struct kf_flow_key key;
	uint32_t client_first;
	uint32_t server_first;
	uint32_t requests;
	uint32_t responses;
	uint32_t slot;
	uint16_t slot_check;
	uint8_t service;
	uint8_t reason;
};

struct kf_cut {
	struct kf_maps *maps;
	kf_cut_tell_fn tell;
	void *context;
	unsigned int what; /* KF_REVOKED_*, of the walk under way */
	bool more;	   /* behind the cursor */
	struct kf_maps_cursor cursor;
	uint64_t now_ns;     /* CLOCK_BOOTTIME, of the slice */
	uint64_t *penalised; /* kf_source_unit(), in order */
	size_t penalised_count;
	uint64_t count;
	bool unable;
	struct doomed *doomed;
	uint32_t doomed_count;
	uint32_t doomed_room;
};

int kf_traffic_cut_open(struct kf_cut **out, struct kf_maps *maps, kf_cut_tell_fn tell,
			void *context)
{
	struct kf_cut *cut = calloc(1, sizeof(*cut));

	if (!cut)
		return -ENOMEM;
	cut->maps = maps;
	cut->tell = tell;
	cut->context = context;
	*out = cut;
	return 0;
}

void kf_traffic_cut_close(struct kf_cut *cut)
{
	if (!cut)
		return;
	free(cut->doomed);
	free(cut->penalised);
	free(cut);
}

uint64_t kf_traffic_cut_count(const struct kf_cut *cut)
{
	return cut->count;
}

bool kf_traffic_cut_is_unable(const struct kf_cut *cut)
{
	return cut->unable;
}

static int compare_units(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

/* As many as there are now: the table is memory-mapped, and looked through twice. */
static int list_penalised(struct kf_cut *cut)
{
	uint64_t room = kf_traffic_penalty_count(cut->maps);
	struct kf_penalty_walk walk;
	struct kf_penalty penalty;

	free(cut->penalised);
	cut->penalised_count = 0;
	cut->penalised = calloc(room + 1, sizeof(*cut->penalised));
	if (!cut->penalised)
		return -ENOMEM;
	kf_traffic_penalty_walk_begin(&walk, cut->maps, KF_PENALTY_IN_FORCE);
	while (cut->penalised_count < room && kf_traffic_penalty_walk_next(&walk, &penalty))
		cut->penalised[cut->penalised_count++] = penalty.unit;
	qsort(cut->penalised, cut->penalised_count, sizeof(*cut->penalised), compare_units);
	return 0;
}

int kf_traffic_cut_begin(struct kf_cut *cut, unsigned int what)
{
	cut->what = what;
	cut->more = true;
	cut->doomed_count = 0;
	memset(&cut->cursor, 0, sizeof(cut->cursor));
	return what & KF_REVOKED_SOURCES ? list_penalised(cut) : 0;
}

/* ---- which must end -------------------------------------------------------------------------- */

/* What is closed or answered has ended already. */
static bool is_running(const struct kf_flow *flow)
{
	return flow->state != KF_FLOW_CLOSED && flow->state != KF_FLOW_ANSWERED &&
	       kf_flow_is_running(flow);
}

/* Why the key's requests must end, 0: they need not. */
static uint8_t key_reason(const struct kf_cut *cut, const struct kf_flow *flow)
{
	const struct kf_slot *slot = kf_maps_slot(cut->maps, flow->slot);
	int reason;

	if (!slot)
		return flow->slot == KF_SLOT_NONE ? 0 : KF_REASON_UNKNOWN_KEY;
	if (!kf_keystate_is(slot, flow->slot_check))
		return KF_REASON_UNKNOWN_KEY;
	reason = kf_keystate_live(slot, cut->now_ns);
	return reason == KF_REASON_ADMITTED ? 0 : reason;
}

static uint8_t source_reason(const struct kf_cut *cut, const uint8_t client[16])
{
	struct kf_prefix prefix = { .prefix_len = 128 };
	uint64_t unit = kf_source_unit(client);
	struct kf_source source = { 0 };

	memcpy(prefix.addr, client, sizeof(prefix.addr));
	if (kf_maps_get(cut->maps, KF_MAP_kf_hosts, client, &source) &&
	    kf_maps_get(cut->maps, KF_MAP_kf_prefixes, &prefix, &source))
		source = (struct kf_source){ 0 };
	if (kf_sourcestate_is_denied(&source, cut->now_ns))
		return KF_REASON_SOURCE_DENIED;
	if (kf_sourcestate_is_allowed(&source, cut->now_ns))
		return 0;
	return bsearch(&unit, cut->penalised, cut->penalised_count, sizeof(unit), compare_units)
		       ? KF_REASON_SOURCE_PENALISED
		       : 0;
}

static bool is_enforced(const struct kf_cut *cut, const struct kf_flow *flow)
{
	uint32_t index = flow->service;
	struct kf_service service;

	return !kf_maps_get(cut->maps, KF_MAP_kf_services, &index, &service) && service.live &&
	       service.mode == KF_MODE_ENFORCE;
}

/* Why @flow must end; 0: it need not. */
static uint8_t end_reason(const struct kf_cut *cut, const struct kf_flow_key *key,
			  const struct kf_flow *flow)
{
	uint8_t reason = 0;

	if (!is_running(flow))
		return 0;
	if (cut->what & KF_REVOKED_KEYS)
		reason = key_reason(cut, flow);
	if (!reason && (cut->what & KF_REVOKED_SOURCES))
		reason = source_reason(cut, key->client);
	return reason && is_enforced(cut, flow) ? reason : 0;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static struct doomed *append(struct kf_cut *cut)
{
	if (cut->doomed_count == cut->doomed_room) {
		uint32_t room = cut->doomed_room ? cut->doomed_room * 2 : 64;
		struct doomed *doomed = reallocarray(cut->doomed, room, sizeof(*doomed));

		if (!doomed)
			return NULL;
		cut->doomed = doomed;
		cut->doomed_room = room;
	}
	return &cut->doomed[cut->doomed_count++];
}

static int look_at(void *context, const void *at_key, const void *at_value)
{
	struct kf_cut *cut = context;
	struct kf_flow_key key;
	struct doomed *doomed;
	struct kf_flow flow;
	uint8_t reason;

	memcpy(&key, at_key, sizeof(key));
	memcpy(&flow, at_value, sizeof(flow));
	reason = end_reason(cut, &key, &flow);
	if (!reason)
		return 0;
	doomed = append(cut);
	if (!doomed)
		return -ENOMEM;
	*doomed = (struct doomed){
		.key = key,
		.client_first = flow.in.first,
		.server_first = flow.out.first,
		.requests = flow.response.requests,
		.responses = flow.response.ended,
		.slot = flow.slot,
		.slot_check = flow.slot_check,
		.service = (uint8_t)flow.service,
		.reason = reason,
	};
	return 0;
}

static bool is_as_it_was(const struct kf_cut *cut, const struct doomed *doomed)
{
	struct kf_flow flow;

	return !kf_maps_get(cut->maps, KF_MAP_kf_flows, &doomed->key, &flow) &&
	       flow.in.first == doomed->client_first && flow.out.first == doomed->server_first &&
	       flow.response.requests == doomed->requests &&
	       flow.response.ended == doomed->responses && flow.slot == doomed->slot &&
	       flow.slot_check == doomed->slot_check;
}

static void tell(const struct kf_cut *cut, const struct doomed *doomed)
{
	struct kf_event event = {
		.time_ns = kf_clock_boot(),
		.client_port = doomed->key.client_port,
		.server_port = doomed->key.server_port,
		.slot = doomed->slot,
		.reason = doomed->reason,
		.service = doomed->service,
		.kind = KF_EVENT_CUT,
	};

	memcpy(event.client, doomed->key.client, sizeof(event.client));
	memcpy(event.server, doomed->key.server, sizeof(event.server));
	if (cut->tell)
		cut->tell(cut->context, &event);
}

/*
 * The RST has left when the system call returns, and a program that saw it has dropped the flow, or
 * has noted the cut or its answer in it. Where none has, the flow is closed and locked like one
 * that the sweep forgets, so that no program counts it later; a flow that a CPU holds is left
 * alone.
 */
static void account(const struct kf_cut *cut, const struct doomed *doomed)
{
	struct kf_flow flow;

	if (kf_maps_get(cut->maps, KF_MAP_kf_flows, &doomed->key, &flow) || flow.cut ||
	    flow.state == KF_FLOW_ANSWERED || flow.in.first != doomed->client_first ||
	    flow.out.first != doomed->server_first)
		return;
	if (!flow.busy) {
		flow.state = KF_FLOW_CLOSED;
		flow.busy = 1;
		kf_maps_put(cut->maps, KF_MAP_kf_flows, &doomed->key, &flow);
	}
	kf_maps_count_cut(cut->maps, doomed->service);
	tell(cut, doomed);
}

static int end_one(struct kf_cut *cut, const struct doomed *doomed)
{
	struct kf_connection connection;
	int err = kf_net_sockdiag_find(&doomed->key, &connection);

	if (!err && is_as_it_was(cut, doomed))
		err = kf_net_sockdiag_destroy(&connection);
	else if (!err)
		return 0;
	cut->count += !err;
	if (!err)
		account(cut, doomed);
	if (err != -EOPNOTSUPP)
		return err == -ENOENT ? 0 : err; /* gone, or never of this namespace */
	cut->unable = true;
	kf_log_warning("this kernel cannot end TCP sockets (CONFIG_INET_DIAG_DESTROY): requests of "
		       "revoked keys and denied sources that are silent end at their next packet "
		       "only; nothing else is amiss");
	return 0;
}

static int end_some(struct kf_cut *cut)
{
	int err = 0;

	for (int i = 0; !err && cut->doomed_count && i < ENDS_AT_ONCE; i++)
		err = end_one(cut, &cut->doomed[--cut->doomed_count]);
	return err;
}

int kf_traffic_cut_step(struct kf_cut *cut)
{
	int err = 0;

	if (cut->unable)
		return 0;
	if (cut->doomed_count) {
		err = end_some(cut);
	} else if (cut->more) {
		cut->now_ns = kf_clock_boot();
		err = kf_maps_slice(cut->maps, KF_MAP_kf_flows, &cut->cursor, SLICE, look_at, cut);
		cut->more = err > 0;
	}
	if (err < 0)
		return err;
	return cut->doomed_count || cut->more;
}
