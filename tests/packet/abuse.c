// SPDX-License-Identifier: GPL-2.0-only
#include "abuse.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <keyfilter/sourcehash.h>

#define KF_ABUSE_STRANGER 0x0001020304000000ull /* not what an address of the tests makes */

static void kf_abuse_service(struct kf_world *world, struct kf_service *service, bool store)
{
	int fd = kf_world_fd(world, "kf_services");
	uint32_t zero = 0;

	if (store ? bpf_map_update_elem(fd, &zero, service, BPF_ANY)
		  : bpf_map_lookup_elem(fd, &zero, service))
		err(1, "kf_services");
}

void kf_abuse_penalty(struct kf_world *world, uint32_t failures, uint32_t window, uint32_t time,
		      uint32_t time_max)
{
	struct kf_service service;

	kf_abuse_service(world, &service, false);
	service.refuse = KF_REFUSE_DROP;
	service.penalty_failures = failures;
	service.penalty_window = window;
	service.penalty_time = time;
	service.penalty_time_max = time_max;
	kf_abuse_service(world, &service, true);
}

void kf_abuse_syn_rate(struct kf_world *world, uint64_t interval_ns, uint64_t burst)
{
	uint32_t n = kf_world_config(world)->syn_mask + 1, count = n;
	uint64_t *zero = calloc(n, sizeof(*zero));
	uint32_t *index = calloc(n, sizeof(*index));
	struct kf_service service;

	if (!zero || !index)
		err(1, "calloc");
	for (uint32_t i = 0; i < n; i++)
		index[i] = i;
	if (bpf_map_update_batch(kf_world_fd(world, "kf_syns"), index, zero, &count, NULL))
		err(1, "kf_syns");
	free(zero);
	free(index);
	kf_abuse_service(world, &service, false);
	service.syn_interval_ns = interval_ns;
	service.syn_burst_ns = interval_ns * (burst - 1);
	kf_abuse_service(world, &service, true);
}

static struct kf_penalty_set *kf_abuse_set(struct kf_world *world, const uint8_t addr[16])
{
	struct kf_config *config = kf_world_config(world);
	uint64_t hash = kf_source_hash(config->flow_secret, kf_source_unit(addr));

	return &kf_world_penalties(world)[(uint32_t)hash & config->penalty_mask];
}

unsigned int kf_abuse_places(struct kf_world *world, const uint8_t addr[16])
{
	struct kf_penalty_set *set = kf_abuse_set(world, addr);
	unsigned int places = 0;

	for (int i = 0; i < KF_PENALTY_WAYS; i++)
		places += set->ways[i].unit == kf_source_unit(addr);
	return places;
}

struct kf_penalty *kf_abuse_place(struct kf_world *world, const uint8_t addr[16])
{
	struct kf_penalty_set *set = kf_abuse_set(world, addr);

	for (int i = 0; i < KF_PENALTY_WAYS; i++) {
		if (set->ways[i].unit == kf_source_unit(addr))
			return &set->ways[i];
	}
	return NULL;
}

bool kf_abuse_in_force(const struct kf_penalty *place)
{
	return place->until_ns > kf_world_now();
}

void kf_abuse_crowd(struct kf_world *world, const uint8_t addr[16], unsigned int n,
		    uint32_t seconds)
{
	struct kf_penalty_set *set = kf_abuse_set(world, addr);

	for (unsigned int i = 0; i < n && i < KF_PENALTY_WAYS; i++) {
		set->ways[i] = (struct kf_penalty){
			.unit = KF_ABUSE_STRANGER + i,
			.until_ns = kf_world_now() + seconds * 1000000000ull,
			.window = kf_world_now() >> 30,
			.level = 1,
		};
	}
}

static void kf_abuse_each(struct kf_world *world,
			  void (*visit)(struct kf_penalty *place, void *context), void *context)
{
	struct kf_penalty_set *sets = kf_world_penalties(world);

	for (uint32_t i = 0; i <= kf_world_config(world)->penalty_mask; i++) {
		for (int way = 0; way < KF_PENALTY_WAYS; way++) {
			if (sets[i].ways[way].unit)
				visit(&sets[i].ways[way], context);
		}
	}
}

static void kf_abuse_is_stranger(struct kf_penalty *place, void *context)
{
	if (place->unit - KF_ABUSE_STRANGER < KF_PENALTY_WAYS && kf_abuse_in_force(place))
		++*(unsigned int *)context;
}

unsigned int kf_abuse_strangers(struct kf_world *world)
{
	unsigned int strangers = 0;

	kf_abuse_each(world, kf_abuse_is_stranger, &strangers);
	return strangers;
}

static void kf_abuse_place_age(struct kf_penalty *place, void *context)
{
	uint64_t ns = *(uint32_t *)context * 1000000000ull;

	/* the machine may not have been up for so long: 0 would mean that there was no penalty */
	if (place->until_ns)
		place->until_ns = place->until_ns > ns ? place->until_ns - ns : 1;
	place->window -= ns >> 30;
}

void kf_abuse_age(struct kf_world *world, uint32_t seconds)
{
	kf_abuse_each(world, kf_abuse_place_age, &seconds);
}

static void kf_abuse_place_forgive(struct kf_penalty *place, void *context)
{
	(void)context;
	place->until_ns = 0;
	place->failures = 0;
	place->level = 0;
}

void kf_abuse_forgive(struct kf_world *world)
{
	kf_abuse_each(world, kf_abuse_place_forgive, NULL);
}

void kf_abuse_penalise(struct kf_world *world, const uint8_t addr[16], uint32_t seconds)
{
	kf_abuse_crowd(world, addr, 1, seconds);
	kf_abuse_set(world, addr)->ways[0].unit = kf_source_unit(addr);
}

uint64_t kf_abuse_raised(struct kf_world *world)
{
	static struct kf_counters counters[256];
	uint64_t raised = 0;

	if (bpf_map_lookup_elem(kf_world_fd(world, "kf_counters"), &(uint32_t){ 0 }, counters))
		err(1, "kf_counters");
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		raised += counters[cpu].penalties;
	return raised;
}
