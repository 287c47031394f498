/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * help.h - the help, printed from the command table. No state.
 */
#ifndef KEYFILTER_CTL_HELP_H
#define KEYFILTER_CTL_HELP_H

#include <stdio.h>

#include "args.h"

/* As much as the command line names: everything, a noun, or a verb with its options. */
void kf_help_print(FILE *out, const struct kf_noun *const nouns[], const struct kf_args *args);

/*
 * "service add NAME --listen ADDR:PORT [--mode enforce|monitor]...", broken before @columns and
 * continued under @indent spaces; 0 columns: never broken.
 */
void kf_help_synopsis(FILE *out, const struct kf_noun *noun, const struct kf_command *command,
		      int indent, int columns);

#endif
