// SPDX-License-Identifier: Apache-2.0
/*
 * The generation id: 128 random bits in guest memory, by which a guest knows that it is not alone:
 * a clone, or a guest that was taken back to a checkpoint, finds another id than the one it
 * remembers. It draws new random numbers then, and what else must not be the same twice.
 *
 * The ACPI tables say where the id is (MEMMAP_VMGENID, vmm/boot/acpi.c). vm_new_generation() of
 * vmm/vm/vm.h writes a new one there, then says so with devices_generation_changed().
 *
 * Source: "Virtual Machine Generation ID", Microsoft, 2012.
 */
#ifndef QUIRE_VMM_DEVICES_VMGENID_H
#define QUIRE_VMM_DEVICES_VMGENID_H

#include "mm/base/base.h"

#define VMGENID_SIZE 16

/* A new id, unlike any other. -errno when the host has no random numbers. */
int vmgenid_new(u8 id[VMGENID_SIZE]);

#endif
