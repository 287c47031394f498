/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * answer.h - what a refused client is told: the words, and the HTTP around them.
 *
 * A pure function from reason, detail and protocol to the response that kf_answers holds.
 * reconcile.c writes what it makes to the map; the kernel fills in the request id and the seconds
 * and sends it (bpf/answer.h). A client's SDK finds in it what the protocol's own servers would
 * have said: the exception it raises comes from the status, its code and type from the body, and
 * whether it repeats the request from x-should-retry and retry-after.
 */
#ifndef KEYFILTER_DAEMON_POLICY_ANSWER_H
#define KEYFILTER_DAEMON_POLICY_ANSWER_H

#include <keyfilter/abi.h>

/*
 * Makes the answer for @reason (enum kf_reason) in the shape of @protocol (enum kf_protocol; what
 * is none of those is answered as OPENAI, as http1.h reads it). @detail (enum kf_detail) counts
 * with KF_REASON_MALFORMED only; 0, or a detail without words of its own, gets the general ones. 0;
 * -ENOENT: nobody is told anything for this reason; -ENOMEM; -EMSGSIZE: it does not fit, which
 * would be our bug. *out is untouched unless 0.
 */
int kf_policy_answer_make(unsigned int reason, unsigned int detail, unsigned int protocol,
			  struct kf_answer *out);

/* The cause and the mend of a request that is malformed by @detail; NULL: no more is known. */
const char *kf_policy_answer_detail(unsigned int detail);

/* "invalid_api_key": what the client finds in the body; NULL where it is told nothing. */
const char *kf_policy_answer_code(unsigned int reason);

#endif
