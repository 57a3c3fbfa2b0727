// SPDX-License-Identifier: Apache-2.0
/* The state of what all processors share: interrupt controllers, timer, clock, devices. */
#include <errno.h>
#include <string.h>

#include "vmm/state/impl.h"

#define NAME_SIZE 16

static int fail(const char *what, int ret, struct err *err)
{
	return err_set(err, ret, "%s: %s", what, strerror(-ret));
}

/* ---- KVM's ---- */

static int save_irqchips(struct vm *vm, struct state_buf *buf)
{
	int ret = 0;

	for (u32 i = 0; i < STATE_NR_IRQCHIPS && !ret; i++) {
		struct kvm_irqchip *chip = state_add(buf, STATE_IRQCHIP, i, 1, sizeof(*chip));

		if (!chip)
			return -ENOMEM;
		chip->chip_id = i;
		ret = kvm_ioctl(vm->fd, KVM_GET_IRQCHIP, chip);
	}
	return ret;
}

static int save_pit(struct vm *vm, struct state_buf *buf)
{
	struct kvm_pit_state2 *pit = state_add(buf, STATE_PIT, 0, 1, sizeof(*pit));

	return pit ? kvm_ioctl(vm->fd, KVM_GET_PIT2, pit) : -ENOMEM;
}

static int save_clock(struct vm *vm, struct state_buf *buf)
{
	struct kvm_clock_data *clock = state_add(buf, STATE_CLOCK, 0, 1, sizeof(*clock));

	return clock ? kvm_ioctl(vm->fd, KVM_GET_CLOCK, clock) : -ENOMEM;
}

static int load_irqchips(struct vm *vm, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	struct kvm_irqchip chip;
	int ret = 0;

	for (u32 i = 0; i < STATE_NR_IRQCHIPS && !ret; i++) {
		ret = state_need(data, size, STATE_IRQCHIP, i, sizeof(chip), &s, err);
		if (ret)
			return ret;
		memcpy(&chip, s.data, sizeof(chip));
		chip.chip_id = i;
		ret = kvm_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip);
	}
	return ret ? fail("interrupt controllers", ret, err) : 0;
}

static int load_pit(struct vm *vm, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = state_need(data, size, STATE_PIT, 0, sizeof(struct kvm_pit_state2), &s, err);

	if (ret)
		return ret;
	ret = kvm_ioctl(vm->fd, KVM_SET_PIT2, (const struct kvm_pit_state2 *)s.data);
	return ret ? fail("timer", ret, err) : 0;
}

/* kvm-clock goes on from where it was, or from where it would be. */
static int load_clock(struct vm *vm, const void *data, u32 size, const struct state_jump *jump,
		      struct err *err)
{
	struct state_section s;
	struct kvm_clock_data clock = {0};
	int ret = state_need(data, size, STATE_CLOCK, 0, sizeof(clock), &s, err);

	if (ret)
		return ret;
	clock.clock = ((const struct kvm_clock_data *)s.data)->clock + jump->ns;
	ret = kvm_ioctl(vm->fd, KVM_SET_CLOCK, &clock);
	if (ret)
		return fail("clock", ret, err);
	state_align_tscs(vm, data, size, s.data, jump->tsc_khz);
	return 0;
}

/* ---- Devices ---- */

static int save_devices_locked(struct vm *vm, struct state_buf *buf)
{
	for (unsigned int i = 0; i < devices_count(vm->devices); i++) {
		const struct device *dev = devices_get(vm->devices, i);
		u8 *room;

		if (!dev->ops->state_size)
			continue;
		room = state_add(buf, STATE_DEVICE, i, dev->ops->version,
				 NAME_SIZE + dev->ops->state_size);
		if (!room)
			return -ENOMEM;
		strncpy((char *)room, dev->ops->name, NAME_SIZE - 1);
		dev->ops->save(dev, room + NAME_SIZE);
	}
	return 0;
}

/* The vCPUs are stopped, but input for the serial port may arrive at any time. */
int state_save_devices(struct vm *vm, struct state_buf *buf, struct err *err)
{
	int ret;

	devices_lock(vm->devices);
	ret = save_devices_locked(vm, buf);
	devices_unlock(vm->devices);
	return ret ? fail("devices", ret, err) : 0;
}

