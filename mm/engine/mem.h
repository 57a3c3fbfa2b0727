// SPDX-License-Identifier: Apache-2.0
/*
 * The memory engine of one guest: its resident memory is a number that the host sets. It owns the
 * life of every page: states, faults, fills, age, eviction, limits, copies; of mm/ it uses codec,
 * policy, space, store and swap.
 *
 * Begin with page.h (the states, and who moves a page), then fault.c (pages come in), evict.c
 * (pages go out), age.c (which are idle), manager.c (how many must go, and when). impl.h draws
 * which file stands on which. The machine (vmm/) sees:
 *
 *	mem.h      birth, limits, orders, death
 *	access.h   its own accesses to guest memory; pages put there
 *	copy.h     live copies; pages for other hosts; nothing moves
 *	stats.h    what there is to show
 *	remote.h   a guest whose memory comes later
 *
 * Until it is needed the engine only watches: guest memory is not registered with userfaultfd,
 * first touches cost what they cost without quire, and only the memory in use is looked at now and
 * then. It takes charge when the guest comes near its limit, or when something is asked of it that
 * needs page states. That is never undone.
 *
 * Threads. mem_create() starts nothing; mem_start() starts the engine's threads. All other
 * functions may be called from any thread. Callbacks come from the engine's threads and must be
 * quick.
 *
 * Errors of the world while it runs (a swap file that cannot be read, contents that do not match
 * their checksum) cannot be returned to anyone: the guest must not go on, so the engine makes guest
 * memory inaccessible and says why through failed().
 */
#ifndef QUIRE_MM_ENGINE_MEM_H
#define QUIRE_MM_ENGINE_MEM_H

#include "mm/base/addr.h"
#include "mm/base/err.h"

struct mem;
struct space;
struct pager;

/* By how much resident pages plus the store may exceed the limit, in bytes. */
#define MEM_SLACK (2 * MiB)

/* No limit can be smaller: what a fault handler needs to have in flight. */
#define MEM_MIN_LIMIT (4 * MiB)

/* What pushes pages out before the limit does. */
enum mem_proactive {
	MEM_PROACTIVE_OFF,
	MEM_PROACTIVE_PROMOTIONS, /* promotions at most 0.2% of the working set a minute */
	MEM_PROACTIVE_STALL,	  /* at most 1% of vCPU time lost in faults */
};

/* How it is known that a page that came back was not written since (evicting it is then free). */
enum mem_clean {
	MEM_CLEAN_COMPARE, /* its contents still match the stored copy */
	MEM_CLEAN_PROTECT, /* it was write-protected when it came back, and no write fault came */
};

/* Strings belong to the caller and must outlive the engine. Zero means the default, or "not". */
struct mem_config {
	u64 limit;     /* bytes of resident pages and store; 0: none */
	u64 limit_min; /* fault-frequency mode: the limit moves between this and limit; 0: fixed */
	u64 store_limit;    /* bytes of store, beyond which the coldest go to the swap file */
	const char *policy; /* as policy_parse() takes it; NULL: "clock+idle" */
	const char *swap;   /* as swapfile_create() takes it; NULL: an unnamed temporary file */
	bool no_swap;	    /* no tier below the store at all */
	enum mem_proactive proactive;
	enum mem_clean clean;
	const char *trace;    /* record references to this file */
	u32 trace_window;     /* pages mapped at a time while recording; 0: 64 */
	struct pager *origin; /* absent pages are as it has them; NULL: zeros */
	const page_no *warm;  /* pages to bring in first, in order; used while threads run */
	u32 nr_warm;	      /* 0: record them instead (mem_host.recorded) */
	bool check;	      /* check invariants on each move and contents on each eviction */
	unsigned int nr_cpus;
};

enum mem_event_kind {
	MEM_EV_LIMIT,	    /* the limit cannot be kept by evicting: a fault waits for room */
	MEM_EV_ROOM,	    /* there is room again */
	MEM_EV_THRASH,	    /* the guest spends its time faulting */
	MEM_EV_THRASH_OVER, /* it no longer does */
	MEM_EV_SWAP_FULL,   /* the tier below takes no more */
	MEM_EV_SWAP_ERROR,  /* the tier below failed to take something; it was kept in memory */
	MEM_EV_TRACE_ERROR, /* the reference trace could not be written: it ends here */
	MEM_NR_EVENT_KINDS,
};

struct mem_event {
	enum mem_event_kind kind;
	u64 limit, resident, store; /* bytes, when it happened */
	double stall;		    /* share of vCPU time lost in faults, lately */
	double faults;		    /* on stored pages, per second, lately */
};

/* What the engine asks of its owner. */
struct mem_host {
	void *opaque;
	void (*failed)(void *opaque, const struct err *why); /* the guest cannot go on */
	void (*event)(void *opaque, const struct mem_event *event);
	/* May be NULL. The pages that a restored guest asked for first, in order. */
	void (*recorded)(void *opaque, const page_no *nos, u32 n);
};

/*
 * @space must be made of a memfd (-EOPNOTSUPP otherwise, with a sentence) and outlive the engine.
 */
int mem_create(struct mem **out, struct space *space, const struct mem_config *cfg,
	       const struct mem_host *host, struct err *err);

/* Start watching; before the guest first runs or while it runs. */
int mem_start(struct mem *mem, struct err *err);

/*
 * Take charge of guest memory now, from whatever stage, without being ready to evict more than
 * before. Does nothing the second time. Any thread.
 */
int mem_take_charge(struct mem *mem, struct err *err);

/*
 * Make guest memory inaccessible, so that whoever waits in a fault gets an error instead of
 * waiting on. Call it before joining vCPU threads at the end of a guest. May be called twice.
 */
void mem_cut(struct mem *mem);

/* Stop the threads and free everything. vCPUs must have stopped. NULL is allowed. */
void mem_destroy(struct mem *mem);

/*
 * Change the limit of a running guest; takes effect at once, reclaim follows. @limit_min 0: fixed.
 * -EINVAL with a sentence when it cannot be one.
 */
int mem_set_limit(struct mem *mem, u64 limit, u64 limit_min, struct err *err);

/* Change the policy of a running guest; what the old one knew is forgotten. */
int mem_set_policy(struct mem *mem, const char *policy, struct err *err);

int mem_set_proactive(struct mem *mem, enum mem_proactive mode, struct err *err);

/* Push @bytes of resident pages out now. Returns the bytes that went, or -errno with a sentence. */
s64 mem_reclaim(struct mem *mem, u64 bytes, struct err *err);

/*
 * Somebody waits for vCPUs to leave the guest (between BEGIN and END): faults that wait for room
 * are served now, from the slack. May be nested.
 */
enum mem_hurry { MEM_HURRY_BEGIN, MEM_HURRY_END };
void mem_hurry(struct mem *mem, enum mem_hurry hurry);

/*
 * Whether somebody does. A sink of mem_snap_save() (copy.h) must not dawdle then: faults may wait
 * for it.
 */
bool mem_in_hurry(struct mem *mem);

#endif
