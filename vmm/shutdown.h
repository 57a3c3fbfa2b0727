// SPDX-License-Identifier: Apache-2.0
/*
 * Why a guest came to its end, was reset or was stopped: QMP's ShutdownCause, which everybody from
 * a device to the control socket has to say.
 */
#ifndef QUIRE_VMM_SHUTDOWN_H
#define QUIRE_VMM_SHUTDOWN_H

#include "mm/base/base.h"

enum shutdown_cause {
	SHUTDOWN_BY_NONE,	 /* "none" */
	SHUTDOWN_BY_QMP_QUIT,	 /* "host-qmp-quit" */
	SHUTDOWN_BY_QMP_RESET,	 /* "host-qmp-system-reset" */
	SHUTDOWN_BY_SIGNAL,	 /* "host-signal" */
	SHUTDOWN_BY_ERROR,	 /* "host-error" */
	SHUTDOWN_BY_GUEST_OFF,	 /* "guest-shutdown" */
	SHUTDOWN_BY_GUEST_RESET, /* "guest-reset" */
	SHUTDOWN_BY_GUEST_PANIC, /* "guest-panic": triple fault or the like */
};

/* QMP's name of it, as above. */
const char *shutdown_cause_name(enum shutdown_cause cause);

/* Whether the guest brought it about itself. */
bool shutdown_cause_is_guest(enum shutdown_cause cause);

#endif
