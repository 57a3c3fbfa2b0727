// SPDX-License-Identifier: Apache-2.0
/*
 * The PC's clock and CMOS memory at 0x70 and 0x71, as far as a kernel asks: the date and time of
 * the host in UTC, BCD, and 114 bytes of memory. It has no alarm and raises no interrupt.
 *
 * The time of day is read from the host at each access, so there is nothing to keep in step;
 * registers that set the time are ignored. "Update in progress" is never shown: a read of two
 * registers can straddle a second, which kernels check for.
 *
 * Source: Motorola MC146818 data sheet, address map and register A to D.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "vmm/devices/impl.h"
#include "vmm/devices/ports.h"

#define PORT_INDEX RTC_PORT
#define PORT_DATA  (RTC_PORT + 1)

enum {
	SECONDS = 0,
	MINUTES = 2,
	HOURS = 4,
	WEEKDAY = 6,
	DAY = 7,
	MONTH = 8,
	YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
	CENTURY = 0x32,
	NR_CELLS = 128,
};

#define REG_A_DIVIDER 0x26 /* 32768 Hz time base, 1024 Hz rate */
#define REG_B_24H     0x02
#define REG_D_VALID   0x80

struct rtc_state {
	u8 index;
	u8 cells[NR_CELLS]; /* what was written; clock registers are computed instead */
};

_Static_assert(sizeof(struct rtc_state) == 129, "saved state has a fixed layout");

struct rtc {
	struct device dev;
	struct rtc_state s;
};

static u8 bcd(int n)
{
	return (u8)(n / 10 % 10 << 4 | n % 10);
}

static u8 read_cell(const struct rtc_state *s)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	switch (s->index) {
	case SECONDS:
		return bcd(tm.tm_sec);
	case MINUTES:
		return bcd(tm.tm_min);
	case HOURS:
		return bcd(tm.tm_hour);
	case WEEKDAY:
		return bcd(tm.tm_wday + 1);
	case DAY:
		return bcd(tm.tm_mday);
	case MONTH:
		return bcd(tm.tm_mon + 1);
	case YEAR:
		return bcd(tm.tm_year % 100);
	case CENTURY:
		return bcd((tm.tm_year + 1900) / 100);
	case REG_A:
		return REG_A_DIVIDER;
	case REG_B:
		return REG_B_24H;
	case REG_C:
		return 0;
	case REG_D:
		return REG_D_VALID;
	default:
		return s->cells[s->index];
	}
}

static u32 rtc_in(struct device *dev, u16 port, u8 size)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);

	(void)size;
	return port == PORT_DATA ? read_cell(&rtc->s) : 0xff;
}

static void rtc_out(struct device *dev, u16 port, u8 size, u32 value)
{
	struct rtc *rtc = container_of(dev, struct rtc, dev);

	(void)size;
	if (port == PORT_INDEX)
		rtc->s.index = value & (NR_CELLS - 1); /* bit 7 masks NMIs: there are none */
	else
		rtc->s.cells[rtc->s.index] = (u8)value;
}

static void rtc_save(const struct device *dev, void *state)
{
	memcpy(state, &container_of(dev, const struct rtc, dev)->s, sizeof(struct rtc_state));
}

static int rtc_load(struct device *dev, const void *state)
{
	const struct rtc_state *s = state;

	if (s->index >= NR_CELLS)
		return -EINVAL;
	memcpy(&container_of(dev, struct rtc, dev)->s, s, sizeof(*s));
	return 0;
}

const struct device_ops dev_rtc = {
	.name = "rtc",
	.size = sizeof(struct rtc),
	.ports = {{PORT_INDEX, RTC_NR_PORTS}},
	.in = rtc_in,
	.out = rtc_out,
	.version = 1,
	.state_size = sizeof(struct rtc_state),
	.save = rtc_save,
	.load = rtc_load,
};
