// SPDX-License-Identifier: Apache-2.0
/*
 * vmm/machine: the running machine as its owners see it. The main loop creates it, the control
 * socket asks things of it, the command line waits for its end. Behind it is one struct vm at a
 * time; a reset replaces that VM with a new one made by the same recipe, so nothing of the old
 * guest can be left over.
 *
 * The folder owns the machine's state (enum machine_state) and who may ask what in which, its end
 * and exit status, the checkpoint or migration under way, of which there is at most one, and the
 * host's end of the serial port (console.h). It may use vmm/run and all below that; control and cli
 * use it. Where to begin: this header, impl.h (what the files share, and which may call which),
 * machine.c. Tests of what lies above put tests/lib/fake_machine.h in its place.
 *
 * Every function here is for the main thread, which most of them assert. None blocks for longer
 * than it takes a vCPU to leave the guest, but machine_audit_memory(), machine_check_mmu() and
 * machine_exit_status().
 */
#ifndef QUIRE_VMM_MACHINE_MACHINE_H
#define QUIRE_VMM_MACHINE_MACHINE_H

#include <stdio.h>
#include <sys/types.h>

#include "mm/base/base.h"
#include "mm/base/err.h"
#include "mm/engine/mem.h"
#include "vmm/shutdown.h"

struct machine;
struct mem_map_cell; /* mm/engine/stats.h */
struct mem_stats;
struct uv_loop_s;	    /* libuv's uv_loop_t */
struct vm_config;	    /* vmm/vm/vm.h */
struct checkpoint_progress; /* vmm/checkpoint/checkpoint.h */
struct migrate_params;	    /* vmm/migrate/migrate.h */
struct migrate_progress;
struct mmu_check; /* vmm/pv/mmu_stats.h */
struct mmu_stats;
struct planning_progress; /* vmm/migrate/plan_thread.h */
struct translate_order;	  /* vmm/inspect/translate.h */
struct translation;

/*
 * What to run, beyond the VM itself. Strings and the VM's configuration must outlive the machine.
 */
struct machine_config {
	const char *name;
	const char *serial; /* as vmm/machine/console.h has it */
	FILE *log;	    /* where a dying guest's registers go */
	const struct vm_config *vm;
	/*
	 * Wait for a guest that comes from another quire, here; MACHINE_DEFER: where it is told to
	 * by machine_receive(). NULL: run the one that vm describes.
	 */
	const char *receive;
	const char *psk_file; /* for that; or NULL */
};

#define MACHINE_DEFER "defer"

/* QMP's RunState, as far as this machine knows it (named by machine_state_name()). */
enum machine_state {
	MACHINE_INMIGRATE,	/* "inmigrate": the guest is not here yet */
	MACHINE_PRELAUNCH,	/* "prelaunch": created with --paused, never ran */
	MACHINE_RUNNING,	/* "running" */
	MACHINE_PAUSED,		/* "paused" */
	MACHINE_POSTMIGRATE,	/* "postmigrate": it is elsewhere now */
	MACHINE_SHUTDOWN,	/* "shutdown": ended; the process is about to go */
	MACHINE_INTERNAL_ERROR, /* "internal-error": the guest cannot go on; likewise */
};

/* What happened, for those who listen; why, an enum shutdown_cause says. */
enum machine_event {
	MACHINE_EV_STOP,      /* vCPUs stopped */
	MACHINE_EV_RESUME,    /* vCPUs run (again) */
	MACHINE_EV_RESET,     /* about to start anew */
	MACHINE_EV_POWERDOWN, /* the power button was pressed for the guest */
	MACHINE_EV_SHUTDOWN,  /* the guest has ended, or is made to */
};

const char *machine_state_name(enum machine_state state);

/* Build the machine, in state MACHINE_PRELAUNCH. On failure nothing is left behind. */
int machine_create(struct machine **out, struct uv_loop_s *loop, const struct machine_config *cfg,
		   struct err *err);

/*
 * Start its vCPU threads, once: MACHINE_RUNNING, or left in MACHINE_PRELAUNCH for machine_resume().
 */
enum machine_launch { MACHINE_RUN, MACHINE_HOLD };
int machine_start(struct machine *m, enum machine_launch launch, struct err *err);

