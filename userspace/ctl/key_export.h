/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * key_export.h - all keys for other programs: as one JSON array, or as CSV (RFC 4180) with --csv.
 *
 * A verb's `run`. Never a secret: the daemon has none.
 */
#ifndef KEYFILTER_CTL_KEY_EXPORT_H
#define KEYFILTER_CTL_KEY_EXPORT_H

#include "call.h"

int kf_key_export(struct kf_call *call);

#endif
