/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * model.h - what requests say of models, and what they are told of sets of them.
 *
 * 0 or -EBADMSG, answered, unless said.
 */
#ifndef KEYFILTER_DAEMON_API_MODEL_H
#define KEYFILTER_DAEMON_API_MODEL_H

#include "api/request.h"
#include "store/store.h"

/*
 * The member `models`, NULL where it is absent: names and patterns, as struct kf_model_set_row has
 * them; "" for an empty list, which is all models.
 */
int kf_api_model_read(struct kf_api_request *request, const json_t *value,
		      char names[static KF_MODEL_SET_SIZE]);
/* The set of @names, taken (policy/model.h); the caller releases it where it comes to nothing. */
int kf_api_model_take_set(struct kf_api_request *request, const char *names, uint32_t *set);

/* The names and patterns of a set, [] of 0. New reference; NULL: out of memory, or not readable. */
json_t *kf_api_model_json(struct kf_store *store, uint32_t set);

#endif
