/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * config.h - the settings of keyfilterd and the file they are read from.
 *
 * The file has one setting a line, `name value`; `#` begins a comment. Every setting stands once in
 * the table of config.c with its range, default and help, from which the reader, --help and the
 * manual are made. main.c owns the struct, everyone else reads it. Sizes of maps take effect when
 * the maps are made, not on pinned ones. Units are in the names or comments here.
 */
#ifndef KEYFILTER_DAEMON_BASE_CONFIG_H
#define KEYFILTER_DAEMON_BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KF_CONFIG_DEFAULT_PATH "/etc/keyfilter/keyfilterd.conf"

struct kf_config_settings {
	uint32_t keys_max;
	uint32_t sources_max;
	uint32_t flows_max;
	uint32_t heads_max;	 /* partial heads, besides one a CPU */
	uint32_t embryos;	 /* a power of two */
	uint32_t penalties;	 /* sources; a power of two */
	uint32_t syn_cells;	 /* a power of two */
	uint32_t event_ring_kib; /* a power of two */
	uint32_t event_rate;	 /* events a second and CPU */
	uint32_t head_timeout;	 /* seconds */
	uint32_t flow_idle;	 /* seconds */
	uint32_t admin_max_connections;
	uint32_t admin_body_max_kib;
	uint32_t admin_timeout; /* seconds */
};

enum kf_config_type {
	KF_CONFIG_COUNT, /* a decimal number */
	KF_CONFIG_POWER, /* a power of two */
	KF_CONFIG_TIME,	 /* with its unit: 90s, 15m, 12h, 30d */
};

struct kf_config_setting {
	const char *name;
	enum kf_config_type type;
	uint32_t min, max, fallback;
	size_t offset; /* of the uint32_t in struct kf_config_settings */
	const char *help;
};

/* The table; ends with a NULL name. */
extern const struct kf_config_setting kf_config_table[];

struct kf_config_why {
	char text[512]; /* "FILE:LINE: cause; mend" */
};

void kf_config_defaults(struct kf_config_settings *settings);

/*
 * Reads @path over what is in @settings. -ENOENT: there is no such file (no error where it is the
 * default one; the caller knows). -EINVAL: a line is wrong, or -errno: it cannot be read; @why then
 * says where, and @settings is untouched.
 */
int kf_config_read(struct kf_config_settings *settings, const char *path,
		   struct kf_config_why *why);

/* One list of all settings, with ranges and defaults, for --help. */
void kf_config_describe(FILE *out);

#endif
