// SPDX-License-Identifier: GPL-2.0-only
#include "maps/open.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/keyfilter_xdp.skel.h"
#include "cleanup.h"
#include "log.h"
#include "why.h"

/* ---- what the maps must be like -------------------------------------------------------------- */

KF_CLEANUP_DEFINE(struct bpf_object, bpf_object__close)

static uint32_t wanted_entries(const struct kf_maps *maps, const struct kf_maps_settings *settings,
			       enum kf_map map, const struct bpf_map *in_object)
{
	switch (map) {
	case KF_MAP_kf_hosts:
	case KF_MAP_kf_prefixes:
		return settings->sources_max;
	case KF_MAP_kf_tags:
	case KF_MAP_kf_slots:
	case KF_MAP_kf_key_allow:
	case KF_MAP_kf_wallets:
		return settings->keys_max;
	case KF_MAP_kf_flows:
		return settings->flows_max;
	case KF_MAP_kf_embryos:
		return settings->embryos;
	case KF_MAP_kf_penalties:
		return settings->penalties / KF_PENALTY_WAYS;
	case KF_MAP_kf_syns:
		return settings->syn_cells;
	case KF_MAP_kf_heads:
		return maps->cpus + settings->heads_max;
	case KF_MAP_kf_events:
		return settings->event_ring_bytes;
	default:
		return bpf_map__max_entries(in_object);
	}
}

/* The object is the one place that says what a map is; only sizes are settings. */
static int open_object(struct kf_maps *maps, const struct kf_maps_settings *settings,
		       struct bpf_object **out, struct kf_why *why)
{
	_cleanup_(bpf_object__closep) struct bpf_object *object = NULL;
	size_t size;
	const void *bytes = keyfilter_xdp__elf_bytes(&size);

	object = bpf_object__open_mem(bytes, size, NULL);
	if (!object)
		return kf_why_set(why, -errno,
				  "cannot read the BPF object: %s; build keyfilter again",
				  strerror(errno));
	for (int i = 0; i < KF_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, kf_maps_name(i));
		struct kf_map_spec *spec = &maps->spec[i];

		if (!map)
			return kf_why_set(why, -ENOENT,
					  "the BPF object lacks %s; build keyfilter again",
					  kf_maps_name(i));
		spec->max_entries = wanted_entries(maps, settings, i, map);
		bpf_map__set_max_entries(map, spec->max_entries);
		spec->type = bpf_map__type(map);
		spec->key_size = bpf_map__key_size(map);
		spec->value_size = bpf_map__value_size(map);
		spec->map_flags = bpf_map__map_flags(map);
	}
	*out = TAKE_PTR(object);
	return 0;
}

/* ---- new maps -------------------------------------------------------------------------------- */

/*
 * Those that are not open yet. libbpf makes the maps with their BTF, so that bpftool shows them
 * with names; no program is loaded.
 */
static int create_maps(struct kf_maps *maps, struct bpf_object *object, const char *pin_dir,
		       struct kf_why *why)
{
	struct bpf_program *program;
	libbpf_print_fn_t print;
	char path[KF_MAPS_PATH_SIZE];
	int err;

	bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, false);
	for (int i = 0; i < KF_MAP_COUNT; i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, kf_maps_name(i));

		err = bpf_map__set_autocreate(map, maps->fd[i] < 0);
		if (!err)
			err = kf_maps_pin_path(path, pin_dir, i);
		if (!err && maps->fd[i] < 0)
			err = bpf_map__set_pin_path(map, path);
		if (err)
			return kf_why_set(why, err,
					  "cannot name the pin of %s: %s; give another --pin-dir",
					  kf_maps_name(i), strerror(-err));
	}
	/* libbpf would report on stderr what it then mends itself: keys without a BTF type. */
	print = libbpf_set_print(NULL);
	err = bpf_object__load(object);
	libbpf_set_print(print);
	if (err)
		return kf_why_set(
			why, err, "cannot create the maps: %s; %s", strerror(-err),
			err == -ENOMEM || err == -E2BIG
				? "free memory, or lower keys_max, sources_max and flows_max"
				: kf_why_mend(err));
	for (int i = 0; i < KF_MAP_COUNT; i++) {
		if (maps->fd[i] >= 0)
			continue;
		maps->fd[i] =
			fcntl(bpf_map__fd(bpf_object__find_map_by_name(object, kf_maps_name(i))),
			      F_DUPFD_CLOEXEC, 3);
		if (maps->fd[i] < 0)
			return kf_why_set(why, -errno, "cannot keep %s: %s; raise LimitNOFILE",
					  kf_maps_name(i), strerror(errno));
	}
	return 0;
}

