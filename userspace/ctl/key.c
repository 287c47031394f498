// SPDX-License-Identifier: GPL-2.0-only
/* keyfilterctl key: the credentials. */
#include <string.h>

#include "call.h"
#include "json.h"
#include "key_export.h"
#include "key_many.h"
#include "when.h"

static const struct kf_output_column record[] = {
	{ "ID", .member = "id" },
	{ "Name", .member = "name" },
	{ "Key", .member = "masked" },
	{ "Status", .member = "status" },
	{ "Owner", .member = "owner", .absent = "not said" },
	{ "Labels", .member = "labels", .format = KF_OUTPUT_PLAIN, .absent = "none" },
	{ "Group", .member = "group", .absent = "none" },
	{ "Models", .member = "models", .format = KF_OUTPUT_PLAIN, .absent = "all" },
	{ "Account", .member = "account" },
	{ "Quota", .member = "quota", .absent = "unlimited" },
	{ "Spent", .member = "spent" },
	{ "Left", .member = "left", .absent = "" },
	{ "Created", .member = "created_at", .format = KF_OUTPUT_SINCE },
	{ "Expires", .member = "expires_at", .format = KF_OUTPUT_SINCE, .absent = "never" },
	{ "Allowed from", .member = "allow_ips", .format = KF_OUTPUT_PLAIN, .absent = "anywhere" },
	{ "Requests a minute", .member = "rpm", .absent = "no limit" },
	{ "At once", .member = "burst", .absent = "" },
	{ "Admitted", .member = "requests_admitted" },
	{ "Refused", .member = "requests_refused" },
	{ "Last used", .member = "last_used_at", .format = KF_OUTPUT_SINCE, .absent = "never" },
	{ "This secret until", .member = "secret_until", .format = KF_OUTPUT_SINCE, .absent = "" },
	{ "Old secret until", .member = "grace_until", .format = KF_OUTPUT_SINCE, .absent = "" },
	{ "Old secret used", .member = "grace_last_used_at", .format = KF_OUTPUT_SINCE,
	  .absent = "" },
	{ "Revision", .member = "revision" },
	{ 0 },
};

static const struct kf_output_column list_columns[] = {
	{ "ID", .member = "id" },
	{ "KEY", .member = "masked" },
	{ "STATUS", .member = "status" },
	{ "GROUP", .member = "group", .absent = "none" },
	{ "EXPIRES", .member = "expires_at", .format = KF_OUTPUT_TIME, .absent = "never" },
	{ "RPM", .member = "rpm", .absent = "none" },
	{ "ADMITTED", .member = "requests_admitted" },
	{ "REFUSED", .member = "requests_refused" },
	{ "LAST USED", .member = "last_used_at", .format = KF_OUTPUT_TIME, .absent = "never" },
	{ "NAME", .member = "name" },
	{ 0 },
};

static const struct kf_output_column made_columns[] = {
	{ "ID", .member = "id" },
	{ "KEY", .member = "masked" },
	{ "EXPIRES", .member = "expires_at", .format = KF_OUTPUT_TIME, .absent = "never" },
	{ "NAME", .member = "name" },
	{ 0 },
};

/*
 * The keys alone go to stdout, one a line, so that KEY=$(keyfilterctl key create ...) is all a
 * script needs; what belongs to them goes to stderr, once they are out. Where they do not arrive,
 * kf_call_run() goes on to tell which are lost.
 */
static bool print_keys(const json_t *keys)
{
	struct kf_output_table table = { .columns = made_columns };
	json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) {
		const char *secret = kf_json_string(key, "key");

		kf_output_line(stdout, "%s", secret ? secret : "");
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return false;
	fputc('\n', stderr);
	kf_output_rows(stderr, &table, keys);
	fprintf(stderr, "\n%s shown this once and not stored: keep %s now.\n",
		json_array_size(keys) == 1 ? "The key is" : "The keys are",
		json_array_size(keys) == 1 ? "it" : "them");
	return true;
}

static int render_created(struct kf_call *call, const json_t *answer)
{
	print_keys(json_object_get(answer, "keys"));
	return KF_EXIT_DONE;
}

