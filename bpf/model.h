/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * model.h - a part of stage 7: may the key call the model that the head asks for?
 *
 * A key may be held to a set of models, and so may its group: the model must be in both. A key that
 * draws on money calls those with a price only, which are a set of their own. The sets are resolved
 * by the controller; here a name is its tag. A key without a set is asked nothing. Where the head
 * names no model, or one that the server does not go by, the content does (content.h).
 */
#ifndef KEYFILTER_BPF_MODEL_H
#define KEYFILTER_BPF_MODEL_H

#include <keyfilter/model.h>

#include "maps.bpf.h"
#include "packet.h"
#include "scratch.h"

/* Private to each loaded object, as kf_scratch is. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kf_model);
} kf_model_scratch SEC(".maps");

/* Is the model of @tag in @set? In 0 there are all. */
static __always_inline bool kf_model_is_in(__u32 set, const __u64 tag[2])
{
	struct kf_set_model key = { .set = set };

	if (!set)
		return true;
	__builtin_memcpy(key.tag, tag, sizeof(key.tag));
	return bpf_map_lookup_elem(&kf_models, &key) != NULL;
}

/*
 * The content of the request of @http1 decides: KF_REASON_ADMITTED, with w->content, where it can
 * be read, or why not.
 */
static __always_inline int kf_model_in_content(const struct kf_http1 *http1, struct kf_walk *w)
{
	if (!http1->chunked && !http1->content_length)
		w->detail = KF_DETAIL_BODY_EMPTY;
	else if (http1->content_encoded)
		w->detail = KF_DETAIL_BODY_ENCODED;
	else if (http1->media > KF_MEDIA_JSON || http1->upgrade == KF_UPGRADE_WEBSOCKET)
		w->detail = KF_DETAIL_BODY_MEDIA;
	else
		w->content = 1;
	return w->content ? KF_REASON_ADMITTED : KF_REASON_BODY_NOT_READABLE;
}

/*
 * KF_REASON_ADMITTED, or why the request in @head may not pass: one of the sets does not have its
 * model, or it cannot be seen which one it asks for. @priced is the set of those with a price, or
 * 0. Global, so that the verifier reads it once.
 */
__noinline int kf_model_judge(struct kf_head *head, __u32 own, __u32 group, __u32 priced,
			      struct kf_walk *w)
{
	struct kf_config *config = kf_config_get();
	struct kf_model *m;
	__u32 zero = 0;

	m = bpf_map_lookup_elem(&kf_model_scratch, &zero);
	if (!head || !config || !m || !w)
		return KF_REASON_MODEL_NOT_ALLOWED;
	switch (kf_model_find(m, &head->http1, head->buf, config->secret)) {
	case KF_MODEL_NAMED:
		if (!kf_model_is_in(own, m->name.tag) || !kf_model_is_in(group, m->name.tag))
			return KF_REASON_MODEL_NOT_ALLOWED;
		if (!kf_model_is_in(priced, m->name.tag))
			return KF_REASON_MODEL_NOT_PRICED;
		w->named = !m->query_off;
		return kf_model_is_sure(m, &head->http1) ? KF_REASON_ADMITTED
							 : kf_model_in_content(&head->http1, w);
	case KF_MODEL_NONE:
		return kf_model_is_called(&head->http1) ? kf_model_in_content(&head->http1, w)
							: KF_REASON_ADMITTED;
	default:
		return KF_REASON_MODEL_NOT_ALLOWED;
	}
}

/*
 * kf_model_judge() has found the model in the path of @head, and the content is read, too: the tag
 * by which that may name the same model goes into w->named_tag. Apart from it: the stack cannot
 * hold both.
 */
__noinline int kf_model_name_again(struct kf_head *head, struct kf_walk *w)
{
	struct kf_config *config = kf_config_get();
	struct kf_model *m;
	__u32 zero = 0;

	m = bpf_map_lookup_elem(&kf_model_scratch, &zero);
	if (!head || !config || !m || !w)
		return 0;
	w->named_tag[0] = w->named_tag[1] = 0;
	if (!kf_model_find_resource(m, &head->http1, head->buf, config->secret))
		return 0;
	w->named_tag[0] = m->name.tag[0];
	w->named_tag[1] = m->name.tag[1];
	return 0;
}

#endif /* KEYFILTER_BPF_MODEL_H */
