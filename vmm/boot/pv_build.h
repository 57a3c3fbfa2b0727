// SPDX-License-Identifier: Apache-2.0
/*
 * The domain builder: a kernel that lies in guest memory becomes a Xen PV guest that can take its
 * first step. Initrd, start_info, page list, page tables, stack, shared_info and, if the kernel has
 * one, the hypercall page are written here, where vmm/boot/pv_layout.h says. The page of the
 * console and that of the xenstore are zeros.
 *
 * Page tables hold frames; those of the guest's pages that are tables are mapped read-only, all
 * others writable. The top table's entries 256 to 271 are empty: addresses from
 * HYPERVISOR_VIRT_START on are the hypervisor's, which sees to them itself.
 *
 * Source: Xen, public/xen.h ("Start-of-day memory layout", struct start_info, struct shared_info),
 * public/elfnote.h, and of the hypercall page what public/arch-x86/xen-x86_64.h says of calls.
 */
#ifndef QUIRE_VMM_BOOT_PV_BUILD_H
#define QUIRE_VMM_BOOT_PV_BUILD_H

#include "vmm/boot/hostfile.h"
#include "vmm/boot/kernel_image.h"
#include "vmm/boot/pv_boot.h"

/* The event channel of the console, as start_info names it. */
#define PV_CONSOLE_PORT 1

/*
 * Build the guest around @image, which was loaded into @space with BOOT_XEN_PV; all else in @space
 * above 1 MiB reads as zeros. @append may be NULL, and has at most image->cmdline_max characters;
 * @initrd may be NULL, and stays the caller's. -errno and a sentence: -ENOEXEC for a kernel that
 * wants what cannot be, -E2BIG for what does not fit, others for an initrd that cannot be read.
 */
int pv_build(struct space *space, const struct kernel_image *image, const char *append,
	     const struct hostfile *initrd, struct pv_boot *boot, struct err *err);

#endif
