// SPDX-License-Identifier: Apache-2.0
/* A state as bytes: header and sections, written and read. What sections hold is not known here. */
#ifndef QUIRE_VMM_STATE_FORMAT_H
#define QUIRE_VMM_STATE_FORMAT_H

#include "vmm/state/state.h"

#define STATE_TAG(a, b, c, d) ((u32)(a) | (u32)(b) << 8 | (u32)(c) << 16 | (u32)(d) << 24)

enum state_tag {
	STATE_MACHINE = STATE_TAG('M', 'A', 'C', 'H'), /* struct state_machine */
	STATE_IRQCHIP = STATE_TAG('I', 'R', 'Q', 'C'), /* instances 0 to 2: struct kvm_irqchip */
	STATE_PIT = STATE_TAG('P', 'I', 'T', '2'),     /* struct kvm_pit_state2 */
	STATE_CLOCK = STATE_TAG('C', 'L', 'C', 'K'),   /* struct kvm_clock_data */
	STATE_DEVICE = STATE_TAG('D', 'E', 'V', ' '),  /* 16 bytes of name, then the device's own */

	/* instance: the vCPU */
	STATE_CPUID = STATE_TAG('C', 'P', 'I', 'D'),  /* struct kvm_cpuid2 */
	STATE_REGS = STATE_TAG('R', 'E', 'G', 'S'),   /* struct kvm_regs */
	STATE_SREGS = STATE_TAG('S', 'R', 'E', 'G'),  /* struct kvm_sregs */
	STATE_XSAVE = STATE_TAG('X', 'S', 'A', 'V'),  /* struct kvm_xsave */
	STATE_XCRS = STATE_TAG('X', 'C', 'R', 'S'),   /* struct kvm_xcrs */
	STATE_DEBUG = STATE_TAG('D', 'B', 'G', 'R'),  /* struct kvm_debugregs */
	STATE_LAPIC = STATE_TAG('L', 'A', 'P', 'I'),  /* struct kvm_lapic_state */
	STATE_MSRS = STATE_TAG('M', 'S', 'R', 'S'),   /* struct kvm_msrs */
	STATE_EVENTS = STATE_TAG('E', 'V', 'N', 'T'), /* struct kvm_vcpu_events */
	STATE_TSC = STATE_TAG('T', 'S', 'C', 'O'),    /* u64: its offset from the host's TSC */
	STATE_MP = STATE_TAG('M', 'P', 'S', 'T'),     /* struct kvm_mp_state */

	/* of a guest on shadow tables, instead of all others but MACH, CPID, XSAV and DEV */
	STATE_PV = STATE_TAG('P', 'V', 'V', 'M'),     /* struct pv_state */
	STATE_PV_CPU = STATE_TAG('P', 'V', 'C', 'P'), /* struct pv_state_cpu; instance: the vCPU */
	STATE_PV_TABLES = STATE_TAG('P', 'V', 'T', 'B'), /* u32 each: frames */
};

struct state_machine {
	u64 memory, wall_ns;
	u32 nr_cpus, tsc_khz, kvm, zero;
};

struct state_section {
	u32 tag, instance;
	u16 version, zero;
	u32 size;	  /* of data, without what pads it to 8 bytes */
	const void *data; /* aligned to 8 bytes */
};

/* A machine has fewer; more are refused, so that a forged state cannot keep its reader busy. */
#define STATE_SECTIONS_MAX 512
#define STATE_SECTION_MAX  (64 * KiB)

/*
 * A tag that begins with a small letter is optional: who does not know it does without. Any other
 * that is not known is refused.
 */
static inline bool state_tag_optional(u32 tag)
{
	return (u8)tag >= 'a' && (u8)tag <= 'z';
}

/* Writing: begin, sections, end. -ENOMEM without memory; the buffer is then not a state. */
int state_begin(struct state_buf *buf);

/* Room for a section's data, zeroed; NULL without memory. It moves with the next section. */
void *state_add(struct state_buf *buf, u32 tag, u32 instance, u16 version, u32 size);

void state_end(struct state_buf *buf);

/*
 * Reading: state_check() all of it first; then each section in turn, from *at == 0 on. False when
 * there are no more.
 */
int state_check(const void *data, u32 size, struct err *err);
bool state_next(const void *data, u32 size, u32 *at, struct state_section *section);

/* The one section with this tag and instance; false when there is none. */
bool state_find(const void *data, u32 size, u32 tag, u32 instance, struct state_section *section);

/*
 * Likewise, where it must be there, of the version that is known and of @want bytes (0: of any
 * number): else -EBADMSG or -EOPNOTSUPP.
 */
int state_need(const void *data, u32 size, u32 tag, u32 instance, u32 want,
	       struct state_section *section, struct err *err);

#endif
