// SPDX-License-Identifier: Apache-2.0
/*
 * What two quires say to each other while a guest moves: the messages (mm/wire/wire.h) of a
 * migration, their order and payloads. docs/FORMATS.md has the same in words. Little endian, fixed
 * width.
 *
 *	source                           destination
 *	HELLO            -------------->
 *	                 <--------------  HELLO, or REFUSE
 *	SETUP            -------------->                     shape, state so far, memory
 *	                 <--------------  READY, or REFUSE   a VM stands by
 *	HELLO            -------------->                     on each further connection
 *	PAGES ... FLUSH  -------------->                     on every stream, in rounds
 *	                 <--------------  FLUSHED            after each round
 *	PREPARE          -------------->                     before a pause that lets pages wait
 *	                 <--------------  PREPARED
 *	STALE            -------------->                     what came of these will be MISSING
 *	                 (the guest stops)
 *	PAGES ... FLUSH  -------------->                     on every stream
 *	                 <--------------  FLUSHED
 *	STATE            -------------->                     on the first
 *	                 <--------------  LOADED             it could run there
 *	GO               -------------->                     the point of no return
 *	                 <--------------  RUNNING
 *
 * and, when pages are still missing there (post-copy; MISSING came before STATE):
 *
 *	                 <--------------  ASK                on the urgent connection
 *	PAGES            -------------->                     there, and on the streams
 *	PUSHED           -------------->                     on the first: all have been sent
 *	                 <--------------  DONE               nothing is missing
 *
 * Until the source has sent GO the guest is the source's, whatever happens; from then on it is the
 * destination's. A destination that has said LOADED and hears nothing waits for the source to come
 * back, and does not run the guest of its own accord.
 */
#ifndef QUIRE_VMM_MIGRATE_FORMAT_H
#define QUIRE_VMM_MIGRATE_FORMAT_H

#include "mm/base/base.h"

enum migrate_message {
	MIGRATE_HELLO = 1,
	MIGRATE_REFUSE, /* a sentence; from either side, instead of whatever is expected */
	MIGRATE_SETUP,
	MIGRATE_READY,
	MIGRATE_PAGES, /* mm/wire/batch.h */
	MIGRATE_FLUSH,
	MIGRATE_MISSING, /* struct migrate_bitmap, in pieces */
	MIGRATE_STATE,	 /* vmm/state/state.h */
	MIGRATE_LOADED,
	MIGRATE_GO,
	MIGRATE_RUNNING,
	MIGRATE_ASK, /* struct migrate_ask */
	MIGRATE_PUSHED,
	MIGRATE_DONE,
	MIGRATE_FLUSHED, /* the destination has all that came before FLUSH, on every stream */
	MIGRATE_PREPARE, /* the engine is to take charge: not in the pause */
	MIGRATE_PREPARED,
	MIGRATE_STALE, /* as MISSING, once prepared: what came of these pages counts no more */
};

#define MIGRATE_MAGIC	"quiremig"
#define MIGRATE_VERSION 1

/* What a side can do beyond the version; what both can do is used. */
#define MIGRATE_F_POSTCOPY (1u << 0)
#define MIGRATE_F_HANDOVER (1u << 1)
#define MIGRATE_F_STALE	   (1u << 2)
#define MIGRATE_FEATURES   (MIGRATE_F_POSTCOPY | MIGRATE_F_HANDOVER | MIGRATE_F_STALE)

enum migrate_role {
	MIGRATE_MAIN,	 /* the first connection, which is a stream too */
	MIGRATE_STREAM,	 /* one more stream */
	MIGRATE_URGENT,	 /* pages that somebody waits for */
	MIGRATE_RECOVER, /* a main connection again, after the first was lost in post-copy */
	MIGRATE_CONFIRM, /* the same, by a source that has sent GO and heard nothing */
	MIGRATE_PROBE,	 /* no guest comes: how fast is the line? (vmm/migrate/line_probe.h) */
};

struct migrate_hello {
	u8 magic[8];
	u32 version;
	u32 features;
	u8 session[16]; /* what belongs together; the destination gives back what it was given */
	u32 role;	/* enum migrate_role */
	u32 index;	/* of a stream, from 1 on */
	u64 wall_ns;	/* CLOCK_REALTIME when it was sent */
};

_Static_assert(sizeof(struct migrate_hello) == 48, "as written");

#define MIGRATE_NAME_SIZE   64
#define MIGRATE_MAX_STREAMS 16

/* Then the state so far, which is not the last. With memory, the memfd comes along. */
struct migrate_setup {
	u64 memory; /* bytes */
	u32 nr_cpus;
	u32 streams;  /* connections for pages, the first included */
	u32 postcopy; /* 1: pages may be missing when it runs; there is an urgent connection */
	u32 handover; /* 1: this is the memory itself */
	u32 runs;     /* 1: it is to run at the end; 0: it was paused */
	u32 state_size;
	char name[MIGRATE_NAME_SIZE]; /* the guest's, NUL-terminated */
};

_Static_assert(sizeof(struct migrate_setup) == 96, "as written");

/* Pages [first, first + 32768) as bits, LZ4-packed; only those with a bit set are sent. */
#define MIGRATE_BITMAP_PAGES 32768

struct migrate_bitmap {
	u32 first;
	u32 last; /* 1: no more pieces */
};

struct migrate_ask {
	u32 first;
	u32 n;
};

#endif