static int render_imported(struct kf_call *call, const json_t *answer)
{
	struct kf_output_table table = { .columns = made_columns };

	kf_output_rows(stdout, &table, json_object_get(answer, "keys"));
	return KF_EXIT_DONE;
}

static const char *id_at(const json_t *keys, size_t at)
{
	const char *id = kf_json_string(json_array_get(keys, at), "id");

	return id ? id : "?";
}

/* The IDs of a few keys, the first and the last of many. To be freed. */
static char *name_keys(const json_t *keys)
{
	size_t count = json_array_size(keys), size;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		kf_output_no_memory();
	if (count > 8)
		fprintf(out, "%s to %s, %zu keys", id_at(keys, 0), id_at(keys, count - 1), count);
	for (size_t i = 0; count <= 8 && i < count; i++)
		fprintf(out, "%s%s", i ? ", " : "", id_at(keys, i));
	if (fclose(out) != 0)
		kf_output_no_memory();
	return text;
}

static int lost_created(struct kf_call *call, const json_t *answer)
{
	const json_t *keys = json_object_get(answer, "keys");
	bool one = json_array_size(keys) == 1;
	_cleanup_free_ char *names = name_keys(keys);

	return kf_call_fail("%s: made, but what was printed did not arrive, and no key is shown "
			    "twice; delete %s with keyfilterctl key delete, or give %s with "
			    "keyfilterctl key rotate",
			    names, one ? "it" : "them",
			    one ? "it another secret" : "them other secrets");
}

static int render_rotated(struct kf_call *call, const json_t *answer)
{
	_cleanup_json_ json_t *keys = json_pack("[O]", answer);
	const char *grace = kf_json_string(answer, "grace_until");
	char local[KF_WHEN_SIZE];

	if (!print_keys(keys))
		return KF_EXIT_DONE;
	if (!grace || kf_when_local(grace, local) < 0)
		fputs("The old one is refused from now on.\n", stderr);
	else if (kf_args_value(call->args, "grace"))
		fprintf(stderr, "The old one is served until %s.\n", local);
	else
		fprintf(stderr,
			"The old one is served until %s; if others know it, rotate again with "
			"--grace 0.\n",
			local);
	return KF_EXIT_DONE;
}

static int lost_rotated(struct kf_call *call, const json_t *answer)
{
	const char *grace = kf_json_string(answer, "grace_until");
	char local[KF_WHEN_SIZE], old[KF_WHEN_SIZE + 32] = "the old one is refused";

	if (grace && kf_when_local(grace, local) == 0)
		snprintf(old, sizeof(old), "the old one is served until %s", local);
	return kf_call_fail(
		"%s has a new secret, but what was printed did not arrive, and it is not "
		"shown twice: %s; rotate it again",
		call->args->operand, old);
}

/* "k_... disabled: kernel 12.3 us, durable 1.9 ms" */
static int render_revoked(struct kf_call *call, const json_t *answer)
{
	const char *id = kf_json_string(answer, "id");
	const char *status = kf_json_string(answer, "status");

	kf_output_line(stdout, "%s %s: kernel %.1f us, durable %.1f ms",
		       id ? id : call->args->operand, status ? status : "revoked",
		       json_number_value(json_object_get(answer, "kernel_us")),
		       json_number_value(json_object_get(answer, "durable_ms")));
	return KF_EXIT_DONE;
}

static int render_enabled(struct kf_call *call, const json_t *answer)
{
	const char *id = kf_json_string(answer, "id");
	const char *status = kf_json_string(answer, "status");

	kf_output_line(stdout, "%s %s", id ? id : call->args->operand, status ? status : "enabled");
	return KF_EXIT_DONE;
}

static int list(struct kf_call *call)
{
	return kf_call_pages(call, "keys", list_columns);
}

/*
 * One line of standard input, so that the secret stands in no process list and no shell's history;
 * without the blanks around it.
 */
