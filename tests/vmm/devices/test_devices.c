// SPDX-License-Identifier: Apache-2.0
/* The port devices against what their data sheets say, with a host that only takes notes. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/devices/devices.h"
#include "vmm/devices/ports.h"

struct notes {
	char out[256];
	size_t nr_out;
	unsigned int ready;
	bool line[16];
	unsigned int line_changes;
	bool ended;
	enum shutdown_cause cause;
	int status;
};

static void note_irq(void *opaque, u32 gsi, bool level)
{
	struct notes *n = opaque;

	n->line[gsi] = level;
	n->line_changes++;
}

static void note_end(void *opaque, enum shutdown_cause cause, int status)
{
	struct notes *n = opaque;

	n->ended = true;
	n->cause = cause;
	n->status = status;
}

static void note_out(void *opaque, u8 byte)
{
	struct notes *n = opaque;

	n->out[n->nr_out++] = (char)byte;
}

static void note_ready(void *opaque)
{
	((struct notes *)opaque)->ready++;
}

struct fixture {
	struct notes notes;
	struct device_host host;
	struct devices *devs;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->host = (struct device_host){&f->notes, note_irq, note_end, note_out, note_ready};
	f->devs = devices_create(&f->host);
	*state = f;
	return f->devs ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	devices_destroy(f->devs);
	free(f);
	return 0;
}

static u32 in(struct fixture *f, u16 port, u8 size)
{
	u32 value = 0;

	devices_in(f->devs, port, size, 1, &value);
	return value;
}

static void out(struct fixture *f, u16 port, u8 size, u32 value)
{
	devices_out(f->devs, port, size, 1, &value);
}

static void test_nobody(void **state)
{
	struct fixture *f = *state;
	u8 string[6] = {0};

	assert_int_equal(in(f, 0x1234, 1), 0xff);
	assert_int_equal(in(f, 0xcfc, 4), 0xffffffff);
	out(f, 0x80, 1, 1);
	devices_in(f->devs, 0x1234, 2, 3, string);
	for (size_t i = 0; i < sizeof(string); i++)
		assert_int_equal(string[i], 0xff);
	/*
	 * an access that leaves a device's range belongs to nobody: half a register is no register
	 */
	assert_int_equal(in(f, 0x3ff, 2), 0xffff);
	assert_int_equal(in(f, 0xffff, 4), 0xffffffff);
}

static void test_serial_output(void **state)
{
	struct fixture *f = *state;

	devices_out(f->devs, 0x3f8, 1, 5, "hello");
	assert_int_equal(f->notes.nr_out, 5);
	assert_memory_equal(f->notes.out, "hello", 5);
	assert_int_equal(in(f, 0x3fd, 1) & 0x60, 0x60);
	assert_int_equal(f->notes.line_changes, 1); /* told low once, then nothing changed */
	assert_false(f->notes.line[4]);
}

static void test_serial_transmit_interrupt(void **state)
{
	struct fixture *f = *state;

	out(f, 0x3fc, 1, 0x0b); /* DTR, RTS, OUT2 */
	out(f, 0x3f9, 1, 0x02);
	assert_true(f->notes.line[4]);
	assert_int_equal(in(f, 0x3fa, 1) & 0x0f, 0x02);
	assert_false(f->notes.line[4]); /* reading IIR acknowledged it */
	assert_int_equal(in(f, 0x3fa, 1) & 0x0f, 0x01);
	out(f, 0x3f8, 1, 'x');
	assert_true(f->notes.line[4]);
	out(f, 0x3fc, 1, 0x03); /* without OUT2 nothing gets through */
	assert_false(f->notes.line[4]);
}

