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
 */
#ifndef QUIRE_VMM_DEVICES_DEVICES_H
#define QUIRE_VMM_DEVICES_DEVICES_H

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

extern const struct device_ops dev_serial, dev_rtc, dev_reset, dev_pm, dev_exit;

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

/*
 * Load the @size bytes at @state, saved by this or an older version of the device. -EINVAL: they
 * cannot be such a state; -EOPNOTSUPP: a newer version saved them. The device is then as it was.
 */
int device_load(struct device *dev, u16 version, const void *state, size_t size);

/*
 * For devices: drive the interrupt line, telling the host of changes only. (A system call for each
 * byte that a guest prints would cost more than the byte.) load() sets line to LINE_UNKNOWN first.
 */
void device_irq(struct device *dev, u32 gsi, bool level);

/* Used by devices.c on its own devices, under the lock. */
size_t dev_serial_input(struct device *dev, const u8 *data, size_t len);
bool dev_serial_listening(const struct device *dev);
void dev_pm_press(struct device *dev);
void dev_pm_generation_changed(struct device *dev);

#endif
