/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * maps.h - the pinned BPF maps, and every access to them.
 *
 * Owns the maps below <pin-dir>/maps, which outlive the process: the programs go on with them while
 * no controller runs. One controller per pin directory, by a lock on the directory. kf_config,
 * kf_slots, kf_groups, kf_wallets and kf_penalties are memory-mapped, so that a write there is a
 * store and no system call. Changed in the daemon's one thread; other threads may read. Times are
 * CLOCK_BOOTTIME nanoseconds. 0 or -errno.
 */
#ifndef KEYFILTER_DAEMON_MAPS_MAPS_H
#define KEYFILTER_DAEMON_MAPS_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include <keyfilter/abi.h>

struct kf_maps;
struct kf_why;

enum kf_map {
#define X(name) KF_MAP_##name,
	KF_MAPS(X)
#undef X
		KF_MAP_COUNT
};

struct kf_maps_settings {
	uint32_t keys_max;
	uint32_t sources_max;
	uint32_t flows_max;
	uint32_t heads_max;	   /* partial heads, beside one scratch place a CPU */
	uint32_t embryos;	   /* a power of two */
	uint32_t penalties;	   /* places, KF_PENALTY_WAYS in a set; a power of two */
	uint32_t syn_cells;	   /* a power of two */
	uint32_t event_ring_bytes; /* a power of two, whole pages */
	/* These two reach programs that run already. */
	uint32_t event_rate; /* events per second and CPU; 0: none */
	uint64_t head_timeout_ns;
};

/*
 * Opens the maps pinned at @pin_dir/maps, or makes and pins them. New maps are not sealed: programs
 * may be attached only after kf_maps_seal(). What is there is never changed or flushed. -EBUSY:
 * another keyfilterd holds @pin_dir; -EPROTO: another layout, or not ours; -EINVAL: other sizes
 * than @settings; -ENOTSUP: not on bpffs. @why has the mend.
 */
int kf_maps_open(struct kf_maps **out, const char *pin_dir, const struct kf_maps_settings *settings,
		 struct kf_why *why);
void kf_maps_close(struct kf_maps *maps); /* the pins stay; NULL is fine */

/* Would kf_maps_open() take the pins that are there? Changes nothing, makes nothing. */
int kf_maps_check(const char *pin_dir, const struct kf_maps_settings *settings, struct kf_why *why);

/* Were they made by this kf_maps_open() (or by one that never came to seal them)? */
bool kf_maps_are_fresh(const struct kf_maps *maps);
/* The policy is in the maps, whole: writes the version, then the magic. */
void kf_maps_seal(struct kf_maps *maps);
/*
 * Removes every pin of ours below @pin_dir/maps. Detach first: running programs keep their maps.
 * 0 also when there was nothing.
 */
int kf_maps_unload(const char *pin_dir, struct kf_why *why);

/* ---- what runs already (running.c) ----------------------------------------------------------- */

/* The maps that programs of one installation use; id 0: none of them uses it. */
struct kf_maps_running {
	__u64 secret[2]; /* the installation's, for kf_maps_running_add() */
	unsigned int programs;
	bool differ;  /* two of them use different maps of one name */
	char dev[16]; /* where one of them runs */
	__u32 id[KF_MAP_COUNT];
};

/* Adds a program, unless it is another installation's. */
int kf_maps_running_add(struct kf_maps_running *running, const char *dev, int program_fd);
/*
 * Makes the pins below @pin_dir be those maps, and logs what was not. Where the programs differ and
 * the pins are whole, they stay: the programs are replaced. As kf_attach_recover_pins() says.
 */
int kf_maps_running_pin(const struct kf_maps_running *running, const char *pin_dir,
			struct kf_why *why);

/*
 * Pins below @pin_dir that somebody took away since, or that are of other maps, are made again: how
 * many, or -errno with @why.
 */
int kf_maps_pin_again(struct kf_maps *maps, const char *pin_dir, struct kf_why *why);

