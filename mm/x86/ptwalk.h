// SPDX-License-Identifier: Apache-2.0
/*
 * Walks x86 page tables as the processor would: where a linear address is in guest-physical memory,
 * with which rights, or with which error code the access faults. For guests whose page tables the
 * CPU never sees (shadow paging), and for everybody who asks where something of a guest is.
 *
 * Sources: Intel SDM volume 3, chapter "Paging"; AMD APM volume 2, chapter 5, where it differs. Not
 * here: keys of supervisor pages (CR4.PKS), shadow stacks, HLAT, and linear-address masking, whose
 * metadata bits the caller takes off. A processor has PAT, or 4 MiB pages would reserve bit 12.
 *
 * Nothing is kept between calls: there is no TLB, and a walk sees memory as it is now.
 */
#ifndef QUIRE_MM_X86_PTWALK_H
#define QUIRE_MM_X86_PTWALK_H

#include "mm/base/addr.h"
#include "mm/x86/regs.h"

/* The bits of an entry. Its own bit 7 means something else where there are no large pages. */
#define PTWALK_PRESENT	((u64)1 << 0)
#define PTWALK_WRITABLE ((u64)1 << 1)
#define PTWALK_USER	((u64)1 << 2)
#define PTWALK_ACCESSED ((u64)1 << 5)
#define PTWALK_DIRTY	((u64)1 << 6)
#define PTWALK_LARGE	((u64)1 << 7)
#define PTWALK_GLOBAL	((u64)1 << 8)
#define PTWALK_NX	((u64)1 << 63)

/* The bits of a page fault's error code. */
#define PTWALK_ERROR_PRESENT  (1u << 0) /* a right is missing, or a reserved bit is set */
#define PTWALK_ERROR_WRITE    (1u << 1)
#define PTWALK_ERROR_USER     (1u << 2)
#define PTWALK_ERROR_RESERVED (1u << 3)
#define PTWALK_ERROR_FETCH    (1u << 4)
#define PTWALK_ERROR_KEY      (1u << 5)

#define PTWALK_MAX_LEVELS 5

/* How often a walk begins again after others changed an entry under it, before it gives up. */
#define PTWALK_TRIES 64

enum ptwalk_paging {
	PTWALK_OFF,
	PTWALK_32_BIT,	/* 4 KiB, 4 MiB */
	PTWALK_PAE,	/* 4 KiB, 2 MiB */
	PTWALK_4_LEVEL, /* 4 KiB, 2 MiB, 1 GiB */
	PTWALK_5_LEVEL, /* likewise */
};

/*
 * What of a vCPU decides: its registers, of which other bits may be set, too, and what its CPUID
 * says.
 */
struct ptwalk_mode {
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 rflags;
	u32 pkru;
	u8 maxphyaddr;	/* 32 to 52 */
	bool gib_pages; /* 1 GiB pages */
	bool pse36;	/* 4 MiB pages above 4 GiB */
	bool amd; /* the vendor: AMD reserves bit 8 of PML4 and PML5 entries, Intel ignores it */
	/*
	 * PAE: the four PDPTE registers that MOV to CR3 has loaded and checked. NULL: they are in
	 * memory and checked when they are used, as AMD has it under nested paging.
	 */
	const u64 *pdptes;
};

/*
 * Guest memory. @at is a multiple of @size, which is 4 or 8. Values are little-endian, as the
 * host's; what 4 bytes hold comes with zeros above it.
 */
struct ptwalk_memory {
	void *opaque;
	/* One load, not torn. False: no memory there. */
	bool (*read)(void *opaque, gpa_t at, u32 size, u64 *entry);
	/*
	 * One locked compare-and-exchange. False: there is another value than @old by now. Where
	 * there is memory that cannot be written, it returns true and changes nothing. NULL:
	 * accessed and dirty bits stay as they are.
	 */
	bool (*cmpxchg)(void *opaque, gpa_t at, u32 size, u64 old, u64 new);
};

enum ptwalk_kind {
	PTWALK_READ,
	PTWALK_WRITE,
	PTWALK_FETCH,
};

/* Who accesses. */
enum ptwalk_by {
	PTWALK_BY_USER,	      /* at CPL 3, and not implicit */
	PTWALK_BY_SUPERVISOR, /* at CPL 0 to 2 */
	PTWALK_BY_IMPLICIT,   /* descriptor tables, TSS: supervisor at any CPL; SMAP ignores AC */
};

struct ptwalk_access {
	enum ptwalk_kind kind;
	enum ptwalk_by by;
};

enum ptwalk_outcome {
	PTWALK_DONE,
	PTWALK_FAULT,	      /* a page fault with the error code in the result */
	PTWALK_NOT_CANONICAL, /* a general-protection or stack fault before any paging */
	PTWALK_NO_MEMORY,     /* the last step's entry lies where no memory is */
	PTWALK_RACED,	      /* others kept changing entries: execute the instruction again */
};

/* One entry on the way. Levels count down to 1, the page table. */
struct ptwalk_step {
	u32 level;
	gpa_t at;  /* of a PDPTE register: where it was loaded from */
	u64 entry; /* as read, before bits were set in it */
};

struct ptwalk_result {
	/* PTWALK_DONE */
	gpa_t at;
	u32 shift; /* the page's size is 1 << shift; without paging that of the smallest */
	/* PTWALK_DONE, or a right is missing: what all entries grant together */
	bool writable;
	bool user;
	bool executable;
	u8 key; /* the protection key, whether keys count or not */
	/* PTWALK_FAULT */
	u32 error;
	/* Always: the entries read. Of a PTWALK_NO_MEMORY the last was not, and is 0. */
	u32 nr_steps;
	struct ptwalk_step steps[PTWALK_MAX_LEVELS];
};

enum ptwalk_paging ptwalk_paging(const struct ptwalk_mode *mode);

/*
 * Translate @linear for @access. Accessed bits, and the page's dirty bit for a write, are set once
 * the access is allowed and not before (a processor may set some earlier). Without EFER.LMA only
 * the lower half of @linear counts; in compatibility mode the caller cuts it.
 */
enum ptwalk_outcome ptwalk(const struct ptwalk_mode *mode, const struct ptwalk_memory *memory,
			   const struct ptwalk_access *access, u64 linear, struct ptwalk_result *r);

/*
 * How many memory references a TLB miss costs at most, with nothing in any paging-structure cache,
 * when the guest's tables have @guest_levels to the page and the host's @host_levels; 0 for either
 * where there is but one table to walk. A page of 2 MiB takes one level off.
 */
u32 ptwalk_references(u32 guest_levels, u32 host_levels);

#endif
