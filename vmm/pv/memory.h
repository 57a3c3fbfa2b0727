// SPDX-License-Identifier: Apache-2.0
/*
 * Guest memory as the hypercalls see it: by guest-physical address, and by linear address of the
 * guest's kernel. 0 or -errno; -EFAULT where there is nothing. On the vCPU's thread, with pv.lock
 * held: a page that is not here is waited for.
 */
#ifndef QUIRE_VMM_PV_MEMORY_H
#define QUIRE_VMM_PV_MEMORY_H

#include "vmm/pv/impl.h"

/* By guest-physical address. Shadow tables learn of what is written. */
int pv_read_phys(struct pv *pv, u64 at, void *data, u64 len);
int pv_write_phys(struct pv *pv, u64 at, const void *data, u64 len);

/* Aligned 8 bytes of a table, whose shadows are the caller's to see to: as mem_cmpxchg(). */
int pv_cmpxchg_phys(struct pv *pv, u64 at, u64 *expected, u64 value);

/* Clear and set bits of aligned 8 bytes of anything else, at once; *@old is what they were. */
int pv_change_phys(struct pv *pv, u64 at, u64 clear, u64 set, u64 *old);

/* By linear address, with the rights of the guest's kernel, whatever the processor runs now. */
int pv_read(struct pv_cpu *cpu, u64 linear, void *data, u64 len);
int pv_write(struct pv_cpu *cpu, u64 linear, const void *data, u64 len);

/* Where [linear, linear + len), all in one page, is to be written: -EFAULT if it cannot. */
int pv_find_phys(struct pv_cpu *cpu, u64 linear, u64 len, u64 *at);

/* The place of the level 1 entry for @linear: -EFAULT if there is no table of level 1. */
int pv_find_pte(struct pv_cpu *cpu, u64 linear, u64 *at);

/* Whether the guest has memory at that frame. */
bool pv_is_frame(const struct pv *pv, u64 frame);

/* The same memory as the shadow tables ask for it. */
void pv_shadow_guest(struct pv *pv, struct shadow_guest *guest);

#endif
