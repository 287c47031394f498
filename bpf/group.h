/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * group.h - a part of stage 7: what the group of a key lets its requests use.
 *
 * The slot names the group's record. A key in no group is asked nothing, and costs nothing.
 */
#ifndef KEYFILTER_GROUP_H
#define KEYFILTER_GROUP_H

#include "maps.bpf.h"
#include "model.h"

/*
 * May the key of @slot use one of @protocols, 1 << enum kf_protocol? KF_REASON_ADMITTED or why not.
 */
static __always_inline int kf_group_judge(const struct kf_slot *slot, __u32 protocols)
{
	__u32 index = *(volatile __u32 *)&slot->group;
	struct kf_group *group;

	if (!index)
		return KF_REASON_ADMITTED;
	group = bpf_map_lookup_elem(&kf_groups, &index);
	if (!group || !(*(volatile __u32 *)&group->protocols & protocols))
		return KF_REASON_PROTOCOL_NOT_ALLOWED;
	return KF_REASON_ADMITTED;
}

/* The set of models of the group that the key of @slot is in; 0: all. */
static __always_inline __u32 kf_group_models(const struct kf_slot *slot)
{
	__u32 index = *(volatile __u32 *)&slot->group;
	struct kf_group *group = bpf_map_lookup_elem(&kf_groups, &index);

	return index && group ? *(volatile __u32 *)&group->models : 0;
}

/* The set of models with a price, where the key of @slot draws on money; 0: it does not. */
static __always_inline __u32 kf_group_priced(const struct kf_slot *slot)
{
	return *(volatile __u32 *)&slot->wallet ? KF_MODELS_PRICED : 0;
}

/*
 * May the key of @slot call the model that the request in @head asks for? With w->content where its
 * content has to tell.
 */
static __always_inline int kf_group_judge_model(const struct kf_slot *slot, struct kf_head *head,
						struct kf_walk *w)
{
	__u32 own = *(volatile __u32 *)&slot->models, of_group = kf_group_models(slot);
	__u32 priced = kf_group_priced(slot);
	int reason;

	if (!(own | of_group | priced))
		return KF_REASON_ADMITTED;
	reason = kf_model_judge(head, own, of_group, priced, w);
	if (w->content && w->named)
		kf_model_name_again(head, w);
	return reason;
}

/* May it call the model of @tag? KF_REASON_ADMITTED or why not. */
static __always_inline int kf_group_judge_tag(const struct kf_slot *slot, const __u64 tag[2])
{
	if (!kf_model_is_in(*(volatile __u32 *)&slot->models, tag) ||
	    !kf_model_is_in(kf_group_models(slot), tag))
		return KF_REASON_MODEL_NOT_ALLOWED;
	return kf_model_is_in(kf_group_priced(slot), tag) ? KF_REASON_ADMITTED
							  : KF_REASON_MODEL_NOT_PRICED;
}

#endif /* KEYFILTER_GROUP_H */
