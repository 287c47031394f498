// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sweep over kf_flows: counts the connections, and forgets those that have been silent for too
 * long, because their end was never seen. In two steps, one sweep apart: a flow is first replaced
 * by a closed and locked one, which no program will judge by, and deleted in the next sweep, when
 * no program can still hold the element. A deleted element stays locked (see bpf/flow.h).
 */
#include "traffic/flows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/flowstate.h>

#include "clock.h"
#include "maps/maps.h"

#define SLICE 2048 /* entries; well under a millisecond to read */
/* of kf_flow.seen */
#define ENDING_IDLE 112 /* about two minutes */
#define TOLD_IDLE   28	/* about half a minute: no answer is listened for much longer */

struct kf_flows {
	struct kf_maps *maps;
	uint32_t idle;		      /* as kf_flow.seen counts */
	uint64_t live;		      /* by the last complete sweep */
	struct kf_maps_cursor cursor; /* of the sweep that goes on */
	uint64_t seen;		      /* by it so far */
};

struct slice {
	struct kf_flows *flows;
	uint32_t now; /* as kf_flow.seen counts: CLOCK_MONOTONIC >> 30 */
	uint32_t idle;
	struct kf_flow_key closed[SLICE]; /* to be deleted */
	struct kf_flow_key silent[SLICE]; /* to be closed */
	uint32_t closed_count;
	uint32_t silent_count;
};

/*
 * How long it may be silent. A flow that has begun to end, or that was refused, has nothing to say
 * that would still pass: it does not keep its place for a client that vanished. One that was
 * answered or cut only waits for what its client may still send of the old request.
 */
static uint32_t patience(const struct slice *slice, const struct kf_flow *flow)
{
	bool told = flow->state == KF_FLOW_ANSWERED || flow->cut;
	/* a response may be long in coming to a client that has half-closed, or waits to be told */
	bool waiting = flow->state == KF_FLOW_REFUSED || (flow->flags & KF_FLOW_FIN_IN);
	bool ending = (flow->out.flags & (KF_FLOW_FIN_OUT | KF_FLOW_RST_OUT)) ||
		      (flow->flags & KF_FLOW_RST_IN) || (waiting && !kf_flow_is_running(flow));
	uint32_t most = told ? TOLD_IDLE : ENDING_IDLE;

	return (told || ending) && slice->idle > most ? most : slice->idle;
}

/* The clock of another CPU may be a tick ahead: then it was now. */
static bool is_silent(const struct slice *slice, const struct kf_flow *flow)
{
	int32_t age = (int32_t)(slice->now - flow->seen);

	return age > 0 && (uint32_t)age > patience(slice, flow);
}

static int look_at(void *context, const void *key, const void *value)
{
	struct slice *slice = context;
	struct kf_flow flow;

	memcpy(&flow, value, sizeof(flow));
	if (flow.state == KF_FLOW_CLOSED) {
		if (slice->closed_count < SLICE)
			memcpy(&slice->closed[slice->closed_count++], key,
			       sizeof(slice->closed[0]));
		return 0;
	}
	slice->flows->seen++;
	if (is_silent(slice, &flow) && slice->silent_count < SLICE)
		memcpy(&slice->silent[slice->silent_count++], key, sizeof(slice->silent[0]));
	return 0;
}

/* Read once more, just before: it may have spoken since the slice was read. */
static int close_silent(struct slice *slice, const struct kf_flow_key *key)
{
	struct kf_maps *maps = slice->flows->maps;
	struct kf_flow flow;
	int err = kf_maps_get(maps, KF_MAP_kf_flows, key, &flow);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (flow.busy || !is_silent(slice, &flow))
		return 0;
	flow.state = KF_FLOW_CLOSED;
	flow.busy = 1;
	return kf_maps_put(maps, KF_MAP_kf_flows, key, &flow);
}

static int apply_slice(struct slice *slice)
{
	int err = kf_maps_delete_many(slice->flows->maps, KF_MAP_kf_flows, slice->closed,
				      slice->closed_count);

	for (uint32_t i = 0; !err && i < slice->silent_count; i++)
		err = close_silent(slice, &slice->silent[i]);
	return err;
}

int kf_traffic_flows_open(struct kf_flows **out, struct kf_maps *maps, uint64_t idle_ns)
{
	struct kf_flows *flows = calloc(1, sizeof(*flows));

	if (!flows)
		return -ENOMEM;
	flows->maps = maps;
	flows->idle = (uint32_t)(idle_ns >> 30);
	*out = flows;
	return 0;
}

void kf_traffic_flows_close(struct kf_flows *flows)
{
	free(flows);
}

uint64_t kf_traffic_flows_live(const struct kf_flows *flows)
{
	return flows->live;
}

int kf_traffic_flows_sweep(struct kf_flows *flows)
{
	struct slice slice;
	int more, err;

	slice.flows = flows;
	slice.now = kf_clock_seen();
	slice.idle = flows->idle;
	slice.closed_count = slice.silent_count = 0;
	more = kf_maps_slice(flows->maps, KF_MAP_kf_flows, &flows->cursor, SLICE, look_at, &slice);
	if (more < 0)
		return more;
	err = apply_slice(&slice);
	if (err || more)
		return err ? err : 1;
	flows->live = flows->seen;
	flows->seen = 0;
	memset(&flows->cursor, 0, sizeof(flows->cursor));
	return 0;
}