static void test_serial_input(void **state)
{
	struct fixture *f = *state;
	u8 many[200];

	assert_false(devices_serial_listening(f->devs));
	out(f, 0x3fc, 1, 0x08);
	out(f, 0x3f9, 1, 0x01);
	assert_true(devices_serial_listening(f->devs));
	assert_int_equal(f->notes.ready, 1);
	assert_int_equal(devices_serial_input(f->devs, (const u8 *)"ab", 2), 2);
	assert_true(f->notes.line[4]);
	assert_int_equal(in(f, 0x3fa, 1) & 0x0f, 0x04);
	assert_int_equal(in(f, 0x3fd, 1) & 1, 1);
	assert_int_equal(in(f, 0x3f8, 1), 'a');
	assert_true(f->notes.line[4]);
	assert_int_equal(in(f, 0x3f8, 1), 'b');
	assert_false(f->notes.line[4]);
	assert_int_equal(f->notes.ready, 2); /* there is room again */
	assert_int_equal(in(f, 0x3fd, 1) & 1, 0);
	memset(many, 'm', sizeof(many));
	assert_in_range(devices_serial_input(f->devs, many, sizeof(many)), 16, sizeof(many) - 1);
	out(f, 0x3fa, 1, 0x03); /* FIFO on, receiver cleared */
	assert_int_equal(in(f, 0x3fd, 1) & 1, 0);
	assert_int_equal(in(f, 0x3fa, 1) & 0xc0, 0xc0);
}

/* What drivers do to find the chip: divisor latch, scratch register, loopback. */
static void test_serial_probe(void **state)
{
	struct fixture *f = *state;

	out(f, 0x3fb, 1, 0x80);
	out(f, 0x3f8, 1, 0x01);
	out(f, 0x3f9, 1, 0x00);
	assert_int_equal(in(f, 0x3f8, 1), 0x01);
	out(f, 0x3fb, 1, 0x03);
	assert_int_equal(in(f, 0x3fb, 1), 0x03);
	out(f, 0x3ff, 1, 0x5a);
	assert_int_equal(in(f, 0x3ff, 1), 0x5a);
	out(f, 0x3f9, 1, 0xff);
	assert_int_equal(in(f, 0x3f9, 1), 0x0f);
	out(f, 0x3fc, 1, 0x1a); /* loop, OUT2, RTS */
	assert_int_equal(in(f, 0x3fe, 1) & 0xf0, 0x90);
	out(f, 0x3f8, 1, 'L');
	assert_int_equal(f->notes.nr_out, 0);
	assert_int_equal(in(f, 0x3f8, 1), 'L');
}

static bool is_bcd(u32 v)
{
	return (v & 0xf) < 10 && (v >> 4) < 10;
}

static void test_rtc(void **state)
{
	struct fixture *f = *state;
	static const u8 clock[] = {0, 2, 4, 6, 7, 8, 9, 0x32};

	for (size_t i = 0; i < ARRAY_SIZE(clock); i++) {
		out(f, 0x70, 1, clock[i]);
		assert_true(is_bcd(in(f, 0x71, 1)));
	}
	out(f, 0x70, 1, 0x32);
	assert_int_equal(in(f, 0x71, 1), 0x20);
	out(f, 0x70, 1, 0x0a);
	assert_int_equal(in(f, 0x71, 1) & 0x80, 0); /* never updating */
	out(f, 0x70, 1, 0x0d);
	assert_int_equal(in(f, 0x71, 1), 0x80);
	out(f, 0x70, 1, 0x80 | 0x40);
	out(f, 0x71, 1, 0x77);
	out(f, 0x70, 1, 0x40);
	assert_int_equal(in(f, 0x71, 1), 0x77);
}

static void test_reset_and_exit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, 0x64, 1), 0);
	out(f, 0x64, 1, 0xd1);
	out(f, ACPI_RESET_PORT, 1, 0x02);
	assert_false(f->notes.ended);
	out(f, 0x64, 1, 0xfe);
	assert_true(f->notes.ended);
	assert_int_equal(f->notes.cause, SHUTDOWN_BY_GUEST_RESET);
	f->notes.ended = false;
	out(f, ACPI_RESET_PORT, 1, ACPI_RESET_VALUE);
	assert_true(f->notes.ended);
	f->notes.ended = false;
	out(f, 0xf4, 1, 37);
	assert_true(f->notes.ended);
	assert_int_equal(f->notes.cause, SHUTDOWN_BY_GUEST_OFF);
	assert_int_equal(f->notes.status, 37);
}

