// SPDX-License-Identifier: GPL-2.0-only
/* clang-format off */
/*
 * packet_test - runs the packet cases: description, packets in, verdict and reason out.
 *
 *   packet_test [OBJECT_DIR FILE.case...]
 *
 * Without arguments: the objects of $KF_BUILD (build) and all of tests/packet/cases.
 *
 * Every case runs twice, through XDP and through TC ingress. A line of a case is one step:
 *
 *   case TEXT                      a new world: service any:8000, one good key, no flows
 *   mode monitor | refuse reply|reset|drop | unanswered | websocket | keys MASK | listen HOST
 *   method NAME                    the service adds it
 *   switch monitor|enforce         the mode changes under the flows that there are
 *   heads N | ip 4|6 | vlans N | ext N,N | ipoptions N | client HOST | net N (the client's /64)
 *   port N | to PORT
 *   handshake                      SYN-ACK out, ACK in
 *   in [FIELD=VALUE ...] "DATA" => pass|drop|untouched REASON [DETAIL]
 *   out [FIELD=VALUE ...] "DATA" [=> drop]   acknowledges all the client sent, unless ack=+N
 *   responds [FIELD=VALUE ...]     out with a whole response of 38 bytes, behind those before
 *   wire [native] [partial] [FIELD=VALUE ...] "DATA"   as in, with the programs attached
 *   raw [FIELD=VALUE ...] "DATA" => pass|drop|untouched REASON [DETAIL]      (raw.h)
 *   options HEX [partial]          of the frame that left, with its checksum (raw.h)
 *   sees "DATA"                    what the last `in` left: payload, lengths and checksums
 *   same                           the frame was not touched
 *   answers REASON [protocol=N] [retry=N] [head=1] [seq=+N] [ack=+N]
 *   acks +N | resets client | resets backend [seq=+N]     what the last frame led to (told.h)
 *   aged MS,SECONDS,BYTES          the answer was sent so long ago, so much came since
 *   splits "DATA" => ...           DATA cut in two at every byte, each on a connection of its own
 *   shuffles "DATA" => ...         DATA in three pieces, a connection for each wrong order
 *   key STATE | key allow ADDR/BITS | key expires-in MS | key rate MS,BURST
 *   key group N | group N PROTOCOL...   the key is in that group; its keys may use these
 *   key models SET | group-models N SET | models SET NAME   it may call those of the set; NAME is
 *   key wallet N | wallet N LIMIT TAKEN PARENT key|account   it draws on that one
 *   source deny|allow ADDR/BITS [MS]
 *   sleep MS | state NAME | flows N
 *   penalty FAILURES,WINDOW,TIME,MAX (s) | syn-rate MS,BURST
 *   succeeds N                     N admitted requests, a connection each
 *   fails N => SECONDS             N refused connections; a penalty is raised by the last, or none
 *   place FAILURES,SUCCESSES,LEVEL|none   what is known of the client's source
 *   age SECONDS | forgive | crowd N,SECONDS | strangers N | sets N      (abuse.h)
 *
 * FIELDs: seq=+N and ack=+N count from the first byte of the stream; flags=syn,ack (fin, rst, psh,
 * urg), doff=N, pad=N, frag=N, more=1, opts=HEX (TCP options), partial=1, host=N, ts=N,N, latets=N,N,
 * ether=HEX; ack=end: all of the answer.
 * In DATA: \r \n \t \0 \" \\ \xHH, $KEY, $TWO (another good one), $BAD, {N*c}; $TCP and $OTH are TCP
 * headers, to the service's port and to another one. A packet that is dropped without being known to
 * be any service's has the reason unread_headers or unread_routed (enum kf_unread_why).
 */
/* clang-format on */
#include <err.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raw.h"
#include "steps.h"
#include "told.h"

