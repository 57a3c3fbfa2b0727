// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that comes from another quire (vmm/migrate/outgoing.h): a thread that waits for it,
 * receives it, and lets it run here once the other side has let go of it.
 *
 *	LISTENING   nobody has come yet: progress.status is NONE
 *	SETTING_UP  it is known what is to come; the owner makes a VM of that shape (wants_vm)
 *	ACTIVE      its memory arrives
 *	DEVICE      all of it is here that comes before it runs; the other side has the last word
 *	  (GO)      from here on the guest is ours
 *	POSTCOPY_ACTIVE  it runs, and waits for pages that are still over there
 *	COMPLETED
 *
 * A failure before GO is FAILED: the guest goes on over there. Without the last word (the
 * connection breaks between LOADED and GO) the guest waits, and does not run, until the source
 * comes back and says so.
 */
#ifndef QUIRE_VMM_MIGRATE_INCOMING_H
#define QUIRE_VMM_MIGRATE_INCOMING_H

#include "vmm/migrate/migrate.h"
#include "vmm/state/state.h"

struct vm;
struct pager;
struct incoming;

struct incoming_config {
	const char *address;  /* to listen at, as mm/wire/wire.h has it */
	const char *psk_file; /* or NULL */
	void *opaque;
	void (*changed)(void *opaque); /* look; on the thread that receives */
};

/* Listen, and begin to wait. Strings are copied. */
int incoming_start(struct incoming **out, const struct incoming_config *cfg, struct err *err);

/* Where it listens, as others are to write it. */
const char *incoming_address(const struct incoming *in);

void incoming_progress(struct incoming *in, struct migrate_progress *progress);

/* What a VM must be like for the guest that is coming. Lives as long as the struct incoming. */
struct incoming_guest {
	char name[64]; /* over there */
	u64 memory;
	unsigned int nr_cpus;
	const void *state; /* as it was when the migration began */
	u32 state_size;
	enum state_clock clock;
	bool runs;	     /* it is to run at the end */
	int memory_fd;	     /* its memory itself, or -1 */
	struct pager *pager; /* where its absent pages come from, or NULL */
};

/* Whether it waits for a VM; the owner then makes one, its vCPUs parked, or says why not. */
bool incoming_wants_vm(struct incoming *in, const struct incoming_guest **guest);

/* Whether this host can run it, before anything is made for it. */
int incoming_check(const struct incoming_guest *guest, struct err *err);
void incoming_give_vm(struct incoming *in, struct vm *vm);
void incoming_refuse(struct incoming *in, const struct err *why);

/*
 * The source of a guest that runs here is lost, in POSTCOPY_PAUSED: take what is missing from where
 * it has spilled it (vmm/migrate/spill.h). -EINVAL otherwise. Returns at once.
 */
int incoming_finish_from(struct incoming *in, const char *dir, struct err *err);

/* End the thread: nothing comes any more, and it has no use for the VM from then on. */
void incoming_stop(struct incoming *in);

/* After incoming_stop() and the VM's end, which used the pager. NULL is allowed. */
void incoming_destroy(struct incoming *in);

#endif
