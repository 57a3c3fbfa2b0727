// SPDX-License-Identifier: Apache-2.0
/*
 * The ACPI tables as an operating system reads them: found by scanning, checked by sums, followed
 * by offsets from the specification (never by the structures that filled them), the AML by a parser
 * of its own and by Intel's disassembler.
 */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/base/base.h"
#include "vmm/boot/acpi.h"
#include "vmm/devices/memmap.h"
#include "vmm/devices/vmgenid.h"
#include "vmm/vm/memory.h"

static const unsigned int cpu_counts[] = {1, 2, 16, 63, 64, 255};

struct tables {
	struct space *space;
	const u8 *rsdp, *xsdt, *fadt, *madt, *dsdt, *facs;
};

static u64 field(const u8 *p, size_t offset, size_t len)
{
	u64 value = 0;

	memcpy(&value, p + offset, len);
	return value;
}

static u8 sum(const u8 *p, size_t len)
{
	u8 s = 0;

	while (len--)
		s += *p++;
	return s;
}

/*
 * Everything between two places in the BIOS area is inside the area that the memory map reserves.
 */
static const u8 *at(const struct tables *t, u64 address, u64 len)
{
	const u8 *p = space_ptr(t->space, gpa(address), len);

	assert_non_null(p);
	assert_true(address >= 0xe0000 && address + len <= 0x100000);
	return p;
}

static const u8 *table_at(const struct tables *t, u64 address, const char *signature)
{
	const u8 *p = at(t, address, 36);
	u64 len = field(p, 4, 4);

	assert_memory_equal(p, signature, 4);
	assert_true(len >= 36);
	at(t, address, len);
	assert_int_equal(sum(p, len), 0);
	assert_memory_equal(p + 10, "QUIRE ", 6);
	return p;
}

/* 5.2.5.1: on a 16-byte boundary in the BIOS area */
static const u8 *find_rsdp(const struct tables *t)
{
	for (u64 a = 0xe0000; a < 0x100000; a += 16)
		if (!memcmp(at(t, a, 16), "RSD PTR ", 8))
			return at(t, a, 36);
	return NULL;
}

static void build(struct tables *t, unsigned int nr_cpus)
{
	struct err err;
	gpa_t rsdp;

	assert_int_equal(space_create(&t->space, SPACE_MIN_SIZE, SPACE_MEMFD), 0);
	assert_int_equal(acpi_build(t->space, nr_cpus, &rsdp, &err), 0);
	t->rsdp = find_rsdp(t);
	assert_non_null(t->rsdp);
	assert_ptr_equal(t->rsdp, at(t, rsdp.v, 36));
	t->xsdt = table_at(t, field(t->rsdp, 24, 8), "XSDT");
	assert_int_equal(field(t->xsdt, 4, 4), 36 + 2 * 8);
	t->fadt = table_at(t, field(t->xsdt, 36, 8), "FACP");
	t->madt = table_at(t, field(t->xsdt, 44, 8), "APIC");
	t->dsdt = table_at(t, field(t->fadt, 140, 8), "DSDT");
	t->facs = at(t, field(t->fadt, 36, 4), 64);
}

static void test_root(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		struct tables t;

		build(&t, cpu_counts[i]);
		assert_int_equal(sum(t.rsdp, 20), 0);
		assert_int_equal(sum(t.rsdp, 36), 0);
		assert_int_equal(t.rsdp[15], 2);
		assert_int_equal(field(t.rsdp, 16, 4), 0); /* no RSDT */
		assert_int_equal(field(t.rsdp, 20, 4), 36);
		space_destroy(t.space);
	}
}

/* A generic address: space, bits, offset, access, address (5.2.3.2) */
static void expect_port(const u8 *p, u8 bits, u64 port)
{
	assert_int_equal(p[0], 1);
	assert_int_equal(p[1], bits);
	assert_int_equal(p[2], 0);
	assert_int_equal(field(p, 4, 8), port);
}