static int fill_random(void *out, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = getrandom((char *)out + have, size - have, 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			have += (size_t)n;
	}
	return 0;
}

/* All of kf_config but what kf_maps_seal() writes, and the secret, which reconcile.c brings. */
static int fill_config(struct kf_maps *maps, const struct kf_maps_settings *settings)
{
	struct kf_config *config = maps->config;
	int err;

	config->cpus = maps->cpus;
	config->heads = settings->heads_max;
	config->embryo_mask = settings->embryos - 1;
	config->penalty_mask = settings->penalties / KF_PENALTY_WAYS - 1;
	config->syn_mask = settings->syn_cells - 1;
	config->event_rate = settings->event_rate;
	config->head_timeout_ns = settings->head_timeout_ns;
	err = fill_random(config->flow_secret, sizeof(config->flow_secret));
	while (!err &&
	       !config->answer_mark) /* a program that sets marks shall not hit it by chance */
		err = fill_random(&config->answer_mark, sizeof(config->answer_mark));
	return err ? err : fill_random(config->digest_secret, sizeof(config->digest_secret));
}

/* ---- pinned maps ----------------------------------------------------------------------------- */

#define MEND_LAYOUT                                                                                \
	"run `keyfilterd --unload`, which opens all services, and start again, or go back to the " \
	"keyfilterd of before"

/* -ENOENT: not pinned. */
static int open_pin(const char *pin_dir, enum kf_map map)
{
	char path[KF_MAPS_PATH_SIZE];
	int err = kf_maps_pin_path(path, pin_dir, map);

	return err ? err : bpf_obj_get(path);
}

/* The setting that max_entries of a map comes from. */
static const char *setting_of(enum kf_map map)
{
	switch (map) {
	case KF_MAP_kf_hosts:
	case KF_MAP_kf_prefixes:
		return "sources_max";
	case KF_MAP_kf_tags:
	case KF_MAP_kf_slots:
	case KF_MAP_kf_key_allow:
	case KF_MAP_kf_wallets:
		return "keys_max";
	case KF_MAP_kf_flows:
		return "flows_max";
	case KF_MAP_kf_embryos:
		return "embryos";
	case KF_MAP_kf_penalties:
		return "penalties";
	case KF_MAP_kf_syns:
		return "syn_cells";
	case KF_MAP_kf_heads:
		return "heads_max";
	case KF_MAP_kf_events:
		return "event_ring_kib";
	default:
		return NULL;
	}
}

/* The number that the setting was when the map had @entries. */
static uint32_t setting_value(const struct kf_maps *maps, enum kf_map map, uint32_t entries)
{
	switch (map) {
	case KF_MAP_kf_heads:
		return entries - maps->cpus;
	case KF_MAP_kf_events:
		return entries / 1024;
	case KF_MAP_kf_penalties:
		return entries * KF_PENALTY_WAYS;
	default:
		return entries;
	}
}

