// SPDX-License-Identifier: Apache-2.0
/*
 * The machine's port devices, and the table of them: serial port, clock, reset, power management,
 * debug exit. Interrupt controllers and the PIT live in the kernel.
 *
 * A device knows nothing of KVM, threads or sockets: it is called with a port and a value, and asks
 * what it needs of the outside through struct device_host. That makes each one testable by itself.
 *
 * One lock covers all devices. devices_in(), devices_out() and the functions below take it; the
 * device_host functions are called with it held and must not call back.
 *
 * The face of vmm/devices/, which owns what the guest finds at which address. It uses mm/base,
 * mm/space and vmm/shutdown.h, and knows neither VM nor KVM. Begin here, with memmap.h (the memory)
 * and ports.h (the ports); then device.h (what one device is), and each device has a file that
 * opens with its registers: serial.c, rtc.c, reset.c, pm.c, exit.c; vmgenid.h has none, but a
 * place.
 */
#ifndef QUIRE_VMM_DEVICES_DEVICES_H
#define QUIRE_VMM_DEVICES_DEVICES_H

#include "mm/base/base.h"
#include "vmm/devices/device.h"

struct devices;

/* All devices of the table, in their reset state. @host must outlive them. NULL: no memory. */
struct devices *devices_create(const struct device_host *host);
void devices_destroy(struct devices *devs);

/*
 * One string of @count accesses of @size bytes each (1, 2 or 4) to @port, as KVM hands them over in
 * one exit. Ports that nobody owns read as ones and swallow writes, as on a PC's bus.
 */
void devices_in(struct devices *devs, u16 port, u8 size, u32 count, void *data);
void devices_out(struct devices *devs, u16 port, u8 size, u32 count, const void *data);

/*
 * Bytes for the guest's serial port. Returns how many were taken; the rest must be offered again.
 */
size_t devices_serial_input(struct devices *devs, const u8 *data, size_t len);

/* Whether the guest has asked for serial input (enabled its interrupt) since reset. */
bool devices_serial_listening(struct devices *devs);

/* Press the power button. */
void devices_power_button(struct devices *devs);

/*
 * Tell the guest that there is another generation id (vmm/devices/vmgenid.h), after it was written.
 */
void devices_generation_changed(struct devices *devs);

/* Keep all devices as they are while they are saved or loaded. */
void devices_lock(struct devices *devs);
void devices_unlock(struct devices *devs);

/* For the table's users: number of devices, and each one (for save, load and tests). */
unsigned int devices_count(const struct devices *devs);
struct device *devices_get(struct devices *devs, unsigned int i);

#endif
