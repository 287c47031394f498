// SPDX-License-Identifier: GPL-2.0-only
#include "api/uri.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cleanup.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As jansson judges it (RFC 3629): then the text can be put into an answer as well. */
static bool is_utf8(const char *text, size_t len)
{
	_cleanup_json_ json_t *value = json_stringn(text, len);

	return value;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

int kf_api_uri_decode(const char *raw, size_t len, bool plus_is_space, char **out)
{
	_cleanup_free_ char *text = malloc(len + 1);
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		char c = raw[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(raw[i + 1]) : -1;
			int low = i + 2 < len ? hex_digit(raw[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (is_control(c))
			return -EINVAL;
		text[n++] = c;
	}
	text[n] = '\0';
	if (!is_utf8(text, n))
		return -EINVAL;
	*out = TAKE_PTR(text);
	return 0;
}

static int read_parameter(struct kf_api_uri *uri, const char *raw, size_t len)
{
	const char *equals = memchr(raw, '=', len);
	size_t name_len = equals ? (size_t)(equals - raw) : len;
	struct kf_api_parameter *parameter = &uri->parameters[uri->count];
	int err;

	if (uri->count == KF_API_URI_PARAMETERS)
		return -E2BIG;
	uri->count++;
	err = kf_api_uri_decode(raw, name_len, true, &parameter->name);
	if (err)
		return err;
	if (!equals)
		return kf_api_uri_decode("", 0, true, &parameter->value);
	return kf_api_uri_decode(equals + 1, len - name_len - 1, true, &parameter->value);
}

int kf_api_uri_parse(const char *raw, struct kf_api_uri *uri)
{
	size_t path_len = strcspn(raw, "?");
	const char *query = raw + path_len;

	*uri = (struct kf_api_uri){ 0 };
	if (*raw != '/')
		return -EINVAL;
	uri->path = strndup(raw, path_len);
	if (!uri->path)
		return -ENOMEM;

	while (*query) { /* stands on the '?' or '&' before a parameter */
		size_t len = strcspn(++query, "&");
		int err = len ? read_parameter(uri, query, len) : 0;

		if (err)
			return err;
		query += len;
	}
	return 0;
}

void kf_api_uri_free(struct kf_api_uri *uri)
{
	for (size_t i = 0; i < uri->count; i++) {
		free(uri->parameters[i].name);
		free(uri->parameters[i].value);
	}
	free(uri->path);
	*uri = (struct kf_api_uri){ 0 };
}

const char *kf_api_uri_parameter(const struct kf_api_uri *uri, const char *name)
{
	for (size_t i = 0; i < uri->count; i++)
		if (!strcmp(uri->parameters[i].name, name))
			return uri->parameters[i].value;
	return NULL;
}

int kf_api_uri_match(const char *pattern, const char *path, char **name)
{
	const char *piece = NULL;
	size_t piece_len = 0;
	int err = 0;

	while (*pattern) {
		if (*pattern != '{') {
			if (*pattern++ != *path++)
				return 0;
			continue;
		}
		piece = path;
		piece_len = pattern[1] == '*' ? strlen(path) : strcspn(path, "/");
		if (!piece_len)
			return 0;
		path += piece_len;
		pattern = strchr(pattern, '}') + 1;
	}
	if (*path)
		return 0;
	*name = NULL;
	if (piece)
		err = kf_api_uri_decode(piece, piece_len, false, name);
	return err ? err : 1;
}
