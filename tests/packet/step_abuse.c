// SPDX-License-Identifier: GPL-2.0-only
/* Steps about sources that are penalised, and the rate of their SYNs. */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keyfilter/penaltystate.h>

#include "abuse.h"
#include "steps.h"

void kf_step_penalty(struct kf_case *c, const char *at)
{
	unsigned int failures, window, time, time_max;

	if (sscanf(at, "%u,%u,%u,%u", &failures, &window, &time, &time_max) != 4)
		errx(1, "%s:%d: FAILURES,WINDOW,TIME,MAX?", c->file, c->line);
	kf_abuse_penalty(c->world, failures, window, time, time_max);
}

void kf_step_syn_rate(struct kf_case *c, const char *at)
{
	unsigned int ms, burst;

	if (sscanf(at, "%u,%u", &ms, &burst) != 2)
		errx(1, "%s:%d: MS,BURST?", c->file, c->line);
	kf_abuse_syn_rate(c->world, ms * 1000000ull, burst);
}

void kf_step_fails(struct kf_case *c, const char *at)
{
	static const struct kf_expect refused = { "drop", "unknown_key", "" };
	static struct kf_data data;
	unsigned int n, seconds, wanted;

	if (sscanf(at, "%u => %u", &n, &seconds) != 2)
		errx(1, "%s:%d: N => SECONDS?", c->file, c->line);
	kf_data_read(c, "\"GET / HTTP/1.1\\r\\nHost: a\\r\\nx-api-key: $BAD\\r\\n\\r\\n\"", &data);
	for (unsigned int i = 1; i <= n && !c->failed; i++) {
		c->spec.client_port = 20000 + i;
		kf_handshake(c);
		kf_in(c, data.bytes, data.len, "");
		kf_check(c, &refused);
		wanted = i == n ? seconds : 0;
		if (c->ran.penalty != wanted)
			kf_fail(c, "failure %u: penalty of %u s, wanted %u", i, c->ran.penalty,
				wanted);
		kf_end(c);
	}
	c->spec.client_port = 0;
}

void kf_step_succeeds(struct kf_case *c, const char *at)
{
	static const struct kf_expect admitted = { "pass", "admitted", "" };
	static struct kf_data data;
	int n = atoi(at);

	kf_data_read(c, "\"GET / HTTP/1.1\\r\\nHost: a\\r\\nx-api-key: $KEY\\r\\n\\r\\n\"", &data);
	for (int i = 1; i <= n && !c->failed; i++) {
		c->spec.client_port = 30000 + i;
		kf_handshake(c);
		kf_in(c, data.bytes, data.len, "");
		kf_check(c, &admitted);
		kf_end(c);
	}
	c->spec.client_port = 0;
}

void kf_step_place(struct kf_case *c, const char *at)
{
	struct kf_penalty *place;
	char found[64] = "none";
	uint8_t addr[16];

	kf_frame_client(&c->spec, addr);
	place = kf_abuse_place(c->world, addr);
	if (place)
		snprintf(found, sizeof(found), "%u,%u,%u", place->failures,
			 kf_penalty_good(place->successes), place->level);
	if (strcmp(found, at) != 0)
		kf_fail(c, "place %s, wanted %s", found, at);
}

void kf_step_age(struct kf_case *c, const char *at)
{
	kf_abuse_age(c->world, atoi(at));
}

void kf_step_forgive(struct kf_case *c, const char *at)
{
	(void)at;
	kf_abuse_forgive(c->world);
}

void kf_step_crowd(struct kf_case *c, const char *at)
{
	unsigned int n, seconds;
	uint8_t addr[16];

	if (sscanf(at, "%u,%u", &n, &seconds) != 2)
		errx(1, "%s:%d: N,SECONDS?", c->file, c->line);
	kf_frame_client(&c->spec, addr);
	kf_abuse_crowd(c->world, addr, n, seconds);
}

void kf_step_strangers(struct kf_case *c, const char *at)
{
	unsigned int strangers = kf_abuse_strangers(c->world);

	if (strangers != (unsigned int)atoi(at))
		kf_fail(c, "%u strangers are penalised, wanted %s", strangers, at);
}

void kf_step_sets(struct kf_case *c, const char *at)
{
	kf_world_config(c->world)->penalty_mask = atoi(at) - 1;
}