static int check_pin(const struct kf_maps *maps, enum kf_map map, const char *pin_dir,
		     struct kf_why *why)
{
	const struct kf_map_spec *spec = &maps->spec[map];
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);
	int err = bpf_obj_get_info_by_fd(maps->fd[map], &info, &size);

	if (err)
		return kf_why_set(why, err, "cannot look at %s/maps/%s: %s; %s", pin_dir,
				  kf_maps_name(map), strerror(-err), kf_why_mend(err));
	if (info.type != spec->type || info.key_size != spec->key_size ||
	    info.value_size != spec->value_size || info.map_flags != spec->map_flags)
		return kf_why_set(
			why, -EPROTO,
			"%s/maps/%s has another layout than this keyfilterd knows; " MEND_LAYOUT,
			pin_dir, kf_maps_name(map));
	if (info.max_entries == spec->max_entries)
		return 0;
	if (!setting_of(map))
		return kf_why_set(why, -EPROTO,
				  "%s/maps/%s has %u entries instead of %u; keyfilterd --unload, "
				  "then start again",
				  pin_dir, kf_maps_name(map), info.max_entries, spec->max_entries);
	return kf_why_set(why, -EINVAL,
			  "%s/maps/%s was made with %s %u, the setting is %u now; set it back, or "
			  "keyfilterd --unload and start again",
			  pin_dir, kf_maps_name(map), setting_of(map),
			  setting_value(maps, map, info.max_entries),
			  setting_value(maps, map, spec->max_entries));
}

/* What is missing stays -1. */
static int open_pins(struct kf_maps *maps, const char *pin_dir, struct kf_why *why)
{
	int err;

	for (int i = 0; i < KF_MAP_COUNT; i++) {
		maps->fd[i] = open_pin(pin_dir, i);
		if (maps->fd[i] == -ENOENT)
			continue;
		if (maps->fd[i] < 0)
			return kf_why_set(
				why, -EPROTO,
				"cannot open %s/maps/%s: %s; keyfilterd --unload, then start again",
				pin_dir, kf_maps_name(i), strerror(-maps->fd[i]));
		err = check_pin(maps, i, pin_dir, why);
		if (err)
			return err;
	}
	return 0;
}

static int check_config(const struct kf_maps *maps, const char *pin_dir, struct kf_why *why)
{
	if (maps->config->cpus != maps->cpus)
		return kf_why_set(why, -EINVAL,
				  "%s was made for %u CPUs, there may be %u now; keyfilterd "
				  "--unload, then start again",
				  pin_dir, maps->config->cpus, maps->cpus);
	return 0;
}

/*
 * Reads the head of kf_config, whatever its size: magic and version stand first in every layout.
 * 1: pins are there and sealed; 0: none, or never sealed; no program was attached to those.
 */
static int look_for_pins(const char *pin_dir, struct kf_why *why)
{
	_cleanup_close_ int fd = open_pin(pin_dir, KF_MAP_kf_config);
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info), zero = 0;
	struct kf_config head;
	_cleanup_free_ void *value = NULL;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.key_size != sizeof(zero) || info.value_size < 16)
		return kf_why_set(why, -EPROTO,
				  "%s/maps/kf_config is not a map of keyfilter; remove it, or give "
				  "another --pin-dir",
				  pin_dir);
	value = calloc(1, info.value_size > sizeof(head) ? info.value_size : sizeof(head));
	if (!value || bpf_map_lookup_elem(fd, &zero, value))
		return kf_why_set(why, -EPROTO, "cannot read %s/maps/kf_config; %s", pin_dir,
				  kf_why_mend(value ? -errno : -ENOMEM));
	memcpy(&head, value, sizeof(head));
	if (!head.magic)
		return 0;
	if (head.magic != KF_ABI_MAGIC || head.version != KF_ABI_VERSION)
		return kf_why_set(why, -EPROTO,
				  "%s has layout %u, this keyfilterd knows %u; " MEND_LAYOUT,
				  pin_dir, head.version, KF_ABI_VERSION);
	return 1;
}

/* ---- open ------------------------------------------------------------------------------------ */

static size_t mapped_bytes(const struct kf_map_spec *spec)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t stride = (spec->value_size + 7u) & ~7u;

	return (stride * spec->max_entries + page - 1) / page * page;
}

