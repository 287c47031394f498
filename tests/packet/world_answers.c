// SPDX-License-Identifier: GPL-2.0-only
/* What refused clients are told in a world: texts of every length that matters. */
#include <stdio.h>
#include <string.h>

#include <keyfilter/http1.h>

#include "world_parts.h"

/* Of many lengths, odd and even, shorter and longer than the 512 bytes of one checksum. */
static size_t kf_world_text_body(int reason)
{
	switch (reason) {
	case KF_REASON_KEY_EXPIRED:
		return KF_ANSWER_TEXT_MAX - kf_world_text_head(reason);
	case KF_REASON_KEY_DISABLED:
		return 512 - kf_world_text_head(reason);
	case KF_REASON_HEAD_TOO_LARGE:
		return 701;
	default:
		return 7 + reason;
	}
}

size_t kf_world_text(int reason, int detail, int protocol, uint64_t id, uint32_t retry,
		     char text[static 1024])
{
	int len = snprintf(text, 1024, "HTTP/1.1 4%02d\r\nid: %016llx\r\nretry-after: %10u\r\n\r\n",
			   reason, (unsigned long long)id, retry);
	size_t body = kf_world_text_body(reason);

	memset(text + len, '0' + protocol + 4 * detail % 64, body);
	return len + body;
}

size_t kf_world_text_head(int reason)
{
	(void)reason;
	return strlen("HTTP/1.1 499\r\nid: 0123456789abcdef\r\nretry-after: 0123456789\r\n\r\n");
}

void kf_world_fill_answers(struct kf_world *world)
{
	for (uint32_t i = 0; i < KF_ANSWERS_MAX; i++) {
		int row = i / KF_ANSWER_PROTOCOLS, detail = row - KF_REASON_MAX;
		int reason = detail < 0 ? row : (int)kf_detail_reason(detail);
		struct kf_answer answer = {
			.head_len = kf_world_text_head(reason),
			.id_off = 18,
			.retry_off = 49,
		};
		char text[1024];

		memset(text, 'z', sizeof(text)); /* what lies behind the text must not count */
		answer.len = kf_world_text(reason, detail < 0 ? 0 : detail, i % KF_ANSWER_PROTOCOLS,
					   0, 0, text);
		memcpy(answer.text, text, sizeof(answer.text));
		kf_world_put(world, "kf_answers", &i, &answer);
	}
	world->no_answers = false;
}

void kf_world_no_answers(struct kf_world *world)
{
	for (uint32_t i = 0; i < KF_ANSWERS_MAX; i++)
		kf_world_put(world, "kf_answers", &i, &(struct kf_answer){});
	world->no_answers = true;
}
