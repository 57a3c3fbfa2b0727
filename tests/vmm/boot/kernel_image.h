// SPDX-License-Identifier: Apache-2.0
/*
 * Kernels for the loader to chew on: small ELF files and bzImages, made from a recipe, whole or
 * spoilt. They hold no code, for nobody runs them. Shared by the tests and by the program that
 * writes the fuzzer's first corpus.
 */
#ifndef QUIRE_TESTS_VMM_BOOT_KERNEL_IMAGE_H
#define QUIRE_TESTS_VMM_BOOT_KERNEL_IMAGE_H

#include <asm/bootparam.h>
#include <elf.h>

#include "mm/base/base.h"

/* A file's bytes, to be freed by image_free(). */
struct image {
	u8 *data;
	size_t len;
};

void image_free(struct image *image);

/* Bytes that repeat late and compress badly, the same ones every time. */
void image_fill(u8 *to, size_t len, u32 seed);

struct elf_recipe {
	u16 type;    /* ET_EXEC */
	u16 machine; /* EM_X86_64 */
	u8 class;    /* ELFCLASS64 */
	enum { NOTES_NONE, NOTES_PVH32, NOTES_PVH64 } notes;
	u32 note_align; /* 4 or 8 */
	bool linux;	/* with the note that says so */
	u32 nr_xen;	/* notes of Xen PV, at most 12 */
	struct {
		u32 type;
		u32 len;
		u64 value;
		const char *text; /* or NULL: the value */
	} xen[12];
	u32 entry;
	u32 nr_segments; /* at most 4, one behind the other at their offsets */
	struct {
		u64 paddr;
		u64 filesz;
		u64 memsz;
	} segments[4];
};

/* Two segments from 2 MiB on, with a bss; PVH entry at 2 MiB. Fits the smallest guest. */
struct elf_recipe elf_recipe_plain(void);

/* With the notes of Xen PV that Linux has, too: from -2 GiB on, page list at 512 GiB. */
struct elf_recipe elf_recipe_pv(void);

#define ELF_RECIPE_PV_BASE 0xffffffff80000000
#define ELF_RECIPE_PV_P2M  0x8000000000

/* Set the Xen note of @type to a number of @len bytes, or drop it: 0. */
void elf_recipe_note(struct elf_recipe *recipe, u32 type, u64 value, u32 len);

/* Where things are in the file, for those who spoil them. */
#define ELF_IMAGE_PHDRS sizeof(Elf64_Ehdr) /* segments first, then the notes */

struct image elf_image(const struct elf_recipe *recipe);

enum packing { PACK_LZ4, PACK_GZIP, PACK_ZSTD, PACK_XZ, NR_PACKINGS };

struct bzimage_recipe {
	u16 version; /* 0x020f */
	u16 xloadflags;
	u64 pref_address;
	u32 init_size;
	u32 cmdline_size;
	u32 initrd_addr_max;
	enum packing packing; /* PACK_XZ: only its magic, for what cannot be unpacked */
	u32 tail;	      /* bytes behind the payload */
};

struct bzimage_recipe bzimage_recipe_plain(enum packing packing);

#define BZIMAGE_CODE	1024u  /* file offset of the protected-mode code */
#define BZIMAGE_PAYLOAD 0x240u /* offset in that */

/* A bzImage with @kernel packed in it. */
struct image bzimage_image(const struct bzimage_recipe *recipe, const struct image *kernel);

/* The packed form by itself, with the size at its end as a bzImage has it. */
struct image packed_image(enum packing packing, const struct image *kernel);

/* A path under which @data can be opened until image_file_close(). */
struct image_file {
	int fd;
	char path[32];
};

void image_file_open(struct image_file *f, const void *data, size_t len);
void image_file_close(struct image_file *f);

#endif
