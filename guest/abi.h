// SPDX-License-Identifier: Apache-2.0
/*
 * The contract between quire's own guests and whoever runs them: where output goes, how a guest
 * ends, what a page of its memory holds, where its heartbeat can be read, and the words of its
 * command line.
 *
 * Two programs keep it: the microguest (guest/micro/, freestanding, by PVH or Xen PV) and the Linux
 * workload program (guest/linux/). Both share guest/work/. Host-side tools include this file and
 * nothing else of the guest's. All fields are little-endian, as x86 stores them.
 *
 * COMMAND LINE. Words key=value, separated by blanks or commas. A size takes K, M or G, a time is
 * in seconds with up to three decimals. A key with a dot in it belongs to somebody else and is
 * skipped; any other word that is not listed here is an error (GUEST_EXIT_OPTIONS).
 *
 *   what to do
 *     job=fill|verify|access|edge|churn|attack|none   default fill
 *           fill     write every page once and end
 *           verify   fill, then check every page passes= times
 *           access   fill, run pattern= for time= or ops=, then check every page once
 *           edge     fill, then add one to the last word of page after page, round after round,
 *                    passes= times or for time=; then check that every page has all rounds, but for
 *                    one step where the last round ended, and is otherwise as it was filled. Any
 *                    page that goes back to an older version is found at its next turn
 *           churn    microguest only: map, touch, remap and unmap 4 KiB pages at new addresses for
 *                    time= or ops= pages, and check that data and faults are the right ones
 *           attack   microguest as a Xen PV guest only: reach for what is not the guest's, in every
 *                    way there is, and check that each is refused and that the guest can go on
 *           none     end at once, without touching memory
 *     passes=N       verify, edge: number of passes, 0 = for ever; default 1, with stop=1 0
 *     time=SECONDS   access, churn: end after this time; verify, edge: end early. 0 = no limit;
 *                    default 10 for access and churn unless ops= or stop=1 is given
 *     ops=N          access, churn: end after this many accesses in all; 0 = no limit, the default
 *     stop=0|1       verify, access, edge: end as by time=, with all checks, once a byte comes on
 *                    the console: who runs the guest says how long it works. Default 0: the console
 *                    is not listened to
 *
 *   on what
 *     size=SIZE      memory to use, rounded down to whole pages; default nearly all there is
 *     skip=SIZE      microguest only: leave out that much of the memory before it; default 0
 *     map=2m|4k      page size of the guest's own mapping of it; default 2m
 *                    (a Xen PV guest has no 2m, and takes 4k)
 *     cpus=N         1 to 16 CPUs share the work, each on its own equal slice; default 1.
 *                    The microguest numbers them in the order in which they come up
 *
 *   how job=churn changes page tables as a Xen PV guest
 *     how=call|write by hypercalls, or by writes into its tables; default call
 *     batch=N        changes from one flush to the next, 1 to 512; by hypercalls, those are one
 *                    call; default 1. A round maps 16 pages, or N if that is more
 *
 *   what the pages hold (see "a page" below)
 *     random=PERCENT of a page is random, the rest repeats one 8-byte word; default 25
 *     zero=PERCENT   of the pages hold zeros only; default 0
 *     same=PERCENT   of the pages repeat one 8-byte word; default 0
 *     dup=PERCENT    of the pages are copies of one of GUEST_DUP_CLASSES pages; default 0
 *     seed=N         32 bits; another seed gives other contents and other accesses; default 1
 *
 *   how job=access goes about it
 *     pattern=sweep|random|zipf|shift|idle   default random
 *           sweep    page after page, round and round
 *           random   every page alike
 *           zipf     page of rank k with weight 1 / k^theta, ranks scattered over the slice
 *           shift    random in a window of hot= bytes, which moves on by its size each shift= s
 *           idle     touch nothing, only beat
 *     hot=SIZE       use only this much (all CPUs together): the first part, or shift's window;
 *                    default all, for shift one eighth
 *     theta=X        zipf: 0 to 4, three decimals; default 0.99
 *     shift=SECONDS  shift: default 1
 *     write=PERCENT  of the accesses write a page with generation + 1, others check; default 50
 *     rate=N         writes per millisecond, all CPUs together; 0 = as fast as it goes, the default
 *
 *   what is told
 *     beat=0|1       heartbeat each millisecond (struct guest_beat_block), not in churn; default 0
 *     gap=0|1        the longest time between two of a CPU's looks at the clock, which it takes at
 *                    each page: in each status line the longest since the line before, at the end
 *                    the longest since the fill; not in churn; default 0
 *     status=MS      a status line each MS milliseconds, not in churn; 0 = none, the default
 *
 *   for tests, and for hosts with odd clocks
 *     corrupt=N      damage page N after the fill, so that the checks must fail
 *     damage=flip|stale|foreign|lost   how: one bit flipped (default), the contents of the
 *                    generation before, those of the next page, zeros. A page of zeros can only be
 *                    flipped
 *     tsc_khz=N      microguest: frequency of the time-stamp counter, else it is found out
 *
 * OUTPUT. Plain lines, each starting with the program's name ("micro: ", "linux: "); the last is
 * "NAME: pass" or "NAME: FAIL reason". The microguest writes each line to GUEST_SERIAL_PORT with
 * one string instruction and does not ask the port whether it is ready; as a Xen PV guest, to Xen's
 * console with one hypercall.
 *
 * THE END. One byte, enum guest_exit, is written to GUEST_EXIT_PORT. quire ends with that status,
 * QEMU's isa-debug-exit (iobase=0xf4) with 2 * value + 1. Where nobody listens there, the CPUs
 * halt.
 */
