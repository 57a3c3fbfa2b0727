// SPDX-License-Identifier: Apache-2.0
/* Lines and events of QMP, made out of values. Contract in qmp_event.h. */
#include "vmm/control/qmp_event.h"

#include <stdlib.h>
#include <string.h>

char *qmp_line(json_t *value)
{
	char *text = json_dumps(value, 0), *line = NULL;
	size_t len;

	json_decref(value);
	if (!text)
		return NULL;
	len = strlen(text);
	line = realloc(text, len + sizeof("\r\n"));
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\r\n", sizeof("\r\n"));
	return line;
}

char *qmp_event(const char *name, json_t *data, const struct timeval *now)
{
	return qmp_line(json_pack("{s:{s:I, s:I}, s:s, s:o*}", "timestamp", "seconds",
				  (json_int_t)now->tv_sec, "microseconds", (json_int_t)now->tv_usec,
				  "event", name, "data", data));
}

char *qmp_event_line(enum machine_event event, enum shutdown_cause cause, const struct timeval *now)
{
	static const struct {
		const char *name;
		bool has_reason;
	} kinds[] = {
		[MACHINE_EV_STOP] = {"STOP", false},
		[MACHINE_EV_RESUME] = {"RESUME", false},
		[MACHINE_EV_RESET] = {"RESET", true},
		[MACHINE_EV_POWERDOWN] = {"POWERDOWN", false},
		[MACHINE_EV_SHUTDOWN] = {"SHUTDOWN", true},
	};
	json_t *data = NULL;

	ASSERT(event < ARRAY_SIZE(kinds));
	if (kinds[event].has_reason)
		data = json_pack("{s:b, s:s}", "guest", shutdown_cause_is_guest(cause), "reason",
				 shutdown_cause_name(cause));
	return qmp_event(kinds[event].name, data, now);
}