/* @mend: what to do where memory is short. */
static int map_one(const struct kf_maps *maps, enum kf_map map, const char *mend, size_t *bytes,
		   void **out, struct kf_why *why)
{
	size_t size = mapped_bytes(&maps->spec[map]);
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, maps->fd[map], 0);

	if (memory == MAP_FAILED)
		return kf_why_set(why, -errno, "cannot map %s: %s; %s", kf_maps_name(map),
				  strerror(errno), mend);
	*bytes = size;
	*out = memory;
	return 0;
}

static int map_memory(struct kf_maps *maps, struct kf_why *why)
{
	void *config = NULL, *slots = NULL, *groups = NULL, *wallets = NULL, *penalties = NULL;
	int err = map_one(maps, KF_MAP_kf_config, "free memory, or raise vm.max_map_count",
			  &maps->config_bytes, &config, why);

	maps->config = config;
	if (!err)
		err = map_one(maps, KF_MAP_kf_slots, "lower keys_max or free memory",
			      &maps->slots_bytes, &slots, why);
	maps->slots = slots;
	if (!err)
		err = map_one(maps, KF_MAP_kf_groups, "free memory", &maps->groups_bytes, &groups,
			      why);
	maps->groups = groups;
	if (!err)
		err = map_one(maps, KF_MAP_kf_wallets, "lower keys_max or free memory",
			      &maps->wallets_bytes, &wallets, why);
	maps->wallets = wallets;
	if (!err)
		err = map_one(maps, KF_MAP_kf_penalties, "lower penalties or free memory",
			      &maps->penalties_bytes, &penalties, why);
	maps->penalties = penalties;
	return err;
}

static int make_fresh(struct kf_maps *maps, const struct kf_maps_settings *settings,
		      struct bpf_object *object, const char *pin_dir, struct kf_why *why)
{
	int err = kf_maps_pin_remove(pin_dir, why);

	if (err)
		return err;
	maps->fresh = true;
	err = create_maps(maps, object, pin_dir, why);
	if (!err)
		err = map_memory(maps, why);
	if (!err && fill_config(maps, settings))
		err = kf_why_set(why, -EIO, "getrandom failed; see the kernel log");
	if (err)
		kf_maps_pin_remove(pin_dir, NULL);
	return err;
}

/*
 * Single maps whose pins are missing, and that no running program uses (kf_attach_recover_pins()
 * has put back those of the others): made anew, and filled as any other that differs from the
 * store.
 */
static int make_missing(struct kf_maps *maps, struct bpf_object *object, const char *pin_dir,
			struct kf_why *why)
{
	bool missing = false;

	for (int i = 0; i < KF_MAP_COUNT; i++) {
		if (maps->fd[i] >= 0)
			continue;
		kf_log_warning("%s/maps/%s was missing; no program uses it, and it is made anew",
			       pin_dir, kf_maps_name(i));
		missing = true;
	}
	return missing ? create_maps(maps, object, pin_dir, why) : 0;
}

static int take_over(struct kf_maps *maps, const struct kf_maps_settings *settings,
		     struct bpf_object *object, const char *pin_dir, struct kf_why *why)
{
	int err = open_pins(maps, pin_dir, why);

	if (!err)
		err = make_missing(maps, object, pin_dir, why);
	if (!err)
		err = map_memory(maps, why);
	if (!err)
		err = check_config(maps, pin_dir, why);
	if (err)
		return err;
	__atomic_store_n(&maps->config->event_rate, settings->event_rate, __ATOMIC_RELAXED);
	__atomic_store_n(&maps->config->head_timeout_ns, settings->head_timeout_ns,
			 __ATOMIC_RELAXED);
	return 0;
}

/* Without what is missing; whether it may be made is known only when the secret is. */
static int check_present(struct kf_maps *maps, const char *pin_dir, struct kf_why *why)
{
	void *config = NULL;
	int err = open_pins(maps, pin_dir, why);

	if (!err)
		err = map_one(maps, KF_MAP_kf_config, "free memory, or raise vm.max_map_count",
			      &maps->config_bytes, &config, why);
	maps->config = config;
	return err ? err : check_config(maps, pin_dir, why);
}

