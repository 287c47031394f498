// SPDX-License-Identifier: GPL-2.0-only
#include "key_export.h"

#include "csv.h"
#include "json.h"

/* Columns of CSV. */
static const char *const columns[] = {
	"id",
	"name",
	"masked",
	"status",
	"owner",
	"labels",
	"group",
	"models",
	"account",
	"quota",
	"spent",
	"left",
	"created_at",
	"expires_at",
	"allow_ips",
	"rpm",
	"burst",
	"requests_admitted",
	"requests_refused",
	"last_used_at",
	"grace_until",
	"grace_last_used_at",
	"revision",
	NULL,
};

static void print_objects(void *context, const json_t *rows)
{
	bool *begun = context;
	json_t *key;
	size_t i;

	json_array_foreach(rows, i, key) {
		_cleanup_free_ char *text = json_dumps(key, JSON_COMPACT);

		if (!text)
			kf_output_no_memory();
		printf("%s%s", *begun ? ",\n" : "[\n", text);
		*begun = true;
	}
}

int kf_key_export(struct kf_call *call)
{
	bool begun = false;
	int ret;

	if (kf_args_value(call->args, "csv"))
		return kf_csv_print(call, "keys", columns);
	ret = kf_call_each_page(call, "keys", print_objects, &begun);
	if (ret == KF_EXIT_DONE)
		puts(begun ? "\n]" : "[]");
	return ret;
}
