/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * secrettext.h - does a text hold what looks like a secret?
 *
 * Keys get pasted where a name or an ID belongs, and names are stored, listed and logged. Known are
 * keyfilter's own keys, the shapes of other vendors' (a prefix and a random rest), and a long run
 * of letters and digits that nobody would type. Whatever is found is refused or masked, so a wrong
 * guess costs a name, and a missed one a key. Pure functions, any thread.
 */
#ifndef KEYFILTER_LIB_SECRETTEXT_H
#define KEYFILTER_LIB_SECRETTEXT_H

#include <stdbool.h>

bool kf_secrettext_has(const char *text);

/* Puts "..." in the place of each secret, behind its prefix: "sk-...". The text gets no longer. */
void kf_secrettext_mask(char *text);

#endif