static int open_all(struct kf_maps *maps, const char *pin_dir,
		    const struct kf_maps_settings *settings, struct kf_why *why)
{
	_cleanup_(bpf_object__closep) struct bpf_object *object = NULL;
	char path[KF_MAPS_PATH_SIZE];
	int err;

	err = kf_maps_pin_check_fs(pin_dir, why);
	if (!err)
		err = kf_maps_pin_make_directory(pin_dir, why);
	if (err)
		return err;
	maps->dir = kf_maps_pin_lock(pin_dir, why);
	if (maps->dir < 0)
		return maps->dir;
	snprintf(path, sizeof(path), "%s/maps", pin_dir);
	err = kf_maps_pin_make_directory(path, why);
	if (!err)
		err = open_object(maps, settings, &object, why);
	if (err)
		return err;
	err = look_for_pins(pin_dir, why);
	if (err < 0)
		return err;
	return err ? take_over(maps, settings, object, pin_dir, why)
		   : make_fresh(maps, settings, object, pin_dir, why);
}

KF_CLEANUP_DEFINE(struct kf_maps, kf_maps_close)

/* With no map open yet. */
static int make_handle(struct kf_maps **out, struct kf_why *why)
{
	_cleanup_(kf_maps_closep) struct kf_maps *maps = calloc(1, sizeof(*maps));
	int cpus = libbpf_num_possible_cpus();

	if (!maps)
		return kf_why_set(why, -ENOMEM, "out of memory; free some");
	maps->dir = -1;
	for (int i = 0; i < KF_MAP_COUNT; i++)
		maps->fd[i] = -1;
	if (cpus < 0)
		return kf_why_set(why, cpus, "cannot count the CPUs: %s; mount /sys",
				  strerror(-cpus));
	maps->cpus = (uint32_t)cpus;
	*out = TAKE_PTR(maps);
	return 0;
}

int kf_maps_open(struct kf_maps **out, const char *pin_dir, const struct kf_maps_settings *settings,
		 struct kf_why *why)
{
	_cleanup_(kf_maps_closep) struct kf_maps *maps = NULL;
	int err = make_handle(&maps, why);

	if (!err)
		err = open_all(maps, pin_dir, settings, why);
	if (!err)
		*out = TAKE_PTR(maps);
	return err;
}

int kf_maps_check(const char *pin_dir, const struct kf_maps_settings *settings, struct kf_why *why)
{
	_cleanup_(bpf_object__closep) struct bpf_object *object = NULL;
	_cleanup_(kf_maps_closep) struct kf_maps *maps = NULL;
	int err = kf_maps_pin_check_fs(pin_dir, why);

	if (err || (access(pin_dir, F_OK) && errno == ENOENT))
		return err;
	err = make_handle(&maps, why);
	if (err)
		return err;
	maps->dir = kf_maps_pin_lock(pin_dir, why); /* until the end of this function */
	if (maps->dir < 0)
		return maps->dir;
	err = open_object(maps, settings, &object, why);
	if (!err)
		err = look_for_pins(pin_dir, why);
	return err > 0 ? check_present(maps, pin_dir, why) : err;
}

void kf_maps_close(struct kf_maps *maps)
{
	if (!maps)
		return;
	if (maps->penalties)
		munmap(maps->penalties, maps->penalties_bytes);
	if (maps->wallets)
		munmap(maps->wallets, maps->wallets_bytes);
	if (maps->groups)
		munmap(maps->groups, maps->groups_bytes);
	if (maps->slots)
		munmap(maps->slots, maps->slots_bytes);
	if (maps->config)
		munmap(maps->config, maps->config_bytes);
	for (int i = 0; i < KF_MAP_COUNT; i++)
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
	if (maps->dir >= 0)
		close(maps->dir); /* and with it the lock */
	free(maps);
}
