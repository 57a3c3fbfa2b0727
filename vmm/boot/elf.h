// SPDX-License-Identifier: Apache-2.0
/*
 * Loading an ELF64 kernel that is entered by PVH or as a Xen PV guest. It takes the file in pieces,
 * so that it does not matter whether the file is read as it is or unpacked on the way.
 *
 *   init --> piece (the first one holds the headers) --> piece ... --> finish
 *
 * Always true: what is loaded lies in RAM that is free for it (memmap_is_loadable()), segments do
 * not overlap, and so no byte of guest memory is written twice. That is why zeros need not be
 * written at all: pages that hold nothing but zeros stay unbacked. (Debian's kernel has 21 MB of
 * them in 53.)
 *
 * Sources: System V ABI, chapters 4 and 5 (object files, program loading); AMD64 supplement, 4.1;
 * Xen, docs/misc/pvh.pandoc and public/elfnote.h, for the notes.
 */
#ifndef QUIRE_VMM_BOOT_ELF_H
#define QUIRE_VMM_BOOT_ELF_H

#include "vmm/boot/hostfile.h"
#include "vmm/boot/kernel_image.h"

/*
 * The file's first piece has to hold the program headers: linkers put them right behind the start.
 */
#define ELF_HEAD_MAX (1 * MiB)

/* More loadable and note segments than any kernel has; more bytes of notes, too. */
#define ELF_MAX_PARTS 64
#define ELF_NOTES_MAX (16 * KiB)

/* A segment on its way: a stretch of the file and where it goes. */
struct elf_part {
	u32 type; /* PT_LOAD or PT_NOTE */
	u64 offset;
	u64 filesz;
	u8 *to;	   /* guest memory, or struct elf_load.notes */
	u64 start; /* PT_LOAD: guest-physical range that it takes */
	u64 memsz;
	u64 align; /* PT_NOTE: of the notes in it */
};

/* A load under way. Nothing in it needs to be released. */
struct elf_load {
	struct space *space;
	const char *name; /* begins each sentence */
	unsigned int nr_parts;
	struct elf_part parts[ELF_MAX_PARTS];
	u64 low_end; /* where the highest segment below the PCI hole ends */
	u64 notes_len;
	u8 notes[ELF_NOTES_MAX];
};

/* @name must outlive the load. */
void elf_load_init(struct elf_load *l, struct space *space, const char *name);

/*
 * An image_sink; @opaque is the struct elf_load. -ENOTSUP when it is no ELF file at all, -ENOEXEC
 * for one that cannot be loaded, -E2BIG for one that does not fit; each with a sentence.
 */
int elf_load_piece(void *opaque, const struct image_piece *piece, struct err *err);

/* Load @file as it is, all pieces of it. */
int elf_load_file(struct elf_load *l, const struct hostfile *file, struct err *err);

/*
 * After the last piece: fill @image, for the way of booting that @paging and the notes choose.
 * -ENOENT, without a sentence, when that is PVH and the file has no entry for it; -ENOEXEC and a
 * sentence when it has one that cannot be, or no Xen PV entry where there must be one.
 */
int elf_load_finish(const struct elf_load *l, enum boot_paging paging, struct kernel_image *image,
		    struct err *err);

/*
 * Give back to the host what was loaded. Backings that cannot do so page by page keep it, which
 * does no harm: no kernel expects to find its memory zeroed.
 */
void elf_load_undo(struct elf_load *l);

#endif
