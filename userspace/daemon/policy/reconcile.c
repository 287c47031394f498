// SPDX-License-Identifier: GPL-2.0-only
#include "policy/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "policy/answer.h"
#include "cleanup.h"
#include "traffic/cut.h"
#include "policy/key.h"
#include "policy/key_batch.h"
#include "maps/diff.h"
#include "policy/source.h"
#include "why.h"

#define CLOCK_TRIES	   8
#define KEY_SLACK_NS	   1000000   /* the clock may be off by so much before keys are corrected */
#define SOURCE_SLACK_NS	   100000000 /* and sources: correcting them reads them all */
#define SOURCES_IN_A_SLICE 256
#define SECRETS_AT_ONCE	   32
#define WALLTIME_WRITE_NS  3600000000000ll
#define NS_PER_S	   1000000000ull

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/*
 * Of several tries the one that was least interrupted. The time before the wall clock was read is
 * taken, so that a deadline is early by that bit, never late.
 */
struct kf_clock kf_reconcile_now(void)
{
	struct kf_clock best = { 0 };
	uint64_t shortest = UINT64_MAX;

	for (int i = 0; i < CLOCK_TRIES; i++) {
		uint64_t before = kf_maps_now();
		uint64_t wall = read_clock(CLOCK_REALTIME);
		uint64_t took = kf_maps_now() - before;

		if (took >= shortest)
			continue;
		shortest = took;
		best.wall_ns = (int64_t)wall;
		best.boot_ns = before;
	}
	return best;
}

struct kf_clock kf_reconcile_time(const struct kf_reconcile *reconcile)
{
	const struct kf_clock raw = kf_reconcile_now();

	return kf_walltime_at(&reconcile->walltime, &raw);
}

static bool has_moved(const struct kf_clock *from, const struct kf_clock *to, int64_t slack)
{
	int64_t moved =
		(to->wall_ns - (int64_t)to->boot_ns) - (from->wall_ns - (int64_t)from->boot_ns);
	int64_t doubt = to->doubt_ns - from->doubt_ns;

	return moved > slack || moved < -slack || doubt > slack || doubt < -slack;
}

/* The id of this boot; "": it is not known, and then no time of an earlier process is of it. */
static void read_boot(char boot[static KF_BOOT_ID_SIZE])
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!file || fread(boot, 1, KF_BOOT_ID_SIZE - 1, file) != KF_BOOT_ID_SIZE - 1)
		boot[0] = '\0';
	boot[KF_BOOT_ID_SIZE - 1] = '\0';
}

static void open_walltime(struct kf_reconcile *reconcile)
{
	const struct kf_clock raw = kf_reconcile_now();
	struct kf_store_time stored;
	char boot[KF_BOOT_ID_SIZE];

	read_boot(boot);
	kf_store_time_get(reconcile->store, &stored);
	kf_walltime_open(&reconcile->walltime, &stored, boot, &raw);
}

/* It goes with whatever is written next; without a write it is written once an hour. */
static void note_walltime(struct kf_reconcile *reconcile)
{
	struct kf_store_time time;
	char boot[KF_BOOT_ID_SIZE];

	read_boot(boot);
	kf_walltime_note(&reconcile->walltime, boot, &time);
	kf_store_time_set(reconcile->store, &time, WALLTIME_WRITE_NS);
}

static int correct_slot(void *context, const struct kf_slot_row *row)
{
	struct kf_reconcile *reconcile = context;
	const struct kf_slot *slot = kf_maps_slot(reconcile->maps, row->slot);
	struct kf_slot_row narrowed = *row;
	uint64_t expires;

	kf_hold_narrow(kf_hold_find(reconcile->holds, row->key), &narrowed);
	expires = kf_policy_deadline(&reconcile->clock, narrowed.expires);
	if (slot && slot->expires_ns != expires)
		kf_maps_slot_expires(reconcile->maps, row->slot, expires);
	return 0;
}

static int correct_credential(void *context, const struct kf_credential_row *credential)
{
	struct kf_slot_row row = {
		.slot = credential->slot,
		.key = credential->key,
		.expires = credential->until,
	};

	return correct_slot(context, &row);
}

