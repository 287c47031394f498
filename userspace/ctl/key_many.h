/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_many.h - the verbs of key that take an ID, or filters that find many keys.
 *
 * A verb's `run`. With an ID it is the verb's own request; with filters it is one request for all
 * keys that they find (POST /v1/keys/bulk), or with --dry-run a list of them.
 */
#ifndef KEYFILTER_CTL_KEY_MANY_H
#define KEYFILTER_CTL_KEY_MANY_H

#include "call.h"

int kf_key_many(struct kf_call *call);

#endif
