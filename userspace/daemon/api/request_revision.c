// SPDX-License-Identifier: GPL-2.0-only
/*
 * Revisions and If-Match. Where two operators change one thing, each after having read it, the
 * second one is told that it was changed since. One thread makes all changes, so no other change
 * comes between the comparison here and the change itself.
 */
#include "api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

const char *kf_api_revision(uint64_t revision, char text[static KF_API_REVISION_SIZE])
{
	snprintf(text, KF_API_REVISION_SIZE, "%016" PRIx64, revision);
	return text;
}

int kf_api_reply_revision(struct kf_api_request *request, int status, json_t *body,
			  uint64_t revision)
{
	char text[KF_API_REVISION_SIZE], tag[KF_API_REVISION_SIZE + 2];
	int err = kf_api_reply(request, status, body);

	if (err)
		return err;
	snprintf(tag, sizeof(tag), "\"%s\"", kf_api_revision(revision, text));
	MHD_add_response_header(request->response, MHD_HTTP_HEADER_ETAG, tag);
	return 0;
}

/*
 * Reads one entity-tag (RFC 9110 section 8.8.3) of the list at *@at and moves *@at to the next one.
 * 1: it is @tag, by strong comparison; 0: it is another one; -EINVAL: it is no entity-tag.
 */
static int read_tag(const char **at, const char *tag)
{
	bool weak = strncmp(*at, "W/", 2) == 0;
	const char *text = *at + 2 * weak, *end;
	bool same;

	if (*text != '"' || !(end = strchr(text + 1, '"')) || end == text + 1)
		return -EINVAL; /* an empty one is no revision of anything here */
	same = !weak && (size_t)(end - text - 1) == strlen(tag) &&
	       !memcmp(text + 1, tag, strlen(tag));
	end++;
	end += strspn(end, " \t");
	if (*end && *end != ',')
		return -EINVAL;
	*at = end + strspn(end, ", \t");
	return same;
}

int kf_api_match(struct kf_api_request *request, const char *noun, uint64_t revision)
{
	const char *at = request->if_match;
	char text[KF_API_REVISION_SIZE], mend[160];
	bool found = false;

	if (!at || !strcmp(at, "*"))
		return 0;
	kf_api_revision(revision, text);
	do {
		int same = read_tag(&at, text);

		if (same < 0)
			return kf_api_refuse(
				request, MHD_HTTP_BAD_REQUEST, "bad_if_match",
				"give the revision that was seen, in quotes, as `ETag` has it",
				"`If-Match` cannot be '%.80s'", request->if_match);
		found |= same;
	} while (*at);
	if (found)
		return 0;
	snprintf(mend, sizeof(mend),
		 "look at it again with `keyfilterctl %s show`, and repeat what still fits with "
		 "that revision",
		 noun);
	return kf_api_refuse(request, MHD_HTTP_PRECONDITION_FAILED, "changed", mend,
			     "somebody has changed %s '%.200s' meanwhile: it is at revision %s",
			     noun, request->name, text);
}
