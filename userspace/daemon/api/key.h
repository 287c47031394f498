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

/* 1..128 bytes, room for "-@quantity" included, no control characters. */
int kf_api_key_read_name(struct kf_api_request *request, const json_t *value, uint32_t quantity,
			 const char **name);
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
/* ?status= &group= &search= &after= */
int kf_api_key_read_query(struct kf_api_request *request, struct kf_key_query *query);

#endif
