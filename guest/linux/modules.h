// SPDX-License-Identifier: Apache-2.0
/*
 * Kernel modules on demand: what udev and modprobe do on a big system, from two small tables that
 * guest/linux/stage-modules has made.
 */
#ifndef QUIRE_GUEST_LINUX_MODULES_H
#define QUIRE_GUEST_LINUX_MODULES_H

/*
 * Load the driver of every device that is there and has one in /lib/modules, and so on for the
 * devices that appear because of it. /sys must be mounted. A module that does not load is reported
 * on standard output and left out: a guest without it is still a guest.
 */
void modules_load(void);

#endif
