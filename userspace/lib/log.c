// SPDX-License-Identifier: GPL-2.0-only
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secrettext.h"

/*
 * The one mutable thing here: set by main() before there are threads, and read afterwards. Passing
 * it along would put a parameter into every function that may ever fail.
 */
static struct {
	enum kf_log_level most;
	bool journal;
} settings = { .most = KF_LOG_INFO };

static const char *const words[] = {
	[KF_LOG_ERROR] = "error", [KF_LOG_WARNING] = "warning", [KF_LOG_NOTICE] = "notice",
	[KF_LOG_INFO] = "info",	  [KF_LOG_DEBUG] = "debug",
};

/*
 * systemd.exec(5): JOURNAL_STREAM is the journal's "device:inode"; stderr may have been redirected.
 */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat now;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &now) == 0 && now.st_dev == device && now.st_ino == inode;
}

void kf_log_open(enum kf_log_level most)
{
	settings.most = most;
	settings.journal = stderr_is_journal();
}

/*
 * Copies @text up to @end, control bytes as \xNN; UTF-8 passes. Returns one past the last byte
 * written. There must be room for the "..." that marks what was cut.
 */
static char *put_escaped(char *at, const char *end, const char *text)
{
	for (; *text; text++) {
		uint8_t byte = *text;
		bool control = byte < 0x20 || byte == 0x7f;

		if (end - at < (control ? 4 : 1)) {
			memcpy(at, "...", 3);
			return at + 3;
		}
		if (control)
			at += sprintf(at, "\\x%02x", byte);
		else
			*at++ = byte;
	}
	return at;
}

void kf_log(enum kf_log_level level, const char *format, ...)
{
	char text[KF_LOG_LINE_MAX], line[KF_LOG_LINE_MAX];
	int saved = errno;
	va_list list;
	char *at;

	if (level > settings.most)
		return;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	kf_secrettext_mask(text); /* whatever was quoted: a line in a log stays for years */

	at = line + (settings.journal ? sprintf(line, "<%d>", level)
				      : sprintf(line, "%s: ", words[level]));
	at = put_escaped(at, line + sizeof(line) - sizeof("...\n") - 1, text);
	*at++ = '\n';
	/* Nobody is left to tell when this fails. */
	(void)!write(STDERR_FILENO, line, at - line);
	errno = saved;
}
