// SPDX-License-Identifier: Apache-2.0
/*
 * ACPI machine language; the functions are described in acpi_aml.h.
 *
 * A PkgLength counts itself and has one to four bytes. Where the content is not known beforehand it
 * is always written with three, which reach to 1 MiB: the short forms are for saving space only
 * (20.2.4).
 */
#include "vmm/boot/acpi_aml.h"

#include <string.h>

enum {
	ZERO_OP = 0x00,
	ONE_OP = 0x01,
	NAME_OP = 0x08,
	BYTE_PREFIX = 0x0a,
	WORD_PREFIX = 0x0b,
	DWORD_PREFIX = 0x0c,
	STRING_PREFIX = 0x0d,
	SCOPE_OP = 0x10,
	BUFFER_OP = 0x11,
	PACKAGE_OP = 0x12,
	METHOD_OP = 0x14,
	DUAL_NAME_PREFIX = 0x2e,
	ROOT_CHAR = '\\',
	NOTIFY_OP = 0x86,
	EXT_PREFIX = 0x5b,
	EXT_DEVICE_OP = 0x82,
};

#define PKG_LENGTH_SIZE 3
#define PKG_LENGTH_MORE 2 /* bytes that follow the first, in its top two bits */
#define NAME_LENGTH	4

/* Small resource descriptors: type and length in one byte (6.4.2) */
enum {
	DESC_IRQ = 0x22, /* two bytes of mask follow: edge, active high, exclusive */
	DESC_IO = 0x47,
	DESC_END = 0x79,
	IO_DECODE_16 = 0x01,
	IO_ALIGN_1 = 0x01,
};

void aml_bytes(struct aml *a, const void *data, u32 len)
{
	if (!range_fits(a->len, len, a->size)) {
		a->full = true;
		return;
	}
	memcpy(a->at + a->len, data, len);
	a->len += len;
}

static void put_u8(struct aml *a, u8 byte)
{
	aml_bytes(a, &byte, 1);
}

/* Room for a length that aml_end() fills in; the mark is where it is. */
static u32 reserve_length(struct aml *a)
{
	static const u8 room[PKG_LENGTH_SIZE];
	u32 mark = a->len;

	aml_bytes(a, room, sizeof(room));
	return mark;
}

u32 aml_begin_scope(struct aml *a, const char name[4])
{
	u32 mark;

	put_u8(a, SCOPE_OP);
	mark = reserve_length(a);
	put_u8(a, ROOT_CHAR);
	aml_bytes(a, name, NAME_LENGTH);
	return mark;
}

u32 aml_begin_device(struct aml *a, const char name[4])
{
	u32 mark;

	put_u8(a, EXT_PREFIX);
	put_u8(a, EXT_DEVICE_OP);
	mark = reserve_length(a);
	aml_bytes(a, name, NAME_LENGTH);
	return mark;
}

void aml_end(struct aml *a, u32 mark)
{
	u32 len = a->len - mark;

	if (a->full)
		return;
	a->at[mark] = (u8)(PKG_LENGTH_MORE << 6 | (len & 0xf));
	a->at[mark + 1] = (u8)(len >> 4);
	a->at[mark + 2] = (u8)(len >> 12);
}

static void put_name(struct aml *a, const char name[4])
{
	put_u8(a, NAME_OP);
	aml_bytes(a, name, NAME_LENGTH);
}

static void put_integer(struct aml *a, u32 value)
{
	if (value <= 1) {
		put_u8(a, value ? ONE_OP : ZERO_OP);
	} else if (value <= UINT8_MAX) {
		put_u8(a, BYTE_PREFIX);
		aml_bytes(a, &value, 1);
	} else if (value <= UINT16_MAX) {
		put_u8(a, WORD_PREFIX);
		aml_bytes(a, &value, 2);
	} else {
		put_u8(a, DWORD_PREFIX);
		aml_bytes(a, &value, 4);
	}
}

void aml_name_integer(struct aml *a, const char name[4], u32 value)
{
	put_name(a, name);
	put_integer(a, value);
}

void aml_name_string(struct aml *a, const char name[4], const char *value)
{
	put_name(a, name);
	put_u8(a, STRING_PREFIX);
	aml_bytes(a, value, (u32)strlen(value) + 1);
}

static u32 hex_digit(char c)
{
	return (u32)(c >= 'A' ? c - 'A' + 10 : c - '0');
}

/*
 * Three letters of five bits and four hexadecimal digits, most significant bits first: so the bytes
 * go out in reverse of what a little-endian integer would be.
 */
void aml_name_eisa(struct aml *a, const char name[4], const char id[7])
{
	u32 value = 0;
	u8 bytes[4];

	for (int i = 0; i < 3; i++)
		value = value << 5 | ((u32)(id[i] - '@') & 0x1f);
	for (int i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	for (int i = 0; i < 4; i++)
		bytes[i] = (u8)(value >> (24 - 8 * i));
	put_name(a, name);
	put_u8(a, DWORD_PREFIX);
	aml_bytes(a, bytes, sizeof(bytes));
}

void aml_name_integers(struct aml *a, const char name[4], const u32 *values, u8 count)
{
	u32 mark;

	put_name(a, name);
	put_u8(a, PACKAGE_OP);
	mark = reserve_length(a);
	put_u8(a, count);
	for (u8 i = 0; i < count; i++)
		put_integer(a, values[i]);
	aml_end(a, mark);
}

u32 aml_begin_method(struct aml *a, const char name[4])
{
	u32 mark;

	put_u8(a, METHOD_OP);
	mark = reserve_length(a);
	aml_bytes(a, name, NAME_LENGTH);
	put_u8(a, 0); /* no arguments, not serialized */
	return mark;
}

void aml_notify(struct aml *a, const char scope[4], const char device[4], u8 value)
{
	put_u8(a, NOTIFY_OP);
	put_u8(a, ROOT_CHAR);
	put_u8(a, DUAL_NAME_PREFIX);
	aml_bytes(a, scope, NAME_LENGTH);
	aml_bytes(a, device, NAME_LENGTH);
	put_integer(a, value);
}

/* A buffer begins with its size, which is written as a byte: the content is less than 256 bytes. */
u32 aml_begin_resources(struct aml *a)
{
	u32 mark;

	put_name(a, "_CRS");
	put_u8(a, BUFFER_OP);
	mark = reserve_length(a);
	put_u8(a, BYTE_PREFIX);
	put_u8(a, 0);
	return mark;
}

void aml_ports(struct aml *a, u16 first, u8 count)
{
	const u8 desc[] = {
		DESC_IO,   IO_DECODE_16,     (u8)first,	 (u8)(first >> 8),
		(u8)first, (u8)(first >> 8), IO_ALIGN_1, count,
	};

	aml_bytes(a, desc, sizeof(desc));
}

void aml_isa_irq(struct aml *a, u8 irq)
{
	const u8 desc[] = {DESC_IRQ, (u8)(1u << irq), (u8)(1u << irq >> 8)};

	aml_bytes(a, desc, sizeof(desc));
}

void aml_end_resources(struct aml *a, u32 mark)
{
	const u8 end[] = {DESC_END, 0}; /* a checksum of 0 is taken as valid (6.4.2.9) */
	u32 content = mark + PKG_LENGTH_SIZE + 2;

	aml_bytes(a, end, sizeof(end));
	if (a->full)
		return;
	ASSERT(a->len - content <= UINT8_MAX);
	a->at[content - 1] = (u8)(a->len - content);
	aml_end(a, mark);
}
