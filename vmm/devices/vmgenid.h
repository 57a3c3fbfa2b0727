// SPDX-License-Identifier: Apache-2.0
/*
 * The generation id: 128 random bits in guest memory, by which a guest knows that it is not alone:
 * a clone, or a guest that was taken back to a checkpoint, finds another id than the one it
 * remembers. It draws new random numbers then, and what else must not be the same twice.
 *
 * The ACPI tables say where the id is (MEMMAP_VMGENID, vmm/boot/acpi.c). Whoever makes such a guest
 * writes a new id before a vCPU runs, then says so with devices_generation_changed().
 *
 * Source: "Virtual Machine Generation ID", Microsoft, 2012.
 */
#ifndef QUIRE_VMM_DEVICES_VMGENID_H
#define QUIRE_VMM_DEVICES_VMGENID_H

#include "mm/engine/mem.h"
#include "mm/space/space.h"

#define VMGENID_SIZE 16

/* A new id, unlike any other. -errno when the host has no random numbers. */
int vmgenid_new(u8 id[VMGENID_SIZE]);

/*
 * Write the id to guest memory: through @mem, or @space where @mem is NULL (there is no memory
 * engine, or not yet). The errors of mem_write() and space_write().
 */
int vmgenid_set(struct space *space, struct mem *mem, const u8 id[VMGENID_SIZE]);

#endif
