// SPDX-License-Identifier: Apache-2.0
/* The devices there are, for the table in devices.c, which calls them under its lock. */
#ifndef QUIRE_VMM_DEVICES_IMPL_H
#define QUIRE_VMM_DEVICES_IMPL_H

#include "vmm/devices/device.h"

extern const struct device_ops dev_serial, dev_rtc, dev_reset, dev_pm, dev_exit;

/* What devices.h offers of a certain one. */
size_t dev_serial_input(struct device *dev, const u8 *data, size_t len);
bool dev_serial_listening(const struct device *dev);
void dev_pm_press(struct device *dev);
void dev_pm_generation_changed(struct device *dev);

#endif
