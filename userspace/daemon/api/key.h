/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key.h - the members and parameters of requests about keys, read and checked one by one.
 *
 * Each function reads one member or parameter. Where that is absent (NULL) the output stays as it
 * was; a value that cannot be is refused. Strings are borrowed from the request. Returns 0, or
 * -EBADMSG when the refusal has been given as the answer.
 */
#ifndef KEYFILTER_DAEMON_API_KEY_H
#define KEYFILTER_DAEMON_API_KEY_H

#include "api/request.h"
#include "policy/key.h"

#define KF_API_LABEL_EDITS (2 * KF_KEY_LABELS_MAX) /* at once: as many that go as that come */

/* ---- one key --------------------------------------------------------------------------------- */

/*
 * As list and show have it; @models is what kf_api_model_json() makes of key->row.models, borrowed.
 * New reference; NULL: out of memory, or @models is.
 */
json_t *kf_api_key_json(const struct kf_key *key, json_t *models);
/* Answers with the key that request->name names, and its secret where @text is not NULL. */
int kf_api_key_answer(struct kf_api_request *request, int status, const char *text);
/* Checks If-Match. Without one the row need not be read. */
int kf_api_key_match(struct kf_api_request *request);
/* Answers an error of key.h: 404 where there is no such key, else what @why says. */
int kf_api_key_refuse(struct kf_api_request *request, int err, const struct kf_why *why);

/* ---- members --------------------------------------------------------------------------------- */

/* A key to import: 0, *text stays where none is given; or as kf_api_refuse_value(), without it. */
int kf_api_key_read_text(struct kf_api_request *request, const json_t *value, uint32_t quantity,
			 const char **text);
/* 1..128 bytes, room for "-@quantity" included, no control characters. */
int kf_api_key_read_name(struct kf_api_request *request, const json_t *value, uint32_t quantity,
			 const char **name);
/* 1..128 bytes, or null: "". */
int kf_api_key_read_owner(struct kf_api_request *request, const json_t *value, const char **owner);
/* {"name":"value"}; in an edit a value may be null: the label is removed. */
int kf_api_key_read_labels(struct kf_api_request *request, const json_t *value,
			   struct kf_key_labels *labels);
int kf_api_key_read_label_edits(struct kf_api_request *request, const json_t *value,
				struct kf_label_edit edits[static KF_API_LABEL_EDITS],
				uint32_t *count);
/* "never", a duration, or a time to come. */
int kf_api_key_read_expires(struct kf_api_request *request, const json_t *value, int64_t *expires);
/* Also allow_ips_add and allow_ips_remove, named by @member. */
int kf_api_key_read_allow(struct kf_api_request *request, const char *member, const json_t *value,
			  struct kf_cidr cidrs[static KF_KEY_ALLOW_MAX], uint32_t *count);
/*
 * Requests per minute, and at once; null: no limit, and as many as @rpm. A burst without a rate is
 * refused where @alone is false.
 */
int kf_api_key_read_rate(struct kf_api_request *request, const json_t *rpm, const json_t *burst,
			 bool alone, uint32_t *rpm_out, uint32_t *burst_out);
/* The group of that name; a row of index 0 where it is absent or null. */
int kf_api_key_read_group(struct kf_api_request *request, const json_t *value,
			  struct kf_group_row *row);
/* ?status= &group= &account= &owner= &label= &search= &after= &limit= */
int kf_api_key_read_query(struct kf_api_request *request, struct kf_key_query *query);
/* The same but for after and limit, as members of @object. "all" alone, true, finds all keys. */
int kf_api_key_read_where(struct kf_api_request *request, const json_t *object,
			  struct kf_key_query *query);

/* ---- edits ----------------------------------------------------------------------------------- */

/* Points into itself and into the request. */
struct kf_api_key_edit {
	struct kf_policy_key_edit edit;
	struct kf_cidr allow[KF_KEY_ALLOW_MAX], add[KF_KEY_ALLOW_MAX], remove[KF_KEY_ALLOW_MAX];
	struct kf_label_edit labels[KF_API_LABEL_EDITS];
	struct kf_account_row account;
};
/*
 * The members of an edit. edit.models is taken: where the edit is not carried out, it is to be
 * released.
 */
int kf_api_key_read_edit(struct kf_api_request *request, const json_t *object,
			 struct kf_api_key_edit *out);
int kf_api_key_edit(struct kf_api_request *request);  /* PATCH /v1/keys/{} */
int kf_api_key_topup(struct kf_api_request *request); /* POST /v1/keys/{}/topup */
int kf_api_key_many(struct kf_api_request *request);  /* POST /v1/keys/bulk */

#endif
