/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * uri.h - the target of an admin request, taken apart strictly.
 *
 * Pure functions over text. libmicrohttpd's own decoding is not used, because it turns %2F into a
 * slash before the path is cut at slashes, and cuts strings at %00. Here the raw path is cut first
 * and each piece is decoded afterwards. Anything but valid percent-encoding of valid UTF-8 without
 * control bytes is an error.
 */
#ifndef KEYFILTER_DAEMON_API_URI_H
#define KEYFILTER_DAEMON_API_URI_H

#include <stdbool.h>
#include <stddef.h>

#define KF_API_URI_PARAMETERS 24 /* more than any route knows, with labels */

struct kf_api_parameter {
	char *name;  /* decoded; owned */
	char *value; /* decoded; "" where there was no '=' */
};

struct kf_api_uri {
	char *path; /* raw, without the query; owned */
	struct kf_api_parameter parameters[KF_API_URI_PARAMETERS];
	size_t count;
};

/*
 * Decodes the @len bytes at @raw (RFC 3986 section 2.1) into a new string. @plus_is_space: as in
 * queries that forms and libraries write. -EINVAL: a broken %XX, a control byte (NUL among them) or
 * no UTF-8.
 */
int kf_api_uri_decode(const char *raw, size_t len, bool plus_is_space, char **out);

/*
 * Takes "/path?a=1&b=2" apart. -EINVAL as above, or not a path; -E2BIG: too many parameters. *uri
 * is to be freed in any case.
 */
int kf_api_uri_parse(const char *raw, struct kf_api_uri *uri);
void kf_api_uri_free(struct kf_api_uri *uri);

/* The decoded parameter, or NULL. */
const char *kf_api_uri_parameter(const struct kf_api_uri *uri, const char *name);

/*
 * Does the raw @path fit @pattern? In a pattern `{}` stands for one segment that is not empty,
 * `{*}` at the end for all that is left, slashes included. 1: yes, and *name is the decoded piece
 * (NULL where the pattern has none; the caller frees it); 0: no; -EINVAL: it would, but for its
 * encoding.
 */
int kf_api_uri_match(const char *pattern, const char *path, char **name);

#endif
