// SPDX-License-Identifier: Apache-2.0
/*
 * A guest's memory, and processors that know nothing but the shadow tables: each walks them as
 * hardware does, keeps translations in a TLB until the generation changes, and looks at the arena
 * through a KVM that has a copy of every entry it once saw present, until it is touched.
 *
 * On the machine the first 512 frames are in one piece; of the others each two are swapped.
 */
#ifndef QUIRE_TESTS_MM_SHADOW_SHADOW_FIXTURE_H
#define QUIRE_TESTS_MM_SHADOW_SHADOW_FIXTURE_H

#include "mm/shadow/shadow.h"

#define NR_FRAMES  1040u
#define MAX_ARENA  160u
#define MAX_CPUS   3u
#define TLB_SIZE   32u
#define MAXPHYADDR 40
#define FIXED_AT   300u
#define NR_FIXED   2u

#define E_P	PTWALK_PRESENT
#define E_W	PTWALK_WRITABLE
#define E_U	PTWALK_USER
#define E_A	PTWALK_ACCESSED
#define E_D	PTWALK_DIRTY
#define E_L	PTWALK_LARGE
#define E_X	PTWALK_NX
#define E_TABLE (E_P | E_W | E_U)
#define E_PAGE	(E_TABLE | E_A | E_D)

/* A linear address by its indices. */
#define LINEAR(i4, i3, i2, i1)                                                                     \
	(((i4) >= 256 ? ~(u64)0 << 48 : 0) | (u64)(i4) << 39 | (u64)(i3) << 30 | (u64)(i2) << 21 | \
	 (u64)(i1) << 12)

struct translation {
	bool valid;
	u8 view;
	u64 page; /* linear, of 4 KiB */
	u64 machine;
	bool writable, executable;
};

struct cpu {
	u64 frames[SHADOW_NR_VIEWS], cr3[SHADOW_NR_VIEWS];
	u64 on[SHADOW_NR_VIEWS]; /* the roots on which it last entered */
	u64 generation;		 /* when it last flushed */
	struct translation tlb[TLB_SIZE];
};

struct world {
	struct shadow *s;
	struct shadow_config cfg;
	u64 (*ram)[SHADOW_ENTRIES];   /* by frame */
	u64 (*arena)[SHADOW_ENTRIES]; /* by page */
	bool lazy;		      /* there is such a KVM */
	u64 (*kvm)[SHADOW_ENTRIES];
	struct cpu cpus[MAX_CPUS];
	bool hole[NR_FRAMES];
	bool swapped[NR_FRAMES]; /* of frames from 512 on: back at their own place */
	u64 shift;		 /* these are so many frames further on */
	/* Somebody changes an entry when so many more have been read. */
	u32 race_in;
	u64 *raced, race_value;
	u64 touches;
};

struct world *world_new(u32 pages, u32 nr_cpus, bool lazy);
void world_free(struct world *w);

/* Where the machine has a frame; the frame that is there. */
bool world_where(const struct world *w, u64 frame, u64 *machine);
u64 world_frame(const struct world *w, u64 machine);

void world_roots(struct world *w, u32 cpu, u64 kernel, u64 user);

/* The processor is about to run: KVM is told, the TLB flushed if need be. */
void world_enter(struct world *w, u32 cpu);

/* A processor tries once. False: a page fault with @error. */
bool cpu_try(struct world *w, u32 cpu, enum shadow_view view, u64 linear, enum ptwalk_kind kind,
	     u64 *machine, u32 *error);

/*
 * Until it succeeds, or the guest gets a fault. SHADOW_FILLED: it reached @machine. @faults (may be
 * NULL) counts.
 */
enum shadow_outcome cpu_access(struct world *w, u32 cpu, enum shadow_view view, u64 linear,
			       enum ptwalk_kind kind, u64 *machine, u32 *error, u32 *faults);

/* The guest's processor flushes its TLB. */
void world_flush(struct world *w, u32 cpu);

/* The VMM writes an entry for the guest. */
void world_write(struct world *w, u64 frame, u32 index, u64 entry);

/* What the guest's tables say now, with no bits set. */
enum ptwalk_outcome world_walk(const struct world *w, enum shadow_view view, u64 root, u64 linear,
			       enum ptwalk_kind kind, struct ptwalk_result *r);

void world_check(struct world *w);

/* ---- A small guest for fixed cases ---- */

/* Its tables are in these frames, for what is below 2 MiB; other pages begin at PAGES. */
enum { ROOT = 1, L3, L2, L1, OTHER, PAGES = 600 };

#define AT(i)	     LINEAR(0, 0, 0, i)
#define POINTS(f, b) ((u64)(f) << PAGE_SHIFT | (b))

/* With ROOT as each processor's root in both views. */
struct world *world_guest(u32 nr_cpus);
void world_end(struct world *w); /* checked once more */
struct shadow_stats world_stats(const struct world *w);

/* The access succeeds after @faults of the processor's, and reaches @frame. */
void reaches(struct world *w, u32 cpu, enum shadow_view view, u64 linear, enum ptwalk_kind kind,
	     u64 frame, u32 faults);

/* The guest gets a fault with the error code @expected. */
void fails(struct world *w, u32 cpu, enum shadow_view view, u64 linear, enum ptwalk_kind kind,
	   u32 expected);

#endif
