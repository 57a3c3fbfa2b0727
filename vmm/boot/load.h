// SPDX-License-Identifier: Apache-2.0
/*
 * From files on the host to a guest that can take its first step: kernel, initrd and command line
 * go into guest memory, and boot_entry says with which registers the first vCPU starts.
 *
 * Every file is untrusted: each offset, size and address in it is checked for overflow against the
 * file and against guest memory before it is used, and what does not fit is refused in one
 * sentence.
 *
 * What is understood, in the order it is tried:
 *   ELF64 with a Xen PVH note (type 18)  any; entered by PVH
 *   bzImage that unpacks on the host     to such an ELF file (LZ4 legacy, gzip, zstd): likewise
 *   any other bzImage                    of boot protocol 2.12 or later with a 64-bit entry: there
 *
 * Where the VMM pages for the guest (enum boot_paging), an ELF64 with a Xen ENTRY note (type 1),
 * unpacked or not, is entered as a guest of Xen PV, and what vmm/boot/pv_build.h describes is all
 * that is written beside it.
 */
#ifndef QUIRE_VMM_BOOT_LOAD_H
#define QUIRE_VMM_BOOT_LOAD_H

#include "mm/base/addr.h"
#include "mm/base/err.h"
#include "mm/space/space.h"
#include "vmm/boot/pv_boot.h"

enum boot_mode {
	BOOT_PVH,    /* 32-bit flat protected mode, paging off, ebx = start_info */
	BOOT_LONG64, /* long mode, CS/DS of the boot GDT, rsi = boot_params, cr3 = identity map */
	BOOT_XEN_PV, /* as a Xen PV guest: long mode at CPL 3, rsi = start_info, paging ours */
};

/* Whose page tables the processor walks, as far as it matters for how a kernel is entered. */
enum boot_paging {
	BOOT_PAGING_EPT,    /* the guest's own: BOOT_PVH or BOOT_LONG64 */
	BOOT_PAGING_SHADOW, /* the VMM's: BOOT_XEN_PV, or the kernel is refused */
	/*
	 * Either's: BOOT_XEN_PV for Linux, if it can, and for what has no other entry; else as with
	 * BOOT_PAGING_EPT. It is a kernel with much to do at CPL 0 that gains by it.
	 */
	BOOT_PAGING_AUTO_SHADOW,
};

struct boot_entry {
	enum boot_mode mode;
	gpa_t rip;  /* this and what follows to @gdt: not BOOT_XEN_PV */
	gpa_t info; /* start_info or boot_params */
	gpa_t cr3;  /* BOOT_LONG64 only: root of tables that map the first 4 GiB one to one */
	gpa_t gdt;  /* BOOT_LONG64 only: null, unused, 64-bit code (0x10), data (0x18) */
	bool linux; /* the image is a Linux kernel: a bzImage, or an ELF whose notes say so */
	struct pv_boot pv; /* BOOT_XEN_PV only */
};

struct boot_source {
	const char *kernel; /* path; never NULL */
	const char *initrd; /* path or NULL */
	const char *append; /* kernel command line, or NULL for an empty one */
	gpa_t rsdp;	    /* ACPI root pointer to pass on; 0 for none; of no use to BOOT_XEN_PV */
	enum boot_paging paging;
	unsigned int nr_cpus; /* for BOOT_XEN_PV (vmm/boot/pv_cmdline.h); 0: say nothing of them */
};

/*
 * Load @src into @space, whose memory must read as zeros. On success @entry is filled; on failure
 * guest memory is in no particular state. Returns -errno and a sentence: -ENOENT and friends from
 * the host, -ENOEXEC for an image that cannot be booted, -E2BIG for one that does not fit.
 */
int boot_load(struct space *space, const struct boot_source *src, struct boot_entry *entry,
	      struct err *err);

#endif