static const struct {
	const char *name;
	void (*run)(struct kf_case *c, const char *at);
} kf_steps[] = {
	{ "case", kf_step_case },
	{ "mode", kf_step_mode },
	{ "switch", kf_step_switch },
	{ "refuse", kf_step_refuse },
	{ "unanswered", kf_step_unanswered },
	{ "same", kf_step_same },
	{ "answers", kf_step_answers },
	{ "acks", kf_step_acks },
	{ "resets", kf_step_resets },
	{ "wire", kf_step_wire },
	{ "aged", kf_step_aged },
	{ "websocket", kf_step_websocket },
	{ "keys", kf_step_keys },
	{ "method", kf_step_method },
	{ "listen", kf_step_listen },
	{ "heads", kf_step_heads },
	{ "ip", kf_step_ip },
	{ "vlans", kf_step_vlans },
	{ "ext", kf_step_ext },
	{ "ipoptions", kf_step_ipoptions },
	{ "client", kf_step_client },
	{ "port", kf_step_port },
	{ "handshake", kf_step_handshake },
	{ "in", kf_step_in },
	{ "raw", kf_step_raw },
	{ "options", kf_step_options },
	{ "out", kf_step_out },
	{ "responds", kf_step_responds },
	{ "sees", kf_step_sees },
	{ "splits", kf_step_splits },
	{ "shuffles", kf_step_shuffles },
	{ "key", kf_step_key },
	{ "group", kf_step_group },
	{ "group-models", kf_step_group_models },
	{ "models", kf_step_models },
	{ "wallet", kf_step_wallet },
	{ "source", kf_step_source },
	{ "sleep", kf_step_sleep },
	{ "state", kf_step_state },
	{ "flows", kf_step_flows },
	{ "to", kf_step_to },
	{ "penalty", kf_step_penalty },
	{ "syn-rate", kf_step_syn_rate },
	{ "net", kf_step_net },
	{ "fails", kf_step_fails },
	{ "succeeds", kf_step_succeeds },
	{ "place", kf_step_place },
	{ "age", kf_step_age },
	{ "forgive", kf_step_forgive },
	{ "crowd", kf_step_crowd },
	{ "strangers", kf_step_strangers },
	{ "sets", kf_step_sets },
};

static void kf_line(struct kf_case *c, char *line)
{
	size_t len = strcspn(line, " \n");
	char *rest = line + len;

	rest[strcspn(rest, "\n")] = 0;
	while (*rest == ' ')
		rest++;
	for (size_t i = 0; i < sizeof(kf_steps) / sizeof(*kf_steps); i++) {
		if (strlen(kf_steps[i].name) == len && strncmp(kf_steps[i].name, line, len) == 0) {
			kf_steps[i].run(c, rest);
			return;
		}
	}
	errx(1, "%s:%d: unknown step: %s", c->file, c->line, line);
}

/* Nothing may be left over. Returns 1 if only this made the case fail. */
static unsigned int kf_case_end(struct kf_case *c)
{
	bool failed = c->failed;

	kf_told_settle(c);
	failed = c->failed && !failed;
	c->failed = false;
	return failed;
}

/* A case that failed is not followed further; the next one begins anew. */
static unsigned int kf_file(struct kf_case *c, const char *path, unsigned int *cases)
{
	FILE *file = fopen(path, "r");
	static char line[KF_LINE_MAX];
	unsigned int failed = 0;

	if (!file)
		err(1, "%s", path);
	c->file = path;
	for (c->line = 1; fgets(line, sizeof(line), file); c->line++) {
		char *at = line + strspn(line, " \t");

		if (*at == '#' || *at == '\n' || !*at)
			continue;
		if (strncmp(at, "case ", 5) == 0) {
			failed += kf_case_end(c);
			(*cases)++;
		} else if (c->failed) {
			continue;
		}
		kf_line(c, at);
		failed += c->failed;
	}
	failed += kf_case_end(c);
	fclose(file);
	return failed;
}

static struct kf_world *kf_world_of_build(void)
{
	const char *build = getenv("KF_BUILD");
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s/bpf", build ? build : "build");
	return kf_world_new(dir);
}

int main(int argc, char **argv)
{
	unsigned int failed = 0, cases = 0;
	static struct kf_case c;
	glob_t files = { .gl_pathv = argv + 2, .gl_pathc = argc - 2 };

	if (argc == 2)
		errx(2, "usage: packet_test [OBJECT_DIR FILE.case...]");
	if (argc == 1 && glob("tests/packet/cases/*.case", 0, NULL, &files))
		errx(2, "no tests/packet/cases here");
	c.world = argc == 1 ? kf_world_of_build() : kf_world_new(argv[1]);
	c.wire = kf_wire_new();
	kf_world_interface(c.world, kf_wire_ifindex(c.wire));
	for (size_t i = 0; i < files.gl_pathc; i++) {
		for (c.hook = KF_HOOK_XDP; c.hook <= KF_HOOK_TC; c.hook++)
			failed += kf_file(&c, files.gl_pathv[i], &cases);
	}
	if (argc == 1)
		globfree(&files);
	kf_wire_free(c.wire);
	kf_world_free(c.world);
	printf("packet_test: %u cases, %u failed\n", cases, failed);
	return failed ? 1 : 0;
}
