// SPDX-License-Identifier: Apache-2.0
/* Linux bzImage files into guest memory; the two ways are in bzimage.h. */
#include "vmm/boot/bzimage.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/elf.h"
#include "vmm/devices/memmap.h"
#include "vmm/boot/unpack.h"

#define SETUP_HEADER	  0x1f1u
#define BOOT_FLAG	  0x1feu
#define JUMP_LENGTH	  0x201u /* the header ends this far behind the next byte */
#define HEADER_MAGIC	  0x202u
#define SECTOR		  512u
#define SETUP_SECTS_UNSET 4u	 /* what a setup_sects of 0 means */
#define ENTRY_64	  0x200u /* from the start of the protected-mode code */

#define VERSION_MIN	0x0206 /* cmdline_size */
#define VERSION_PAYLOAD 0x0208 /* payload_offset, payload_length */
#define VERSION_64	0x020c /* xloadflags; pref_address and init_size are older */

_Static_assert(SETUP_HEADER + offsetof(struct setup_header, header) == HEADER_MAGIC,
	       "the kernel's header describes the layout of boot.rst");

/* An image whose header has been read, and its ranges checked against the file. */
struct bzimage {
	struct space *space;
	const struct hostfile *file;
	enum boot_paging paging;
	struct setup_header hdr; /* fields that the file is too old to have are 0 */
	u64 code_offset;	 /* protected-mode code, to the end of the file */
	u64 code_len;
};

bool bzimage_matches(const u8 head[BZIMAGE_HEAD])
{
	return head[BOOT_FLAG] == 0x55 && head[BOOT_FLAG + 1] == 0xaa &&
	       !memcmp(head + HEADER_MAGIC, "HdrS", 4);
}

static int cut_short(const struct bzimage *b, struct err *err)
{
	return err_set(
		err, -ENOEXEC,
		"%s: ends after %llu bytes, within what its header announces (get a whole copy)",
		b->file->name, (unsigned long long)b->file->size);
}

static int read_header(struct bzimage *b, struct err *err)
{
	u8 jump;
	u64 len;
	int ret = hostfile_read(b->file, JUMP_LENGTH, &jump, sizeof(jump), err);

	if (ret)
		return ret;
	len = HEADER_MAGIC + jump - SETUP_HEADER;
	if (!range_fits(SETUP_HEADER, len, b->file->size))
		return cut_short(b, err);
	ret = hostfile_read(b->file, SETUP_HEADER, &b->hdr, MIN(len, sizeof(b->hdr)), err);
	if (ret)
		return ret;
	if (len < offsetof(struct setup_header, hardware_subarch) || b->hdr.version < VERSION_MIN)
		return err_set(err, -ENOEXEC,
			       "%s: boot protocol %u.%u is too old (give a kernel from 2.6.22 on)",
			       b->file->name, b->hdr.version >> 8, b->hdr.version & 0xff);
	return 0;
}

static int check_header(struct bzimage *b, struct err *err)
{
	u64 sects = b->hdr.setup_sects ? b->hdr.setup_sects : SETUP_SECTS_UNSET;

	b->code_offset = (sects + 1) * SECTOR;
	if (b->code_offset >= b->file->size)
		return cut_short(b, err);
	b->code_len = b->file->size - b->code_offset;
	/* syssize counts paragraphs, rounded up or down depending on the kernel's age */
	if ((u64)b->hdr.syssize * 16 >= b->code_len + 16)
		return cut_short(b, err);
	if (b->hdr.version < VERSION_PAYLOAD)
		b->hdr.payload_length = 0;
	if (!range_fits(b->hdr.payload_offset, b->hdr.payload_length, b->code_len) &&
	    b->hdr.payload_length)
		return cut_short(b, err);
	return 0;
}

/*
 * Unpack the kernel into its place. -ENOTSUP when it is packed in a way that only the image's own
 * code understands, or is no ELF file; -ENOENT when it has no PVH entry: then there is the other
 * way.
 */
