/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * money.h - amounts of money as operators and the API write them.
 *
 * An amount is a whole number of micro-units: millionths of a unit of its currency. Prices are
 * amounts for 1,000,000 tokens, multipliers are millionths. Pure functions over text, exact.
 */
#ifndef KEYFILTER_LIB_MONEY_H
#define KEYFILTER_LIB_MONEY_H

#include <stdint.h>

#define KF_MONEY_UNIT 1000000ll
#define KF_MONEY_MAX  (1000000000ll * KF_MONEY_UNIT) /* a milliard of units */
#define KF_MONEY_SIZE 24			     /* "-9223372036854.775808" + NUL */

/*
 * "12", "0.5", "12.000001": digits, at most six of them behind the point, no sign. 0; -EINVAL;
 * -EDOM: more digits behind the point, which would be lost; -ERANGE: over KF_MONEY_MAX.
 */
int kf_money_parse(const char *text, int64_t *micro);

/* "12.5"; without zeros at the end, and without a point where none is needed. Returns @text. */
const char *kf_money_format(int64_t micro, char text[static KF_MONEY_SIZE]);

#endif
