// SPDX-License-Identifier: Apache-2.0
/* How fast the time-stamp counter counts: see clock.h. */
#include <stdbool.h>

#include "guest/micro/clock.h"
#include "guest/micro/kernel.h"
#include "guest/micro/xen.h"

/* Linux, Documentation/virt/kvm/x86/cpuid.rst and msr.rst. */
#define KVM_CPUID_SIGNATURE 0x40000000
#define KVM_CPUID_FEATURES  0x40000001
#define KVM_FEATURE_CLOCK   (1u << 3)
#define KVM_MSR_SYSTEM_TIME 0x4b564d01
#define KVM_CLOCK_ENABLE    1

/*
 * The page that kvm-clock fills in: nanoseconds = (ticks shifted left by .shift) * .factor / 2^32.
 */
struct kvm_clock {
	uint32_t version; /* odd while it changes */
	uint32_t reserved;
	uint64_t ticks;
	uint64_t time;
	uint32_t factor;
	int8_t shift; /* negative: to the right */
	uint8_t flags;
	uint8_t padding[2];
};

_Static_assert(sizeof(struct kvm_clock) == 32, "as Linux's pvclock-abi.h has it");

static bool is_kvm(void)
{
	struct cpuid id = {.eax = KVM_CPUID_SIGNATURE};

	kernel_call(KERNEL_CPUID, (uint64_t)&id, 0);
	if (id.ebx != 0x4b4d564b || id.ecx != 0x564b4d56 || id.edx != 0x4d) /* "KVMKVMKVM" */
		return false;
	id.eax = KVM_CPUID_FEATURES;
	kernel_call(KERNEL_CPUID, (uint64_t)&id, 0);
	return id.eax & KVM_FEATURE_CLOCK;
}

/* Nanoseconds a tick, times 2^32; 0: not to be believed. */
static uint64_t factor_of(uint32_t factor, int shift)
{
	if (shift <= -32 || shift >= 32)
		return 0;
	return shift < 0 ? factor >> -shift : (uint64_t)factor << shift;
}

/* Xen writes the time page before a processor's first instruction, and again when it likes. */
static uint64_t ask_xen(void)
{
	volatile const struct vcpu_time_info *time = xen_time();
	uint32_t version;
	uint64_t factor;

	do {
		version = time->version;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		factor = factor_of(time->tsc_to_system_mul, time->tsc_shift);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (version & 1 || version != time->version);
	return factor;
}

/* Let KVM write its clock page once, and stop it again before the memory goes out of scope. */
static uint64_t ask_kvm(void)
{
	volatile struct kvm_clock page __attribute__((aligned(32))) = {0};
	uint64_t factor = 0;

	if (!is_kvm())
		return 0;
	kernel_call(KERNEL_WRMSR, KVM_MSR_SYSTEM_TIME, (uint64_t)&page | KVM_CLOCK_ENABLE);
	if (page.version && !(page.version & 1))
		factor = factor_of(page.factor, page.shift);
	kernel_call(KERNEL_WRMSR, KVM_MSR_SYSTEM_TIME, 0);
	return factor;
}

/* Channel 0 of the interval timer (Intel 8254). Its interrupt, once, finds interrupts disabled. */
#define PIT_HZ	    1193182
#define PIT_DATA    0x40
#define PIT_COMMAND 0x43
#define PIT_COUNT   0x30 /* channel 0, low byte then high byte, mode 0: count down */
#define PIT_LATCH   0x00 /* channel 0: hold the count for reading */

#define MEASURE (PIT_HZ / 50)	    /* 20 ms */
#define GIVE_UP ((uint64_t)1 << 33) /* ticks: two seconds or more */

/* Read the timer, and when that was: in the middle of the call that latches it. */
static uint16_t read_pit(uint64_t *ticks)
{
	uint64_t before = clock_ticks();
	uint64_t low;

	kernel_call(KERNEL_OUT, PIT_COMMAND, PIT_LATCH);
	*ticks = before + (clock_ticks() - before) / 2;
	low = kernel_call(KERNEL_IN, PIT_DATA, 0);
	return (uint16_t)(kernel_call(KERNEL_IN, PIT_DATA, 0) << 8 | low);
}

/* Measure 20 to 40 ms. Returns the factor, or 0 when the timer stands still. */
static uint64_t measure_once(void)
{
	uint64_t start, now;
	uint16_t first = read_pit(&start);

	do {
		uint16_t reading = read_pit(&now);
		uint64_t count = (uint16_t)(first - reading);

		if (count >= MEASURE && count < 2 * MEASURE)
			return (count * 1000000000 / PIT_HZ << 32) / (now - start);
		if (count >= 2 * MEASURE) {
			first = reading;
			start = now;
		}
	} while (now - start < GIVE_UP);
	return 0;
}

/*
 * A guest may be stopped at any moment, for longer than the timer's 55 ms period even, and would
 * then count wrong. So a measurement is believed when the one before agrees with it to 1 in 64.
 */
static uint64_t measure_pit(void)
{
	uint64_t last = 0;

	kernel_call(KERNEL_OUT, PIT_COMMAND, PIT_COUNT);
	kernel_call(KERNEL_OUT, PIT_DATA, 0xff);
	kernel_call(KERNEL_OUT, PIT_DATA, 0xff);
	for (;;) {
		uint64_t factor = measure_once();
		uint64_t off = factor > last ? factor - last : last - factor;

		if (off <= factor / 64)
			return factor;
		last = factor;
	}
}

int clock_init(struct clock *clock, uint64_t tsc_khz)
{
	if (tsc_khz) {
		*clock = (struct clock){((uint64_t)1000000 << 32) / tsc_khz, "tsc_khz="};
		return 0;
	}
	if (xen_info) {
		*clock = (struct clock){ask_xen(), "xen"};
		return clock->factor ? 0 : -1;
	}
	*clock = (struct clock){ask_kvm(), "kvm-clock"};
	if (!clock->factor)
		*clock = (struct clock){measure_pit(), "interval timer"};
	return clock->factor ? 0 : -1;
}
