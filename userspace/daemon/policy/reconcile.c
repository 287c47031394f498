// SPDX-License-Identifier: GPL-2.0-only
#include "policy/policy.h"

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
struct kf_clock kf_clock_now(void)
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

struct kf_clock kf_policy_time(const struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();

	return kf_policy_walltime_at(&policy->walltime, &raw);
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

static void open_walltime(struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();
	struct kf_store_time stored;
	char boot[KF_BOOT_ID_SIZE];

	read_boot(boot);
	kf_store_time_get(policy->store, &stored);
	kf_policy_walltime_open(&policy->walltime, &stored, boot, &raw);
}

/* It goes with whatever is written next; without a write it is written once an hour. */
static void note_walltime(struct kf_policy *policy)
{
	struct kf_store_time time;
	char boot[KF_BOOT_ID_SIZE];

	read_boot(boot);
	kf_policy_walltime_note(&policy->walltime, boot, &time);
	kf_store_time_set(policy->store, &time, WALLTIME_WRITE_NS);
}

static int correct_slot(void *context, const struct kf_slot_row *row)
{
	struct kf_policy *policy = context;
	const struct kf_slot *slot = kf_maps_slot(policy->maps, row->slot);
	struct kf_slot_row narrowed = *row;
	uint64_t expires;

	kf_policy_hold_narrow(kf_policy_hold_find(policy->holds, row->key), &narrowed);
	expires = kf_policy_compile_deadline(&policy->clock, narrowed.expires);
	if (slot && slot->expires_ns != expires)
		kf_maps_slot_expires(policy->maps, row->slot, expires);
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
static int correct_held(struct kf_policy *policy)
{
	const unsigned int ends = KF_HOLD_EXPIRES | KF_HOLD_SECRETS;
	int err = 0;

	for (uint32_t i = 0; !err && i < kf_policy_hold_count(policy->holds); i++) {
		const struct kf_hold *hold = kf_policy_hold_at(policy->holds, i);

		if (hold->what & ends)
			err = kf_store_credential_each(policy->store, hold->key, correct_credential,
						       policy);
	}
	return err;
}

/* Those that are held first: what the store says of their key is what is told them last. */
static int correct_keys(struct kf_policy *policy)
{
	int err = correct_held(policy);

	return err ? err : kf_store_slot_each(policy->store, true, correct_slot, policy);
}

static int correct_sources(struct kf_policy *policy)
{
	bool timed;
	int err = kf_store_source_timed(policy->store, &timed);

	return err || !timed ? err : kf_policy_reconcile_sources(policy);
}

/* On failure the old clock stays, so that the next call tries again. */
int kf_policy_clock_correct(struct kf_policy *policy)
{
	const struct kf_clock raw = kf_clock_now();
	struct kf_clock now, before = policy->clock;
	int err;

	kf_policy_walltime_look(&policy->walltime, &raw);
	note_walltime(policy);
	now = kf_policy_walltime_at(&policy->walltime, &raw);

	if (has_moved(&before, &now, KEY_SLACK_NS)) {
		policy->clock = now;
		policy->revoked |= KF_CUT_KEYS;
		err = correct_keys(policy);
		if (err) {
			policy->clock = before;
			return err;
		}
	}
	if (!has_moved(&policy->source_clock, &now, SOURCE_SLACK_NS))
		return 0;
	return correct_sources(policy);
}

/* Keys whose time came since the last call. The programs know by themselves, at a packet. */
static int note_lapsed(struct kf_policy *policy)
{
	int64_t now = kf_policy_time(policy).wall_ns;
	bool any = false;
	int err = kf_store_key_lapsed(policy->store, policy->lapsed_until, now, &any);

	if (err)
		return err;
	policy->lapsed_until = now;
	if (any)
		policy->revoked |= KF_CUT_KEYS;
	return 0;
}

int kf_policy_expire(struct kf_policy *policy)
{
	int err = note_lapsed(policy);
	int more;

	if (!err && !kf_policy_walltime_is_sure(&policy->walltime))
		more = 0; /* what is deleted does not come back when the clock is corrected */
	else
		more = err ?: kf_policy_source_expire(policy) ?:
			      kf_policy_key_expire(policy, SECRETS_AT_ONCE);
	return more ?: kf_policy_key_batch_clean(policy);
}

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
	uint32_t reason = row < KF_REASON_MAX ? row : KF_REASON_MALFORMED;
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

/* ---- start ----------------------------------------------------------------------------------- */

static int take_secret(struct kf_policy *policy, struct kf_why *why)
{
	struct kf_config *config = kf_maps_config(policy->maps);
	const struct kf_secret *secret = policy->secret;

	if (kf_maps_are_fresh(policy->maps)) {
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
static int check_store(struct kf_policy *policy, struct kf_why *why)
{
	bool sealed = false;
	int err = kf_store_is_sealed(policy->store, &sealed);

	if (!err && sealed)
		return 0;
	if (!err && !kf_maps_are_fresh(policy->maps))
		return kf_why_set(
			why, -EPROTO,
			"the pinned maps hold a policy, and the store is a new one; "
			"restore keyfilter.db from a backup, or keyfilterd --unload, which "
			"opens all services, and start again");
	err = err ?: kf_store_seal(policy->store);
	return err ? kf_why_set(
			     why, err,
			     "cannot write the store: %s; see to the disk of the state directory",
			     kf_store_error(policy->store))
		   : 0;
}

/*
 * A row that cannot be is not passed over: it may be the one that closes something. What is in the
 * kernel goes on.
 */
static int explain(struct kf_policy *policy, int err, const char *what, const char *mend,
		   struct kf_why *why)
{
	if (!err)
		return 0;
	if (err == -EUCLEAN)
		return kf_why_set(why, err,
				  "the store has a row that cannot be: %s; restore keyfilter.db "
				  "from a backup, or correct the row with sqlite3",
				  kf_store_error(policy->store));
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
static void remove_unfinished(struct kf_policy *policy)
{
	int more = 1;

	policy->leftover = true;
	while (more > 0)
		more = kf_policy_key_batch_clean(policy);
}

static int start(struct kf_policy *policy, struct kf_why *why)
{
	static const char log[] = "see the kernel log";
	int err = take_secret(policy, why) ?: check_store(policy, why);

	err = err
		      ?: explain(policy, kf_store_iface_each(policy->store, pass_iface, NULL),
				 "interfaces", log, why);
	if (!err)
		remove_unfinished(policy);
	err = err ?: kf_policy_reconcile_keys(policy, why);
	err = err
		      ?: explain(policy, kf_policy_reconcile_sources(policy), "sources",
				 "if there are more than sources_max, raise it (keyfilterd "
				 "--unload, then start again)",
				 why);
	err = err ?: explain(policy, kf_policy_reconcile_answers(policy), "answers", log, why);
	err = err ?: explain(policy, kf_policy_reconcile_services(policy), "services", log, why);
	if (!err)
		kf_maps_seal(policy->maps);
	return err;
}

KF_CLEANUP_DEFINE(struct kf_policy, kf_policy_close)

int kf_policy_open(struct kf_policy **out, struct kf_store *store, struct kf_maps *maps,
		   const struct kf_secret *secret, uint64_t flow_idle_ns, struct kf_why *why)
{
	_cleanup_(kf_policy_closep) struct kf_policy *policy = calloc(1, sizeof(*policy));
	int err;

	if (!policy)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	policy->store = store;
	policy->maps = maps;
	policy->secret = secret;
	open_walltime(policy);
	note_walltime(policy);
	policy->clock = kf_policy_time(policy);
	policy->lapsed_until = policy->clock.wall_ns;
	policy->revoked = KF_CUT_KEYS | KF_CUT_SOURCES; /* whatever a crash left undone */
	policy->flow_idle_ns = flow_idle_ns;
	policy->sources_at_once = SOURCES_IN_A_SLICE;
	LIST_INIT(&policy->source_changes);
	if (kf_policy_hold_open(&policy->holds))
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	err = start(policy, why);
	if (!err)
		*out = TAKE_PTR(policy);
	return err;
}

void kf_policy_close(struct kf_policy *policy)
{
	if (!policy)
		return;
	kf_policy_hold_close(policy->holds);
	kf_maps_slotpool_close(policy->slots);
	free(policy);
}
