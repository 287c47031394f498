/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * steps.h - the steps of a packet case, as packet_test.c describes them; those of raw.h and told.h
 * beside. @at: what the line has behind the step's name.
 */
#ifndef KF_TESTS_PACKET_STEPS_H
#define KF_TESTS_PACKET_STEPS_H

#include "case.h"

/* step_traffic.c */
/* The client sends @len bytes, with @fields; the next segment follows them. */
void kf_in(struct kf_case *c, const uint8_t *data, size_t len, const char *fields);
void kf_handshake(struct kf_case *c);
/* The backend ends the connection, so that a case of many never fills the table of flows. */
void kf_end(struct kf_case *c);
void kf_step_handshake(struct kf_case *c, const char *at);
void kf_step_in(struct kf_case *c, const char *at);
void kf_step_out(struct kf_case *c, const char *at);
void kf_step_responds(struct kf_case *c, const char *at);
void kf_step_sees(struct kf_case *c, const char *at);
void kf_step_splits(struct kf_case *c, const char *at);
void kf_step_shuffles(struct kf_case *c, const char *at);
void kf_step_same(struct kf_case *c, const char *at);
void kf_step_flows(struct kf_case *c, const char *at);
void kf_step_state(struct kf_case *c, const char *at);
void kf_step_ext(struct kf_case *c, const char *at);
void kf_step_ip(struct kf_case *c, const char *at);
void kf_step_vlans(struct kf_case *c, const char *at);
void kf_step_ipoptions(struct kf_case *c, const char *at);
void kf_step_client(struct kf_case *c, const char *at);
void kf_step_net(struct kf_case *c, const char *at);
void kf_step_port(struct kf_case *c, const char *at);
void kf_step_to(struct kf_case *c, const char *at);

/* step_policy.c */
void kf_step_key(struct kf_case *c, const char *at);
void kf_step_group(struct kf_case *c, const char *at);
void kf_step_wallet(struct kf_case *c, const char *at);
void kf_step_models(struct kf_case *c, const char *at);
void kf_step_group_models(struct kf_case *c, const char *at);
void kf_step_source(struct kf_case *c, const char *at);
void kf_step_case(struct kf_case *c, const char *at);
void kf_step_mode(struct kf_case *c, const char *at);
void kf_step_switch(struct kf_case *c, const char *at);
void kf_step_refuse(struct kf_case *c, const char *at);
void kf_step_unanswered(struct kf_case *c, const char *at);
void kf_step_method(struct kf_case *c, const char *at);
void kf_step_websocket(struct kf_case *c, const char *at);
void kf_step_keys(struct kf_case *c, const char *at);
void kf_step_listen(struct kf_case *c, const char *at);
void kf_step_heads(struct kf_case *c, const char *at);
void kf_step_sleep(struct kf_case *c, const char *at);

/* step_abuse.c */
void kf_step_penalty(struct kf_case *c, const char *at);
void kf_step_syn_rate(struct kf_case *c, const char *at);
void kf_step_fails(struct kf_case *c, const char *at);
void kf_step_succeeds(struct kf_case *c, const char *at);
void kf_step_place(struct kf_case *c, const char *at);
void kf_step_age(struct kf_case *c, const char *at);
void kf_step_forgive(struct kf_case *c, const char *at);
void kf_step_crowd(struct kf_case *c, const char *at);
void kf_step_strangers(struct kf_case *c, const char *at);
void kf_step_sets(struct kf_case *c, const char *at);

#endif
