// SPDX-License-Identifier: Apache-2.0
/*
 * What the workload says: lines with the platform's name before them, and the verdict at the end.
 * Below all that works, for all of it has something to say. Contract in platform.h.
 */
#include "guest/work/platform.h"

void work_print(const struct work_platform *platform, const struct line *line)
{
	struct line whole;

	line_start(&whole);
	line_text(&whole, platform->name);
	line_text(&whole, ": ");
	line_bytes(&whole, line->text, line->length);
	line_end(&whole);
	platform->print(platform->opaque, whole.text, whole.length);
}

enum guest_exit work_verdict(const struct work_platform *platform, enum guest_exit value,
			     const char *reason)
{
	struct line line;

	line_start(&line);
	if (value == GUEST_EXIT_PASS) {
		line_text(&line, "pass");
	} else {
		line_text(&line, "FAIL ");
		line_text(&line, reason);
	}
	work_print(platform, &line);
	return value;
}