/* Keys that have no end in the store, but are held to one, are not among those with a time. */
static int correct_held(struct kf_reconcile *reconcile)
{
	const unsigned int ends = KF_HOLD_EXPIRES | KF_HOLD_SECRETS;
	int err = 0;

	for (uint32_t i = 0; !err && i < kf_hold_count(reconcile->holds); i++) {
		const struct kf_hold *hold = kf_hold_at(reconcile->holds, i);

		if (hold->what & ends)
			err = kf_store_credential_each(reconcile->store, hold->key,
						       correct_credential, reconcile);
	}
	return err;
}

/* Those that are held first: what the store says of their key is what is told them last. */
static int correct_keys(struct kf_reconcile *reconcile)
{
	int err = correct_held(reconcile);

	return err ? err : kf_store_slot_each(reconcile->store, true, correct_slot, reconcile);
}

static int correct_sources(struct kf_reconcile *reconcile)
{
	bool timed;
	int err = kf_store_source_timed(reconcile->store, &timed);

	return err || !timed ? err : kf_reconcile_sources(reconcile);
}

/* On failure the old clock stays, so that the next call tries again. */
int kf_reconcile_clock(struct kf_reconcile *reconcile)
{
	const struct kf_clock raw = kf_reconcile_now();
	struct kf_clock now, before = reconcile->clock;
	int err;

	kf_walltime_look(&reconcile->walltime, &raw);
	note_walltime(reconcile);
	now = kf_walltime_at(&reconcile->walltime, &raw);

	if (has_moved(&before, &now, KEY_SLACK_NS)) {
		reconcile->clock = now;
		reconcile->revoked |= KF_CUT_KEYS;
		err = correct_keys(reconcile);
		if (err) {
			reconcile->clock = before;
			return err;
		}
	}
	if (!has_moved(&reconcile->source_clock, &now, SOURCE_SLACK_NS))
		return 0;
	return correct_sources(reconcile);
}

/* Keys whose time came since the last call. The programs know by themselves, at a packet. */
static int note_lapsed(struct kf_reconcile *reconcile)
{
	int64_t now = kf_reconcile_time(reconcile).wall_ns;
	bool any = false;
	int err = kf_store_key_lapsed(reconcile->store, reconcile->lapsed_until, now, &any);

	if (err)
		return err;
	reconcile->lapsed_until = now;
	if (any)
		reconcile->revoked |= KF_CUT_KEYS;
	return 0;
}

int kf_reconcile_expire(struct kf_reconcile *reconcile)
{
	int err = note_lapsed(reconcile);
	int more;

	if (!err && !kf_walltime_is_sure(&reconcile->walltime))
		more = 0; /* what is deleted does not come back when the clock is corrected */
	else
		more = err ?: kf_source_expire(reconcile) ?:
			      kf_key_expire(reconcile, SECRETS_AT_ONCE);
	return more ?: kf_key_batch_clean(reconcile);
}

/* ---- services -------------------------------------------------------------------------------- */

static int want_service(void *context, const struct kf_service_row *row)
{
	kf_policy_service(context, row);
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
		err = kf_mapdiff_put(listeners);
	if (!err)
		err = put_ports(maps, want->ports, have, true);
	if (!err)
		err = put_ports(maps, want->ports, have, false);
	if (!err)
		err = kf_mapdiff_delete(listeners);
	return err ? err : put_services(maps, want, false);
}

int kf_reconcile_services(struct kf_reconcile *reconcile)
{
	_cleanup_free_ struct kf_policy_services *want = calloc(1, sizeof(*want));
	_cleanup_free_ struct kf_port *have = calloc(65536, sizeof(*have));
	_cleanup_(kf_mapdiff_end) struct kf_mapdiff listeners;
	struct kf_maps *maps = reconcile->maps;
	int err;

	kf_mapdiff_begin(&listeners, maps, KF_MAP_kf_listeners, sizeof(struct kf_listener),
			 sizeof(uint32_t));
	if (!want || !have)
		return -ENOMEM;
	err = kf_store_service_each(reconcile->store, want_service, want);
	for (uint32_t i = 0; !err && i < want->listener_count; i++)
		err = kf_mapdiff_want(&listeners, &want->listeners[i], &want->listener_index[i]);
	if (!err)
		err = kf_mapdiff_read(&listeners);
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
		return kf_mapdiff_want(&sources->hosts, entry->cidr.addr, &entry->source);
	memcpy(prefix.addr, entry->cidr.addr, sizeof(prefix.addr));
	return kf_mapdiff_want(&sources->prefixes, &prefix, &entry->source);
}

