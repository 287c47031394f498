// SPDX-License-Identifier: GPL-2.0-only
/* POST /v1/keys/bulk: one change of all the keys that a query finds, or a look at which these are.
 */
#include "api/key.h"

#include <errno.h>
#include <stdlib.h>

#include <microhttpd.h>

#include "base/work.h"
#include "cleanup.h"
#include "policy/key_many.h"
#include "policy/model.h"
#include "policy/policy.h"
#include "why.h"

static const char *const actions[] = {
	[KF_KEY_ACTION_ENABLE] = "enable",
	[KF_KEY_ACTION_DISABLE] = "disable",
	[KF_KEY_ACTION_DELETE] = "delete",
	[KF_KEY_ACTION_EDIT] = "edit",
};

/* A change under way. */
struct many {
	struct kf_work_item item;
	struct kf_api_request *request;
	struct kf_key_many *keys;
	struct kf_key_query query;
	uint8_t action; /* enum kf_key_action */
	struct kf_api_key_edit edit;
	struct kf_why why;
};

/* A set of models that no key came to have goes. */
static void many_free(struct many *many)
{
	struct kf_policy *policy = many->request->daemon->policy;

	kf_policy_key_many_close(many->keys);
	if (many->edit.edit.models)
		kf_policy_model_release(policy, many->edit.edit.models);
	free(many);
}
KF_CLEANUP_DEFINE(struct many, many_free)

/* ---- a change -------------------------------------------------------------------------------- */

static int change_some(struct kf_work_item *item)
{
	struct many *many = (struct many *)item;

	return kf_policy_key_many_step(many->keys, &many->why);
}

/* Where some are changed and the next one cannot be, both are told. */
static int refuse_rest(struct many *many, int err, uint64_t changed)
{
	const struct kf_why *why = &many->why;
	struct kf_why both;

	if (err == -ECANCELED) {
		err = -EBUSY;
		kf_why_set(&many->why, err, "keyfilterd is ending; ask again when it runs");
	}
	if (!changed)
		return kf_api_refuse_error(many->request, err, why);
	kf_why_set(&both, err, "%llu key%s changed, and the next one is not: %s; %s",
		   (unsigned long long)changed, changed == 1 ? " is" : "s are", why->cause,
		   why->mend);
	return kf_api_refuse_error(many->request, err, &both);
}

static void end_change(struct kf_work_item *item, int result)
{
	_cleanup_(many_freep) struct many *many = (struct many *)item;
	struct kf_api_request *request = many->request;
	uint64_t found, changed;

	kf_policy_key_many_counts(many->keys, &found, &changed);
	if (result)
		result = refuse_rest(many, result, changed);
	else
		result = kf_api_reply(request, MHD_HTTP_OK,
				      json_pack("{s:I, s:I}", "found", (json_int_t)found, "changed",
						(json_int_t)changed));
	kf_api_done(request, result);
}

static int begin_change(struct kf_api_request *request, struct many *owned)
{
	_cleanup_(many_freep) struct many *many = owned;
	int err = kf_policy_key_many_open(
		&many->keys, request->daemon->policy, many->action, &many->query,
		many->action == KF_KEY_ACTION_EDIT ? &many->edit.edit : NULL, &many->why);

	if (err)
		return kf_api_refuse_error(request, err, &many->why);
	many->item = (struct kf_work_item){ .step = change_some, .done = end_change };
	kf_work_add(request->daemon->work, &TAKE_PTR(many)->item);
	return KF_API_LATER;
}

/* What an edit sets is given, and with that action only. */
static int read_set(struct kf_api_request *request, const json_t *set, struct many *many)
{
	if (many->action != KF_KEY_ACTION_EDIT)
		return set ? kf_api_refuse_value(request, "set", "leave it out",
						 "it belongs to the action edit")
			   : 0;
	if (!json_object_size(set))
		return kf_api_refuse_value(request, "set", "give what is to change",
					   "nothing to change is given");
	return kf_api_key_read_edit(request, set, &many->edit);
}

int kf_api_key_many(struct kf_api_request *request)
{
	static const char mend[] = "give enable, disable, delete or edit";
	_cleanup_(many_freep) struct many *many = calloc(1, sizeof(*many));
	json_t *action, *where, *set;
	const struct kf_api_member members[] = {
		{ "action", KF_API_STRING | KF_API_REQUIRED, &action },
		{ "where", KF_API_OBJECT | KF_API_REQUIRED, &where },
		{ "set", KF_API_OBJECT, &set },
	};
	int err;

	if (!many)
		return -ENOMEM;
	many->request = request;
	many->query.now = kf_policy_time(request->daemon->policy).wall_ns;
	err = kf_api_members(request, members, KF_API_COUNT(members));
	if (!err)
		err = kf_api_word(request, "action", action, actions, KF_API_COUNT(actions), mend,
				  &many->action);
	if (!err)
		err = kf_api_key_read_where(request, where, &many->query);
	if (!err)
		err = read_set(request, set, many);
	if (err)
		return err;
	return begin_change(request, TAKE_PTR(many));
}