/*
 * Take it apart. Memory goes with the last of its handles, so the loop must run once more
 * afterwards. NULL is allowed.
 */
void machine_destroy(struct machine *m);

/*
 * A Linux kernel at CPL 0 of a KVM that emulates kernel code, by --mmu ept or for want of a Xen PV
 * entry: it will hardly get anywhere.
 */
bool machine_is_emulated_linux(const struct machine *m);

/*
 * Once the loop has stopped: let the console write what is left, for a bounded time; then the exit
 * status, and *why it is not 0 where there is more to say (else empty). It is not 0 when something
 * that the guest printed could not be written.
 */
int machine_exit_status(struct machine *m, struct err *why);

enum machine_state machine_state(const struct machine *m);
const char *machine_name(const struct machine *m);
u64 machine_memory_size(const struct machine *m);
int machine_memory_resident(const struct machine *m, u64 *bytes);
unsigned int machine_nr_cpus(const struct machine *m);
pid_t machine_cpu_tid(const struct machine *m, unsigned int cpu); /* host thread id of a vCPU */

/*
 * What KVM has mapped of guest memory, by page size (4 KiB, 2 MiB, 1 GiB); -errno: it does not
 * tell.
 */
enum { MACHINE_NR_PAGE_SIZES = 3 };
int machine_mapped_pages(const struct machine *m, u64 pages[MACHINE_NR_PAGE_SIZES]);

/* Counters of the KVM exits taken so far, by kind, for `stats`. */
struct machine_exit_count {
	const char *name; /* "io", "mmio", ... static */
	u64 count;
};

#define MACHINE_MAX_EXIT_KINDS 16

unsigned int machine_exit_counts(const struct machine *m,
				 struct machine_exit_count out[MACHINE_MAX_EXIT_KINDS]);

/*
 * Stop or start the vCPUs. Doing it twice is no error. -EINVAL with a sentence once it has ended.
 */
int machine_pause(struct machine *m, struct err *err);
int machine_resume(struct machine *m, struct err *err);

/*
 * Start the guest anew from its kernel, running or paused as it was. -errno: the machine then ends.
 */
int machine_reset(struct machine *m, struct err *err);

/* Press the power button; what the guest makes of it is the guest's business. */
int machine_powerdown(struct machine *m, struct err *err);

/* End the process soon, from the main loop, after replies under way were written. */
void machine_quit(struct machine *m, enum shutdown_cause cause);

/*
 * Orders to the memory engine (mm/engine/mem.h) and questions to it. All fail, with a sentence,
 * where guest memory is not managed (its backing is no memfd) and once the guest has ended. What is
 * set here stays set through a reset.
 */
int machine_set_limit(struct machine *m, u64 limit, u64 limit_min, struct err *err);
int machine_set_policy(struct machine *m, const char *policy, struct err *err);
int machine_set_proactive(struct machine *m, enum mem_proactive mode, struct err *err);

/*
 * Push up to @bytes out, for some ten milliseconds at most, so that the main loop is not kept:
 * returns what went, which may be less than there is to go. Ask again for the rest; 0 means that
 * nothing more goes.
 */
s64 machine_reclaim(struct machine *m, u64 bytes, struct err *err);

int machine_memory_stats(struct machine *m, struct mem_stats *stats, struct err *err);
int machine_memory_map(struct machine *m, struct mem_map_cell *cells, u32 n, struct err *err);
int machine_reset_memory_peak(struct machine *m, struct err *err);

/*
 * Walk a vCPU's page tables and the second step (vmm/inspect/translate.h). A table that is stored
 * is read where it is. It takes some 2 ms for each GiB of memory, most of it while the guest runs
 * on.
 * -errno with a sentence.
 */
int machine_translate(struct machine *m, const struct translate_order *order, struct translation *t,
		      struct err *err);

/* As mem_audit(); -EINVAL while the guest runs. For tests: it looks at every page. */
int machine_audit_memory(struct machine *m, u64 *wrong, struct err *err);

/* How the guest's addresses are translated, and what that took so far. */
int machine_mmu_stats(struct machine *m, struct mmu_stats *stats, struct err *err);

/*
 * Compare the guest's shadow tables with its own, entry by entry, while its vCPUs stand still.
 * -EOPNOTSUPP: it has none.
 */