/* The ids of the pinned maps, 0 for a missing one; how many are missing. */
int kf_maps_pin_ids(const char *pin_dir, __u32 ids[static KF_MAP_COUNT]);
/* Does it use a kf_config with this secret? */
bool kf_maps_program_is_of(int program_fd, const __u64 secret[static 2]);
/* Is its kf_config pinned, in @pin_dir or in a directory beside it? */
bool kf_maps_program_is_pinned(int program_fd, const char *pin_dir);
/* Is every map of ours that it uses the one of these ids, and kf_config among them? */
bool kf_maps_program_uses(int program_fd, const __u32 ids[static KF_MAP_COUNT]);

/* ---- the handle ------------------------------------------------------------------------------ */

int kf_maps_fd(const struct kf_maps *maps, enum kf_map map); /* borrowed; for ring_buffer__new() */
uint32_t kf_maps_entries(const struct kf_maps *maps, enum kf_map map); /* max_entries */
const char *kf_maps_name(enum kf_map map);

/* ---- memory-mapped --------------------------------------------------------------------------- */

struct kf_config *kf_maps_config(struct kf_maps *maps);
/* Sets and clears KF_CONFIG_* in one store. */
void kf_maps_config_flags(struct kf_maps *maps, uint32_t set, uint32_t clear);
/*
 * kf_hosts and kf_prefixes have changed, all of it is written: established flows look their source
 * up again.
 */
void kf_maps_sources_changed(struct kf_maps *maps);

/* NULL when @slot is beyond the end. */
const struct kf_slot *kf_maps_slot(const struct kf_maps *maps, uint32_t slot);
/* The revocation: one aligned store with release. */
void kf_maps_slot_status(struct kf_maps *maps, uint32_t slot, enum kf_key_status status);
void kf_maps_slot_expires(struct kf_maps *maps, uint32_t slot, uint64_t expires_ns);
void kf_maps_slot_flags(struct kf_maps *maps, uint32_t slot, uint32_t flags);
void kf_maps_slot_group(struct kf_maps *maps, uint32_t slot, uint32_t group);
void kf_maps_slot_wallet(struct kf_maps *maps, uint32_t slot, uint32_t wallet);
void kf_maps_slot_models(struct kf_maps *maps, uint32_t slot, uint32_t models);

const struct kf_group *kf_maps_group(const struct kf_maps *maps, uint32_t group);
/* What the keys of @group, 1 to KF_GROUPS_MAX - 1, may use from here on: 1 << enum kf_protocol. */
void kf_maps_group_protocols(struct kf_maps *maps, uint32_t group, uint32_t protocols);
/* And which models they may call: the set of this number, 0: all. */
void kf_maps_group_models(struct kf_maps *maps, uint32_t group, uint32_t models);

/* NULL for 0 and beyond the end. */
const struct kf_wallet *kf_maps_wallet(const struct kf_maps *maps, uint32_t wallet);
/*
 * Makes the wallet say @want, whose part of the kernel stays as it is; what refuses more is stored
 * first. Nothing is done with 0 and beyond the end.
 */
void kf_maps_wallet_write(struct kf_maps *maps, uint32_t wallet, const struct kf_wallet *want);
/* The wallet is nobody's: used up, and nothing is taken of it. No slot names it any more. */
void kf_maps_wallet_clear(struct kf_maps *maps, uint32_t wallet);

/*
 * The members of the same name. What the key has used up, in requests, stays used up, but never so
 * much that at the new rate it would have to wait for longer than one interval. Of a key's slots
 * the one that is their rate_slot comes first, or some are refused too early until it comes.
 */
void kf_maps_slot_rate(struct kf_maps *maps, uint32_t slot, uint64_t rate_interval_ns,
		       uint64_t rate_burst_ns);
/*
 * From here on what @slot admits counts at @home, and what it has used up is used up there. Both
 * are slots of one key; @home is filled.
 */
void kf_maps_slot_rate_home(struct kf_maps *maps, uint32_t slot, uint32_t home);
/*
 * Makes the slot say @want. The same owner: differing members only, and the kernel's half is kept;
 * rate_slot waits for kf_maps_slot_rate_home(), until that one is filled. Another owner: closed
 * first, then filled (the kernel's half zero), opened last.
 */
