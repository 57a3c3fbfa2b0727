// SPDX-License-Identifier: Apache-2.0
/*
 * Writing ACPI machine language, as little of it as a table of devices needs.
 *
 * A struct aml is a cursor in memory of known size. Every function appends; what does not fit is
 * dropped and noted in ->full, so that a caller checks once, at the end. Things that contain others
 * come in pairs: begin returns a mark, end takes it and fills in the length.
 *
 *	u32 dev = aml_begin_device(&a, "COM1");
 *	aml_name_eisa(&a, "_HID", "PNP0501");
 *	aml_end(&a, dev);
 *
 * Names have four characters, as they are stored.
 *
 * Source: ACPI 6.4, chapter 20 (AML), 6.4 (resource descriptors), 19.3.4 (EISA ids).
 */
#ifndef QUIRE_VMM_BOOT_ACPI_AML_H
#define QUIRE_VMM_BOOT_ACPI_AML_H

#include "mm/base/base.h"

struct aml {
	u8 *at;
	u32 len; /* written so far */
	u32 size;
	bool full;
};

void aml_bytes(struct aml *a, const void *data, u32 len);

/* Scope(\name) and Device(name) { ... } */
u32 aml_begin_scope(struct aml *a, const char name[4]);
u32 aml_begin_device(struct aml *a, const char name[4]);
void aml_end(struct aml *a, u32 mark);

/* Name(name, value), the value a number, a string, or an EISA id such as "PNP0501" */
void aml_name_integer(struct aml *a, const char name[4], u32 value);
void aml_name_string(struct aml *a, const char name[4], const char *value);
void aml_name_eisa(struct aml *a, const char name[4], const char id[7]);

/* Name(name, Package() { values }) */
void aml_name_integers(struct aml *a, const char name[4], const u32 *values, u8 count);

/* Method(name) { ... } without arguments, and Notify(\scope.device, value) in it */
u32 aml_begin_method(struct aml *a, const char name[4]);
void aml_notify(struct aml *a, const char scope[4], const char device[4], u8 value);

/* Name(_CRS, ResourceTemplate() { ... }): a few fixed ports, then at most one ISA interrupt. */
u32 aml_begin_resources(struct aml *a);
void aml_ports(struct aml *a, u16 first, u8 count);
void aml_isa_irq(struct aml *a, u8 irq);
void aml_end_resources(struct aml *a, u32 mark);

#endif
