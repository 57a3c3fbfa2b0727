// SPDX-License-Identifier: Apache-2.0
/*
 * The shapes of the ACPI tables that vmm/boot/acpi.c fills, and names for the values it puts there:
 * packed, little-endian, as the specification draws them.
 *
 * Source: ACPI 6.4; the section is named at each.
 */
#ifndef QUIRE_VMM_BOOT_ACPI_TABLES_H
#define QUIRE_VMM_BOOT_ACPI_TABLES_H

#include "mm/base/base.h"

/* 5.2.6: how every table but RSDP and FACS begins */
struct table {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum; /* makes all bytes of the table add up to 0 */
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __attribute__((packed));

/* 5.2.5.3 */
struct rsdp {
	char signature[8];
	u8 checksum; /* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum; /* of all 36 */
	u8 reserved[3];
} __attribute__((packed));

#define RSDP_FIRST_PART 20

/* 5.2.8 */
struct xsdt {
	struct table head;
	u64 entries[2];
} __attribute__((packed));

/* 5.2.3.2: where a register is */
struct address {
	u8 space;
	u8 bits;
	u8 bit_offset;
	u8 access;
	u64 address;
} __attribute__((packed));

enum { SPACE_IO = 1, ACCESS_BYTE = 1, ACCESS_WORD = 2 };

/* 5.2.9 */
struct fadt {
	struct table head;
	u32 firmware_ctrl;
	u32 dsdt;
	u8 reserved1;
	u8 preferred_pm_profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable;
	u8 acpi_disable;
	u8 s4bios_req;
	u8 pstate_cnt;
	u32 pm1a_evt_blk;
	u32 pm1b_evt_blk;
	u32 pm1a_cnt_blk;
	u32 pm1b_cnt_blk;
	u32 pm2_cnt_blk;
	u32 pm_tmr_blk;
	u32 gpe0_blk;
	u32 gpe1_blk;
	u8 pm1_evt_len;
	u8 pm1_cnt_len;
	u8 pm2_cnt_len;
	u8 pm_tmr_len;
	u8 gpe0_blk_len;
	u8 gpe1_blk_len;
	u8 gpe1_base;
	u8 cst_cnt;
	u16 p_lvl2_lat;
	u16 p_lvl3_lat;
	u16 flush_size;
	u16 flush_stride;
	u8 duty_offset;
	u8 duty_width;
	u8 day_alrm;
	u8 mon_alrm;
	u8 century;
	u16 iapc_boot_arch;
	u8 reserved2;
	u32 flags;
	struct address reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_firmware_ctrl;
	u64 x_dsdt;
	struct address x_pm1a_evt_blk;
	struct address x_pm1b_evt_blk;
	struct address x_pm1a_cnt_blk;
	struct address x_pm1b_cnt_blk;
	struct address x_pm2_cnt_blk;
	struct address x_pm_tmr_blk;
	struct address x_gpe0_blk;
	struct address x_gpe1_blk;
	struct address sleep_control;
	struct address sleep_status;
	char hypervisor_id[8];
} __attribute__((packed));

enum {
	FADT_REVISION = 6,
	FADT_MINOR = 4,
	PM_PROFILE_ENTERPRISE_SERVER = 4,
	NO_C2 = 101, /* microseconds: above 100 there is no such state */
	NO_C3 = 1001,
	CMOS_CENTURY = 0x32,

	/* IA-PC boot architecture flags. Bit 1, not set: there is no keyboard controller. */
	BOOT_LEGACY_DEVICES = 1 << 0,
	BOOT_NO_VGA = 1 << 2,

	/* Fixed feature flags. Bit 4, PWR_BUTTON, not set: the button is a fixed one. */
	FIXED_WBINVD = 1 << 0,
	FIXED_PROC_C1 = 1 << 2,
	FIXED_NO_SLEEP_BUTTON = 1 << 5,
	FIXED_NO_RTC_WAKE = 1 << 6,
	FIXED_RESET_REG = 1 << 10,
};

/* 5.2.10: memory that firmware and kernel share while running; ours has nothing to say in it */
struct facs {
	char signature[4];
	u32 length;
	u32 hardware_signature;
	u32 waking_vector;
	u32 global_lock;
	u32 flags;
	u64 x_waking_vector;
	u8 version;
	u8 reserved[31];
} __attribute__((packed));

/* 5.2.12 */
struct madt {
	struct table head;
	u32 lapic_address;
	u32 flags;
} __attribute__((packed));

enum { MADT_REVISION = 5, MADT_PCAT_COMPAT = 1 << 0 };

struct madt_lapic { /* 5.2.12.2 */
	u8 type, length;
	u8 processor_uid;
	u8 apic_id;
	u32 flags;
} __attribute__((packed));

struct madt_ioapic { /* 5.2.12.3 */
	u8 type, length;
	u8 ioapic_id;
	u8 reserved;
	u32 address;
	u32 gsi_base;
} __attribute__((packed));

struct madt_override { /* 5.2.12.5 */
	u8 type, length;
	u8 bus;
	u8 source;
	u32 gsi;
	u16 flags;
} __attribute__((packed));

struct madt_lapic_nmi { /* 5.2.12.7 */
	u8 type, length;
	u8 processor_uid;
	u16 flags;
	u8 lint;
} __attribute__((packed));

enum {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
	LAPIC_ENABLED = 1 << 0,
	IOAPIC_ID = 0, /* what the register says after reset */
	INTI_ACTIVE_HIGH = 1 << 0,
	INTI_LEVEL = 3 << 2,
	ALL_PROCESSORS = 0xff,
	LINT_NMI = 1,
};

_Static_assert(sizeof(struct table) == 36 && sizeof(struct rsdp) == 36, "ACPI 6.4, 5.2.5, 5.2.6");
_Static_assert(sizeof(struct fadt) == 276 && offsetof(struct fadt, flags) == 112,
	       "ACPI 6.4, 5.2.9");
_Static_assert(sizeof(struct facs) == 64, "ACPI 6.4, 5.2.10");
_Static_assert(sizeof(struct madt) == 44, "ACPI 6.4, 5.2.12");
_Static_assert(sizeof(struct madt_lapic) == 8 && sizeof(struct madt_ioapic) == 12, "5.2.12.2, .3");
_Static_assert(sizeof(struct madt_override) == 10 && sizeof(struct madt_lapic_nmi) == 6,
	       "5.2.12.5, .7");

#endif
