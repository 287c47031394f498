// SPDX-License-Identifier: GPL-2.0-only
#include "args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

const struct kf_option kf_args_global[] = {
	{ .name = "socket", .placeholder = "PATH", .help = "the daemon's, " KF_CLIENT_SOCKET },
	{ .name = "json", .type = KF_OPTION_FLAG, .help = "print what the daemon answered" },
	{ .name = "help", .type = KF_OPTION_FLAG, .help = "say what there is" },
	{ .name = "version",
	  .type = KF_OPTION_FLAG,
	  .help = "say which build of the tool this is" },
	{ 0 },
};

const struct kf_option kf_args_match[] = {
	{ .name = "if-match",
	  .placeholder = "REVISION",
	  .help = "only if it is still at this revision, as show prints it" },
	{ 0 },
};

struct parser {
	struct kf_args *args;
	const struct kf_noun *const *nouns;
	char **next; /* of argv, NULL-terminated */
	bool no_more_options;
	char *why;
};

static int wrong(struct parser *parser, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "CAUSE; see: keyfilterctl NOUN VERB --help", as far as the command is known. */
static int wrong(struct parser *parser, const char *format, ...)
{
	const struct kf_args *args = parser->args;
	const char *noun = args->noun ? args->noun->name : "";
	const char *verb = args->command && args->command->verb ? args->command->verb : "";
	char cause[160];
	va_list list;

	va_start(list, format);
	vsnprintf(cause, sizeof(cause), format, list);
	va_end(list);
	snprintf(parser->why, KF_ARGS_WHY_SIZE, "%s; see: keyfilterctl%s%s%s%s --help", cause,
		 *noun ? " " : "", noun, *verb ? " " : "", verb);
	return -EINVAL;
}

static const struct kf_option *find_option(const struct kf_option *options, const char *name,
					   size_t len)
{
	for (; options && options->name; options++)
		if (strlen(options->name) == len && memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

static int parse_noun(struct parser *parser, const char *word)
{
	struct kf_args *args = parser->args;

	if (strcmp(word, "help") == 0) {
		args->help = true;
		return 0;
	}
	for (const struct kf_noun *const *noun = parser->nouns; *noun; noun++) {
		if (strcmp(word, (*noun)->name) != 0)
			continue;
		args->noun = *noun;
		if (!args->noun->commands->verb)
			args->command = args->noun->commands;
		return 0;
	}
	return wrong(parser, "there is no noun \"%.64s\"", word);
}

static int parse_verb(struct parser *parser, const char *word)
{
	struct kf_args *args = parser->args;

	for (const struct kf_command *command = args->noun->commands; command->help; command++) {
		if (strcmp(word, command->verb) == 0) {
			args->command = command;
			return 0;
		}
	}
	return wrong(parser, "%s has no verb \"%.64s\"", args->noun->name, word);
}

static int parse_word(struct parser *parser, const char *word)
{
	struct kf_args *args = parser->args;

	if (!args->noun)
		return parse_noun(parser, word);
	if (strcmp(word, "help") == 0 && !args->operand &&
	    (!args->command || !args->command->operand)) {
		args->help = true;
		return 0;
	}
	if (!args->command)
		return parse_verb(parser, word);
	if (!args->command->operand || args->second || (args->operand && !args->command->second))
		return wrong(parser, "\"%.64s\" is one word too many", word);
	if (!*word)
		return wrong(parser, "%s is empty",
			     args->operand ? args->command->second : args->command->operand);
	*(args->operand ? &args->second : &args->operand) = word;
	return 0;
}

static int parse_global(struct parser *parser, const struct kf_option *option, const char *value)
{
	struct kf_args *args = parser->args;

	if (value && !*value)
		return wrong(parser, "--%s is empty", option->name);
	if (strcmp(option->name, "socket") == 0)
		args->socket = value;
	else if (strcmp(option->name, "json") == 0)
		args->json = true;
	else if (strcmp(option->name, "help") == 0)
		args->help = true;
	else
		args->version = true;
	return 0;
}

static bool is_filter(const struct kf_option *option)
{
	const size_t len = strlen(KF_FILTERS_MEMBER);

	return option->member && strncmp(option->member, KF_FILTERS_MEMBER, len) == 0 &&
	       option->member[len] == '.';
}

/* What must be a JSON number or boolean is checked here; texts are the daemon's to judge. */
static int check_value(struct parser *parser, const struct kf_option *option, const char *value)
{
	bool limit = option->type == KF_OPTION_LIMIT;

	if ((option->type == KF_OPTION_NUMBER || limit) && strlen(value) > 9 &&
	    !value[strspn(value, "0123456789")])
		return wrong(parser, "--%s %.32s is too large a number", option->name, value);
	if ((option->type == KF_OPTION_NUMBER || (limit && strcmp(value, "none") != 0)) &&
	    (!*value || strlen(value) > 9 || value[strspn(value, "0123456789")]))
		return wrong(parser, "--%s takes a number%s, not \"%.32s\"", option->name,
			     limit ? " or none" : "", value);
	if ((option == kf_args_match || is_filter(option)) && !*value)
		return wrong(parser, "--%s is empty", option->name);
	if (option->type == KF_OPTION_PAIR && (!strchr(value, '=') || *value == '='))
		return wrong(parser, "--%s takes NAME=VALUE, not \"%.32s\"", option->name, value);
	if (option->type == KF_OPTION_YESNO && strcmp(value, "yes") != 0 &&
	    strcmp(value, "no") != 0)
		return wrong(parser, "--%s takes yes or no, not \"%.32s\"", option->name, value);
	return 0;
}

static bool is_repeated(const struct kf_option *option)
{
	return option->type == KF_OPTION_LIST || option->type == KF_OPTION_PAIR ||
	       option->type == KF_OPTION_UNSET;
}

/* Of names beside each other, each may be set or unset once; that is told later, by the name. */
static bool is_of_names(const struct kf_option *option)
{
	return option->type == KF_OPTION_PAIR || option->type == KF_OPTION_UNSET;
}

/* Only a list may set its member more than once. */
static int check_again(struct parser *parser, const struct kf_option *option)
{
	const struct kf_args *args = parser->args;

	for (size_t i = 0; i < args->given_count; i++) {
		const struct kf_option *other = args->given[i].option;

		if (other == option && !is_repeated(option))
			return wrong(parser, "--%s is given twice", option->name);
		if (other != option && other->member && option->member &&
		    !(is_of_names(other) && is_of_names(option)) &&
		    strcmp(other->member, option->member) == 0)
			return wrong(parser, "--%s and --%s exclude each other", other->name,
				     option->name);
	}
	return 0;
}

static int parse_own(struct parser *parser, const struct kf_option *option, const char *value)
{
	struct kf_args *args = parser->args;
	int ret = check_again(parser, option);

	if (ret == 0 && value)
		ret = check_value(parser, option, value);
	if (ret < 0)
		return ret;
	args->given[args->given_count++] = (struct kf_given){ option, value };
	return 0;
}

static int parse_option(struct parser *parser, const char *word)
{
	const char *name = word + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct kf_command *command = parser->args->command;
	const struct kf_option *global = find_option(kf_args_global, name, len);
	const struct kf_option *option =
		global ? global : find_option(command ? command->options : NULL, name, len);

	if (!option && command && command->matches)
		option = find_option(kf_args_match, name, len);
	if (!option)
		return wrong(parser, "there is no option --%.*s%s", (int)(len < 64 ? len : 64),
			     name, command ? " here" : " before the verb");
	if (value && !option->placeholder)
		return wrong(parser, "--%s takes no value", option->name);
	if (value)
		value++;
	else if (option->placeholder && !(value = *parser->next++))
		return wrong(parser, "--%s needs a value: %s", option->name, option->placeholder);
	return global ? parse_global(parser, option, value) : parse_own(parser, option, value);
}

static int parse_next(struct parser *parser)
{
	const char *word = *parser->next++;

	if (parser->no_more_options || word[0] != '-' || !word[1])
		return parse_word(parser, word);
	if (strcmp(word, "--") == 0) {
		parser->no_more_options = true;
		return 0;
	}
	if (strcmp(word, "-h") == 0)
		word = "--help";
	if (word[1] != '-')
		return wrong(parser, "there is no option %.32s", word);
	return parse_option(parser, word);
}

/* Either the operand names one thing, or filters find many. */
static int check_many(struct parser *parser)
{
	const struct kf_args *args = parser->args;
	const struct kf_option *filter = kf_args_filter(args);

	if (args->operand && filter)
		return wrong(parser, "%s and --%s exclude each other", args->command->operand,
			     filter->name);
	if (args->operand && kf_args_value(args, "dry-run"))
		return wrong(parser, "--dry-run is for filters, and %s names one",
			     args->command->operand);
	if (!args->operand && !filter)
		return wrong(parser, "%s is missing, or what finds many, such as --all",
			     args->command->operand);
	if (filter && kf_args_value(args, "if-match"))
		return wrong(parser, "--if-match is for one, and --%s finds many", filter->name);
	return 0;
}

static int check_complete(struct parser *parser)
{
	const struct kf_args *args = parser->args;
	const struct kf_command *command = args->command;

	if (args->help || args->version)
		return 0;
	if (!args->noun)
		return wrong(parser, "a noun is missing");
	if (!command)
		return wrong(parser, "%s needs a verb", args->noun->name);
	if (command->operand && !args->operand && !command->many)
		return wrong(parser, "%s is missing", command->operand);
	if (command->second && !args->second)
		return wrong(parser, "%s is missing", command->second);
	if (command->many && check_many(parser))
		return -EINVAL;
	if (command->required && !kf_args_value(args, command->required))
		return wrong(parser, "--%s is missing", command->required);
	if (command->changes && !kf_args_sets(args))
		return wrong(parser, "nothing to change is given");
	return 0;
}

int kf_args_parse(struct kf_args *out, const struct kf_noun *const nouns[], int argc, char **argv,
		  char why[static KF_ARGS_WHY_SIZE])
{
	_cleanup_(kf_args_drop) struct kf_args args = { .socket = KF_CLIENT_SOCKET };
	struct parser parser = { .args = &args, .nouns = nouns, .next = argv + 1, .why = why };
	int ret = 0;

	args.given = calloc(argc + 1, sizeof(*args.given));
	if (!args.given) {
		snprintf(why, KF_ARGS_WHY_SIZE, "out of memory; free some");
		return -ENOMEM;
	}
	/* A shell may pass an argv without even a name. */
	while (ret == 0 && argc > 0 && *parser.next)
		ret = parse_next(&parser);
	if (ret == 0)
		ret = check_complete(&parser);
	if (ret < 0)
		return ret;
	*out = args;
	args.given = NULL;
	return 0;
}

void kf_args_drop(struct kf_args *args)
{
	free(args->given);
}

const struct kf_option *kf_args_filter(const struct kf_args *args)
{
	for (size_t i = 0; i < args->given_count; i++)
		if (is_filter(args->given[i].option))
			return args->given[i].option;
	return NULL;
}

bool kf_args_sets(const struct kf_args *args)
{
	for (size_t i = 0; i < args->given_count; i++)
		if (args->given[i].option->member && !is_filter(args->given[i].option))
			return true;
	return false;
}

const char *kf_args_value(const struct kf_args *args, const char *name)
{
	for (size_t i = args->given_count; i-- > 0;)
		if (strcmp(args->given[i].option->name, name) == 0)
			return args->given[i].value ? args->given[i].value : "";
	return NULL;
}
