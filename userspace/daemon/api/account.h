/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * account.h - what other nouns' requests say about money: the account, the quota.
 *
 * Each reads one member; where it is absent the output stays as it was. 0, or -EBADMSG when the
 * refusal has been given as the answer.
 */
#ifndef KEYFILTER_DAEMON_API_ACCOUNT_H
#define KEYFILTER_DAEMON_API_ACCOUNT_H

#include "api/request.h"
#include "store/store.h"

#define KF_API_ACCOUNT_DEFAULT "default"

/* The account of that name; a row with id KF_ACCOUNT_DEFAULT for "default". */
int kf_api_account_read(struct kf_api_request *request, const json_t *value,
			struct kf_account_row *row);
/* An amount, or "unlimited": KF_NO_QUOTA. */
int kf_api_account_read_limit(struct kf_api_request *request, const char *member,
			      const json_t *value, int64_t *amount);
/* A reference for the ledger, up to 128 bytes; borrowed. */
int kf_api_account_read_note(struct kf_api_request *request, const json_t *value,
			     const char **note);
/* Below 0, too; null where @has is false. */
json_t *kf_api_account_left(bool has, int64_t granted, int64_t spent);

#endif