static void test_power(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, ACPI_PM1_CNT_PORT, 2) & 1, 1); /* ACPI mode from the start */
	devices_power_button(f->devs);
	assert_false(f->notes.line[ACPI_SCI_IRQ]); /* not enabled */
	out(f, ACPI_PM1_EVT_PORT + 2, 2, 0xffff);
	assert_true(f->notes.line[ACPI_SCI_IRQ]);
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT, 2), 1 << 8);
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT + 1, 1), 1);
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT, 4), 1 << 8 | 0x0721 << 16);
	out(f, ACPI_PM1_EVT_PORT, 2, 1 << 8);
	assert_false(f->notes.line[ACPI_SCI_IRQ]);
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT, 2), 0);
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT + 2, 2), 0x0721); /* enable stays */
	out(f, ACPI_PM1_CNT_PORT, 2, 1 << 13 | 1 << 10);
	assert_false(f->notes.ended); /* another sleep state than S5 */
	out(f, ACPI_PM1_CNT_PORT, 2, 1 << 13 | ACPI_S5_SLP_TYP << 10);
	assert_true(f->notes.ended);
	assert_int_equal(f->notes.cause, SHUTDOWN_BY_GUEST_OFF);
	assert_int_equal(f->notes.status, 0);
}

/* The generation event: status and enable, by byte and together; two blocks, one interrupt. */
static void test_generation(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 0);
	devices_generation_changed(f->devs);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 1), 1 << 5);
	assert_false(f->notes.line[ACPI_SCI_IRQ]); /* not enabled */
	out(f, ACPI_GPE0_PORT + 1, 1, 0xff);
	assert_int_equal(in(f, ACPI_GPE0_PORT + 1, 1), 1 << 5); /* there is no other event */
	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 1 << 5 | 1 << 13);
	assert_true(f->notes.line[ACPI_SCI_IRQ]);
	out(f, ACPI_GPE0_PORT, 1, (u8) ~(1 << 5));
	assert_true(f->notes.line[ACPI_SCI_IRQ]); /* writing zero clears nothing */
	devices_power_button(f->devs);
	out(f, ACPI_PM1_EVT_PORT + 2, 2, 1 << 8);
	out(f, ACPI_GPE0_PORT, 1, 1 << 5);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 1 << 13); /* enable stays */
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT, 2), 1 << 8);
	assert_true(f->notes.line[ACPI_SCI_IRQ]); /* for the button */
	devices_generation_changed(f->devs);
	out(f, ACPI_PM1_EVT_PORT, 2, 1 << 8);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 1), 1 << 5);
	assert_true(f->notes.line[ACPI_SCI_IRQ]); /* for the event */
	out(f, ACPI_GPE0_PORT, 2, 1 << 5 | 1 << 13);
	assert_false(f->notes.line[ACPI_SCI_IRQ]);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 1 << 13);
	assert_int_equal(in(f, ACPI_GPE0_PORT + 1, 2), 0xffff); /* nobody's */
}

static struct device *by_name(struct fixture *f, const char *name)
{
	for (unsigned int i = 0; i < devices_count(f->devs); i++)
		if (!strcmp(devices_get(f->devs, i)->ops->name, name))
			return devices_get(f->devs, i);
	fail_msg("no device %s", name);
	return NULL;
}

