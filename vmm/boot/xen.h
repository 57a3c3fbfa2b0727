// SPDX-License-Identifier: Apache-2.0
/*
 * Xen's public interface, from Debian's libxen-dev: the structures, numbers and flags of the PV
 * ABI. Who needs them includes this, and not <xen/...> itself: without a version asked for, those
 * headers describe the interface of 2005, under the same names.
 */
#ifndef QUIRE_VMM_BOOT_XEN_H
#define QUIRE_VMM_BOOT_XEN_H

#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00

#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/callback.h>
#include <xen/elfnote.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/io/console.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#endif
