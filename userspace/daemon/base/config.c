// SPDX-License-Identifier: GPL-2.0-only
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "timetext.h"

#define LINE_MAX_BYTES 1024

#define DAY	       86400u

#define SETTING(member, type, min, max, fallback, help)                                            \
	{                                                                                          \
#member, KF_CONFIG_##type, min, max, fallback,                                     \
			offsetof(struct kf_config_settings, member), help                          \
	}

const struct kf_config_setting kf_config_table[] = {
	SETTING(keys_max, COUNT, 1, 1u << 24, 1u << 20, "places for keys"),
	SETTING(sources_max, COUNT, 1, 1u << 24, 1u << 20, "places for allowed and denied sources"),
	SETTING(flows_max, COUNT, 64, 1u << 24, 1u << 18, "connections followed at a time"),
	SETTING(heads_max, COUNT, 1, 1u << 16, 1024,
		"request heads collected at a time, 34 KiB each"),
	SETTING(embryos, POWER, 1u << 10, 1u << 24, 1u << 18, "handshakes remembered at a time"),
	SETTING(penalties, POWER, 1u << 6, 1u << 20, 1u << 16,
		"places for sources whose requests failed"),
	SETTING(syn_cells, POWER, 1u << 10, 1u << 24, 1u << 16,
		"cells that the SYNs of sources are counted in"),
	SETTING(event_ring_kib, POWER, 4, 1u << 16, 1024,
		"size of the ring that events come through"),
	SETTING(event_rate, COUNT, 0, 1000000, 1000, "events a second and CPU; 0: none"),
	SETTING(head_timeout, TIME, 1, 600, 10, "how long a request head may stay incomplete"),
	SETTING(flow_idle, TIME, 60, 30 * DAY, DAY, "a connection silent for as long is forgotten"),
	SETTING(admin_max_connections, COUNT, 4, 4096, 64, "connections to the admin socket"),
	SETTING(admin_body_max_kib, COUNT, 1, 1u << 14, 256,
		"largest request body on the admin socket"),
	SETTING(admin_timeout, TIME, 1, 600, 10,
		"a request to the admin socket must be whole by then"),
	{ 0 },
};

static uint32_t *value_of(struct kf_config_settings *settings,
			  const struct kf_config_setting *setting)
{
	return (uint32_t *)((char *)settings + setting->offset);
}

void kf_config_defaults(struct kf_config_settings *settings)
{
	for (const struct kf_config_setting *s = kf_config_table; s->name; s++)
		*value_of(settings, s) = s->fallback;
}

/* ---- the reader ------------------------------------------------------------------------------ */

struct reader {
	struct kf_config_settings settings; /* a copy: the caller's is touched on success only */
	unsigned int seen_line[sizeof(kf_config_table) / sizeof(kf_config_table[0])];
	const char *path;
	unsigned int line;
	struct kf_config_why *why;
};

