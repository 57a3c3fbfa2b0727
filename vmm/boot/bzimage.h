// SPDX-License-Identifier: Apache-2.0
/*
 * Loading a Linux bzImage. Its kernel proper is a packed ELF file: where that can be unpacked here
 * and has an entry that the guest's paging allows, the guest starts right there. Otherwise the
 * image's own protected-mode code goes into memory as it is, is entered in long mode, and does the
 * unpacking in the guest.
 *
 *   file offset 0             0x1f1              (setup_sects + 1) * 512
 *     | boot sector ...         | setup header ... | protected-mode code            |
 *                                                      | payload |  at payload_offset
 *
 * A kernel entered by PVH lies where it was linked: the address randomisation that its own
 * unpacking code does is left out, as it is for any loader that enters a vmlinux.
 *
 * Source: Linux, Documentation/arch/x86/boot.rst.
 */
#ifndef QUIRE_VMM_BOOT_BZIMAGE_H
#define QUIRE_VMM_BOOT_BZIMAGE_H

#include "vmm/boot/hostfile.h"
#include "vmm/boot/kernel_image.h"

/* As much of a file as bzimage_matches() wants to see. */
#define BZIMAGE_HEAD 0x206u

bool bzimage_matches(const u8 head[BZIMAGE_HEAD]);

/*
 * Load @file into @space, whose memory reads as zeros, and fill @image. -ENOEXEC, -E2BIG and
 * others.
 */
int bzimage_load(struct space *space, const struct hostfile *file, enum boot_paging paging,
		 struct kernel_image *image, struct err *err);

#endif
