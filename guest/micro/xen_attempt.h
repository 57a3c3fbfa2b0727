// SPDX-License-Identifier: Apache-2.0
/*
 * Doing what may raise an exception, and living on. On the first processor of a Xen PV guest alone.
 */
#ifndef QUIRE_GUEST_MICRO_XEN_ATTEMPT_H
#define QUIRE_GUEST_MICRO_XEN_ATTEMPT_H

#include <stdint.h>

struct xen_attempt {
	void (*code)(uint64_t first, uint64_t second);
	uint64_t first, second;
};

/* Of the last exception that was expected. */
struct xen_caught {
	uint64_t vector, error, cr2, rip, rflags;
};

extern struct xen_caught xen_caught;
extern uint64_t xen_events; /* that have come */

#define XEN_NO_EXCEPTION 256

/* Run it: the vector of the exception that ended it, or XEN_NO_EXCEPTION. */
uint64_t xen_attempt(const struct xen_attempt *how);

/* Called for each event, if there is one: who waits for it sets the timer again. */
extern void (*xen_on_event)(void);

#endif