static int complain(const struct reader *reader, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int complain(const struct reader *reader, const char *fmt, ...)
{
	char text[384];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(reader->why->text, sizeof(reader->why->text), "%.120s:%u: %s", reader->path,
		 reader->line, text);
	return -EINVAL;
}

/* 86400 -> "1d": exact, and as the file would have it. */
static const char *write_time(uint32_t seconds, char text[static 16])
{
	static const struct {
		uint32_t seconds;
		char unit;
	} units[] = { { DAY, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	while (!seconds || seconds % units[i].seconds)
		i++;
	snprintf(text, 16, "%u%c", seconds / units[i].seconds, units[i].unit);
	return text;
}

static const char *write_value(const struct kf_config_setting *setting, uint32_t value,
			       char text[static 16])
{
	if (setting->type == KF_CONFIG_TIME)
		return write_time(value, text);
	snprintf(text, 16, "%u", value);
	return text;
}

/* "a number from 1 to 16": what a setting takes, for complaints and --help. */
static void describe_range(const struct kf_config_setting *setting, char *text, size_t size)
{
	static const char *const what[] = {
		[KF_CONFIG_COUNT] = "a number",
		[KF_CONFIG_POWER] = "a power of two",
		[KF_CONFIG_TIME] = "a time",
	};
	char least[16], most[16];

	snprintf(text, size, "%s from %s to %s", what[setting->type],
		 write_value(setting, setting->min, least),
		 write_value(setting, setting->max, most));
}

static int parse_value(const struct kf_config_setting *setting, const char *text, uint32_t *out)
{
	int64_t value = 0;

	if (setting->type == KF_CONFIG_TIME) {
		if (kf_timetext_duration(text, &value))
			return -EINVAL;
		value /= KF_TIMETEXT_SECOND;
	} else {
		if (!*text)
			return -EINVAL;
		for (; *text; text++) {
			if (!isdigit((unsigned char)*text) || value > UINT32_MAX)
				return -EINVAL;
			value = value * 10 + (*text - '0');
		}
	}
	if (value < setting->min || value > setting->max)
		return -EINVAL;
	if (setting->type == KF_CONFIG_POWER && (value & (value - 1)))
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

static const struct kf_config_setting *find_setting(const char *name)
{
	for (const struct kf_config_setting *s = kf_config_table; s->name; s++)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static int read_setting(struct reader *reader, const char *name, const char *value)
{
	const struct kf_config_setting *setting = find_setting(name);
	unsigned int *seen_line;
	char range[96];

	if (!setting)
		return complain(reader,
				"unknown setting '%.64s'; see the settings in keyfilterd --help",
				name);

	seen_line = &reader->seen_line[setting - kf_config_table];
	if (*seen_line)
		return complain(reader, "%s was set on line %u already; remove one of the two",
				name, *seen_line);
	*seen_line = reader->line;

	if (!parse_value(setting, value, value_of(&reader->settings, setting)))
		return 0;
	describe_range(setting, range, sizeof(range));
	if (setting->type == KF_CONFIG_TIME && !value[strspn(value, "0123456789")])
		return complain(
			reader,
			"%s: '%.16s' has no unit; write %.16ss for seconds, or with m, h or d: %s",
			name, value, value, range);
	return complain(reader, "%s cannot be '%.64s'; give %s", name, value, range);
}

/* "name=value" is how other files have it. */
static int refuse_equals(const struct reader *reader, const char *name)
{
	int len = (int)strcspn(name, "=");

	return complain(reader, "'%.64s' has an equals sign; write `%.*s %.64s`", name, len, name,
			name[len + 1] ? name + len + 1 : "VALUE");
}

/* One line, its newline still on it. */
static int read_line(struct reader *reader, char *line)
{
	char *save = NULL, *name, *value;

	line[strcspn(line, "#\r\n")] = '\0';
	name = strtok_r(line, " \t", &save);
	if (!name)
		return 0;
	if (strchr(name, '='))
		return refuse_equals(reader, name);
	value = strtok_r(NULL, " \t", &save);
	if (value && *value == '=')
		return complain(reader, "there is an equals sign behind %.64s; write `%.64s VALUE`",
				name, name);
	if (!value)
		return complain(reader, "%.64s has no value; write `%.64s VALUE`", name, name);
	if (strtok_r(NULL, " \t", &save))
		return complain(reader, "more than one value for %.64s; write `%.64s VALUE`", name,
				name);
	return read_setting(reader, name, value);
}

static int read_file(struct reader *reader, FILE *file)
{
	char line[LINE_MAX_BYTES];
	int err;

	while (fgets(line, sizeof(line), file)) {
		reader->line++;
		if (!strchr(line, '\n') && !feof(file))
			return complain(reader, "the line is too long, or holds a NUL; %s",
					"is this the right file?");
		err = read_line(reader, line);
		if (err)
			return err;
	}
	if (!ferror(file))
		return 0;
	err = -errno;
	complain(reader, "cannot read on: %s; see to the disk that it is on", strerror(-err));
	return err;
}

int kf_config_read(struct kf_config_settings *settings, const char *path, struct kf_config_why *why)
{
	struct reader reader = { .settings = *settings, .path = path, .why = why };
	FILE *file = fopen(path, "re");
	int err;

	if (!file) {
		err = -errno;
		snprintf(why->text, sizeof(why->text),
			 "cannot read %.200s: %s; name a file with --config", path, strerror(-err));
		return err;
	}
	err = read_file(&reader, file);
	fclose(file);
	if (!err)
		*settings = reader.settings;
	return err;
}

void kf_config_describe(FILE *out)
{
	char range[96], fallback[16];

	for (const struct kf_config_setting *s = kf_config_table; s->name; s++) {
		describe_range(s, range, sizeof(range));
		fprintf(out, "  %-22s %s\n  %-22s %s; default %s\n", s->name, s->help, "", range,
			write_value(s, s->fallback, fallback));
	}
}