/* Power management: what this version saves, what the first saved, and what nobody ever did. */
static void test_pm_versions(void **state)
{
	static const u8 first[] = {0x00, 0x01, 0x20, 0x01}, /* button pressed; enabled, and timer */
		junk[] = {0x00, 0x01, 0x00, 0x80};	    /* an enable bit that is none */
	static const u8 bad[] = {0, 0, 0, 0, 1, 0}, bad_enable[] = {0, 0, 0, 0, 0, 0x40};
	struct fixture *f = *state;
	struct device *pm = by_name(f, "pm");
	u8 saved[16];

	assert_int_equal(pm->ops->version, 2);
	assert_int_equal(pm->ops->state_size, 6);
	devices_generation_changed(f->devs);
	out(f, ACPI_GPE0_PORT + 1, 1, 1 << 5);
	pm->ops->save(pm, saved);
	assert_memory_equal(saved, "\0\0\0\0\x20\x20", 6);
	out(f, ACPI_GPE0_PORT, 2, 1 << 5);
	assert_false(f->notes.line[ACPI_SCI_IRQ]);
	assert_int_equal(device_load(pm, 2, saved, 6), 0);
	assert_true(f->notes.line[ACPI_SCI_IRQ]);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 1 << 5 | 1 << 13);

	assert_int_equal(device_load(pm, 1, junk, 4), -EINVAL);
	assert_int_equal(device_load(pm, 1, first, 3), -EINVAL);
	assert_int_equal(device_load(pm, 1, saved, 6), -EINVAL);
	assert_int_equal(device_load(pm, 0, first, 4), -EINVAL);
	assert_int_equal(device_load(pm, 2, first, 4), -EINVAL);
	assert_int_equal(device_load(pm, 2, bad, 6), -EINVAL);
	assert_int_equal(device_load(pm, 2, bad_enable, 6), -EINVAL);
	assert_int_equal(device_load(pm, 3, saved, 6), -EOPNOTSUPP);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 1 << 5 | 1 << 13); /* as it was */

	assert_int_equal(device_load(pm, 1, first, 4), 0);
	assert_int_equal(in(f, ACPI_PM1_EVT_PORT, 4), 0x0100 | 0x0120 << 16);
	assert_int_equal(in(f, ACPI_GPE0_PORT, 2), 0);
	assert_true(f->notes.line[ACPI_SCI_IRQ]);
	out(f, ACPI_PM1_EVT_PORT, 2, 1 << 8);
	assert_false(f->notes.line[ACPI_SCI_IRQ]);
}

/* A device with one layout takes no other version, and one without state takes none. */
static void test_load_versions(void **state)
{
	struct fixture *f = *state;
	struct device *rtc = by_name(f, "rtc"), *reset = by_name(f, "reset");
	u8 saved[256];

	assert_true(rtc->ops->state_size <= sizeof(saved));
	rtc->ops->save(rtc, saved);
	assert_int_equal(device_load(rtc, 1, saved, rtc->ops->state_size), 0);
	assert_int_equal(device_load(rtc, 1, saved, rtc->ops->state_size - 1u), -EINVAL);
	assert_int_equal(device_load(rtc, 0, saved, rtc->ops->state_size), -EINVAL);
	assert_int_equal(device_load(rtc, 2, saved, rtc->ops->state_size), -EOPNOTSUPP);
	assert_int_equal(device_load(reset, reset->ops->version, saved, 0), -EINVAL);
}

/*
 * Save every device, load it into a fresh one, save again: the same bytes; and no junk is loaded.
 */
static void test_save_load(void **state)
{
	struct fixture *f = *state, *g;
	void *fresh;
	u8 a[256], b[256], junk[256];

	out(f, 0x3f9, 1, 0x01);
	out(f, 0x3ff, 1, 0x99);
	devices_serial_input(f->devs, (const u8 *)"xyz", 3);
	in(f, 0x3f8, 1);
	out(f, 0x70, 1, 0x41);
	out(f, 0x71, 1, 0x55);
	devices_power_button(f->devs);
	setup(&fresh);
	g = fresh;
	memset(junk, 0xff, sizeof(junk));
	for (unsigned int i = 0; i < devices_count(f->devs); i++) {
		struct device *from = devices_get(f->devs, i), *to = devices_get(g->devs, i);

		if (!from->ops->state_size)
			continue;
		assert_true(from->ops->version > 0 && from->ops->state_size <= sizeof(a));
		from->ops->save(from, a);
		assert_int_equal(to->ops->load(to, junk), -EINVAL);
		assert_int_equal(to->ops->load(to, a), 0);
		to->ops->save(to, b);
		assert_memory_equal(a, b, from->ops->state_size);
	}
	assert_int_equal(in(g, 0x3f8, 1), 'y');
	assert_int_equal(in(g, 0x71, 1), 0x55);
	teardown(&fresh);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nobody),		T(test_serial_output), T(test_serial_transmit_interrupt),
		T(test_serial_input),	T(test_serial_probe),  T(test_rtc),
		T(test_reset_and_exit), T(test_power),	       T(test_generation),
		T(test_pm_versions),	T(test_load_versions), T(test_save_load),
	};

	return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