static int load_unpacked(const struct bzimage *b, struct kernel_image *image, struct err *err)
{
	struct unpack_source src = {
		.file = b->file,
		.offset = b->code_offset + b->hdr.payload_offset,
		.len = b->hdr.payload_length,
	};
	struct elf_load elf;
	int ret;

	elf_load_init(&elf, b->space, b->file->name);
	ret = unpack(&src, elf_load_piece, &elf, err);
	if (!ret)
		ret = elf_load_finish(&elf, b->paging, image, err);
	if (ret)
		elf_load_undo(&elf);
	return ret;
}

static int check_packed(const struct bzimage *b, struct err *err)
{
	const struct setup_header *h = &b->hdr;

	if (h->version < VERSION_64 || !(h->xloadflags & XLF_KERNEL_64))
		return err_set(
			err, -ENOEXEC,
			"%s: a kernel without a PVH or 64-bit entry (give a 64-bit x86 kernel "
			"from 3.8 on)",
			b->file->name);
	if (!(h->loadflags & LOADED_HIGH) || h->pref_address < MEMMAP_HIGH_START ||
	    b->code_len <= ENTRY_64)
		return err_set(err, -ENOEXEC,
			       "%s: damaged header: no place for its code (get a new copy)",
			       b->file->name);
	return 0;
}

/* The image's own code, which would unpack the kernel, has no such entry. */
static int refuse_packed(const struct bzimage *b, struct err *err)
{
	return err_set(
		err, -ENOEXEC,
		"%s: is packed in a way that shows no Xen PV entry (use --mmu ept, or a kernel "
		"packed with LZ4, gzip or zstd)",
		b->file->name);
}

/*
 * The code as it is, at its preferred address: from there the kernel need not move itself.
 * init_size is what it needs there to unpack itself, above what the file holds.
 */
static int load_packed(const struct bzimage *b, struct kernel_image *image, struct err *err)
{
	u64 start = b->hdr.pref_address, need = MAX(b->hdr.init_size, b->code_len);
	u64 room = space_slot(b->space, 0)->size;
	int ret = check_packed(b, err);

	if (ret)
		return ret;
	if (!range_fits(start, need, SPACE_HOLE_START))
		return err_set(
			err, -ENOEXEC,
			"%s: wants %llu MiB at 0x%llx, where this machine has none (get a new "
			"copy)",
			b->file->name, mib(need), (unsigned long long)start);
	if (start + need > room)
		return err_set(err, -E2BIG,
			       "%s: needs more than the guest's %llu MiB of memory (give --memory "
			       "%lluM or more)",
			       b->file->name, mib(room), memory_mib(start + need));
	ret = hostfile_read(b->file, b->code_offset,
			    space_ptr_mut(b->space, gpa(start), b->code_len), b->code_len, err);
	if (ret)
		return ret;
	*image = (struct kernel_image){
		.mode = BOOT_LONG64,
		.entry = gpa(start + ENTRY_64),
		.end = start + need,
		.initrd_limit = (u64)b->hdr.initrd_addr_max + 1,
		.header = b->hdr,
	};
	image->header.code32_start = (u32)start;
	return 0;
}

int bzimage_load(struct space *space, const struct hostfile *file, enum boot_paging paging,
		 struct kernel_image *image, struct err *err)
{
	struct bzimage b = {.space = space, .file = file, .paging = paging};
	struct err why = {0}; /* of the first way: of interest only where there is no second */
	int ret = read_header(&b, err);

	if (!ret)
		ret = check_header(&b, err);
	if (ret)
		return ret;
	ret = load_unpacked(&b, image, &why);
	if (ret == -ENOTSUP && paging == BOOT_PAGING_SHADOW)
		ret = refuse_packed(&b, err);
	else if (ret == -ENOTSUP || ret == -ENOENT)
		ret = load_packed(&b, image, err);
	else if (ret && err)
		*err = why;
	if (ret)
		return ret;
	/* A longer one than a page has room for, the kernel may take, but not have from us. */
	image->cmdline_max = MIN(b.hdr.cmdline_size,
				 image->mode == BOOT_XEN_PV ? image->cmdline_max : CMDLINE_LIMIT);
	image->linux = true;
	return 0;
}
