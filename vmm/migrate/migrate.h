// SPDX-License-Identifier: Apache-2.0
/*
 * The face of vmm/migrate, which moves a running guest to another quire: what can be asked for, and
 * what is told of it. The source's orders are in outgoing.h, the destination's in incoming.h, a
 * plan's (what would a migration be like?) in plan_thread.h.
 *
 * It owns: what the two sides say to each other (format.h, talk.h), the threads that send and
 * receive, and whose the guest is meanwhile. Connections and batches of pages are those of mm/wire,
 * pages that come late those of mm/engine/remote.h, the machine's state as bytes that of
 * vmm/state. It may use these, vmm/vm and what is below them; it knows nothing of checkpoints
 * (vmm/checkpoint), of the machine that it serves, or of who gave the order.
 *
 * To read: format.h (the protocol, drawn), then the source from outgoing.c down, as the list in
 * outgoing_impl.h has it, then the destination from incoming.c down. The plan is beside these:
 *
 *	plan.[ch]          arithmetic: what each way would be like, and which is best
 *	plan_measure.[ch]  what that needs to know, measured on the running guest
 *	plan_thread.[ch]   the thread that measures for whoever only asks
 *	outgoing_auto.[ch] the same for a migration that is to find its own way
 */
#ifndef QUIRE_VMM_MIGRATE_MIGRATE_H
#define QUIRE_VMM_MIGRATE_MIGRATE_H

#include "mm/base/base.h"
#include "mm/wire/batch.h"
#include "mm/base/err.h"
#include "vmm/migrate/plan.h"

enum migrate_strategy {
	MIGRATE_PRECOPY,  /* memory first, in rounds, while the guest runs here */
	MIGRATE_POSTCOPY, /* the guest first, its memory afterwards */
	MIGRATE_HYBRID,	  /* one round, then the guest, then what has changed meanwhile */
	MIGRATE_AUTO,	  /* whichever of these is found to be best (vmm/migrate/plan.h) */
	MIGRATE_NR_STRATEGIES,
};

extern const char *const migrate_strategy_names[]; /* "pre-copy", ... */

/* What happens to a pre-copy that has not ended in time. */
enum migrate_late { MIGRATE_LATE_GO_ON, MIGRATE_LATE_CANCEL, MIGRATE_LATE_POSTCOPY };

struct migrate_params {
	enum migrate_strategy strategy;
	bool postcopy;	      /* be prepared for a change to post-copy */
	bool auto_converge;   /* slow the guest down where rounds do not end otherwise */
	bool copy;	      /* never hand the memory over as it is */
	unsigned int streams; /* connections for pages, 1 to 16 */
	u64 downtime_ns;      /* how long the guest may stand still */
	u64 bandwidth;	      /* bytes a second at most; 0: as fast as it goes */
	u64 post_bandwidth;   /* the same for what is pushed in post-copy */
	u64 time_ns;	      /* a pre-copy is late then; 0: never */
	enum migrate_late late;
	char psk_file[256]; /* or empty */
	char spill[256];    /* where post-copy keeps what is not there yet; or empty */
};

/* Pages beside the file that a hand-over may have: they take some milliseconds. */
#define MIGRATE_FEW_PAGES 512

#define MIGRATE_DEFAULTS                                                     \
	(struct migrate_params)                                              \
	{                                                                    \
		.auto_converge = true, .streams = 1, .downtime_ns = 20000000 \
	}

/* QMP's MigrationStatus, as far as it applies (migrate_status_names). */
enum migrate_status {
	MIGRATE_NONE,
	MIGRATE_SETTING_UP, /* "setup" */
	MIGRATE_ACTIVE,
	MIGRATE_DEVICE, /* the guest stands still: the last pages, the state */
	MIGRATE_POSTCOPY_ACTIVE,
	MIGRATE_POSTCOPY_PAUSED,  /* the connection is lost: recover it */
	MIGRATE_POSTCOPY_RECOVER, /* that is being tried */
	MIGRATE_CANCELLED,
	MIGRATE_FAILED,
	MIGRATE_COMPLETED,
	MIGRATE_UNSURE, /* GO was sent and nothing heard since */
};

extern const char *const migrate_status_names[];

static inline bool migrate_is_over(enum migrate_status status)
{
	return status == MIGRATE_NONE || status == MIGRATE_CANCELLED || status == MIGRATE_FAILED ||
	       status == MIGRATE_COMPLETED;
}

/* When bytes were sent: the guest runs here, stands still, runs there. */
enum migrate_phase {
	MIGRATE_PHASE_PRECOPY,
	MIGRATE_PHASE_DOWNTIME,
	MIGRATE_PHASE_POSTCOPY,
	MIGRATE_NR_PHASES,
};

/* Of either side; what the destination does not know is 0 there. Times in ns. */
struct migrate_progress {
	enum migrate_status status;
	enum migrate_strategy strategy;
	bool incoming; /* it is the destination's */
	bool handover;
	u32 round;			 /* from 1 on */
	u64 pages_all;			 /* of the guest */
	u64 pages_left;			 /* of this round, or still missing there */
	u64 pages_dirty;		 /* found after the last round */
	u64 dirty_rate;			 /* pages a second, lately */
	u64 bytes;			 /* on the wire, all connections */
	u64 bytes_in[MIGRATE_NR_PHASES]; /* of them, by phase */
	u64 bytes_further;		 /* of them, on those beside the main and the urgent one */
	u64 rate, pages_rate; /* bytes and pages a second, lately; once it is over, in all */
	u64 expected_ns;      /* of downtime, if it stopped now */
	u64 downtime_ns;      /* as it was, from the last instruction here to the first there */
	u64 setup_ns;	      /* of the total, before any memory went; so far, or in all */
	u64 total_ns;	      /* so far, or in all */
	u32 slices; /* of time, for which it stood still so that the pause could be short */
	unsigned int throttle; /* per cent that the fastest writer is kept waiting */
	u64 asked;	       /* pages that the guest had to wait for after it moved */
	bool planned;	       /* the strategy was chosen by this plan */
	struct plan plan;
	struct batch_stats batch;
	struct err why; /* of MIGRATE_FAILED and the like */
};

#endif
