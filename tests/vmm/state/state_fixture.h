// SPDX-License-Identifier: Apache-2.0
/*
 * States of a machine that was never one: whole in form, with fixed contents, and with one thing
 * wrong where a test asks for it.
 */
#ifndef QUIRE_TESTS_VMM_STATE_STATE_FIXTURE_H
#define QUIRE_TESTS_VMM_STATE_STATE_FIXTURE_H

#include "vmm/pv/state.h"
#include "vmm/state/format.h"

#define FIXTURE_MEMORY	 (64 * MiB)
#define FIXTURE_WALL_NS	 1700000000123456789u
#define FIXTURE_TSC_KHZ	 2500000
#define FIXTURE_NR_CPUID 3
#define FIXTURE_NR_MSRS	 4

/* What is other than it should be in the section with this tag and instance. */
struct fixture_change {
	u32 tag, instance;
	bool drop, twice;
	int grow;	  /* bytes */
	u16 version;	  /* instead of its own, where it is not 0 */
	u32 new_instance; /* instead of its own, likewise */
	/* a section put in before this one: with this tag, of 8 bytes; 0: none */
	u32 extra_tag;
};

/*
 * A state of a machine with so many vCPUs. @change may be NULL. The buffer is used anew; the holder
 * frees buf->data.
 */
void fixture_make(struct state_buf *buf, unsigned int nr_cpus, const struct fixture_change *change);

/*
 * The same of a guest on shadow tables, with @memory, or FIXTURE_MEMORY if that is 0. It has
 * FIXTURE_NR_TABLES tables, in two sections.
 */
#define FIXTURE_NR_TABLES 5
void fixture_make_pv(struct state_buf *buf, unsigned int nr_cpus, u64 memory,
		     const struct fixture_change *change);

/* What it says of processor @cpu, and of the machine. */
void fixture_pv_cpu(struct pv_state_cpu *s, u32 cpu);
void fixture_pv(struct pv_state *s);

/* Byte @k of what section (@tag, @instance) holds, where it is nothing that has a meaning here. */
u8 fixture_byte(u32 tag, u32 instance, u32 k);

#endif