static int run_with_key(struct kf_call *call)
{
	char line[256] = "", *text = line, *end;

	if (!fgets(line, sizeof(line), stdin))
		return kf_call_fail("there is no key on the standard input; give it there, such as "
				    "by keyfilterctl key %s < FILE",
				    call->args->command->verb);
	text += strspn(text, " \t\r\n");
	end = text + strcspn(text, " \t\r\n");
	*end = '\0';
	json_object_set_new(call->body, "key", json_string(text));
	explicit_bzero(line, sizeof(line));
	if (!json_object_get(call->body, "key"))
		return kf_call_fail(
			"what is on the standard input is not UTF-8; give the key alone");
	return kf_call_run(call);
}

/* What create and edit both take; what is said of it differs where one adds and one replaces. */
#define NAME                                                                                       \
	{                                                                                          \
		.name = "name", .placeholder = "NAME", .member = "name",                           \
		.help = "what people call it"                                                      \
	}
#define GROUP(values, kind, words)                                                                 \
	{                                                                                          \
		.name = "group", .placeholder = (values), .member = "group", .type = (kind),       \
		.help = (words)                                                                    \
	}
#define EXPIRES                                                                                    \
	{                                                                                          \
		.name = "expires", .placeholder = "never|30d|RFC3339", .member = "expires",        \
		.help = "when the kernel begins to refuse it"                                      \
	}
#define ADDRESSES(option, set, words)                                                              \
	{                                                                                          \
		.name = (option), .placeholder = "CIDR", .member = (set), .type = KF_OPTION_LIST,  \
		.help = (words)                                                                    \
	}
#define LIMIT(option, words)                                                                       \
	{                                                                                          \
		.name = (option), .placeholder = "N|none", .member = (option),                     \
		.type = KF_OPTION_LIMIT, .help = (words)                                           \
	}
#define NUMBER(option, words)                                                                      \
	{                                                                                          \
		.name = (option), .placeholder = "N", .member = (option),                          \
		.type = KF_OPTION_NUMBER, .help = (words)                                          \
	}

#define ACCOUNT(words)                                                                             \
	{                                                                                          \
		.name = "account", .placeholder = "A", .member = "account", .help = (words)        \
	}
#define QUOTA(words)                                                                               \
	{                                                                                          \
		.name = "quota", .placeholder = "AMOUNT|unlimited", .member = "quota",             \
		.help = (words)                                                                    \
	}

#define OWNER(values, kind)                                                                        \
	{                                                                                          \
		.name = "owner", .placeholder = (values), .member = "owner", .type = (kind),       \
		.help = "whose it is, as your other books have it"                                 \
	}
#define LABEL(words)                                                                               \
	{                                                                                          \
		.name = "label", .placeholder = "NAME=VALUE", .member = "labels",                  \
		.type = KF_OPTION_PAIR, .help = (words)                                            \
	}
#define STATUS "enabled|disabled|expired|exhausted"
/* What finds the keys of one request; @prefix keeps them apart from what an edit sets. */
#define FILTERS(prefix)                                                                            \
	{ .name = "all",                                                                           \
	  .member = KF_FILTERS_MEMBER ".all",                                                      \
	  .type = KF_OPTION_FLAG,                                                                  \
	  .help = "in the place of ID: every key" },                                               \
		{ .name = prefix "group",                                                          \
		  .placeholder = "G",                                                              \
		  .member = KF_FILTERS_MEMBER ".group",                                            \
		  .help = "in the place of ID: every key in this group" },                         \
		{ .name = prefix "account",                                                        \
		  .placeholder = "A",                                                              \
		  .member = KF_FILTERS_MEMBER ".account",                                          \
		  .help = "... that draws on this account" },                                      \
		{ .name = prefix "label",                                                          \
		  .placeholder = "NAME=VALUE",                                                     \
		  .member = KF_FILTERS_MEMBER ".labels",                                           \
		  .type = KF_OPTION_PAIR,                                                          \
		  .help = "... with this label; filters narrow each other" },                      \
		{ .name = prefix "owner",                                                          \
		  .placeholder = "OWNER",                                                          \
		  .member = KF_FILTERS_MEMBER ".owner",                                            \
		  .help = "... of this owner" },                                                   \
		{ .name = prefix "status",                                                         \
		  .placeholder = STATUS,                                                           \
		  .member = KF_FILTERS_MEMBER ".status",                                           \
		  .help = "... that is" },                                                         \
		{ .name = prefix "search",                                                         \
		  .placeholder = "TEXT",                                                           \
		  .member = KF_FILTERS_MEMBER ".search",                                           \
		  .help = "... with TEXT in the name, or at the beginning of the ID" },            \
	{                                                                                          \
		.name = "dry-run", .type = KF_OPTION_FLAG,                                         \
		.help = "with filters: tell which these are, and change nothing"                   \
	}

