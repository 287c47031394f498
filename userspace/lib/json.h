/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * json.h - the manners of JSON that daemon and tool share: reading strictly, and how an error
 * looks.
 *
 * Values are jansson's; "borrowed" pointers live as long as the object they came from. No state,
 * any thread.
 */
#ifndef KEYFILTER_LIB_JSON_H
#define KEYFILTER_LIB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <jansson.h>

#include "cleanup.h"

/*
 * Reads @len bytes that must be exactly one JSON value: a member named twice, bytes after the end
 * and invalid UTF-8 are errors (-EINVAL, and @why says where: "line 1 column 7: ..."). "\u0000" in
 * a string is one too, for nothing here counts past a NUL.
 */
int kf_json_read(const char *text, size_t len, json_t **out, char why[static 200]);

/* A string member, borrowed; NULL when it is missing or not a string. */
const char *kf_json_string(const json_t *object, const char *member);

/* An integer member; @otherwise when it is missing or not an integer. */
json_int_t kf_json_integer(const json_t *object, const char *member, json_int_t otherwise);

/* {"error":{"code","message","mend"}}; a new reference, NULL when out of memory. */
json_t *kf_json_error(const char *code, const char *message, const char *mend);

/*
 * Is @answer such an error? Then its parts, borrowed; any of them may be NULL when it lacks them.
 */
bool kf_json_is_error(const json_t *answer, const char **code, const char **message,
		      const char **mend);

#endif
