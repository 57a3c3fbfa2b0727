// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of the loader hand to each other. The way of a kernel through them:
 *
 *   file --> (unpack.c) --pieces--> elf.c ------+
 *     |                                         +--> struct kernel_image --+
 *     +--------------------------> bzimage.c ---+                          |
 *                                                                          v
 *   command line, initrd, rsdp ------------------> struct boot_parts --> pvh.c or bootparams.c
 *   command line, initrd, for a Xen PV guest --------------------------> pv_build.c
 */
#ifndef QUIRE_VMM_BOOT_KERNEL_IMAGE_H
#define QUIRE_VMM_BOOT_KERNEL_IMAGE_H

#include <asm/bootparam.h>

#include "vmm/boot/elf_notes.h"
#include "vmm/boot/hostfile.h"
#include "vmm/boot/load.h"

/* A stretch of a kernel file, whether read as it is or unpacked. */
struct image_piece {
	u64 total; /* size of the whole file */
	u64 offset;
	const u8 *data; /* gone when the sink returns */
	u64 len;
};

/* Takes pieces. A failure ends the reading, and is what the reader returns. */
typedef int (*image_sink)(void *opaque, const struct image_piece *piece, struct err *err);

/* A kernel that lies in guest memory, and what it has to say about the rest. */
struct kernel_image {
	char name[HOSTFILE_NAME]; /* how a sentence about it begins */
	enum boot_mode mode;
	gpa_t entry;	  /* not of BOOT_XEN_PV: there it is in the notes */
	u64 end;	  /* first address in slot 0 above everything loaded, at least 1 MiB */
	u64 initrd_limit; /* not of BOOT_XEN_PV: the initrd must end at or below this address */
	u64 cmdline_max;  /* characters without the final zero, less than a page */
	bool linux;
	struct setup_header
		header; /* BOOT_LONG64: the file's own, to be passed back to the kernel */
	/* Of an ELF file. BOOT_XEN_PV: entry and hypercall page are in what was loaded. */
	struct elf_notes notes;
};

/* A command line goes into one page, with its final zero. */
#define CMDLINE_LIMIT (PAGE_SIZE - 1)

/* What lies beside the kernel. */
struct boot_parts {
	gpa_t cmdline;
	gpa_t initrd;
	u64 initrd_size; /* 0: there is none */
	gpa_t rsdp;
};

/* For sentences: whole MiB. */
static inline unsigned long long mib(u64 bytes)
{
	return align_up(bytes, MiB) / MiB;
}

/* What `--memory` takes, in MiB, to have @bytes of RAM from address 0 on. */
static inline unsigned long long memory_mib(u64 bytes)
{
	return align_up(bytes, 2 * MiB) / MiB;
}

#endif