/* By its name: the table of devices may be another in a later version. */
static struct device *find_device(struct vm *vm, const char name[NAME_SIZE])
{
	for (unsigned int i = 0; i < devices_count(vm->devices); i++) {
		struct device *dev = devices_get(vm->devices, i);

		if (dev->ops->state_size && !strncmp(dev->ops->name, name, NAME_SIZE))
			return dev;
	}
	return NULL;
}

static int load_device(struct vm *vm, const struct state_section *s, struct err *err)
{
	char name[NAME_SIZE];
	struct device *dev;
	int ret;

	memcpy(name, s->data, NAME_SIZE);
	dev = find_device(vm, name);
	if (!dev)
		return err_set(err, -EOPNOTSUPP, "state: a device %.15s is not known here", name);
	ret = device_load(dev, s->version, (const u8 *)s->data + NAME_SIZE, s->size - NAME_SIZE);
	if (ret == -EOPNOTSUPP)
		return err_set(err, ret,
			       "state: version %u of device %.15s is not known here (update quire)",
			       s->version, name);
	if (ret)
		return err_set(err, -EBADMSG, "state: what it says of device %.15s cannot be",
			       name);
	return 0;
}

static int load_devices_locked(struct vm *vm, const void *data, u32 size, struct err *err)
{
	struct state_section s;
	u32 at = 0;
	int ret = 0;

	while (!ret && state_next(data, size, &at, &s))
		if (s.tag == STATE_DEVICE)
			ret = load_device(vm, &s, err);
	return ret;
}

int state_load_devices(struct vm *vm, const void *data, u32 size, struct err *err)
{
	int ret;

	devices_lock(vm->devices);
	ret = load_devices_locked(vm, data, size, err);
	devices_unlock(vm->devices);
	return ret;
}

/* ---- All of it ---- */

int state_save_vm(struct vm *vm, struct state_buf *buf, struct err *err)
{
	int ret = save_irqchips(vm, buf);

	if (!ret)
		ret = save_pit(vm, buf);
	if (!ret)
		ret = save_clock(vm, buf);
	return ret ? fail("the machine's state cannot be read", ret, err) : 0;
}

int state_load_vm(struct vm *vm, const void *data, u32 size, const struct state_jump *jump,
		  struct err *err)
{
	int ret = load_irqchips(vm, data, size, err);

	if (!ret)
		ret = load_pit(vm, data, size, err);
	return ret ? ret : load_clock(vm, data, size, jump, err);
}

/* Printable, with zeros up to the end: it ends up in sentences. */
static bool name_sane(const char name[NAME_SIZE])
{
	size_t len = strnlen(name, NAME_SIZE);

	for (size_t i = 0; i < NAME_SIZE; i++)
		if (i < len ? name[i] <= ' ' || name[i] > '~' : name[i])
			return false;
	return len && len < NAME_SIZE;
}

/* A device has a name, and no other device has the same. */
static int check_device(const void *data, u32 size, const struct state_section *dev,
			struct err *err)
{
	struct state_section s;
	u32 at = 0;

	if (dev->size < NAME_SIZE || !name_sane(dev->data))
		return err_set(err, -EBADMSG,
			       "state: a device without a name (the image is damaged)");
	while (state_next(data, size, &at, &s) && s.data != dev->data)
		if (s.tag == STATE_DEVICE && !memcmp(s.data, dev->data, NAME_SIZE))
			return err_set(err, -EBADMSG,
				       "state: device %.15s comes twice (the image is damaged)",
				       (const char *)dev->data);
	return 0;
}

int state_check_devices(const void *data, u32 size, struct err *err)
{
	struct state_section s;
	u32 at = 0;
	int ret = 0;

	while (!ret && state_next(data, size, &at, &s))
		if (s.tag == STATE_DEVICE)
			ret = check_device(data, size, &s, err);
	return ret;
}

int state_check_vm(const void *data, u32 size, struct err *err)
{
	struct state_section s;
	int ret = 0;

	for (u32 i = 0; i < STATE_NR_IRQCHIPS && !ret; i++)
		ret = state_need(data, size, STATE_IRQCHIP, i, sizeof(struct kvm_irqchip), &s, err);
	if (!ret)
		ret = state_need(data, size, STATE_PIT, 0, sizeof(struct kvm_pit_state2), &s, err);
	if (!ret)
		ret = state_need(data, size, STATE_CLOCK, 0, sizeof(struct kvm_clock_data), &s,
				 err);
	return ret;
}
