// SPDX-License-Identifier: Apache-2.0
/* ELF64 kernels into guest memory; the order of calls and the rules are in elf.h. */
#include "vmm/boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/devices/memmap.h"
#include "vmm/boot/scratch.h"
#include "vmm/boot/xen.h"

#define LINUX_CMDLINE_MAX 2047 /* COMMAND_LINE_SIZE of x86 Linux, less the zero */

void elf_load_init(struct elf_load *l, struct space *space, const char *name)
{
	memset(l, 0, sizeof(*l));
	l->space = space;
	l->name = name;
}

static int damaged(const struct elf_load *l, const char *how, struct err *err)
{
	return err_set(err, -ENOEXEC, "%s: damaged ELF file: %s (get a new copy)", l->name, how);
}

static int cut_short(const struct elf_load *l, u64 total, struct err *err)
{
	return err_set(
		err, -ENOEXEC,
		"%s: ends after %llu bytes, within what its headers announce (get a whole copy)",
		l->name, (unsigned long long)total);
}

/* What kind of file it is, before anything else in it is believed. */
static int check_kind(const struct elf_load *l, const Elf64_Ehdr *eh, struct err *err)
{
	if (eh->e_ident[EI_CLASS] == ELFCLASS32)
		return err_set(err, -ENOEXEC, "%s: is a 32-bit ELF file (give a 64-bit x86 kernel)",
			       l->name);
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return err_set(err, -ENOEXEC,
			       "%s: is not a little-endian ELF64 file (give a 64-bit x86 kernel)",
			       l->name);
	if (eh->e_machine != EM_X86_64)
		return err_set(
			err, -ENOEXEC,
			"%s: is for another machine, ELF number %u (give a 64-bit x86 kernel)",
			l->name, eh->e_machine);
	if (eh->e_type == ET_REL)
		return err_set(
			err, -ENOEXEC,
			"%s: is a relocatable object (link it, or give the vmlinux made of it)",
			l->name);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return err_set(err, -ENOEXEC, "%s: is no program, ELF type %u (give a kernel)",
			       l->name, eh->e_type);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) && eh->e_phnum)
		return damaged(l, "program headers of an odd size", err);
	return 0;
}

static bool overlaps(const struct elf_part *p, u64 start, u64 len)
{
	return p->type == PT_LOAD && start < p->start + p->memsz && p->start < start + len;
}

/* Why [start, start + len) cannot be loaded. The caller has seen that the sum does not wrap. */
static int refuse_place(const struct elf_load *l, u64 start, u64 len, struct err *err)
{
	u64 end = start + len;

	if (start < MEMMAP_HIGH_START)
		return err_set(err, -ENOEXEC,
			       "%s: loads at 0x%llx, over boot data or firmware tables (give one "
			       "0x%x or higher)",
			       l->name, (unsigned long long)start, MEMMAP_HIGH_START);
	if (start >= SPACE_HOLE_END)
		end -= SPACE_HOLE_END - SPACE_HOLE_START;
	else
		end = MAX(end, l->low_end);
	if ((start < SPACE_HOLE_END && end > SPACE_HOLE_START) || end > SPACE_MAX_SIZE)
		return err_set(
			err, -ENOEXEC,
			"%s: loads at 0x%llx, where this machine has no memory (link it lower)",
			l->name, (unsigned long long)start);
	return err_set(
		err, -E2BIG,
		"%s: needs more than the guest's %llu MiB of memory (give --memory %lluM or more)",
		l->name, mib(space_size(l->space)), memory_mib(end));
}

static int add_load(struct elf_load *l, struct elf_part *part, struct err *err)
{
	if (part->filesz > part->memsz)
		return damaged(l, "a segment larger in the file than in memory", err);
	if (!range_fits(part->start, part->memsz, UINT64_MAX))
		return damaged(l, "a segment that ends beyond all addresses", err);
	if (!memmap_is_loadable(l->space, gpa(part->start), part->memsz))
		return refuse_place(l, part->start, part->memsz, err);
	for (unsigned int i = 0; i < l->nr_parts; i++)
		if (overlaps(&l->parts[i], part->start, part->memsz))
			return damaged(l, "two segments for the same memory", err);
	part->to = space_ptr_mut(l->space, gpa(part->start), part->memsz);
	return 0;
}

static int add_note(struct elf_load *l, struct elf_part *part, struct err *err)
{
	if (!range_fits(l->notes_len, part->filesz, sizeof(l->notes)))
		return err_set(
			err, -ENOEXEC,
			"%s: has more than %llu bytes of ELF notes (give an ordinary kernel)",
			l->name, (unsigned long long)ELF_NOTES_MAX);
	part->to = l->notes + l->notes_len;
	l->notes_len += part->filesz;
	return 0;
}

