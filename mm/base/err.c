// SPDX-License-Identifier: Apache-2.0
/* The two ways to speak of failure: err_set() for the world's, assert_failed() for ours. */
#include "mm/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mm/base/base.h"

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list ap;

	ASSERT(code < 0);
	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	for (char *c = err->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return code;
}

_Noreturn void assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "quire: internal error: %s does not hold (%s:%d); please report it\n", expr,
		file, line);
	abort();
}