static void test_fadt(void **state)
{
	struct tables t;
	u32 flags;

	(void)state;
	build(&t, 2);
	assert_int_equal(field(t.fadt, 4, 4), 276);
	assert_int_equal(t.fadt[8], 6);
	assert_int_equal(field(t.fadt, 40, 4), field(t.fadt, 140, 8)); /* DSDT */
	assert_int_equal(field(t.fadt, 132, 8), 0); /* the FACS by one field only */
	assert_memory_equal(t.facs, "FACS", 4);
	assert_int_equal(field(t.facs, 4, 4), 64);
	assert_int_equal(field(t.fadt, 36, 4) % 64, 0);
	assert_int_equal(field(t.fadt, 46, 2), 9);     /* SCI_INT */
	assert_int_equal(field(t.fadt, 48, 4), 0);     /* SMI_CMD */
	assert_int_equal(field(t.fadt, 56, 4), 0x600); /* PM1a event */
	assert_int_equal(t.fadt[88], 4);
	expect_port(t.fadt + 148, 32, 0x600);
	assert_int_equal(field(t.fadt, 64, 4), 0x604); /* PM1a control */
	assert_int_equal(t.fadt[89], 2);
	expect_port(t.fadt + 172, 16, 0x604);
	assert_int_equal(field(t.fadt, 76, 4), 0); /* PM timer */
	assert_int_equal(t.fadt[91], 0);
	assert_int_equal(field(t.fadt, 80, 4), 0x608); /* GPE0: a byte of status, one of enable */
	assert_int_equal(t.fadt[92], 2);
	expect_port(t.fadt + 220, 16, 0x608);
	assert_int_equal(field(t.fadt, 84, 4), 0); /* GPE1 */
	assert_int_equal(t.fadt[93], 0);
	assert_int_equal(field(t.fadt, 109, 2), 0x5); /* ISA devices, no keyboard, no VGA, an RTC */
	flags = (u32)field(t.fadt, 112, 4);
	assert_true(flags & 1 << 0);   /* WBINVD works */
	assert_false(flags & 1 << 4);  /* a fixed power button */
	assert_true(flags & 1 << 5);   /* no sleep button */
	assert_true(flags & 1 << 10);  /* a reset register */
	assert_false(flags & 1 << 20); /* not hardware-reduced */
	expect_port(t.fadt + 116, 8, 0xcf9);
	assert_int_equal(t.fadt[128], 6);
	space_destroy(t.space);
}

static void test_madt(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		unsigned int lapics = 0, ioapics = 0, overrides = 0, nmis = 0;
		struct tables t;
		const u8 *p, *end;

		build(&t, cpu_counts[i]);
		assert_int_equal(field(t.madt, 36, 4), 0xfee00000);
		assert_int_equal(field(t.madt, 40, 4), 1);
		end = t.madt + field(t.madt, 4, 4);
		for (p = t.madt + 44; p < end; p += p[1]) {
			assert_true(p[1] >= 2 && p + p[1] <= end);
			switch (p[0]) {
			case 0:
				assert_int_equal(p[1], 8);
				assert_int_equal(p[2], lapics);
				assert_int_equal(p[3], lapics++);
				assert_int_equal(field(p, 4, 4), 1);
				break;
			case 1:
				assert_int_equal(p[1], 12);
				assert_int_equal(field(p, 4, 4), 0xfec00000);
				assert_int_equal(field(p, 8, 4), 0);
				ioapics++;
				break;
			case 2: /* the SCI: bus 0, 9 to 9, active high, level */
				assert_int_equal(p[1], 10);
				assert_int_equal(field(p, 2, 2), 9 << 8);
				assert_int_equal(field(p, 4, 4), 9);
				assert_int_equal(field(p, 8, 2), 0xd);
				overrides++;
				break;
			case 4: /* all processors, LINT1 */
				assert_int_equal(p[1], 6);
				assert_int_equal(p[2], 0xff);
				assert_int_equal(p[5], 1);
				nmis++;
				break;
			default:
				fail_msg("entry of type %u", p[0]);
			}
		}
		assert_ptr_equal(p, end);
		assert_int_equal(lapics, cpu_counts[i]);
		assert_int_equal(ioapics * 100 + overrides * 10 + nmis, 111);
		space_destroy(t.space);
	}
}

/* What a walk through the AML has come by. */
struct namespace
{
	unsigned int devices, processors, vmgenids, events;
	bool s5, cid, ddn;
	u64 addr;
	char eisa[8][8];
	unsigned int nr_eisa;
	u16 ports[8];
	u16 irqs[8];
};

/* 20.2.4: one to four bytes; returns the bytes it took. */
static size_t pkg_length(const u8 *p, u32 *len)
{
	size_t more = p[0] >> 6;

	*len = more ? p[0] & 0xf : p[0] & 0x3f;
	for (size_t i = 0; i < more; i++)
		*len |= (u32)p[1 + i] << (4 + 8 * i);
	return more + 1;
}

/* 20.2.3, of the integers that are used: returns the bytes they took. */
static size_t integer(const u8 *p, u64 *value)
{
	static const size_t sizes[] = {[0x0a] = 1, [0x0b] = 2, [0x0c] = 4};

	if (p[0] <= 1) {
		*value = p[0];
		return 1;
	}
	assert_in_range(p[0], 0x0a, 0x0c);
	*value = field(p, 1, sizes[p[0]]);
	return 1 + sizes[p[0]];
}

