// SPDX-License-Identifier: GPL-2.0-only
/* Steps that say what is allowed: the service, keys, groups, models, wallets, sources. */

#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <keyfilter/http1.h>

#include "steps.h"

static void kf_address_read(struct kf_case *c, const char *text, uint8_t addr[16],
			    unsigned int *bits)
{
	char address[64] = "";

	if (sscanf(text, "%63[^/]/%u", address, bits) != 2)
		errx(1, "%s:%d: ADDR/BITS?", c->file, c->line);
	memset(addr, 0, 16);
	if (inet_pton(AF_INET6, address, addr) == 1)
		return;
	addr[10] = addr[11] = 0xff;
	*bits += 96;
	if (inet_pton(AF_INET, address, addr + 12) != 1)
		errx(1, "%s:%d: not an address: %s", c->file, c->line, address);
}

void kf_step_key(struct kf_case *c, const char *at)
{
	static const struct {
		const char *name;
		enum kf_key_status status;
	} states[] = { { "enabled", KF_KEY_ENABLED },
		       { "disabled", KF_KEY_DISABLED },
		       { "deleted", KF_KEY_DELETED },
		       { "free", KF_KEY_FREE } };
	struct kf_slot *slot = kf_world_slot(c->world);
	char word[32] = "", rest[64] = "";
	uint8_t addr[16];
	unsigned int bits;

	sscanf(at, "%31s %63s", word, rest);
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (strcmp(word, states[i].name) == 0) {
			slot->status = states[i].status;
			return;
		}
	}
	if (strcmp(word, "allow") == 0) {
		kf_address_read(c, rest, addr, &bits);
		kf_world_allow(c->world, addr, bits);
	} else if (strcmp(word, "expires-in") == 0) {
		slot->expires_ns = kf_world_now() + atol(rest) * 1000000;
	} else if (strcmp(word, "rate") == 0) {
		slot->rate_interval_ns = atol(rest) * 1000000;
		slot->rate_burst_ns = slot->rate_interval_ns * (atol(strchr(rest, ',') + 1) - 1);
	} else if (strcmp(word, "group") == 0) {
		slot->group = strtoul(rest, NULL, 0);
	} else if (strcmp(word, "models") == 0) {
		slot->models = strtoul(rest, NULL, 0);
	} else if (strcmp(word, "wallet") == 0) {
		slot->wallet = strtoul(rest, NULL, 0);
	} else if (strcmp(word, "other-owner") == 0) {
		slot->tag[3] ^= 1;
	} else {
		errx(1, "%s:%d: key %s?", c->file, c->line, word);
	}
}

/* "group N PROTOCOL..." */
void kf_step_group(struct kf_case *c, const char *at)
{
	static const char *const names[] = { "openai", "anthropic", "gemini" };
	uint32_t protocols = 0;

	for (size_t i = 0; i < 3; i++)
		if (strstr(at, names[i]))
			protocols |= 1u << i;
	kf_world_group(c->world, strtoul(at, NULL, 0), protocols);
}

/* "models SET NAME" */
void kf_step_models(struct kf_case *c, const char *at)
{
	char name[256] = "";
	uint32_t set;

	if (sscanf(at, "%u %255s", &set, name) != 2)
		errx(1, "%s:%d: models SET NAME?", c->file, c->line);
	kf_world_model(c->world, set, name);
}

/* "wallet N LIMIT TAKEN PARENT key|account" */
void kf_step_wallet(struct kf_case *c, const char *at)
{
	struct kf_wallet wallet = {};
	char whose[16] = "";
	long long limit;
	uint32_t index;

	if (sscanf(at, "%u %lld %llu %u %15s", &index, &limit, &wallet.taken, &wallet.parent,
		   whose) != 5)
		errx(1, "%s:%d: wallet N LIMIT TAKEN PARENT WHOSE?", c->file, c->line);
	wallet.limit = limit;
	wallet.reason =
		strcmp(whose, "key") == 0 ? KF_REASON_KEY_EXHAUSTED : KF_REASON_ACCOUNT_EXHAUSTED;
	kf_world_wallet(c->world, index, &wallet);
}

void kf_step_group_models(struct kf_case *c, const char *at)
{
	uint32_t group, set;

	if (sscanf(at, "%u %u", &group, &set) != 2)
		errx(1, "%s:%d: group-models N SET?", c->file, c->line);
	kf_world_group_models(c->world, group, set);
}