#ifndef QUIRE_GUEST_ABI_H
#define QUIRE_GUEST_ABI_H

#include <stdint.h>

#define GUEST_SERIAL_PORT 0x3f8
#define GUEST_EXIT_PORT	  0xf4

#define GUEST_MAX_CPUS	  16
#define GUEST_PAGE_SIZE	  4096
#define GUEST_DUP_CLASSES 64

/* 1 and 2 are left out: as exit statuses of quire they say that quire itself failed. */
enum guest_exit {
	GUEST_EXIT_PASS = 0,
	GUEST_EXIT_WRONG = 3,	  /* pages that do not hold what they must */
	GUEST_EXIT_OPTIONS = 4,	  /* the command line is not understood */
	GUEST_EXIT_MEMORY = 5,	  /* less memory than asked for, or too little to work in */
	GUEST_EXIT_CPUS = 6,	  /* a CPU did not come up */
	GUEST_EXIT_CLOCK = 7,	  /* no usable clock (tsc_khz= helps) */
	GUEST_EXIT_BOOT = 8,	  /* what the loader passed on is not a PVH start_info */
	GUEST_EXIT_EXCEPTION = 9, /* an exception that nobody expected */
	GUEST_EXIT_CHURN = 10,	/* a mapping showed wrong data, or an unmapped page did not fault */
	GUEST_EXIT_ATTACK = 11, /* something was to be had that is not the guest's */
};

/*
 * A page. What page N (counted from 0 in the memory used) must hold follows from its number, its
 * generation and the command line alone. The fill writes generation 1, each later write one more.
 *
 * By a roll of dice over seed and number a page is one of four kinds, for good:
 *   zero		4096 zeros, in every generation
 *   same-filled	one word of seed, number and generation, 512 times
 *   duplicate		a page as below, with number = GUEST_PAGE_DUP + class
 *   ordinary		this header, then random words, then one word repeated up to the end
 * guest/work/page.c has the functions; a host that wants to check guest memory can link it.
 */
struct guest_page_header {
	uint64_t magic;
	uint64_t number;
	uint32_t generation;
	uint32_t seed;
	uint64_t checksum; /* over the whole page but this field */
};

#define GUEST_PAGE_MAGIC 0x2145474150455251u /* "QREPAGE!" */
#define GUEST_PAGE_DUP	 ((uint64_t)1 << 63)

_Static_assert(sizeof(struct guest_page_header) == 32, "page header has no padding");

/*
 * What each CPU has done so far. A CPU writes only its own; the host may read them at any time
 * (each field by itself is whole, two fields need not be of the same moment).
 *
 * A beat falls due a millisecond after the last one and is counted as soon as the CPU gets to it,
 * so a gap between beats is never under 1 ms, and what it is over tells how long the guest stood
 * still.
 */
#define GUEST_BEAT_BUCKETS 9

struct guest_beat {
	uint64_t beats;
	uint64_t last_ns;		   /* time of the last beat, guest's clock */
	uint64_t max_gap_ns;		   /* longest gap between two beats */
	uint64_t gaps[GUEST_BEAT_BUCKETS]; /* [i]: of 2^i to 2^(i+1) ms; the last: and longer */
	uint64_t filled;		   /* pages written by the fill */
	uint64_t writes;		   /* pages rewritten since */
	uint64_t reads;			   /* pages checked */
	uint64_t wrong;			   /* of those, wrong ones */
};

_Static_assert(sizeof(struct guest_beat) == 128, "two cache lines a CPU");

/*
 * In the microguest this lies at GUEST_BEAT_ADDRESS, guest-physical, from its first instruction on.
 */
#define GUEST_BEAT_ADDRESS 0x100000
#define GUEST_BEAT_MAGIC   0x2154414542455251u /* "QREBEAT!" */
#define GUEST_BEAT_VERSION 1

struct guest_beat_block {
	uint64_t magic;
	uint32_t version;
	uint32_t cpus;	      /* how many of .cpu are in use; 0 until work begins */
	uint64_t pages;	      /* pages of memory in use */
	uint64_t start_ns;    /* guest's clock when work began */
	uint64_t reserved[4]; /* zero */
	struct guest_beat cpu[GUEST_MAX_CPUS];
};

_Static_assert(sizeof(struct guest_beat_block) == 64 + 128 * GUEST_MAX_CPUS, "no padding");

#endif
