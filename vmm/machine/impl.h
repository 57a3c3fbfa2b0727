// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of the machine (vmm/machine/machine.h): what its files share. For vmm/machine/ alone.
 */
#ifndef QUIRE_VMM_MACHINE_IMPL_H
#define QUIRE_VMM_MACHINE_IMPL_H

#include <uv.h>

#include "vmm/checkpoint/chain.h"
#include "vmm/checkpoint/checkpoint.h"
#include "vmm/machine/console.h"
#include "vmm/machine/machine.h"
#include "vmm/migrate/incoming.h"
#include "vmm/machine/memory_events.h"
#include "vmm/migrate/outgoing.h"
#include "vmm/migrate/plan_thread.h"
#include "vmm/vm/vm.h"

struct machine {
	struct machine_config cfg;
	/* What the next reset builds: cfg.vm at first, then with what was set at run time. */
	struct vm_config vm_cfg;
	char *policy; /* that vm_cfg points to, or NULL */
	uv_loop_t *loop;
	struct vm *vm;
	struct vm_host vm_host;
	struct console *console;
	struct console_host console_host;
	uv_async_t ended_async;	 /* the VM has ended, or machine_quit() was called: stop the loop */
	uv_async_t memory_async; /* memory_events has something */
	struct memory_events memory_events;
	uv_async_t checkpoint_async; /* the checkpoint has ended */
	uv_async_t migrate_async;    /* a migration has something to tell */
	unsigned int nr_handles;     /* of the above, not yet closed */
	enum machine_state state;
	bool quitting;
	int status;
	struct err why;
	machine_event_fn listener;
	void *listener_opaque;
	machine_memory_event_fn memory_listener;
	void *memory_listener_opaque;
	struct checkpoint *checkpoint; /* under way, or NULL */
	struct checkpoint_progress
		last_checkpoint; /* how the last one ended; phase DONE at first */
	struct chain chain;
	struct outgoing *outgoing; /* under way, or over and not yet forgotten; or NULL */
	struct incoming *incoming; /* or NULL */
	struct planning *planning; /* under way or done; or NULL */
	struct migrate_params migrate_params;
	enum machine_state state_before; /* MACHINE_POSTMIGRATE */
	enum migrate_status told;	 /* the status that was last told of */
	u32 told_round;
	machine_migrate_fn migrate_listener;
	void *migrate_listener_opaque;
	machine_checkpoint_fn checkpoint_listener;
	void *checkpoint_listener_opaque;
};

/* Whether the guest has ended, or is about to; with a sentence for who asks something of it. */
bool machine_is_over(const struct machine *m);
int machine_refuse_when_over(const struct machine *m, struct err *err);

/* The guest's memory engine, or why there is none to talk to. */
int machine_get_mem(const struct machine *m, struct mem **mem, struct err *err);

/*
 * Where that is asked for (vm_config.check_mmu), check the shadow tables of a guest that is
 * about to end. -EIO and a sentence if they are wrong.
 */
int machine_check_at_end(struct machine *m, struct err *err);

/* On the main thread, once a checkpoint has ended. */
void machine_on_checkpoint(uv_async_t *handle);

/* A guest that was restored can go on with the image's chain. */
int machine_begin_chain(struct machine *m, struct err *err);

/* Tell the listener. */
void machine_notify(struct machine *m, enum machine_event event, enum shutdown_cause cause);

/* The guest cannot go on. */
void machine_fail(struct machine *m, const struct err *why);

/* On the main thread: a migration, in or out, has got further. */
void machine_on_migrate(uv_async_t *handle);

/* -EBUSY while the guest is moving, or has moved. */
int machine_refuse_when_moving(const struct machine *m, struct err *err);

/* The machine goes: end what is under way; and, once there is no VM any more, forget it. */
void machine_end_migration(struct machine *m);
void machine_forget_migration(struct machine *m);

/* The VM is about to go: end the checkpoint that uses it, and forget its chain. */
void machine_end_checkpoint(struct machine *m);

#endif
