// SPDX-License-Identifier: Apache-2.0
/*
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

struct image;
struct vm;

/*
 * The image that a guest's next increment belongs to, and what it must hold. It lives as long as
 * the VM, and one checkpoint at a time uses it.
 */
struct chain {
	char *dir;	     /* absolute; NULL: there is none */
	u32 number;	     /* of the link that the guest differs from by what is noted */
	u64 *dirty;	     /* pages that changed since, harvested but not in any link yet */
	struct image *image; /* the link, open; NULL: not opened yet */
};

/* The guest is as link @number of @dir has it, from this moment on. */
int chain_begin(struct chain *chain, struct vm *vm, const char *dir, u32 number, struct err *err);

/* Open its link, if it is not open. -ENOENT with a sentence: there is no chain. */
int chain_open_image(struct chain *chain, struct err *err);

void chain_fini(struct chain *chain);

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