static int walk_source(void *context, const struct kf_source_row *row)
{
	struct sources *sources = context;

	return kf_policy_walk_next(&sources->walk, row);
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
	err = kf_mapdiff_put(&sources->prefixes);
	if (!err)
		err = kf_mapdiff_put(&sources->hosts);
	if (err && err != -E2BIG && err != -ENOSPC)
		return err;
	again = err;
	err = kf_mapdiff_delete(&sources->hosts);
	if (!err)
		err = kf_mapdiff_delete(&sources->prefixes);
	if (!err && again)
		err = kf_mapdiff_put(&sources->prefixes);
	if (!err && again)
		err = kf_mapdiff_put(&sources->hosts);
	if (!err)
		kf_maps_config_flags(
			maps, 0, ~source_flags(sources) & (KF_CONFIG_HOSTS | KF_CONFIG_PREFIXES));
	return err;
}

static void sources_end(struct sources *sources)
{
	kf_mapdiff_end(&sources->hosts);
	kf_mapdiff_end(&sources->prefixes);
}

int kf_reconcile_sources(struct kf_reconcile *reconcile)
{
	_cleanup_(sources_end) struct sources sources;
	struct kf_maps *maps = reconcile->maps;
	struct kf_clock clock = kf_reconcile_time(reconcile);
	struct kf_hold_feed feed;
	int err;

	kf_mapdiff_begin(&sources.hosts, maps, KF_MAP_kf_hosts, 16, sizeof(struct kf_source));
	kf_mapdiff_begin(&sources.prefixes, maps, KF_MAP_kf_prefixes, sizeof(struct kf_prefix),
			 sizeof(struct kf_source));
	kf_policy_walk_begin(&sources.walk, &clock, NULL, want_source, &sources);
	kf_hold_feed_begin(&feed, reconcile->holds, KF_HOLD_ALL, NULL, walk_source, &sources);
	err = kf_store_source_each(reconcile->store, kf_hold_feed_row, &feed);
	if (!err)
		err = kf_hold_feed_finish(&feed);
	if (!err)
		err = kf_policy_walk_finish(&sources.walk);
	if (!err)
		err = kf_mapdiff_read(&sources.hosts);
	if (!err)
		err = kf_mapdiff_read(&sources.prefixes);
	if (err)
		return err;
	err = apply_sources(maps, &sources);
	kf_maps_sources_changed(maps); /* on failure too: some may be written */
	if (!err)
		reconcile->source_clock = clock;
	return err;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Where there is no answer for the reason, the map says so with zeros. */
static int put_answer(struct kf_maps *maps, uint32_t row, uint32_t protocol)
{
	uint32_t detail = row < KF_REASON_MAX ? 0 : row - KF_REASON_MAX;
	uint32_t reason = row < KF_REASON_MAX ? row : KF_REASON_MALFORMED;
	uint32_t index = row * KF_ANSWER_PROTOCOLS + protocol;
	struct kf_answer want = { 0 }, have;
	int err = kf_answer_make(reason, detail, protocol, &want);

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
int kf_reconcile_answers(struct kf_reconcile *reconcile)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < KF_ANSWERS_MAX; i++)
		err = put_answer(reconcile->maps, i / KF_ANSWER_PROTOCOLS, i % KF_ANSWER_PROTOCOLS);
	return err;
}

/* ---- start ----------------------------------------------------------------------------------- */

static int take_secret(struct kf_reconcile *reconcile, struct kf_why *why)
{
	struct kf_config *config = kf_maps_config(reconcile->maps);
	const struct kf_secret *secret = reconcile->secret;

	if (kf_maps_are_fresh(reconcile->maps)) {
		memcpy(config->secret, secret->key, sizeof(config->secret));
		return 0;
	}
	if (!memcmp(config->secret, secret->key, sizeof(config->secret)))
		return 0;
	return kf_why_set(
		why, -EPROTO,
		"the pinned maps were made under another secret than the one in "
		"the state directory; give the --state-dir that belongs to this --pin-dir, or "
		"keyfilterd --unload and start again");
}

/*
 * Following a store that was lost and made anew would open every service. Sealed before the maps
 * are, so that sealed maps never stand before a store that is not.
 */
