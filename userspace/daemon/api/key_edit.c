// SPDX-License-Identifier: GPL-2.0-only
/* What an edit may change: of one key, or of all that a query finds. */
#include "api/account.h"
#include "api/key.h"

#include <errno.h>

#include <microhttpd.h>

#include "api/model.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "why.h"

/* allow_ips replaces the list; allow_ips_add and allow_ips_remove change the present one. */
static int read_lists(struct kf_api_request *request, const json_t *allow, const json_t *add,
		      const json_t *removed, struct kf_api_key_edit *out)
{
	struct kf_policy_key_edit *edit = &out->edit;
	int err;

	if (allow && (add || removed))
		return kf_api_refuse_value(request, "allow_ips",
					   "give the whole list, or `allow_ips_add` and "
					   "`allow_ips_remove`",
					   "it replaces the list that %s is to change",
					   add ? "`allow_ips_add`" : "`allow_ips_remove`");
	err = kf_api_key_read_allow(request, "allow_ips", allow, out->allow, &edit->allow_count);
	if (!err)
		err = kf_api_key_read_allow(request, "allow_ips_add", add, out->add,
					    &edit->add_count);
	if (!err)
		err = kf_api_key_read_allow(request, "allow_ips_remove", removed, out->remove,
					    &edit->remove_count);
	edit->set_allow = allow;
	edit->allow = out->allow;
	edit->add = out->add;
	edit->remove = out->remove;
	return err;
}

int kf_api_key_read_edit(struct kf_api_request *request, const json_t *object,
			 struct kf_api_key_edit *out)
{
	json_t *name, *owner, *labels, *group, *models, *account, *quota, *expires, *allow, *add,
		*removed, *rpm, *burst;
	const struct kf_api_member members[] = {
		{ "name", KF_API_STRING, &name },
		{ "owner", KF_API_STRING | KF_API_NULL, &owner },
		{ "labels", KF_API_OBJECT, &labels },
		{ "group", KF_API_STRING | KF_API_NULL, &group },
		{ "models", KF_API_ARRAY, &models },
		{ "account", KF_API_STRING, &account },
		{ "quota", KF_API_STRING | KF_API_INTEGER, &quota },
		{ "expires", KF_API_STRING | KF_API_INTEGER, &expires },
		{ "allow_ips", KF_API_ARRAY, &allow },
		{ "allow_ips_add", KF_API_ARRAY, &add },
		{ "allow_ips_remove", KF_API_ARRAY, &removed },
		{ "rpm", KF_API_INTEGER | KF_API_NULL, &rpm },
		{ "burst", KF_API_INTEGER | KF_API_NULL, &burst },
	};
	struct kf_policy_key_edit *edit = &out->edit;
	char names[KF_MODEL_SET_SIZE];
	struct kf_group_row in;
	int err;

	err = kf_api_members_of(request, object, members, KF_API_COUNT(members));
	if (!err)
		err = kf_api_key_read_name(request, name, 1, &edit->name);
	if (!err)
		err = kf_api_key_read_owner(request, owner, &edit->owner);
	if (!err)
		err = kf_api_key_read_label_edits(request, labels, out->labels, &edit->label_count);
	if (!err)
		err = kf_api_key_read_expires(request, expires, &edit->expires);
	if (!err)
		err = read_lists(request, allow, add, removed, out);
	if (!err)
		err = kf_api_key_read_rate(request, rpm, burst, true, &edit->rpm, &edit->rpm_burst);
	if (!err)
		err = kf_api_key_read_group(request, group, &in);
	if (!err)
		err = kf_api_account_read(request, account, &out->account);
	if (!err)
		err = kf_api_account_read_limit(request, "quota", quota, &edit->quota);
	if (!err)
		err = kf_api_model_read(request, models, names);
	if (!err)
		err = kf_api_model_take_set(request, names, &edit->models);
	if (err)
		return err;
	edit->set_account = account;
	edit->account = &out->account;
	edit->set_quota = quota;
	edit->labels = out->labels;
	edit->set_models = models;
	edit->set_group = group;
	edit->group = in.index;
	edit->set_expires = expires;
	edit->set_rpm = rpm;
	edit->set_burst = burst;
	return 0;
}

int kf_api_key_edit(struct kf_api_request *request)
{
	struct kf_api_key_edit asked = { 0 };
	struct kf_why why = { 0 };
	int err = kf_api_key_match(request);

	if (!err)
		err = kf_api_key_read_edit(request, request->body, &asked);
	if (err)
		return err;
	err = kf_policy_key_edit(request->daemon->policy, request->name, &asked.edit, &why);
	if (!err)
		return kf_api_key_answer(request, MHD_HTTP_OK, NULL);
	kf_policy_model_release(request->daemon->policy, asked.edit.models);
	return kf_api_key_refuse(request, err, &why);
}

int kf_api_key_topup(struct kf_api_request *request)
{
	struct kf_policy_key_edit edit = { .add_quota = true };
	json_t *amount;
	const struct kf_api_member members[] = {
		{ "amount", KF_API_STRING | KF_API_INTEGER | KF_API_REQUIRED, &amount },
	};
	struct kf_why why = { 0 };
	int err = kf_api_members(request, members, KF_API_COUNT(members));

	if (!err)
		err = kf_api_sum(request, "amount", amount, &edit.quota);
	if (!err)
		err = kf_api_key_match(request);
	if (err)
		return err;
	err = kf_policy_key_edit(request->daemon->policy, request->name, &edit, &why);
	return err ? kf_api_key_refuse(request, err, &why)
		   : kf_api_key_answer(request, MHD_HTTP_OK, NULL);
}
