// SPDX-License-Identifier: GPL-2.0-only
#include "api/iface.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "api/request.h"
#include "api/route.h"
#include "attach/iface.h"
#include "cleanup.h"
#include "clock.h"
#include "policy/policy.h"

/* ---- an interface as JSON -------------------------------------------------------------------- */

static json_t *iface_json(struct kf_daemon *daemon, const struct kf_iface_row *row)
{
	static const char *const states[] = {
		[KF_IFACE_ATTACHED] = "attached",
		[KF_IFACE_PARTIAL] = "partial",
		[KF_IFACE_MISSING] = "missing",
		[KF_IFACE_FAILED] = "failed",
	};
	struct kf_attach_iface_view view;

	kf_attach_iface_view(daemon, row, &view);
	return json_pack(
		"{s:s, s:i, s:s, s:s, s:s, s:s?, s:i, s:i}", "dev", row->dev, "ifindex",
		(int)view.ifindex, "mode", kf_attach_mode_name(row->mode), "existing",
		kf_attach_adopt_existing_name(row->reset ? KF_EXISTING_RESET : KF_EXISTING_ADOPT),
		"state", states[view.state], "error", *view.error ? view.error : NULL, "adopted",
		(int)view.existing.adopted, "reset", (int)view.existing.reset);
}

struct json_list {
	struct kf_daemon *daemon;
	json_t *array;
};

static int append_json(void *context, const struct kf_iface_row *row)
{
	struct json_list *list = context;

	return json_array_append_new(list->array, iface_json(list->daemon, row)) ? -ENOMEM : 0;
}

json_t *kf_api_iface_json_all(struct kf_daemon *daemon)
{
	_cleanup_json_ json_t *array = json_array();
	struct json_list list = { daemon, array };

	if (kf_store_iface_each(daemon->store, append_json, &list))
		return NULL;
	return TAKE_PTR(array);
}

/* ---- what is asked --------------------------------------------------------------------------- */

/* As the kernel's dev_valid_name(), and without control bytes, which no tool puts into names. */
static int read_dev(struct kf_api_request *request, const json_t *value, struct kf_iface_row *row)
{
	const char *dev = json_string_value(value);
	size_t len = strlen(dev);
	bool good = len && len < sizeof(row->dev) && strcmp(dev, ".") && strcmp(dev, "..");

	for (const char *c = dev; *c; c++)
		good = good && (unsigned char)*c > ' ' && *c != '/' && *c != ':' && *c != 0x7f;
	if (!good)
		return kf_api_refuse_value(request, "dev", "see `ip link` for the names there are",
					   "'%.40s' is not an interface's name", dev);
	memcpy(row->dev, dev, len + 1);
	return 0;
}

static int read_mode(struct kf_api_request *request, const json_t *value, struct kf_iface_row *row)
{
	enum kf_attach_mode mode = KF_ATTACH_NATIVE;

	if (value && kf_attach_mode_parse(json_string_value(value), &mode))
		return kf_api_refuse_word(request, "mode", "give native, generic or tc",
					  json_string_value(value));
	row->mode = (uint8_t)mode;
	return 0;
}

static int read_existing(struct kf_api_request *request, const json_t *value,
			 struct kf_iface_row *row)
{
	enum kf_existing existing = KF_EXISTING_ADOPT;

	if (value && kf_attach_adopt_existing_parse(json_string_value(value), &existing))
		return kf_api_refuse_word(request, "existing", "give adopt or reset",
					  json_string_value(value));
	row->reset = existing == KF_EXISTING_RESET;
	return 0;
}

/* ---- handlers -------------------------------------------------------------------------------- */

static int refuse_ending(struct kf_api_request *request)
{
	return kf_api_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "ending",
			     "ask again when it runs",
			     "keyfilterd is ending, and nothing was changed");
}

static int refuse_attach(struct kf_api_request *request, int err, const struct kf_why *why)
{
	switch (err) {
	case -ECANCELED:
		return refuse_ending(request);
	case -ENODEV:
		return kf_api_refuse_why(request, MHD_HTTP_NOT_FOUND, "no_such_interface", why);
	case -EBUSY:
		return kf_api_refuse_why(request, MHD_HTTP_CONFLICT, "attached_otherwise", why);
	default:
		return kf_api_refuse_why(request, MHD_HTTP_UNPROCESSABLE_CONTENT, "attach_failed",
					 why);
	}
}

static void answer_attach(void *context, int err, const struct kf_iface_row *row,
			  const struct kf_why *why)
{
	struct kf_api_request *request = context;

	kf_api_done(request, err ? refuse_attach(request, err, why)
				 : kf_api_reply(request, MHD_HTTP_CREATED,
						iface_json(request->daemon, row)));
}

static int handle_attach(struct kf_api_request *request)
{
	struct kf_iface_row row = { .created = kf_clock_now().wall_ns };
	json_t *dev, *mode, *existing;
	const struct kf_api_member members[] = {
		{ "dev", KF_API_STRING | KF_API_REQUIRED, &dev },
		{ "mode", KF_API_STRING, &mode },
		{ "existing", KF_API_STRING, &existing },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = read_dev(request, dev, &row);
	if (!err)
		err = read_mode(request, mode, &row);
	if (!err)
		err = read_existing(request, existing, &row);
	if (err)
		return err;
	kf_attach_iface_add(request->daemon, &row, answer_attach, request);
	return KF_API_LATER;
}

static int handle_list(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	int err = kf_api_parameters(request, none);

	if (!err)
		err = kf_api_no_members(request);
	return err ? err
		   : kf_api_reply(
			     request, MHD_HTTP_OK,
			     json_pack("{s:o}", "ifaces", kf_api_iface_json_all(request->daemon)));
}

static int find_iface(struct kf_api_request *request, struct kf_iface_row *row)
{
	int err = kf_store_iface_get(request->daemon->store, request->name, row);

	return err == -ENOENT ? kf_api_refuse_missing(request, "iface") : err;
}

static int handle_show(struct kf_api_request *request)
{
	struct kf_iface_row row;
	int err = kf_api_no_members(request);

	if (!err)
		err = find_iface(request, &row);
	return err ? err : kf_api_reply(request, MHD_HTTP_OK, iface_json(request->daemon, &row));
}

static int refuse_detach(struct kf_api_request *request, int err, const struct kf_why *why)
{
	switch (err) {
	case -ECANCELED:
		return refuse_ending(request);
	case -ENOENT:
		return kf_api_refuse_missing(request, "iface");
	case -EBUSY:
		return kf_api_refuse_why(request, MHD_HTTP_CONFLICT, "interface_busy", why);
	default:
		return kf_api_refuse_error(request, err, why);
	}
}

static void answer_detach(void *context, int err, const struct kf_iface_row *row,
			  const struct kf_why *why)
{
	struct kf_api_request *request = context;

	kf_api_done(request, err ? refuse_detach(request, err, why)
				 : kf_api_reply(request, MHD_HTTP_OK,
						json_pack("{s:s, s:s}", "dev", row->dev, "state",
							  "detached")));
}

static int handle_detach(struct kf_api_request *request)
{
	int err = kf_api_no_members(request);

	if (err)
		return err;
	kf_attach_iface_remove(request->daemon, request->name, answer_detach, request);
	return KF_API_LATER;
}

const struct kf_api_route kf_api_iface_routes[] = {
	{ "GET", "/v1/ifaces", handle_list, false },
	{ "POST", "/v1/ifaces", handle_attach, false },
	{ "GET", "/v1/ifaces/{}", handle_show, false },
	{ "DELETE", "/v1/ifaces/{}", handle_detach, false },
	{ 0 },
};
