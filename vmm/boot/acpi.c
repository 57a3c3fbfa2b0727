// SPDX-License-Identifier: Apache-2.0
/*
 * The ACPI tables, each a structure or a short program that fills one; what they promise is in
 * acpi.h.
 *
 *   RSDP --> XSDT --+--> FADT --+--> DSDT
 *                   |           +--> FACS
 *                   +--> MADT
 *
 * They lie from MEMMAP_ACPI_START on in the order FACS, DSDT, FADT, MADT, XSDT behind the RSDP, so
 * that each table is written when the addresses it holds are known. The ACPI mode of the hardware
 * is always on (SMI_CMD is 0). There is no PM timer, and just one general-purpose event.
 *
 * Interrupts: the I/O APIC's inputs are the ISA interrupts one to one, the timer's on input 0 as
 * well, for that is how KVM wires it. The SCI alone differs from the ISA bus's habits: level,
 * active high.
 *
 * Source: ACPI 6.4; the sections are named at each table. The generation id: "Virtual Machine
 * Generation ID", Microsoft, 2012.
 */
#include "vmm/boot/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/boot/acpi_aml.h"
#include "vmm/boot/acpi_tables.h"
#include "vmm/devices/memmap.h"
#include "vmm/devices/ports.h"

#define ALIGN_TABLE 16
#define ALIGN_FACS  64

#define OEM_ID	     "QUIRE "
#define OEM_TABLE_ID "QUIREVM "
#define CREATOR_ID   "QIRE"

#define VMGENID_DEVICE	"VGEN"
#define VMGENID_CHANGED 0x80 /* what the device is notified of */

#define MAX_CPUS 255

/* The area being filled. All appending goes through the AML cursor, which knows when it is full. */
struct area {
	struct aml out;
	unsigned int nr_cpus;
};

static u64 address_of(u32 offset)
{
	return MEMMAP_ACPI_START + (u64)offset;
}

static u8 checksum(const void *data, u32 len)
{
	const u8 *bytes = data;
	u8 sum = 0;

	for (u32 i = 0; i < len; i++)
		sum += bytes[i];
	return (u8)-sum;
}

/* Move on to the next place for something: its offset. The gap stays zero. */
static u32 align_to(struct area *area, u32 align)
{
	u64 next = align_up(area->out.len, align);

	if (next > area->out.size)
		area->out.full = true;
	else
		area->out.len = (u32)next;
	return area->out.len;
}

static u32 append(struct area *area, const void *data, u32 len, u32 align)
{
	u32 start = align_to(area, align);

	aml_bytes(&area->out, data, len);
	return start;
}

static struct table table_head(const char signature[4], u8 revision)
{
	struct table t = {.revision = revision, .oem_revision = 1, .creator_revision = 1};

	memcpy(t.signature, signature, sizeof(t.signature));
	memcpy(t.oem_id, OEM_ID, sizeof(t.oem_id));
	memcpy(t.oem_table_id, OEM_TABLE_ID, sizeof(t.oem_table_id));
	memcpy(t.creator_id, CREATOR_ID, sizeof(t.creator_id));
	return t;
}

/* The table from @start to the end of what was written is complete: length and checksum. */
static void finish_table(struct area *area, u32 start)
{
	struct table *t = (struct table *)(area->out.at + start);

	if (area->out.full)
		return;
	t->length = area->out.len - start;
	t->checksum = 0;
	t->checksum = checksum(t, t->length);
}

static u32 add_facs(struct area *area)
{
	struct facs facs = {.signature = "FACS", .length = sizeof(facs), .version = 2};

	return append(area, &facs, sizeof(facs), ALIGN_FACS);
}

/* Devices at fixed ports that no bus announces. */
static const struct isa_device {
	const char *name;
	const char *id;
	u16 port;
	u8 nr_ports;
	u8 irq; /* 0: none */
} isa_devices[] = {
	{"COM1", "PNP0501", SERIAL_PORT, SERIAL_NR_PORTS, SERIAL_IRQ},
	{"RTC_", "PNP0B00", RTC_PORT, RTC_NR_PORTS, 0},
};

static void add_isa_device(struct aml *aml, const struct isa_device *d)
{
	u32 dev = aml_begin_device(aml, d->name), res;

	aml_name_eisa(aml, "_HID", d->id);
	res = aml_begin_resources(aml);
	aml_ports(aml, d->port, d->nr_ports);
	if (d->irq)
		aml_isa_irq(aml, d->irq);
	aml_end_resources(aml, res);
	aml_end(aml, dev);
}

