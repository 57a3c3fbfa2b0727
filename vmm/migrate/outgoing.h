// SPDX-License-Identifier: Apache-2.0
/*
 * Moving a guest away: a thread that sends it to another quire (vmm/migrate/incoming.h) while it
 * runs.
 *
 *	SETTING_UP  connected; a machine like this one stands by over there
 *	ACTIVE      the guest runs here; its memory goes there in rounds
 *	DEVICE      it stands still; the rest goes
 *	  (GO)      the point of no return: until here every failure leaves the guest running here
 *	POSTCOPY_ACTIVE  it runs there; what is missing there is sent
 *	COMPLETED
 *
 * From GO on the vCPUs stay frozen (vm_freeze()), for ever: the guest is not this process's any
 * more.
 */
#ifndef QUIRE_VMM_MIGRATE_OUTGOING_H
#define QUIRE_VMM_MIGRATE_OUTGOING_H

#include "vmm/migrate/migrate.h"

struct vm;
struct outgoing;

struct outgoing_config {
	struct vm *vm;
	const char *name;    /* of the guest */
	const char *address; /* as mm/wire/wire.h has it */
	bool runs;	     /* it is to run over there */
	u64 *also_dirty;     /* NULL, or where pages are noted too that are found changed */
	struct migrate_params params;
	void *opaque;
	void (*changed)(void *opaque); /* look at the progress; on the migration's thread */
};

/* Begin. Strings are copied; the VM must outlive it. */
int outgoing_start(struct outgoing **out, const struct outgoing_config *cfg, struct err *err);

void outgoing_progress(struct outgoing *o, struct migrate_progress *progress);

/*
 * Give up; nothing where it has ended. -EINVAL with a sentence while the guest is the other side's.
 * Returns at once.
 */
int outgoing_cancel(struct outgoing *o, struct err *err);

/* Go over to post-copy now; -EINVAL when it was not set up for it. */
int outgoing_go_postcopy(struct outgoing *o, struct err *err);

/* The connection was lost in post-copy: go on by this address. -EINVAL if it was not. */
int outgoing_recover(struct outgoing *o, const char *address, struct err *err);

/*
 * The owner knows that the guest does not run over there, and never will: it goes on here. -EINVAL
 * unless the status is MIGRATE_UNSURE, for good.
 */
int outgoing_take_back(struct outgoing *o, struct err *err);

/* Wait for the thread and free everything; what is under way and can be is cancelled. */
void outgoing_destroy(struct outgoing *o);

#endif
