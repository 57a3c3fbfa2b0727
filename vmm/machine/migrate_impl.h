// SPDX-License-Identifier: Apache-2.0
/* migrate.c's part of the machine. For vmm/machine/ alone. */
#ifndef QUIRE_VMM_MACHINE_MIGRATE_IMPL_H
#define QUIRE_VMM_MACHINE_MIGRATE_IMPL_H

#include <uv.h>

#include "vmm/machine/machine.h"
#include "vmm/migrate/migrate.h"

struct machine_moving {
	uv_async_t async;	   /* a migration has something to tell */
	struct outgoing *outgoing; /* under way, or over and not yet forgotten; or NULL */
	struct incoming *incoming; /* or NULL */
	struct planning *planning; /* under way or done; or NULL */
	struct migrate_params params;
	enum machine_state state_before; /* MACHINE_POSTMIGRATE */
	enum migrate_status told;	 /* the status that was last told of */
	u32 told_round;
	machine_migrate_fn listener;
	void *opaque;
};

void machine_open_migration(struct machine *m);

/* -EBUSY while the guest is moving, or has moved. */
int machine_refuse_when_moving(const struct machine *m, struct err *err);

/* The machine goes: end what is under way; and, once there is no VM any more, forget it. */
void machine_end_migration(struct machine *m);
void machine_forget_migration(struct machine *m);

#endif