/* 8.4: a processor's _UID is what ties it to its entry in the MADT. */
static void add_processor(struct aml *aml, unsigned int cpu)
{
	char name[8];
	u32 dev;

	snprintf(name, sizeof(name), "C%03X", cpu & 0xfff);
	dev = aml_begin_device(aml, name);
	aml_name_string(aml, "_HID", "ACPI0007");
	aml_name_integer(aml, "_UID", cpu);
	aml_end(aml, dev);
}

/*
 * The generation id's device: drivers know it by its _CID, and ADDR says where the id is, low half
 * first. The event (5.6.4.1) is one of an edge, so its status is cleared before the method runs.
 */
static void add_vmgenid(struct aml *aml)
{
	static const u32 address[] = {MEMMAP_VMGENID, 0};
	u32 dev = aml_begin_device(aml, VMGENID_DEVICE);

	aml_name_string(aml, "_HID", "QUIR0001");
	aml_name_string(aml, "_CID", "VM_Gen_Counter");
	aml_name_string(aml, "_DDN", "VM_Gen_Counter");
	aml_name_integers(aml, "ADDR", address, ARRAY_SIZE(address));
	aml_end(aml, dev);
}

static void add_events(struct aml *aml)
{
	u32 scope = aml_begin_scope(aml, "_GPE"), method;
	char name[8];

	snprintf(name, sizeof(name), "_E%02X", ACPI_GPE_VMGENID);
	method = aml_begin_method(aml, name);
	aml_notify(aml, "_SB_", VMGENID_DEVICE, VMGENID_CHANGED);
	aml_end(aml, method);
	aml_end(aml, scope);
}

/* 5.2.11.1. \_S5 holds SLP_TYP for both PM1 control blocks and two reserved values (7.4.2.6). */
static u32 add_dsdt(struct area *area)
{
	static const u32 s5[] = {ACPI_S5_SLP_TYP, ACPI_S5_SLP_TYP, 0, 0};
	struct table head = table_head("DSDT", 2);
	u32 start = append(area, &head, sizeof(head), ALIGN_TABLE), scope;
	struct aml *aml = &area->out;

	aml_name_integers(aml, "_S5_", s5, ARRAY_SIZE(s5));
	scope = aml_begin_scope(aml, "_SB_");
	for (size_t i = 0; i < ARRAY_SIZE(isa_devices); i++)
		add_isa_device(aml, &isa_devices[i]);
	for (unsigned int i = 0; i < area->nr_cpus; i++)
		add_processor(aml, i);
	add_vmgenid(aml);
	aml_end(aml, scope);
	add_events(aml);
	finish_table(area, start);
	return start;
}

static struct address port(u16 number, u8 bits, u8 access)
{
	return (struct address){
		.space = SPACE_IO, .bits = bits, .access = access, .address = number};
}

static u32 add_fadt(struct area *area, u32 facs, u32 dsdt)
{
	struct fadt fadt = {
		.head = table_head("FACP", FADT_REVISION),
		/* Below 4 GiB the FACS has the short pointer alone; the DSDT has both. */
		.firmware_ctrl = (u32)address_of(facs),
		.dsdt = (u32)address_of(dsdt),
		.x_dsdt = address_of(dsdt),
		.preferred_pm_profile = PM_PROFILE_ENTERPRISE_SERVER,
		.sci_int = ACPI_SCI_IRQ,
		.pm1a_evt_blk = ACPI_PM1_EVT_PORT,
		.pm1_evt_len = 4,
		.x_pm1a_evt_blk = port(ACPI_PM1_EVT_PORT, 32, ACCESS_WORD),
		.pm1a_cnt_blk = ACPI_PM1_CNT_PORT,
		.pm1_cnt_len = 2,
		.x_pm1a_cnt_blk = port(ACPI_PM1_CNT_PORT, 16, ACCESS_WORD),
		.gpe0_blk = ACPI_GPE0_PORT,
		.gpe0_blk_len = 2,
		.x_gpe0_blk = port(ACPI_GPE0_PORT, 16, ACCESS_BYTE),
		.p_lvl2_lat = NO_C2,
		.p_lvl3_lat = NO_C3,
		.century = CMOS_CENTURY,
		.iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA,
		.flags = FIXED_WBINVD | FIXED_PROC_C1 | FIXED_NO_SLEEP_BUTTON | FIXED_NO_RTC_WAKE |
			 FIXED_RESET_REG,
		.reset_reg = port(ACPI_RESET_PORT, 8, ACCESS_BYTE),
		.reset_value = ACPI_RESET_VALUE,
		.minor_version = FADT_MINOR,
		.hypervisor_id = "QUIRE",
	};
	u32 start = append(area, &fadt, sizeof(fadt), ALIGN_TABLE);

	finish_table(area, start);
	return start;
}

