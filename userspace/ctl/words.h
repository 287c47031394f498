/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * words.h - an error of the admin socket, in the words of the command line.
 *
 * The daemon speaks to every client of its socket, so it names members of requests, in backticks:
 * "`allow_ips`: ...". A user of the command line knows options instead. Pure.
 */
#ifndef KEYFILTER_CTL_WORDS_H
#define KEYFILTER_CTL_WORDS_H

#include "command.h"

/*
 * @text with each `member` that an option of @command sets as --option, one that the operand sets
 * as its name, and `null` as none where an option takes that. What else stands in backticks, stays.
 * To be freed.
 */
char *kf_words_of(const struct kf_command *command, const char *text);

#endif
