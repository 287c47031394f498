// SPDX-License-Identifier: GPL-2.0-only
/* kf_groups, memory-mapped: what the keys of each group may use. */
#include "maps/open.h"

const struct kf_group *kf_maps_group(const struct kf_maps *maps, uint32_t group)
{
	return &maps->groups[group < KF_GROUPS_MAX ? group : 0];
}

void kf_maps_group_protocols(struct kf_maps *maps, uint32_t group, uint32_t protocols)
{
	if (group && group < KF_GROUPS_MAX)
		__atomic_store_n(&maps->groups[group].protocols, protocols, __ATOMIC_RELEASE);
}

void kf_maps_group_models(struct kf_maps *maps, uint32_t group, uint32_t models)
{
	if (group && group < KF_GROUPS_MAX)
		__atomic_store_n(&maps->groups[group].models, models, __ATOMIC_RELEASE);
}