static void add_madt_processors(struct area *area)
{
	for (unsigned int i = 0; i < area->nr_cpus; i++) {
		struct madt_lapic lapic = {
			.type = MADT_LAPIC,
			.length = sizeof(lapic),
			.processor_uid = (u8)i,
			.apic_id = (u8)i,
			.flags = LAPIC_ENABLED,
		};

		append(area, &lapic, sizeof(lapic), 1);
	}
}

static u32 add_madt(struct area *area)
{
	const struct madt madt = {
		.head = table_head("APIC", MADT_REVISION),
		.lapic_address = MEMMAP_LAPIC,
		.flags = MADT_PCAT_COMPAT,
	};
	const struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.length = sizeof(ioapic),
		.ioapic_id = IOAPIC_ID,
		.address = MEMMAP_IOAPIC,
	};
	const struct madt_override sci = {
		.type = MADT_OVERRIDE,
		.length = sizeof(sci),
		.source = ACPI_SCI_IRQ,
		.gsi = ACPI_SCI_IRQ,
		.flags = INTI_LEVEL | INTI_ACTIVE_HIGH,
	};
	const struct madt_lapic_nmi nmi = {
		.type = MADT_LAPIC_NMI,
		.length = sizeof(nmi),
		.processor_uid = ALL_PROCESSORS,
		.lint = LINT_NMI,
	};
	u32 start = append(area, &madt, sizeof(madt), ALIGN_TABLE);

	add_madt_processors(area);
	append(area, &ioapic, sizeof(ioapic), 1);
	append(area, &sci, sizeof(sci), 1);
	append(area, &nmi, sizeof(nmi), 1);
	finish_table(area, start);
	return start;
}

static u32 add_xsdt(struct area *area, u32 fadt, u32 madt)
{
	const struct xsdt xsdt = {
		.head = table_head("XSDT", 1),
		.entries = {address_of(fadt), address_of(madt)},
	};
	u32 start = append(area, &xsdt, sizeof(xsdt), ALIGN_TABLE);

	finish_table(area, start);
	return start;
}

/* It has no RSDT: whoever reads revision 2 must take the XSDT. */
static void fill_rsdp(struct area *area, u32 start, u32 xsdt)
{
	struct rsdp rsdp = {.revision = 2, .length = sizeof(rsdp), .xsdt = address_of(xsdt)};

	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	memcpy(rsdp.oem_id, OEM_ID, sizeof(rsdp.oem_id));
	rsdp.checksum = checksum(&rsdp, RSDP_FIRST_PART);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(area->out.at + start, &rsdp, sizeof(rsdp));
}

int acpi_build(struct space *space, unsigned int nr_cpus, gpa_t *rsdp, struct err *err)
{
	const u32 size = MEMMAP_VMGENID - MEMMAP_ACPI_START;
	struct area area = {.nr_cpus = nr_cpus};
	static const struct rsdp room;
	u32 root, facs, dsdt, fadt, madt, xsdt;

	ASSERT(nr_cpus >= 1 && nr_cpus <= MAX_CPUS);
	area.out.at = space_ptr_mut(space, gpa(MEMMAP_ACPI_START), size);
	area.out.size = size;
	ASSERT(area.out.at);
	root = append(&area, &room, sizeof(room), ALIGN_TABLE);
	facs = add_facs(&area);
	dsdt = add_dsdt(&area);
	fadt = add_fadt(&area, facs, dsdt);
	madt = add_madt(&area);
	xsdt = add_xsdt(&area, fadt, madt);
	if (area.out.full)
		return err_set(
			err, -E2BIG,
			"ACPI tables: those for %u processors do not fit into 60 KiB (give fewer "
			"--cpus)",
			nr_cpus);
	fill_rsdp(&area, root, xsdt);
	*rsdp = gpa(address_of(root));
	return 0;
}
