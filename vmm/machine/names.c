// SPDX-License-Identifier: Apache-2.0
/* What QMP calls the states of a machine. Declared in machine.h. */
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