#define CREATE_LIMITS                                                                              \
	GROUP("G", KF_OPTION_TEXT, "uses what this group may; everything unless given"),           \
		KF_OPTION_MODEL("may call only those given, names or patterns such as qwen*"),     \
		ACCOUNT("draws on this account; on default, which has no limit, unless given"),    \
		QUOTA("may spend so much in all; what its account has unless given"), EXPIRES,     \
		ADDRESSES("allow-ip", "allow_ips",                                                 \
			  "served from these addresses only; anywhere unless given"),              \
		LIMIT("rpm", "so many requests a minute; no limit unless given"),                  \
		NUMBER("burst", "so many of them at once; as many as --rpm unless given")

static const struct kf_option create_options[] = {
	NAME,
	OWNER("OWNER", KF_OPTION_TEXT),
	LABEL("to find it by"),
	NUMBER("quantity", "so many keys, named NAME-1 to NAME-N"),
	CREATE_LIMITS,
	{ 0 },
};

static const struct kf_option import_options[] = {
	NAME, OWNER("OWNER", KF_OPTION_TEXT), LABEL("to find it by"), CREATE_LIMITS, { 0 },
};

static const struct kf_option filters[] = { FILTERS(""), { 0 } };

static const struct kf_option edit_options[] = {
	FILTERS("where-"),
	NAME,
	OWNER("OWNER|none", KF_OPTION_WORD),
	LABEL("has this label from now on; its others stay"),
	{ .name = "remove-label",
	  .placeholder = "NAME",
	  .member = "labels",
	  .type = KF_OPTION_UNSET,
	  .help = "has no label of this name any more" },
	GROUP("G|none", KF_OPTION_WORD, "uses what this group may; none: everything"),
	KF_OPTION_MODEL("may call only those given; replaces the whole list"),
	KF_OPTION_ANY_MODEL,
	ACCOUNT("draws on this account from now on"),
	QUOTA("may spend so much in all, what it has spent included"),
	EXPIRES,
	ADDRESSES("allow-ip", "allow_ips",
		  "served from these addresses only; replaces the whole list"),
	ADDRESSES("add-allow-ip", "allow_ips_add",
		  "from these as well: adds to the list, whatever it is by then"),
	ADDRESSES("remove-allow-ip", "allow_ips_remove",
		  "from these no longer: takes blocks off the list"),
	{ .name = "allow-any",
	  .member = "allow_ips",
	  .type = KF_OPTION_NONE,
	  .help = "served from anywhere; empties the list" },
	LIMIT("rpm", "so many requests a minute; from the next request on"),
	LIMIT("burst", "so many of them at once; none: as many as --rpm"),
	{ 0 },
};

/* What a list finds. */
#define LIST_FILTERS                                                                               \
	{ .name = "status",                                                                        \
	  .placeholder = STATUS,                                                                   \
	  .member = "status",                                                                      \
	  .help = "only those that are" },                                                         \
		GROUP("G", KF_OPTION_TEXT, "only those in this group"),                            \
		ACCOUNT("only those that draw on this account"),                                   \
		{ .name = "owner",                                                                 \
		  .placeholder = "OWNER",                                                          \
		  .member = "owner",                                                               \
		  .help = "only those of this owner" },                                            \
		{ .name = "label",                                                                 \
		  .placeholder = "NAME=VALUE",                                                     \
		  .member = "label",                                                               \
		  .type = KF_OPTION_LIST,                                                          \
		  .help = "only those with this label, and each other one given" },                \
		{ .name = "search",                                                                \
		  .placeholder = "TEXT",                                                           \
		  .member = "search",                                                              \
		  .help = "with TEXT in the name, or at the beginning of the ID" },                \
	{                                                                                          \
		.name = "order", .placeholder = "oldest|newest", .member = "order",                \
		.help = "which come first; the oldest unless given"                                \
	}