static int add_part(struct elf_load *l, const Elf64_Phdr *ph, u64 total, struct err *err)
{
	struct elf_part part = {
		.type = ph->p_type,
		.offset = ph->p_offset,
		.filesz = ph->p_filesz,
		.start = ph->p_paddr,
		.memsz = ph->p_memsz,
		.align = ph->p_align,
	};
	int ret;

	if (part.type != PT_NOTE && (part.type != PT_LOAD || !part.memsz))
		return 0;
	if (l->nr_parts == ELF_MAX_PARTS)
		return err_set(err, -ENOEXEC,
			       "%s: has more than %u segments (give an ordinary kernel)", l->name,
			       ELF_MAX_PARTS);
	if (!range_fits(part.offset, part.filesz, total))
		return cut_short(l, total, err);
	ret = part.type == PT_LOAD ? add_load(l, &part, err) : add_note(l, &part, err);
	if (!ret)
		l->parts[l->nr_parts++] = part;
	return ret;
}

static Elf64_Phdr program_header(const struct image_piece *head, const Elf64_Ehdr *eh,
				 unsigned int i)
{
	Elf64_Phdr ph;

	memcpy(&ph, head->data + eh->e_phoff + i * sizeof(ph), sizeof(ph));
	return ph;
}

/* All segments into l->parts. How high they reach goes first, so that a refusal can name it. */
static int add_parts(struct elf_load *l, const struct image_piece *head, const Elf64_Ehdr *eh,
		     struct err *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph = program_header(head, eh, i);

		if (ph.p_type == PT_LOAD && ph.p_memsz &&
		    range_fits(ph.p_paddr, ph.p_memsz, SPACE_HOLE_START))
			l->low_end = MAX(l->low_end, ph.p_paddr + ph.p_memsz);
	}
	for (unsigned int i = 0; i < eh->e_phnum && !ret; i++) {
		Elf64_Phdr ph = program_header(head, eh, i);

		ret = add_part(l, &ph, head->total, err);
	}
	return ret;
}

static int parse_headers(struct elf_load *l, const struct image_piece *head, struct err *err)
{
	Elf64_Ehdr eh;
	u64 table;
	int ret;

	if (head->len < SELFMAG || memcmp(head->data, ELFMAG, SELFMAG))
		return err_set(err, -ENOTSUP, "%s: is not an ELF file (give a kernel)", l->name);
	if (head->len < sizeof(eh))
		return cut_short(l, head->total, err);
	memcpy(&eh, head->data, sizeof(eh));
	ret = check_kind(l, &eh, err);
	if (ret)
		return ret;
	table = (u64)eh.e_phnum * sizeof(Elf64_Phdr);
	if (!range_fits(eh.e_phoff, table, head->total))
		return cut_short(l, head->total, err);
	if (!range_fits(eh.e_phoff, table, head->len))
		return damaged(l, "program headers far from its start", err);
	return add_parts(l, head, &eh, err);
}

/* Copy to memory that holds zeros, leaving alone each page of it that would only get zeros. */
static void copy_sparse(u8 *to, const u8 *from, u64 len)
{
	static const u8 zeros[PAGE_SIZE];

	while (len) {
		u64 n = MIN(len, PAGE_SIZE - ((uintptr_t)to & (PAGE_SIZE - 1)));

		if (memcmp(from, zeros, n))
			memcpy(to, from, n);
		to += n;
		from += n;
		len -= n;
	}
}

/* What @piece has for @part. */
static void copy_part(const struct elf_part *part, const struct image_piece *piece)
{
	u64 from = MAX(part->offset, piece->offset);
	u64 end = MIN(part->offset + part->filesz, piece->offset + piece->len);

	if (from < end)
		copy_sparse(part->to + (from - part->offset), piece->data + (from - piece->offset),
			    end - from);
}

int elf_load_piece(void *opaque, const struct image_piece *piece, struct err *err)
{
	struct elf_load *l = opaque;

	if (piece->offset == 0) {
		int ret = parse_headers(l, piece, err);

		if (ret)
			return ret;
	}
	for (unsigned int i = 0; i < l->nr_parts; i++)
		copy_part(&l->parts[i], piece);
	return 0;
}

/*
 * Window by window, each of them for its own segment only: headers may name the same stretch of the
 * file many times, and that must not cost more than the memory it fills.
 */
static int read_part(const struct elf_part *part, const struct hostfile *file, u8 *window,
		     struct err *err)
{
	u64 end = part->offset + part->filesz;

	for (u64 at = MAX(part->offset, ELF_HEAD_MAX); at < end; at += ELF_HEAD_MAX) {
		struct image_piece piece = {
			.total = file->size,
			.offset = at,
			.data = window,
			.len = MIN(ELF_HEAD_MAX, end - at),
		};
		int ret = hostfile_read(file, at, window, piece.len, err);

		if (ret)
			return ret;
		copy_part(part, &piece);
	}
	return 0;
}

int elf_load_file(struct elf_load *l, const struct hostfile *file, struct err *err)
{
	u8 *window = scratch_map(ELF_HEAD_MAX);
	struct image_piece head = {
		.total = file->size,
		.data = window,
		.len = MIN(ELF_HEAD_MAX, file->size),
	};
	int ret;

	if (!window)
		return err_set(err, -ENOMEM, "%s: no memory to read it (free some on this host)",
			       l->name);
	ret = hostfile_read(file, 0, window, head.len, err);
	if (!ret)
		ret = elf_load_piece(l, &head, err);
	for (unsigned int i = 0; i < l->nr_parts && !ret; i++)
		ret = read_part(&l->parts[i], file, window, err);
	scratch_unmap(window, ELF_HEAD_MAX);
	return ret;
}

