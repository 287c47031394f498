// SPDX-License-Identifier: GPL-2.0-only
#include "why.h"

#include <stdarg.h>
#include <stdio.h>

int kf_why_set(struct kf_why *why, int err, const char *format, ...)
{
	va_list args;

	if (!why)
		return err;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	return err;
}