static const struct kf_option list_options[] = { LIST_FILTERS, KF_OPTIONS_PAGE, { 0 } };

static const struct kf_option export_options[] = {
	LIST_FILTERS,
	{ .name = "csv",
	  .type = KF_OPTION_FLAG,
	  .help = "as CSV (RFC 4180), with a line of headings; JSON unless given" },
	{ 0 },
};

static const struct kf_option rotate_options[] = {
	{ .name = "grace",
	  .placeholder = "T",
	  .member = "grace",
	  .help = "how long the old secret is still served; 1h unless given, 0: not at all" },
	{ 0 },
};

static const struct kf_command commands[] = {
	{ .verb = "create",
	  .options = create_options,
	  .required = "name",
	  .method = "POST",
	  .path = "/v1/keys",
	  .render = render_created,
	  .lost = lost_created,
	  .help = "Makes keys and prints them, this once, alone on stdout, one a line." },
	{ .verb = "import",
	  .options = import_options,
	  .required = "name",
	  .method = "POST",
	  .path = "/v1/keys",
	  .render = render_imported,
	  .run = run_with_key,
	  .help = "Takes in the key on the standard input, so that its clients go on with it." },
	{ .verb = "list",
	  .options = list_options,
	  .method = "GET",
	  .path = "/v1/keys",
	  .run = list,
	  .help = "Lists the keys, masked, oldest first; with --json one page of them." },
	{ .verb = "show",
	  .operand = "ID",
	  .method = "GET",
	  .path = "/v1/keys/{}",
	  .record = record,
	  .help = "Shows one key, masked." },
	{ .verb = "export",
	  .options = export_options,
	  .method = "GET",
	  .path = "/v1/keys",
	  .run = kf_key_export,
	  .help = "Prints all keys, masked, for another program." },
	{ .verb = "find",
	  .method = "POST",
	  .path = "/v1/keys/find",
	  .record = record,
	  .run = run_with_key,
	  .help = "Shows the key whose secret is on the standard input." },
	{ .verb = "edit",
	  .operand = "ID",
	  .many = true,
	  .run = kf_key_many,
	  .options = edit_options,
	  .matches = true,
	  .changes = true,
	  .method = "PATCH",
	  .path = "/v1/keys/{}",
	  .record = record,
	  .help = "Changes what is given." },
	{ .verb = "enable",
	  .operand = "ID",
	  .many = true,
	  .options = filters,
	  .run = kf_key_many,
	  .matches = true,
	  .method = "POST",
	  .path = "/v1/keys/{}/enable",
	  .render = render_enabled,
	  .help = "Serves it again." },
	{ .verb = "disable",
	  .operand = "ID",
	  .many = true,
	  .options = filters,
	  .run = kf_key_many,
	  .matches = true,
	  .method = "POST",
	  .path = "/v1/keys/{}/disable",
	  .render = render_revoked,
	  .help = "Refuses it until it is enabled; says how soon the kernel did." },
	{ .verb = "delete",
	  .operand = "ID",
	  .many = true,
	  .options = filters,
	  .run = kf_key_many,
	  .matches = true,
	  .method = "DELETE",
	  .path = "/v1/keys/{}",
	  .render = render_revoked,
	  .help = "Refuses it for good; says how soon the kernel did." },
	{ .verb = "topup",
	  .operand = "ID",
	  .second = "AMOUNT",
	  .second_member = "amount",
	  .matches = true,
	  .method = "POST",
	  .path = "/v1/keys/{}/topup",
	  .record = record,
	  .help = "Raises its quota; it is served again with the answer." },
	{ .verb = "rotate",
	  .operand = "ID",
	  .options = rotate_options,
	  .matches = true,
	  .method = "POST",
	  .path = "/v1/keys/{}/rotate",
	  .render = render_rotated,
	  .lost = lost_rotated,
	  .help = "Gives it a new secret, printed this once; ID, name and limits stay." },
	{ 0 },
};

const struct kf_noun kf_noun_key = { "key", "the credentials", commands };
