// SPDX-License-Identifier: Apache-2.0
/* The table of devices and the dispatch of port accesses to them; the contract is in devices.h. */
#include "vmm/devices/devices.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/impl.h"

static const struct device_ops *const table[] = {
	&dev_serial, &dev_rtc, &dev_reset, &dev_pm, &dev_exit,
};

#define NR_DEVICES ARRAY_SIZE(table)

struct devices {
	pthread_mutex_t lock;
	struct device *dev[NR_DEVICES]; /* in the order of table[] */
};

struct devices *devices_create(const struct device_host *host)
{
	struct devices *devs = calloc(1, sizeof(*devs));

	if (!devs)
		return NULL;
	pthread_mutex_init(&devs->lock, NULL);
	for (size_t i = 0; i < NR_DEVICES; i++) {
		struct device *dev = calloc(1, table[i]->size);

		if (!dev) {
			devices_destroy(devs);
			return NULL;
		}
		dev->ops = table[i];
		dev->host = host;
		if (dev->ops->reset)
			dev->ops->reset(dev);
		devs->dev[i] = dev;
	}
	return devs;
}

void devices_destroy(struct devices *devs)
{
	if (!devs)
		return;
	for (size_t i = 0; i < NR_DEVICES; i++)
		free(devs->dev[i]);
	pthread_mutex_destroy(&devs->lock);
	free(devs);
}

static bool owns(const struct device_ops *ops, u16 port, u8 size)
{
	for (size_t i = 0; i < DEVICE_MAX_PORT_RANGES; i++) {
		const struct device_ports *p = &ops->ports[i];

		if (port >= p->first && range_fits((u64)(port - p->first), size, p->count))
			return true;
	}
	return false;
}

static struct device *find(struct devices *devs, u16 port, u8 size)
{
	for (size_t i = 0; i < NR_DEVICES; i++)
		if (owns(devs->dev[i]->ops, port, size))
			return devs->dev[i];
	return NULL;
}

void devices_in(struct devices *devs, u16 port, u8 size, u32 count, void *data)
{
	struct device *dev;
	u8 *at = data;

	ASSERT(size <= sizeof(u32));
	pthread_mutex_lock(&devs->lock);
	dev = find(devs, port, size);
	for (u32 i = 0; i < count; i++, at += size) {
		u32 value = dev ? dev->ops->in(dev, port, size) : UINT32_MAX;

		memcpy(at, &value, size);
	}
	pthread_mutex_unlock(&devs->lock);
}

void devices_out(struct devices *devs, u16 port, u8 size, u32 count, const void *data)
{
	struct device *dev;
	const u8 *at = data;

	ASSERT(size <= sizeof(u32));
	pthread_mutex_lock(&devs->lock);
	dev = find(devs, port, size);
	for (u32 i = 0; dev && i < count; i++, at += size) {
		u32 value = 0;

		memcpy(&value, at, size);
		dev->ops->out(dev, port, size, value);
	}
	pthread_mutex_unlock(&devs->lock);
}

static struct device *by_ops(struct devices *devs, const struct device_ops *ops)
{
	for (size_t i = 0; i < NR_DEVICES; i++)
		if (table[i] == ops)
			return devs->dev[i];
	ASSERT(false);
	return NULL;
}

size_t devices_serial_input(struct devices *devs, const u8 *data, size_t len)
{
	size_t taken;

	pthread_mutex_lock(&devs->lock);
	taken = dev_serial_input(by_ops(devs, &dev_serial), data, len);
	pthread_mutex_unlock(&devs->lock);
	return taken;
}

bool devices_serial_listening(struct devices *devs)
{
	bool listening;

	pthread_mutex_lock(&devs->lock);
	listening = dev_serial_listening(by_ops(devs, &dev_serial));
	pthread_mutex_unlock(&devs->lock);
	return listening;
}

void devices_power_button(struct devices *devs)
{
	pthread_mutex_lock(&devs->lock);
	dev_pm_press(by_ops(devs, &dev_pm));
	pthread_mutex_unlock(&devs->lock);
}

void devices_generation_changed(struct devices *devs)
{
	pthread_mutex_lock(&devs->lock);
	dev_pm_generation_changed(by_ops(devs, &dev_pm));
	pthread_mutex_unlock(&devs->lock);
}

void devices_lock(struct devices *devs)
{
	pthread_mutex_lock(&devs->lock);
}

void devices_unlock(struct devices *devs)
{
	pthread_mutex_unlock(&devs->lock);
}

unsigned int devices_count(const struct devices *devs)
{
	(void)devs;
	return NR_DEVICES;
}

struct device *devices_get(struct devices *devs, unsigned int i)
{
	ASSERT(i < NR_DEVICES);
	return devs->dev[i];
}
