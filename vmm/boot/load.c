// SPDX-License-Identifier: Apache-2.0
/*
 * Booting as a recipe: the kernel first, for it says how much room it needs and what may lie above
 * it, then what goes beside it, then the structure that tells the kernel of it all.
 *
 *   0   boot data  (low RAM)  1 MiB   kernel ....  end     (free)     initrd |  end of slot 0,
 *                                                                           or initrd_limit
 *
 * A guest of Xen PV is given everything but the kernel by vmm/boot/pv_build.h, in another order.
 */
#include "vmm/boot/load.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/boot/bootparams.h"
#include "vmm/boot/hostfile.h"
#include "vmm/boot/bzimage.h"
#include "vmm/boot/elf.h"
#include "vmm/devices/memmap.h"
#include "vmm/boot/pv_build.h"
#include "vmm/boot/pv_cmdline.h"
#include "vmm/boot/pvh.h"

static int load_elf(struct space *space, const struct hostfile *file, enum boot_paging paging,
		    struct kernel_image *image, struct err *err)
{
	struct elf_load elf;
	int ret;

	elf_load_init(&elf, space, file->name);
	ret = elf_load_file(&elf, file, err);
	if (!ret)
		ret = elf_load_finish(&elf, paging, image, err);
	if (ret == -ENOENT)
		return err_set(
			err, -ENOEXEC,
			"%s: an ELF file without a PVH entry, note type 18 (give a kernel with "
			"CONFIG_PVH, or a bzImage)",
			file->name);
	return ret;
}

static int load_kernel(struct space *space, const struct boot_source *src,
		       struct kernel_image *image, struct err *err)
{
	u8 head[BZIMAGE_HEAD] = {0};
	struct hostfile file;
	int ret = hostfile_open(&file, "kernel", src->kernel, err);

	if (ret)
		return ret;
	ret = hostfile_read(&file, 0, head, MIN(sizeof(head), file.size), err);
	if (ret)
		goto out_close;
	if (!memcmp(head, ELFMAG, SELFMAG))
		ret = load_elf(space, &file, src->paging, image, err);
	else if (bzimage_matches(head))
		ret = bzimage_load(space, &file, src->paging, image, err);
	else
		ret = err_set(
			err, -ENOEXEC,
			"%s: is no kernel image (give a bzImage, a vmlinux or another PVH ELF)",
			file.name);
	snprintf(image->name, sizeof(image->name), "%s", file.name);
out_close:
	hostfile_close(&file);
	return ret;
}

static int check_cmdline(const char *text, const struct kernel_image *image, struct err *err)
{
	u64 len = strlen(text);

	if (len > image->cmdline_max)
		return err_set(
			err, -E2BIG,
			"command line: has %llu characters and the kernel takes %llu (shorten "
			"--append)",
			(unsigned long long)len, (unsigned long long)image->cmdline_max);
	return 0;
}

/* An initrd of @size bytes has no place: is it the guest's memory, or is there no place at all? */
static int refuse_initrd(const struct space *space, const struct hostfile *file,
			 const struct kernel_image *image, struct err *err)
{
	u64 limit = MIN(image->initrd_limit, SPACE_HOLE_START);

	if (!range_fits(image->end + PAGE_SIZE, align_up(file->size, PAGE_SIZE), limit))
		return err_set(
			err, -E2BIG,
			"%s: %llu MiB do not fit below %llu MiB, where this kernel looks for it "
			"(give a smaller one)",
			file->name, mib(file->size), mib(limit));
	return err_set(
		err, -E2BIG,
		"%s: %llu MiB do not fit beside the kernel in %llu MiB of memory (give --memory "
		"%lluM or more)",
		file->name, mib(file->size), mib(space_size(space)),
		memory_mib(image->end + PAGE_SIZE + align_up(file->size, PAGE_SIZE)));
}

/* As high as it may lie, so that the kernel finds its memory in one piece. */
static int load_initrd(struct space *space, const char *path, const struct kernel_image *image,
		       struct boot_parts *parts, struct err *err)
{
	u64 limit = MIN(image->initrd_limit, space_slot(space, 0)->size), start;
	struct hostfile file;
	int ret;

	if (!path)
		return 0;
	ret = hostfile_open(&file, "initrd", path, err);
	if (ret)
		return ret;
	if (file.size > limit || align_down(limit - file.size, PAGE_SIZE) < image->end) {
		ret = refuse_initrd(space, &file, image, err);
		goto out_close;
	}
	start = align_down(limit - file.size, PAGE_SIZE);
	ret = hostfile_read(&file, 0, space_ptr_mut(space, gpa(start), file.size), file.size, err);
	parts->initrd = gpa(start);
	parts->initrd_size = file.size;
out_close:
	hostfile_close(&file);
	return ret;
}

static int load_beside(struct space *space, const struct boot_source *src,
		       const struct kernel_image *image, struct boot_entry *entry, struct err *err)
{
	const char *text = src->append ? src->append : "";
	struct boot_parts parts = {.rsdp = src->rsdp, .cmdline = gpa(MEMMAP_BOOT_CMDLINE)};
	int ret = space_write(space, parts.cmdline, text, strlen(text) + 1);

	if (!ret)
		ret = load_initrd(space, src->initrd, image, &parts, err);
	if (ret)
		return ret;
	if (image->mode == BOOT_PVH)
		entry->info = pvh_write_info(space, &parts);
	else
		bootparams_write(space, image, &parts, entry);
	return 0;
}

static int load_beside_pv(struct space *space, const struct boot_source *src,
			  const struct kernel_image *image, struct pv_boot *boot, struct err *err)
{
	const char *append = src->append ? src->append : "";
	char line[MAX_GUEST_CMDLINE];
	struct hostfile initrd;
	int ret;

	if (image->linux) {
		pv_cmdline(line, append, src->nr_cpus);
		append = line;
	}
	if (!src->initrd)
		return pv_build(space, image, append, NULL, boot, err);
	ret = hostfile_open(&initrd, "initrd", src->initrd, err);
	if (ret)
		return ret;
	ret = pv_build(space, image, append, &initrd, boot, err);
	hostfile_close(&initrd);
	return ret;
}

int boot_load(struct space *space, const struct boot_source *src, struct boot_entry *entry,
	      struct err *err)
{
	struct kernel_image image = {0};
	int ret;

	ret = load_kernel(space, src, &image, err);
	if (!ret)
		ret = check_cmdline(src->append ? src->append : "", &image, err);
	if (ret)
		return ret;
	*entry = (struct boot_entry){.mode = image.mode, .rip = image.entry, .linux = image.linux};
	if (image.mode == BOOT_XEN_PV)
		return load_beside_pv(space, src, &image, &entry->pv, err);
	return load_beside(space, src, &image, entry, err);
}
