/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * api_fixture.h - a request for a handler of the admin API, without a server, for tests that
 * include it once, after cmocka.h.
 */
#ifndef KEYFILTER_TEST_API_FIXTURE_H
#define KEYFILTER_TEST_API_FIXTURE_H

#include <string.h>

#include <jansson.h>
#include <microhttpd.h>

#include "api/request.h"
#include "api/uri.h"

/* A request with a body, and what it was answered. */
struct fixture {
	struct kf_api_request request;
	struct kf_api_uri uri;
};

/* @body: JSON, an object. */
static void fixture_open(struct fixture *fixture, const char *body)
{
	memset(fixture, 0, sizeof(*fixture));
	fixture->request.uri = &fixture->uri;
	fixture->request.body = json_loads(body, 0, NULL);
	assert_non_null(fixture->request.body);
}

static void fixture_close(struct fixture *fixture)
{
	json_decref(fixture->request.body);
	if (fixture->request.response)
		MHD_destroy_response(fixture->request.response);
	kf_api_uri_free(&fixture->uri);
}

#endif
