// SPDX-License-Identifier: Apache-2.0
/*
 * The face of vmm/checkpoint, which saves a guest to files and brings it back.
 *
 * It owns: the thread that saves (this header), a guest's place in its chain of links (chain.h),
 * where a guest comes from that is not new (origin.h), rolling back (rollback.h). The files
 * themselves, links and chains of links, are mm/image's; the machine's state as bytes is that of
 * vmm/state. It may use vmm/state, vmm/vm and what is below them, and all of mm/; it knows nothing
 * of migration (vmm/migrate), of the machine that it serves, or of who gave the order. To read:
 * checkpoint.c from save_link() outwards, then origin.c, then rollback.c.
 *
 * Saving a running guest: a thread that writes one link of an image (mm/image/image.h), or one
 * after the other. The guest stands still only while its state is saved and the instant is taken
 * (mem_snap_take()); its memory goes out while it runs.
 *
 * What has changed since the last checkpoint is known from KVM's dirty log (vmm/vm/dirty.h). A
 * checkpoint that fails loses none of it: what it had harvested stays noted (struct chain), and the
 * next one has it.
 */
#ifndef QUIRE_VMM_CHECKPOINT_CHECKPOINT_H
#define QUIRE_VMM_CHECKPOINT_CHECKPOINT_H

#include "mm/base/base.h"
#include "mm/base/err.h"

struct chain;
struct vm;

struct checkpoint_config {
	const char *dir;
	const char *machine; /* JSON text: what a restore needs to know of the machine */
	bool incremental;
	u64 every_ns;  /* 0: one checkpoint; else one after the other until it is cancelled */
	u64 bandwidth; /* bytes written a second at most; 0: as fast as it goes */
};

enum checkpoint_phase {
	CHECKPOINT_NONE,      /* this guest has not been saved yet */
	CHECKPOINT_PREPARING, /* pages are being marked; nothing has been saved */
	CHECKPOINT_SAVING,    /* the instant has been; pages go out */
	CHECKPOINT_WAITING,   /* for the time of the next one */
	CHECKPOINT_DONE,
	CHECKPOINT_FAILED,
	CHECKPOINT_CANCELLED,
};

extern const char *const checkpoint_phase_names[];

struct checkpoint_progress {
	enum checkpoint_phase phase;
	u32 number;		   /* of the last link that is whole; 0: none yet */
	u32 count;		   /* links that are whole */
	u64 pages_done, pages_all; /* of guest memory, gone through for the present link */
	u64 pages, bytes;	   /* in the last link that is whole */
	u64 pause_ns, worst_ns;	   /* how long vCPUs stood still for the last, and at most */
	u64 total_ns;		   /* the last link, from beginning to end */
	u64 saved_ns;		   /* CLOCK_REALTIME of the last instant that is safe */
	struct err why;		   /* of CHECKPOINT_FAILED */
};

struct checkpoint;

/*
 * Begin. @done is called once, on the checkpoint's thread, when it has ended one way or another.
 * @vm and @chain must outlive it. Fails at once, with a sentence, for what can be known at once.
 */
int checkpoint_start(struct checkpoint **out, struct vm *vm, struct chain *chain,
		     const struct checkpoint_config *cfg, void (*done)(void *opaque), void *opaque,
		     struct err *err);

void checkpoint_progress(struct checkpoint *c, struct checkpoint_progress *progress);

/* Give up what is under way; a link that is whole stays. Returns at once. */
void checkpoint_cancel(struct checkpoint *c);

/* Wait for the thread and free everything. NULL is allowed. */
void checkpoint_destroy(struct checkpoint *c);

#endif