void kf_step_source(struct kf_case *c, const char *at)
{
	char action[16] = "", text[64] = "";
	struct kf_source source = {};
	uint64_t until = KF_NEVER;
	uint8_t addr[16];
	unsigned int bits;
	long ms;

	if (sscanf(at, "%15s %63s %ld", action, text, &ms) == 3)
		until = kf_world_now() + ms * 1000000;
	kf_address_read(c, text, addr, &bits);
	if (strcmp(action, "allow") == 0)
		source.allow_until = until;
	if (strcmp(action, "allow") != 0 || strstr(at, "denied"))
		source.deny_until = until;
	kf_world_source(c->world, addr, bits, &source);
}

/* ---- the world ------------------------------------------------------------------------------- */

static void kf_renew(struct kf_case *c)
{
	kf_world_reset(c->world, c->mode, c->flags, c->keys);
	kf_world_refuse(c->world, c->refuse);
}

void kf_step_case(struct kf_case *c, const char *at)
{
	snprintf(c->title, sizeof(c->title), "%s", at);
	memset(&c->spec, 0, sizeof(c->spec));
	c->mode = KF_MODE_ENFORCE;
	c->refuse = KF_REFUSE_DROP;
	c->flags = 0;
	c->keys = KF_KEY_ANY;
	c->next = 0;
	kf_renew(c);
}

void kf_step_mode(struct kf_case *c, const char *at)
{
	c->mode = strcmp(at, "monitor") == 0 ? KF_MODE_MONITOR : KF_MODE_ENFORCE;
	kf_renew(c);
}

void kf_step_refuse(struct kf_case *c, const char *at)
{
	c->refuse = strcmp(at, "reply") == 0   ? KF_REFUSE_REPLY
		    : strcmp(at, "reset") == 0 ? KF_REFUSE_RESET
					       : KF_REFUSE_DROP;
	kf_renew(c);
}

void kf_step_unanswered(struct kf_case *c, const char *at)
{
	(void)at;
	kf_world_no_answers(c->world);
}

static void kf_service_read(struct kf_case *c, struct kf_service *service)
{
	if (bpf_map_lookup_elem(kf_world_fd(c->world, "kf_services"), &(uint32_t){ 0 }, service))
		err(1, "kf_services");
}

static void kf_service_store(struct kf_case *c, const struct kf_service *service)
{
	if (bpf_map_update_elem(kf_world_fd(c->world, "kf_services"), &(uint32_t){ 0 }, service,
				BPF_ANY))
		err(1, "kf_services");
}

/* Under the flows that there are. */
void kf_step_switch(struct kf_case *c, const char *at)
{
	struct kf_service service;

	kf_service_read(c, &service);
	service.mode = strcmp(at, "monitor") == 0 ? KF_MODE_MONITOR : KF_MODE_ENFORCE;
	kf_service_store(c, &service);
}

void kf_step_method(struct kf_case *c, const char *at)
{
	struct kf_service service;
	char name[17] = "";

	if (sscanf(at, "%16s", name) != 1)
		errx(1, "%s:%d: no method", c->file, c->line);
	kf_service_read(c, &service);
	memcpy(service.methods[KF_METHODS_MAX - 1], name, strlen(name));
	kf_service_store(c, &service);
}

void kf_step_websocket(struct kf_case *c, const char *at)
{
	(void)at;
	c->flags |= KF_SERVICE_WEBSOCKET;
	kf_renew(c);
}

void kf_step_keys(struct kf_case *c, const char *at)
{
	c->keys = strtoul(at, NULL, 0);
	kf_renew(c);
}

void kf_step_listen(struct kf_case *c, const char *at)
{
	uint8_t addr[16] = { [10] = 0xff, 0xff, 10, 0, 0, atoi(at) };

	kf_world_listen(c->world, addr);
}

void kf_step_heads(struct kf_case *c, const char *at)
{
	kf_world_heads(c->world, atoi(at));
}

void kf_step_sleep(struct kf_case *c, const char *at)
{
	struct timespec time = { .tv_nsec = atol(at) * 1000000 };

	(void)c;
	nanosleep(&time, NULL);
}
