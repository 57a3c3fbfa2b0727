// SPDX-License-Identifier: Apache-2.0
/* What is to come, and a VM for it. incoming_wants_vm() and its like are in incoming.h. */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_SETUP_H
#define QUIRE_VMM_MIGRATE_INCOMING_SETUP_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct incoming;

/* For a VM, of the owner. Under lock; in->wake says that it is answered. */
struct incoming_request {
	bool wants_vm; /* and the owner has not looked yet */
	bool refused;
	struct err refusal;
};

/* What the source announces, into in->setup and in->guest. */
int incoming_hear_setup(struct incoming *in, struct err *err);

/* The owner makes a VM, on his own thread: in->vm. */
int incoming_wait_for_vm(struct incoming *in, struct err *err);

#endif