int machine_check_mmu(struct machine *m, struct mmu_check *check, struct err *err);

/*
 * Save the guest while it runs (vmm/checkpoint/checkpoint.h); returns once that has begun. -EBUSY:
 * one is under way already. The directory is created if need be.
 */
struct machine_checkpoint {
	const char *dir;
	bool incremental; /* only what changed since the last checkpoint, which went there too */
	u64 every_ns;	  /* go on with increments at this pace; 0: just one checkpoint */
	u64 bandwidth;	  /* bytes a second; 0: no limit */
};

int machine_checkpoint(struct machine *m, const struct machine_checkpoint *order, struct err *err);
int machine_cancel_checkpoint(struct machine *m, struct err *err);

/*
 * Roll the guest back to its last checkpoint, or to what it was restored from: only what changed
 * since is put back. It runs, or is paused, as before. An error after the first change ends it.
 */
struct machine_rolled_back {
	u32 pages;    /* that were put back */
	u64 pause_ns; /* how long its vCPUs stood still for it */
};

int machine_roll_back(struct machine *m, struct machine_rolled_back *rolled, struct err *err);

/* Of the one under way, or how the last one ended. */
void machine_checkpoint_progress(const struct machine *m, struct checkpoint_progress *progress);

/* The listener for checkpoints that have ended, on the main thread. */
typedef void (*machine_checkpoint_fn)(void *opaque, const struct checkpoint_progress *progress);
void machine_listen_checkpoint(struct machine *m, machine_checkpoint_fn fn, void *opaque);

/*
 * Move the guest to another quire, which waits for it at @address (vmm/migrate/outgoing.h); returns
 * once that has begun. -EBUSY: one is under way, or a checkpoint is. Cancelling and the change to
 * post-copy are as vmm/migrate/outgoing.h has them; to cancel none is no error.
 */
int machine_migrate(struct machine *m, const char *address, const struct migrate_params *params,
		    struct err *err);
int machine_cancel_migration(struct machine *m, struct err *err);
int machine_go_postcopy(struct machine *m, struct err *err);
/* It is certain that the other side does not run it, and never will (outgoing_take_back()). */
int machine_take_back(struct machine *m, struct err *err);
int machine_recover_migration(struct machine *m, const char *address, struct err *err);

/*
 * Find out what moving it there would be like, each way (vmm/migrate/plan.h); returns once the
 * measuring has begun, which takes a second and a half. -EBUSY as above. How far it is, and what
 * came of it:
 */
int machine_plan(struct machine *m, const char *address, const struct migrate_params *params,
		 struct err *err);
void machine_planning_progress(struct machine *m, struct planning_progress *progress);

/* For a machine that waits: listen there. -EINVAL: it does so already, or runs a guest. */
int machine_receive(struct machine *m, const char *address, struct err *err);

/* Where it listens for a guest; NULL: it does not. */
const char *machine_receives_at(const struct machine *m);

/* Of the migration under way, in or out, or how the last one ended. */
void machine_migrate_progress(struct machine *m, struct migrate_progress *progress);

/* What is used when nothing else is said: for QMP's migrate-set-parameters. */
struct migrate_params *machine_migrate_params(struct machine *m);

/* The listener for changes of a migration's status, and for its rounds, on the main thread. */
enum machine_migrate_news {
	MACHINE_MIGRATE_STATUS, /* it has changed */
	MACHINE_MIGRATE_ROUND,	/* one has ended */
};

typedef void (*machine_migrate_fn)(void *opaque, const struct migrate_progress *progress,
				   enum machine_migrate_news news);
void machine_listen_migrate(struct machine *m, machine_migrate_fn fn, void *opaque);

/* The one listener, called on the main thread as things happen. */
typedef void (*machine_event_fn)(void *opaque, enum machine_event event, enum shutdown_cause cause);
void machine_listen(struct machine *m, machine_event_fn fn, void *opaque);

/* Likewise for what the memory engine tells. Of a flood of events the oldest are lost. */
typedef void (*machine_memory_event_fn)(void *opaque, const struct mem_event *event);
void machine_listen_memory(struct machine *m, machine_memory_event_fn fn, void *opaque);

#endif
