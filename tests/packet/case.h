/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * case.h - a case of the packet tests while it runs, and what its steps share.
 *
 * packet_test.c owns it, case.c reads its lines. A step that finds a fault calls kf_fail(), and the
 * case is not followed further; a case that cannot be read ends the test.
 */
#ifndef KF_TESTS_PACKET_CASE_H
#define KF_TESTS_PACKET_CASE_H

#include "frame.h"
#include "wire.h"
#include "world.h"

#define KF_LINE_MAX   32768
#define KF_CLIENT_ISN 0xfffffff0u /* the sequence numbers wrap in every test */
#define KF_SERVER_ISN 7000u
#define KF_PENDING    8

struct kf_data {
	uint8_t bytes[KF_LINE_MAX];
	size_t len;
};

struct kf_expect {
	char verdict[16], reason[32], detail[32];
};

struct kf_case {
	struct kf_world *world;
	struct kf_wire *wire;
	enum kf_hook hook;
	const char *file;
	int line;
	char title[256];
	bool failed;
	/* what the case set */
	enum kf_mode mode;
	enum kf_refuse refuse;
	uint8_t flags;
	uint32_t keys;
	struct kf_frame_spec spec;
	uint32_t next;	    /* client bytes sent */
	uint32_t responded; /* bytes of whole responses */
	struct kf_ran ran;
	/* told.c */
	struct kf_frame_spec last; /* what was sent last; its data is gone */
	bool same;		   /* ... and left untouched */
	uint64_t request_id;	   /* of the last refusal */
	int detail;		   /* and of it, 0 where it has none */
	uint32_t end;		   /* what acknowledges the last answer */
	struct kf_sent pending[KF_PENDING];
	size_t pendings;
};

void kf_fail(struct kf_case *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads "..." at @at; returns what follows it. */
const char *kf_data_read(struct kf_case *c, const char *at, struct kf_data *data);
/* FIELD=VALUE ... up to the data. */
void kf_fields_read(struct kf_case *c, const char *at, struct kf_frame_spec *spec);
void kf_expect_read(struct kf_case *c, const char *at, struct kf_expect *expect);
void kf_check(struct kf_case *c, const struct kf_expect *expect); /* of c->ran */
/* The client's next segment. */
struct kf_frame_spec kf_spec_in(const struct kf_case *c, const uint8_t *data, size_t len);
int kf_reason_of(const char *name);	/* -1: no such reason */
const char *kf_reason_name(int reason); /* also of what is in struct kf_ran beside reasons */

#endif