static void eisa_name(u32 id, char out[8])
{
	u32 be = __builtin_bswap32(id);

	snprintf(out, 8, "%c%c%c%04X", '@' + (be >> 26 & 31), '@' + (be >> 21 & 31),
		 '@' + (be >> 16 & 31), be & 0xffff);
}

/* A resource template: ports, perhaps an interrupt, the end tag, and nothing behind it. */
static void resources(const u8 *p, u64 len, struct namespace *ns)
{
	unsigned int i = ns->nr_eisa - 1;

	assert_int_equal(p[0], 0x47);
	assert_int_equal(p[1], 1);
	assert_int_equal(field(p, 2, 2), field(p, 4, 2));
	ns->ports[i] = (u16)field(p, 2, 2);
	p += 8;
	len -= 8;
	if (p[0] == 0x22) {
		ns->irqs[i] = (u16)field(p, 1, 2);
		p += 3;
		len -= 3;
	}
	assert_int_equal(len, 2);
	assert_int_equal(field(p, 0, 2), 0x79);
}

static void string(const u8 *name, const char *value, struct namespace *ns)
{
	if (!memcmp(name, "_HID", 4) && !strcmp(value, "ACPI0007")) {
		ns->processors++;
	} else if (!memcmp(name, "_HID", 4)) {
		assert_string_equal(value, "QUIR0001");
		ns->vmgenids++;
	} else {
		assert_string_equal(value, "VM_Gen_Counter");
		*(memcmp(name, "_CID", 4) ? &ns->ddn : &ns->cid) = true;
		assert_true(!memcmp(name, "_CID", 4) || !memcmp(name, "_DDN", 4));
	}
}

/* \_S5 and ADDR: integers, as many as the package says, and nothing behind them. */
static void package(const u8 *name, const u8 *p, u32 len, struct namespace *ns)
{
	u64 value[4];
	u8 count = p[0];
	size_t skip = 1;

	assert_true(count <= ARRAY_SIZE(value));
	for (u8 i = 0; i < count; i++)
		skip += integer(p + skip, &value[i]);
	assert_int_equal(skip, len);
	if (!memcmp(name, "_S5_", 4)) {
		assert_int_equal(count, 4);
		assert_int_equal(value[0] * 100 + value[1] * 10 + value[2] + value[3], 550);
		ns->s5 = true;
	} else {
		assert_memory_equal(name, "ADDR", 4);
		assert_int_equal(count, 2);
		ns->addr = value[0] | value[1] << 32;
	}
}

static size_t data_object(const u8 *name, const u8 *p, struct namespace *ns)
{
	u32 len;
	u64 value;
	size_t skip;

	switch (p[0]) {
	case 0x0d: /* a string */
		string(name, (const char *)p + 1, ns);
		return 1 + strlen((const char *)p + 1) + 1;
	case 0x11: /* a buffer */
		skip = 1 + pkg_length(p + 1, &len);
		skip += integer(p + skip, &value);
		assert_int_equal(skip + value, 1 + len);
		assert_memory_equal(name, "_CRS", 4);
		resources(p + skip, value, ns);
		return 1 + len;
	case 0x12: /* a package */
		skip = pkg_length(p + 1, &len);
		package(name, p + 1 + skip, len - (u32)skip, ns);
		return 1 + len;
	default:
		skip = integer(p, &value);
		if (!memcmp(name, "_UID", 4))
			assert_int_equal(value, ns->processors - 1);
		else
			eisa_name((u32)value, ns->eisa[ns->nr_eisa++]);
		return skip;
	}
}

static void walk(const u8 *p, const u8 *end, struct namespace *ns, int depth)
{
	while (p < end) {
		u32 len;

		if (p[0] == 0x08) {
			p += 5 + data_object(p + 1, p + 5, ns);
		} else if (p[0] == 0x10) {
			assert_int_equal(depth, 0);
			size_t skip = pkg_length(p + 1, &len);

			assert_memory_equal(p + 1 + skip,
					    ns->s5 && ns->devices ? "\\_GPE" : "\\_SB_", 5);
			walk(p + 1 + skip + 5, p + 1 + len, ns, depth + 1);
			p += 1 + len;
		} else if (p[0] == 0x14) { /* Method (_E05) { Notify (\_SB.VGEN, 0x80) } */
			size_t skip = pkg_length(p + 1, &len);

			assert_int_equal(len, skip + 5 + 13);
			assert_memory_equal(p + 1 + skip, "_E05\0\x86\\\x2e_SB_VGEN\x0a\x80", 18);
			assert_int_equal(ns->vmgenids, 1);
			ns->events++;
			p += 1 + len;
		} else {
			size_t skip;

			assert_int_equal(field(p, 0, 2), 0x825b);
			skip = pkg_length(p + 2, &len);
			ns->devices++;
			assert_int_equal(depth, 1);
			walk(p + 2 + skip + 4, p + 2 + len, ns, depth + 1);
			p += 2 + len;
		}
	}
	assert_ptr_equal(p, end);
}

