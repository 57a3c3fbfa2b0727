// SPDX-License-Identifier: Apache-2.0
/*
 * What a Linux kernel entered in long mode finds: boot_params (the "zero page"), a GDT, and page
 * tables that map the first 4 GiB one to one with 2 MiB pages.
 *
 *   MEMMAP_BOOT_INFO     boot_params
 *   MEMMAP_BOOT_GDT      null, unused, code (0x10), data (0x18)
 *   MEMMAP_BOOT_TABLES   PML4, PDPT, four page directories: six pages
 *
 * Source: Linux, Documentation/arch/x86/boot.rst, "64-bit BOOT PROTOCOL", and zero-page.rst; Intel
 * SDM volume 3, 3.4.5 (segment descriptors) and 4.5 (4-level paging).
 */
#ifndef QUIRE_VMM_BOOT_BOOTPARAMS_H
#define QUIRE_VMM_BOOT_BOOTPARAMS_H

#include "vmm/boot/kernel_image.h"

/* Write it all for @image, loaded with BOOT_LONG64, and fill @entry's info, cr3 and gdt. */
void bootparams_write(struct space *space, const struct kernel_image *image,
		      const struct boot_parts *parts, struct boot_entry *entry);

#endif
