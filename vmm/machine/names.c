// SPDX-License-Identifier: Apache-2.0
/* What QMP calls the states of a machine and the reasons of its end. Declared in machine.h. */
#include "vmm/machine/machine.h"

const char *machine_state_name(enum machine_state state)
{
	static const char *const names[] = {
		[MACHINE_INMIGRATE] = "inmigrate",
		[MACHINE_PRELAUNCH] = "prelaunch",
		[MACHINE_RUNNING] = "running",
		[MACHINE_PAUSED] = "paused",
		[MACHINE_POSTMIGRATE] = "postmigrate",
		[MACHINE_SHUTDOWN] = "shutdown",
		[MACHINE_INTERNAL_ERROR] = "internal-error",
	};

	return names[state];
}

const char *machine_reason_name(enum machine_reason reason)
{
	static const char *const names[] = {
		[MACHINE_BY_NONE] = "none",
		[MACHINE_BY_QMP_QUIT] = "host-qmp-quit",
		[MACHINE_BY_QMP_RESET] = "host-qmp-system-reset",
		[MACHINE_BY_SIGNAL] = "host-signal",
		[MACHINE_BY_ERROR] = "host-error",
		[MACHINE_BY_GUEST_OFF] = "guest-shutdown",
		[MACHINE_BY_GUEST_RESET] = "guest-reset",
		[MACHINE_BY_GUEST_PANIC] = "guest-panic",
	};

	return names[reason];
}

bool machine_reason_is_guest(enum machine_reason reason)
{
	return reason >= MACHINE_BY_GUEST_OFF;
}
