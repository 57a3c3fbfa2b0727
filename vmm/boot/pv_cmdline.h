// SPDX-License-Identifier: Apache-2.0
/*
 * The command line that Linux gets as a Xen PV guest. What the user wrote is meant for the machine
 * as it is with KVM's paging; three words make it fit:
 *
 *   nr_cpus=N       comes first, unless there is nr_cpus= or maxcpus= already: otherwise the kernel
 *                   asks for each of the 8192 processors that it was built for
 *   noreplace-smp   likewise: else the kernel takes the lock prefixes out of its instructions as
 *                   long as it has one processor, and puts them back for a second; four hypercalls
 *                   for each of 8000, each time: more than half of the traps of a boot
 *   console=ttyS0   with or without a speed, becomes console=hvc0: the serial port has no interrupt
 *                   that such a kernel could ask for, so that no process can use it, and the
 *                   kernel's messages go to hvc0 in any case
 *
 * Words are parted by blanks outside of double quotes; behind "--" they are not the kernel's.
 * Source: Linux, Documentation/admin-guide/kernel-parameters.rst.
 */
#ifndef QUIRE_VMM_BOOT_PV_CMDLINE_H
#define QUIRE_VMM_BOOT_PV_CMDLINE_H

#include "vmm/boot/xen.h"

/*
 * Put it into @line; @append has less than MAX_GUEST_CMDLINE characters. What does not fit any more
 * is not added. @nr_cpus: 0 adds nothing.
 */
void pv_cmdline(char line[MAX_GUEST_CMDLINE], const char *append, unsigned int nr_cpus);

#endif
