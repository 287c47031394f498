/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * log.h - one line a fact, to stderr.
 *
 * The log is the daemon's; the tool speaks to its operator directly and does not log.
 * When stderr is the journal (JOURNAL_STREAM, see systemd.exec(5)) each line begins with its
 * sd-daemon(3) priority, "<4>"; elsewhere with a word, "warning: ". Callers write no newline. An
 * error is logged once, where it is handled, with its cause and its mend; secrets never are.
 * Control characters in the text come out escaped, so that nobody's input writes a line of its own.
 * Lines are written by one write(2) each and may be logged from any thread; kf_log_open() is called
 * once, by main().
 */
#ifndef KEYFILTER_LIB_LOG_H
#define KEYFILTER_LIB_LOG_H

/* The numbers are syslog's, RFC 5424 section 6.2.1. */
enum kf_log_level {
	KF_LOG_ERROR = 3,
	KF_LOG_WARNING = 4,
	KF_LOG_NOTICE = 5,
	KF_LOG_INFO = 6,
	KF_LOG_DEBUG = 7,
};

/* The longest line, its end included; what is longer is cut and ends in "...". */
#define KF_LOG_LINE_MAX 1024

/* Lines above @most (less important) are left out; before this is called, above KF_LOG_INFO. */
void kf_log_open(enum kf_log_level most);

/* errno is the same after as before. */
void kf_log(enum kf_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define kf_log_error(...)   kf_log(KF_LOG_ERROR, __VA_ARGS__)
#define kf_log_warning(...) kf_log(KF_LOG_WARNING, __VA_ARGS__)
#define kf_log_notice(...)  kf_log(KF_LOG_NOTICE, __VA_ARGS__)
#define kf_log_info(...)    kf_log(KF_LOG_INFO, __VA_ARGS__)
#define kf_log_debug(...)   kf_log(KF_LOG_DEBUG, __VA_ARGS__)

#endif
