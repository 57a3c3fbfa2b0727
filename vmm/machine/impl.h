// SPDX-License-Identifier: Apache-2.0
/*
 * The inside of the machine (vmm/machine/machine.h): what its files share. For vmm/machine/ alone.
 *
 * Each file may call those on the lines below its own:
 *
 *   machine.c         birth and death, orders
 *   checkpoint.c      checkpoints, and back to one
 *   migrate.c         the guest moves: away, or here
 *   hosts.c           what the VM and the console ask of us
 *   end.c             the end
 *   memory.c, mmu.c   the memory engine; shadow page tables
 *   state.c, questions.c, names.c
 *
 * All of it runs on the main thread and so needs no lock, but for what struct vm_host has: that
 * comes on vCPU threads and those of the memory engine, and only puts something into a queue and
 * wakes the main one.
 */
#ifndef QUIRE_VMM_MACHINE_IMPL_H
#define QUIRE_VMM_MACHINE_IMPL_H

#include <pthread.h>
#include <uv.h>

#include "vmm/checkpoint/chain.h"
#include "vmm/machine/checkpoint_impl.h"
#include "vmm/machine/console.h"
#include "vmm/machine/end_impl.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/memory_impl.h"
#include "vmm/machine/migrate_impl.h"
#include "vmm/vm/vm.h"

struct machine {
	struct machine_config cfg;
	/* What the next reset builds: cfg.vm at first, then with what was set at run time. */
	struct vm_config vm_cfg;
	uv_loop_t *loop;
	pthread_t main; /* the loop's */
	struct vm *vm;
	struct vm_host vm_host;
	struct console *console;
	enum machine_state state;
	bool quitting;		       /* the end has been told: the loop stops within a turn */
	struct checkpoint *checkpoint; /* under way, or NULL */
	struct chain chain;

	/* Each of one file alone. */
	struct {
		machine_event_fn fn;
		void *opaque;
	} listener;			  /* state.c */
	struct machine_end end;		  /* end.c */
	struct machine_memory memory;	  /* memory.c */
	struct machine_saving saving;	  /* checkpoint.c */
	struct machine_moving moving;	  /* migrate.c */
	struct console_host console_host; /* hosts.c */
	unsigned int nr_handles;	  /* machine.c: the parts' async, not yet closed */
};

/* Tell the listener. */
void machine_notify(struct machine *m, enum machine_event event, enum shutdown_cause cause);

/* Whether the guest has ended, or is about to; with a sentence for who asks something of it. */
bool machine_is_over(const struct machine *m);
int machine_refuse_when_over(const struct machine *m, struct err *err);

/*
 * Where that is asked for (vm_config.check_mmu), check the shadow tables of a guest that is
 * about to end. -EIO and a sentence if they are wrong.
 */
int machine_check_at_end(struct machine *m, struct err *err);

/* Fill in vm_host and console_host. */
void machine_set_hosts(struct machine *m);

#endif