/* Whether [start, start + len) is in something that was loaded. */
static bool is_loaded(const struct elf_load *l, u64 start, u64 len)
{
	for (unsigned int i = 0; i < l->nr_parts; i++) {
		const struct elf_part *p = &l->parts[i];

		if (p->type == PT_LOAD && start >= p->start &&
		    range_fits(start - p->start, len, p->memsz))
			return true;
	}
	return false;
}

static int finish_pvh(const struct elf_load *l, struct kernel_image *image, struct err *err)
{
	u64 entry = image->notes.pvh_entry.value;

	if (entry > UINT32_MAX || !is_loaded(l, entry, 1))
		return damaged(l, "a PVH entry where nothing is loaded", err);
	image->mode = BOOT_PVH;
	image->entry = gpa(entry);
	image->initrd_limit = SPACE_HOLE_START;
	image->cmdline_max = LINUX_CMDLINE_MAX;
	return 0;
}

/* What is loaded at p has to be seen at VIRT_BASE + p: so it is if segments say where they go. */
static int check_pv_place(const struct elf_load *l, const struct elf_notes *notes, struct err *err)
{
	if (notes->odd)
		return err_set(
			err, -ENOEXEC,
			"%s: damaged ELF file: the Xen note of type %u is no number (get a new "
			"copy)",
			l->name, notes->odd);
	if (notes->paddr_offset.value)
		return err_set(
			err, -ENOEXEC,
			"%s: its addresses are 0x%llx higher than where Xen would load it (link "
			"it with XEN_ELFNOTE_PADDR_OFFSET 0)",
			l->name, (unsigned long long)notes->paddr_offset.value);
	for (unsigned int i = 0; i < l->nr_parts; i++)
		if (l->parts[i].type == PT_LOAD && l->parts[i].start >= SPACE_HOLE_START)
			return err_set(
				err, -ENOEXEC,
				"%s: loads at 0x%llx, too high for a Xen PV kernel (link it below "
				"3 GiB)",
				l->name, (unsigned long long)l->parts[i].start);
	return 0;
}

static int finish_pv(const struct elf_load *l, struct kernel_image *image, struct err *err)
{
	const struct elf_notes *notes = &image->notes;
	u64 base = notes->virt_base.value, page = notes->hypercall_page.value;
	int ret = check_pv_place(l, notes, err);

	if (ret)
		return ret;
	if (!is_loaded(l, notes->entry.value - base, 1))
		return damaged(l, "a Xen PV entry where nothing is loaded", err);
	if (notes->hypercall_page.present &&
	    ((page - base) % PAGE_SIZE || !is_loaded(l, page - base, PAGE_SIZE)))
		return damaged(l, "a hypercall page where none is loaded", err);
	image->mode = BOOT_XEN_PV;
	image->cmdline_max = MAX_GUEST_CMDLINE - 1;
	return 0;
}

static void scan_parts(const struct elf_load *l, struct elf_notes *found)
{
	for (unsigned int i = 0; i < l->nr_parts; i++) {
		const struct elf_part *part = &l->parts[i];

		if (part->type == PT_NOTE)
			elf_notes_scan(found, part->to, part->filesz, part->align == 8 ? 8 : 4);
	}
}

static bool wants_pv(enum boot_paging paging, const struct elf_notes *found)
{
	if (paging == BOOT_PAGING_AUTO_SHADOW && !found->linux && found->pvh_entry.present)
		return false;
	return paging != BOOT_PAGING_EPT && found->entry.present;
}

int elf_load_finish(const struct elf_load *l, enum boot_paging paging, struct kernel_image *image,
		    struct err *err)
{
	struct elf_notes found = {0};

	scan_parts(l, &found);
	*image = (struct kernel_image){
		.end = MAX(l->low_end, MEMMAP_HIGH_START),
		.linux = found.linux,
		.notes = found,
	};
	if (wants_pv(paging, &found))
		return finish_pv(l, image, err);
	if (paging == BOOT_PAGING_SHADOW)
		return err_set(
			err, -ENOEXEC,
			"%s: has no Xen PV entry (use --mmu ept, or a kernel with CONFIG_XEN_PV)",
			l->name);
	return found.pvh_entry.present ? finish_pvh(l, image, err) : -ENOENT;
}

/* Whole pages: what shares one with a segment is RAM that nothing else was loaded into. */
void elf_load_undo(struct elf_load *l)
{
	for (unsigned int i = 0; i < l->nr_parts; i++) {
		const struct elf_part *part = &l->parts[i];
		u64 start = align_down(part->start, PAGE_SIZE);
		u64 end = align_up(part->start + part->memsz, PAGE_SIZE);

		if (part->type == PT_LOAD)
			space_punch(l->space, gpa(start), end - start);
	}
	l->nr_parts = 0;
}
