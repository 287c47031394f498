// SPDX-License-Identifier: GPL-2.0-only
#include "json.h"

#include <errno.h>
#include <stdio.h>

void kf_cleanup_json(struct json_t **value)
{
	json_decref(*value);
}

int kf_json_read(const char *text, size_t len, json_t **out, char why[static 200])
{
	json_error_t error;
	/* jansson refuses bytes after the end and "\u0000" unless flags say otherwise. */
	json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	if (!value) {
		snprintf(why, 200, "line %d column %d: %s", error.line, error.column, error.text);
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
	}
	*out = value;
	return 0;
}

const char *kf_json_string(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

json_int_t kf_json_integer(const json_t *object, const char *member, json_int_t otherwise)
{
	const json_t *value = json_object_get(object, member);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

json_t *kf_json_error(const char *code, const char *message, const char *mend)
{
	return json_pack("{s:{s:s,s:s,s:s}}", "error", "code", code, "message", message, "mend",
			 mend);
}

bool kf_json_is_error(const json_t *answer, const char **code, const char **message,
		      const char **mend)
{
	const json_t *error = json_object_get(answer, "error");

	if (!json_is_object(error))
		return false;
	*code = kf_json_string(error, "code");
	*message = kf_json_string(error, "message");
	*mend = kf_json_string(error, "mend");
	return true;
}
