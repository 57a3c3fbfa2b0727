// SPDX-License-Identifier: Apache-2.0
/*
 * One device: what it is to those who call it (struct device_ops), and what it may ask of the
 * machine around it (struct device_host). It knows nothing of KVM, threads or sockets, and it is
 * called under the lock of all devices (vmm/devices/devices.h).
 */
#ifndef QUIRE_VMM_DEVICES_DEVICE_H
#define QUIRE_VMM_DEVICES_DEVICE_H

#include "mm/base/base.h"
#include "vmm/shutdown.h"

/* What devices ask of the machine around them. @opaque is device_host.opaque. */
struct device_host {
	void *opaque;
	/* Drive an interrupt line (global system interrupt number). */
	void (*irq)(void *opaque, u32 gsi, bool level);
	/* The guest asks for its own end: @status is the exit status of the process. */
	void (*end)(void *opaque, enum shutdown_cause cause, int status);
	/* The guest wrote @byte to its serial port. */
	void (*serial_out)(void *opaque, u8 byte);
	/* The guest took serial input: there is room for more, or it began to listen for it. */
	void (*serial_ready)(void *opaque);
};

struct device {
	const struct device_ops *ops;
	const struct device_host *host;
	enum { LINE_UNKNOWN, LINE_LOW, LINE_HIGH } line; /* what host->irq() was last told */
};

struct device_ports {
	u16 first;
	u16 count; /* 0: unused */
};

#define DEVICE_MAX_PORT_RANGES 3

/*
 * One kind of device. in() and out() get accesses of 1, 2 or 4 bytes that lie inside one of its
 * port ranges. State for save and load is a fixed-size structure of fixed-width little-endian
 * fields whose layout @version names; load() checks every field and returns -EINVAL for one that
 * cannot be. A device that saved other layouts before has load_old(), which takes those of lower
 * versions, checks the size too, and fills in what they lack.
 */
struct device_ops {
	const char *name;
	size_t size; /* of the structure that begins with struct device */
	struct device_ports ports[DEVICE_MAX_PORT_RANGES];
	void (*reset)(struct device *dev);
	u32 (*in)(struct device *dev, u16 port, u8 size);
	void (*out)(struct device *dev, u16 port, u8 size, u32 value);
	u16 version;
	u16 state_size; /* 0: nothing to save */
	void (*save)(const struct device *dev, void *state);
	int (*load)(struct device *dev, const void *state);
	int (*load_old)(struct device *dev, u16 version, const void *state, size_t size);
};

/*
 * Load the @size bytes at @state, saved by this or an older version of the device. -EINVAL: they
 * cannot be such a state; -EOPNOTSUPP: a newer version saved them. The device is then as it was.
 */
int device_load(struct device *dev, u16 version, const void *state, size_t size);

/*
 * For the device itself: drive its interrupt line, telling the host of changes only. (A system call
 * for each byte that a guest prints would cost more than the byte.) load() sets line to
 * LINE_UNKNOWN first.
 */
void device_irq(struct device *dev, u32 gsi, bool level);

#endif