void kf_maps_slot_write(struct kf_maps *maps, uint32_t slot, const struct kf_slot *want);

/*
 * Another secret of the same owner: counts from zero, the rest stays, what is used up of the rate
 * with it. It is closed then. Waits some milliseconds for the programs that found the old tag.
 */
void kf_maps_slot_retag(struct kf_maps *maps, uint32_t slot, const uint8_t tag[static 16]);

/*
 * What stands at @place (set * KF_PENALTY_WAYS + way) of kf_penalties, copied while the programs
 * write to it: members of one moment, but for the counts, which are read one by one. False when
 * @place is free or beyond the end.
 */
bool kf_maps_penalty(const struct kf_maps *maps, uint32_t place, struct kf_penalty *out);
/* Nothing is held against the source at @place any more; the place stays its own. */
void kf_maps_penalty_forgive(struct kf_maps *maps, uint32_t place);

/* ---- entries --------------------------------------------------------------------------------- */

/*
 * One entry. Keys and values have the types of abi.h (values of per-CPU maps are not for these).
 * put: -E2BIG (a hash map) or -ENOSPC (a trie): the map is full; -ENOMEM. get, delete: -ENOENT. A
 * busy map (-EBUSY, -EAGAIN) is tried again and read back.
 */
int kf_maps_put(struct kf_maps *maps, enum kf_map map, const void *key, const void *value);
int kf_maps_get(struct kf_maps *maps, enum kf_map map, const void *key, void *value);
int kf_maps_delete(struct kf_maps *maps, enum kf_map map, const void *key);

/* Arrays of @count keys and values. Entries to delete that are not there are passed over. */
int kf_maps_put_many(struct kf_maps *maps, enum kf_map map, const void *keys, const void *values,
		     uint32_t count);
int kf_maps_delete_many(struct kf_maps *maps, enum kf_map map, const void *keys, uint32_t count);

/*
 * Calls @fn for the entries of a hash map or LPM trie. @fn must not change the map; entries that
 * others add or delete meanwhile may be seen or not. What @fn returns other than 0 ends it.
 */
typedef int (*kf_maps_fn)(void *context, const void *key, const void *value);
int kf_maps_each(struct kf_maps *maps, enum kf_map map, kf_maps_fn fn, void *context);

/*
 * A walk over a hash map or LPM trie in slices. Begin with a zeroed cursor; each call reads about
 * @want entries more. A trie from which the entry read last was deleted is read from its beginning
 * again, so entries may be seen twice. 1: there is more; 0: that was the end; -errno.
 */
struct kf_maps_cursor {
	bool begun;
	char position[32]; /* where the kernel goes on: a bucket, or the last key of a trie */
};
int kf_maps_slice(struct kf_maps *maps, enum kf_map map, struct kf_maps_cursor *cursor,
		  uint32_t want, kf_maps_fn fn, void *context);

/* ---- counters -------------------------------------------------------------------------------- */

/* Summed over the CPUs. */
int kf_maps_counters(struct kf_maps *maps, uint32_t service, struct kf_counters *out);
/*
 * One more of flows_cut, of a connection that no program saw end. The per-CPU counters belong to
 * the programs; what is counted here is added to theirs, and lives as long as the daemon.
 */
void kf_maps_count_cut(struct kf_maps *maps, uint32_t service);
/* Zeroes a service's counters, before its index is used again. */
int kf_maps_counters_clear(struct kf_maps *maps, uint32_t service);
/* Events that were not delivered since the maps were made: over the rate; for want of room. */
int kf_maps_event_losses(struct kf_maps *maps, uint64_t *suppressed, uint64_t *lost);
/* Packets dropped that are not known to be any service's. */
int kf_maps_unread(struct kf_maps *maps, struct kf_unread *out);

/*
 * Waits until no program that began before still runs (membarrier(2): an RCU grace period). After
 * it nothing holds on to an entry deleted before. Takes some milliseconds.
 */
void kf_maps_quiesce(void);

#endif
