/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * csv.h - a list for other programs, as CSV (RFC 4180) with a line of headings.
 *
 * Lists have a blank between two entries, labels are NAME=VALUE. A text that a spreadsheet would
 * take for a formula has a ' before it.
 */
#ifndef KEYFILTER_CTL_CSV_H
#define KEYFILTER_CTL_CSV_H

#include "call.h"

/*
 * Asks for all pages of the list, of which @member holds the rows, and prints of each row the
 * @columns, members up to a NULL. An exit status.
 */
int kf_csv_print(struct kf_call *call, const char *member, const char *const *columns);

#endif
