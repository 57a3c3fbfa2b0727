// SPDX-License-Identifier: Apache-2.0
/* What QMP calls the causes of a guest's end. Contract in shutdown.h. */
#include "vmm/shutdown.h"

const char *shutdown_cause_name(enum shutdown_cause cause)
{
	static const char *const names[] = {
		[SHUTDOWN_BY_NONE] = "none",
		[SHUTDOWN_BY_QMP_QUIT] = "host-qmp-quit",
		[SHUTDOWN_BY_QMP_RESET] = "host-qmp-system-reset",
		[SHUTDOWN_BY_SIGNAL] = "host-signal",
		[SHUTDOWN_BY_ERROR] = "host-error",
		[SHUTDOWN_BY_GUEST_OFF] = "guest-shutdown",
		[SHUTDOWN_BY_GUEST_RESET] = "guest-reset",
		[SHUTDOWN_BY_GUEST_PANIC] = "guest-panic",
	};

	return names[cause];
}

bool shutdown_cause_is_guest(enum shutdown_cause cause)
{
	return cause >= SHUTDOWN_BY_GUEST_OFF;
}