static int check_store(struct kf_reconcile *reconcile, struct kf_why *why)
{
	bool sealed = false;
	int err = kf_store_is_sealed(reconcile->store, &sealed);

	if (!err && sealed)
		return 0;
	if (!err && !kf_maps_are_fresh(reconcile->maps))
		return kf_why_set(
			why, -EPROTO,
			"the pinned maps hold a policy, and the store is a new one; "
			"restore keyfilter.db from a backup, or keyfilterd --unload, which "
			"opens all services, and start again");
	err = err ?: kf_store_seal(reconcile->store);
	return err ? kf_why_set(
			     why, err,
			     "cannot write the store: %s; see to the disk of the state directory",
			     kf_store_error(reconcile->store))
		   : 0;
}

/*
 * A row that cannot be is not passed over: it may be the one that closes something. What is in the
 * kernel goes on.
 */
static int explain(struct kf_reconcile *reconcile, int err, const char *what, const char *mend,
		   struct kf_why *why)
{
	if (!err)
		return 0;
	if (err == -EUCLEAN)
		return kf_why_set(why, err,
				  "the store has a row that cannot be: %s; restore keyfilter.db "
				  "from a backup, or correct the row with sqlite3",
				  kf_store_error(reconcile->store));
	return kf_why_set(why, err, "cannot load the %s: %s; %s", what, strerror(-err), mend);
}

static int pass_iface(void *context, const struct kf_iface_row *row)
{
	return 0;
}

/*
 * Many keys that were being made when the daemon died. Where they cannot be removed now, for the
 * disk is full, they stay hidden and their places taken until the housekeeping can.
 */
static void remove_unfinished(struct kf_reconcile *reconcile)
{
	int more = 1;

	reconcile->leftover = true;
	while (more > 0)
		more = kf_key_batch_clean(reconcile);
}

static int start(struct kf_reconcile *reconcile, struct kf_why *why)
{
	static const char log[] = "see the kernel log";
	int err = take_secret(reconcile, why) ?: check_store(reconcile, why);

	err = err
		      ?: explain(reconcile, kf_store_iface_each(reconcile->store, pass_iface, NULL),
				 "interfaces", log, why);
	if (!err)
		remove_unfinished(reconcile);
	err = err ?: kf_reconcile_keys(reconcile, why);
	err = err
		      ?: explain(reconcile, kf_reconcile_sources(reconcile), "sources",
				 "if there are more than sources_max, raise it (keyfilterd "
				 "--unload, then start again)",
				 why);
	err = err ?: explain(reconcile, kf_reconcile_answers(reconcile), "answers", log, why);
	err = err ?: explain(reconcile, kf_reconcile_services(reconcile), "services", log, why);
	if (!err)
		kf_maps_seal(reconcile->maps);
	return err;
}

KF_CLEANUP_DEFINE(struct kf_reconcile, kf_reconcile_close)

int kf_reconcile_open(struct kf_reconcile **out, struct kf_store *store, struct kf_maps *maps,
		      const struct kf_secret *secret, uint64_t flow_idle_ns, struct kf_why *why)
{
	_cleanup_(kf_reconcile_closep) struct kf_reconcile *reconcile =
		calloc(1, sizeof(*reconcile));
	int err;

	if (!reconcile)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	reconcile->store = store;
	reconcile->maps = maps;
	reconcile->secret = secret;
	open_walltime(reconcile);
	note_walltime(reconcile);
	reconcile->clock = kf_reconcile_time(reconcile);
	reconcile->lapsed_until = reconcile->clock.wall_ns;
	reconcile->revoked = KF_CUT_KEYS | KF_CUT_SOURCES; /* whatever a crash left undone */
	reconcile->flow_idle_ns = flow_idle_ns;
	reconcile->sources_at_once = SOURCES_IN_A_SLICE;
	LIST_INIT(&reconcile->source_changes);
	if (kf_hold_open(&reconcile->holds))
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	err = start(reconcile, why);
	if (!err)
		*out = TAKE_PTR(reconcile);
	return err;
}

void kf_reconcile_close(struct kf_reconcile *reconcile)
{
	if (!reconcile)
		return;
	kf_hold_close(reconcile->holds);
	kf_slotpool_close(reconcile->slots);
	free(reconcile);
}