static void test_dsdt(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		struct namespace ns = {0};
		struct tables t;

		build(&t, cpu_counts[i]);
		walk(t.dsdt + 36, t.dsdt + field(t.dsdt, 4, 4), &ns, 0);
		assert_true(ns.s5);
		assert_int_equal(ns.processors, cpu_counts[i]);
		assert_int_equal(ns.devices, cpu_counts[i] + 3);
		assert_int_equal(ns.vmgenids * 10 + ns.events, 11);
		assert_true(ns.cid && ns.ddn);
		assert_int_equal(ns.addr, MEMMAP_VMGENID);
		assert_int_equal(ns.nr_eisa, 2);
		assert_string_equal(ns.eisa[0], "PNP0501");
		assert_int_equal(ns.ports[0], 0x3f8);
		assert_int_equal(ns.irqs[0], 1 << 4);
		assert_string_equal(ns.eisa[1], "PNP0B00");
		assert_int_equal(ns.ports[1], 0x70);
		assert_int_equal(ns.irqs[1], 0);
		space_destroy(t.space);
	}
}

/* An id of its own for each, where the tables say, in a page without anything else. */
static void test_vmgenid(void **state)
{
	u8 id[2][VMGENID_SIZE] = {{0}}, want[PAGE_SIZE] = {0};
	static const struct mem_host host;
	struct tables t;
	struct mem *mem;

	(void)state;
	build(&t, 2);
	assert_int_equal(MEMMAP_VMGENID % PAGE_SIZE, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vmgenid_new(id[i]), 0);
		assert_memory_not_equal(id[i], want, VMGENID_SIZE);
	}
	assert_memory_not_equal(id[0], id[1], VMGENID_SIZE);
	assert_int_equal(mem_create(&mem, t.space, &(struct mem_config){.nr_cpus = 2}, &host, NULL),
			 0);
	for (int i = 0; i < 2; i++) {
		struct vm vm = {.space = t.space, .mem = i ? mem : NULL};

		assert_int_equal(vm_write(&vm, gpa(MEMMAP_VMGENID), id[i], VMGENID_SIZE), 0);
		memcpy(want, id[i], VMGENID_SIZE);
		assert_memory_equal(at(&t, MEMMAP_VMGENID, PAGE_SIZE), want, PAGE_SIZE);
	}
	mem_destroy(mem);
	space_destroy(t.space);
}

/* Nothing is written outside the area, and no table over another. */
static void test_extent(void **state)
{
	struct tables t;
	const u8 *tables[5];
	const u8 *low;

	(void)state;
	build(&t, 255);
	memcpy(tables, (const u8 *[]){t.dsdt, t.fadt, t.madt, t.xsdt}, 4 * sizeof(*tables));
	for (int a = 0; a < 4; a++)
		for (int b = 0; b < 4; b++)
			assert_true(a == b || tables[a] + field(tables[a], 4, 4) <= tables[b] ||
				    tables[b] + field(tables[b], 4, 4) <= tables[a]);
	low = space_ptr(t.space, gpa(0), SPACE_MIN_SIZE);
	for (u64 a = 0; a < SPACE_MIN_SIZE; a++)
		if (low[a])
			assert_in_range(a, MEMMAP_ACPI_START, MEMMAP_VMGENID - 1);
	space_destroy(t.space);
}

static void write_table(const char *dir, const char *name, const u8 *table)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.aml", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(table, field(table, 4, 4), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

/* Disassembled and assembled again, without a word of complaint. */
static void test_iasl(void **state)
{
	char dir[] = "/tmp/quire-acpi-XXXXXX", command[400];

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1")) {
		print_message("# iasl is missing (package acpica-tools): AML not disassembled\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		struct tables t;

		build(&t, cpu_counts[i]);
		write_table(dir, "dsdt", t.dsdt);
		write_table(dir, "facp", t.fadt);
		write_table(dir, "apic", t.madt);
		snprintf(command, sizeof(command),
			 "cd %s && iasl -d dsdt.aml facp.aml apic.aml >log 2>&1 && "
			 "iasl dsdt.dsl >>log 2>&1 && iasl facp.dsl >>log 2>&1 && "
			 "iasl apic.dsl >>log 2>&1 && ! grep -iE 'warning +[0-9]|error +[0-9]' log",
			 dir);
		if (system(command)) {
			snprintf(command, sizeof(command), "cat %s/log", dir);
			fail_msg("iasl complains (%d)", system(command));
		}
		space_destroy(t.space);
	}
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_root),	cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),	cmocka_unit_test(test_dsdt),
		cmocka_unit_test(test_vmgenid), cmocka_unit_test(test_extent),
		cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
