// SPDX-License-Identifier: Apache-2.0
/*
 * The machine's physical address map, in one place: where RAM ends, where boot data, firmware
 * tables and devices live, and the same facts as the list that a kernel is given at boot.
 *
 *   0x00000000  RAM, never used by the VMM: no structure handed over has the address 0
 *   0x00006000  RAM, boot data from the VMM: MEMMAP_BOOT_START to MEMMAP_BOOT_END. The kernel may
 *               have it once it has read it.
 *   0x00010000  RAM
 *   0x0009fc00  reserved: where a PC keeps its extended BIOS area
 *   0x000a0000  reserved: legacy video hole (plain RAM here, told to nobody)
 *   0x000e0000  reserved: ACPI tables, MEMMAP_ACPI_START to 1 MiB; among them
 *   0x000ef000    the generation id (vmm/devices/vmgenid.h), alone in its page. Not from
 *                 0xf0000 on, where kernels look for tables of other kinds and might take a random
 *                 number for one.
 *   0x00100000  RAM up to the end of space slot 0 (mm/space/space.h)
 *   0xc0000000  PCI hole: nothing yet
 *   0xfec00000  I/O APIC          \  in the kernel's KVM
 *   0xfee00000  local APICs       /
 *   0xfffbc000  reserved: a page of identity map and three of TSS, KVM's own (Intel real mode)
 *  0x100000000  RAM, space slot 1
 *
 * The boot data, of which a guest gets what its way of booting needs:
 *
 *   0x6000  PVH start_info with its lists, or Linux's boot_params
 *   0x7000  command line, with its final zero
 *   0x8000  \
 *    ...     > GDT and page tables for a 64-bit entry (vmm/boot/bootparams.c)
 *   0xf000  /
 */
#ifndef QUIRE_VMM_DEVICES_MEMMAP_H
#define QUIRE_VMM_DEVICES_MEMMAP_H

#include "mm/base/addr.h"
#include "mm/space/space.h"

#define MEMMAP_BOOT_START   0x6000u
#define MEMMAP_BOOT_INFO    0x6000u
#define MEMMAP_BOOT_CMDLINE 0x7000u
#define MEMMAP_BOOT_GDT	    0x8000u
#define MEMMAP_BOOT_TABLES  0x9000u
#define MEMMAP_BOOT_END	    0x10000u
#define MEMMAP_LOW_END	    0x9fc00u
#define MEMMAP_LOW_RESERVED 0xa0000u
#define MEMMAP_ACPI_START   0xe0000u
#define MEMMAP_VMGENID	    0xef000u
#define MEMMAP_ACPI_END	    0x100000u
#define MEMMAP_HIGH_START   0x100000u
#define MEMMAP_IOAPIC	    0xfec00000u
#define MEMMAP_LAPIC	    0xfee00000u
#define MEMMAP_KVM_IDMAP    0xfffbc000u
#define MEMMAP_KVM_TSS	    0xfffbd000u
#define MEMMAP_KVM_END	    0xfffc0000u

/* Types as both the BIOS E820 call and the PVH memory map number them (ACPI 6.4, 15). */
enum memmap_type {
	MEMMAP_RAM = 1,
	MEMMAP_RESERVED = 2,
	MEMMAP_ACPI = 3,
};

struct memmap_entry {
	u64 start;
	u64 size;
	u32 type; /* enum memmap_type */
};

#define MEMMAP_MAX_ENTRIES 8

/*
 * Describe @space in ascending, non-overlapping entries. Returns how many, at most
 * MEMMAP_MAX_ENTRIES.
 */
unsigned int memmap_build(const struct space *space, struct memmap_entry *entries);

/*
 * Whether a kernel may be loaded at [start, start + len): RAM, all in one slot, that neither the
 * VMM nor firmware keeps for itself.
 */
bool memmap_is_loadable(const struct space *space, gpa_t start, u64 len);

#endif
