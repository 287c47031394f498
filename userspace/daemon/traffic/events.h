/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * events.h - the last refusals, cuts and penalties, as the programs told them.
 *
 * Owns the consumer of the kf_events ring and the last KF_EVENTS_KEPT events in memory. What the
 * numbers of an event stand for (service, key, interface) is looked up when it arrives, for they
 * may stand for something else later. The end of a penalty is told by the controller, for no packet
 * comes by when time runs out. Filled from the loop; any thread may read next, oldest and copy.
 * Nothing here holds a secret: an event has the key's slot, never the key.
 */
#ifndef KEYFILTER_DAEMON_TRAFFIC_EVENTS_H
#define KEYFILTER_DAEMON_TRAFFIC_EVENTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <keyfilter/abi.h>

#include "store/store.h"

#define KF_EVENTS_KEPT 1000

struct kf_policy;
struct kf_why;

struct kf_events_entry {
	uint64_t seq; /* 1, 2, 3 since the daemon began */
	int64_t wall_ns;
	struct kf_event event;
	bool penalty_ended; /* told by the controller; the event is client and service alone, */
	uint32_t others;    /* or neither, but so many of them */
	const char *filter; /* told by the controller: "filter_lost" of iface; else NULL */
	char service[64];   /* "" where it was unknown, as below */
	char key_id[KF_KEY_ID_SIZE];
	char iface[IF_NAMESIZE];
};

struct kf_events;

/* Borrows @policy, its maps and its store. 0 or -errno with @why. */
int kf_traffic_events_open(struct kf_events **out, struct kf_policy *policy, struct kf_why *why);
void kf_traffic_events_close(struct kf_events *events); /* NULL is fine */

/* In the loop's thread, whenever there are new events. @fn NULL: nobody listens any more. */
typedef void (*kf_events_listen_fn)(void *context);
void kf_traffic_events_listen(struct kf_events *events, kf_events_listen_fn fn, void *context);

int kf_traffic_events_fd(const struct kf_events *events); /* for the loop: readable */
/* Takes what is in the ring, at most some hundred at a time: how many, or -errno. */
int kf_traffic_events_dispatch(struct kf_events *events);

/*
 * The penalty of the source that @addr belongs to (kf_source_unit()), raised by the service with
 * the index @service, ran out or was forgiven at @wall_ns.
 */
void kf_traffic_events_add_penalty_end(struct kf_events *events, const uint8_t addr[static 16],
				       uint8_t service, int64_t wall_ns);

/* The same of @count others, of which no more is told. */
void kf_traffic_events_add_penalty_ends(struct kf_events *events, uint32_t count, int64_t wall_ns);

/* A cut that no program saw: see cut.h. */
void kf_traffic_events_add_cut(struct kf_events *events, const struct kf_event *event);

/* Programs of ours on @dev were taken off by someone else, or are @restored. */
void kf_traffic_events_add_filter(struct kf_events *events, const char *dev, bool restored);

/* Call it when services were added or removed: their names are remembered. */
void kf_traffic_events_reload(struct kf_events *events);

/* The seq that the next event will have. */
uint64_t kf_traffic_events_next_seq(struct kf_events *events);
/* The seq of the oldest event that is still there; where there is none, that of the next one. */
uint64_t kf_traffic_events_oldest_seq(struct kf_events *events);
/* False where it is gone, or not yet there. */
bool kf_traffic_events_copy(struct kf_events *events, uint64_t seq, struct kf_events_entry *out);
/* The same in the loop's thread; valid until the next dispatch. */
const struct kf_events_entry *kf_traffic_events_get(const struct kf_events *events, uint64_t seq);

/* "no_key"; "unknown" for a number of a newer layout. */
const char *kf_traffic_events_reason_name(unsigned int reason);
/* Can a program of this version give it? Some only have their number and their words so far. */
bool kf_traffic_events_reason_occurs(unsigned int reason);

#endif
