// SPDX-License-Identifier: GPL-2.0-only
#include "api/api.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <microhttpd.h>

#include "attach/iface.h"
#include "policy/policy.h"

/* dev_valid_name() of the kernel, without what no tool makes: white space and control bytes. */
static int take_dev(struct kf_api_request *request, const json_t *value, struct kf_iface_row *row)
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

static int take_mode(struct kf_api_request *request, const json_t *value, struct kf_iface_row *row)
{
	enum kf_attach_mode mode = KF_ATTACH_NATIVE;

	if (value && kf_attach_mode_parse(json_string_value(value), &mode))
		return kf_api_refuse_value(request, "mode", "give native, generic or tc",
					   "'%.40s' is none of them", json_string_value(value));
	row->mode = (uint8_t)mode;
	return 0;
}

static int take_existing(struct kf_api_request *request, const json_t *value,
			 struct kf_iface_row *row)
{
	enum kf_existing existing = KF_EXISTING_ADOPT;

	if (value && kf_attach_adopt_existing_parse(json_string_value(value), &existing))
		return kf_api_refuse_value(request, "existing", "give adopt or reset",
					   "'%.40s' is none of them", json_string_value(value));
	row->reset = existing == KF_EXISTING_RESET;
	return 0;
}

static int refuse_attach(struct kf_api_request *request, int err, const char *why)
{
	switch (err) {
	case -ENODEV:
		return kf_api_refuse_why(request, MHD_HTTP_NOT_FOUND, "no_such_interface", why);
	case -EBUSY:
		return kf_api_refuse_why(request, MHD_HTTP_CONFLICT, "attached_otherwise", why);
	default:
		return kf_api_refuse_why(request, MHD_HTTP_UNPROCESSABLE_CONTENT, "attach_failed",
					 why);
	}
}

int kf_api_iface_attach(struct kf_api_request *request)
{
	struct kf_daemon *daemon = request->daemon;
	struct kf_iface_row row = { .created = kf_clock_now().wall_ns };
	struct kf_why why = { 0 };
	json_t *dev, *mode, *existing;
	const struct kf_api_member members[] = {
		{ "dev", KF_API_STRING | KF_API_REQUIRED, &dev },
		{ "mode", KF_API_STRING, &mode },
		{ "existing", KF_API_STRING, &existing },
	};
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	err = err ?: take_dev(request, dev, &row);
	err = err ?: take_mode(request, mode, &row);
	err = err ?: take_existing(request, existing, &row);
	if (err)
		return err;
	err = kf_attach_iface_add(daemon, &row, &why);
	if (err)
		return refuse_attach(request, err, why.text);
	return kf_api_reply(request, MHD_HTTP_CREATED, kf_attach_iface_json(daemon, &row));
}

int kf_api_iface_list(struct kf_api_request *request)
{
	static const char *const none[] = { NULL };
	int err = kf_api_parameters(request, none) ?: kf_api_no_members(request);

	return err
		       ?: kf_api_reply(request, MHD_HTTP_OK,
				       json_pack("{s:o}", "ifaces",
						 kf_attach_iface_json_all(request->daemon)));
}

static int find_iface(struct kf_api_request *request, struct kf_iface_row *row)
{
	int err = kf_store_iface_get(request->daemon->store, request->name, row);

	return err == -ENOENT ? kf_api_refuse_missing(request, "iface") : err;
}

int kf_api_iface_show(struct kf_api_request *request)
{
	struct kf_iface_row row;
	int err = kf_api_no_members(request) ?: find_iface(request, &row);

	return err
		       ?: kf_api_reply(request, MHD_HTTP_OK,
				       kf_attach_iface_json(request->daemon, &row));
}

int kf_api_iface_detach(struct kf_api_request *request)
{
	struct kf_iface_row row;
	struct kf_why why = { 0 };
	int err = kf_api_no_members(request) ?: find_iface(request, &row);

	if (err)
		return err;
	err = kf_attach_iface_remove(request->daemon, row.dev, &why);
	if (err == -EBUSY)
		return kf_api_refuse_why(request, MHD_HTTP_CONFLICT, "interface_busy", why.text);
	if (err)
		return kf_api_refuse_error(request, err, why.text);
	return kf_api_reply(request, MHD_HTTP_OK,
			    json_pack("{s:s, s:s}", "dev", row.dev, "state", "detached"));
}
