// SPDX-License-Identifier: Apache-2.0
/* A Xen PV guest's memory on paper; the drawing is in pv_layout.h. */
#include "vmm/boot/pv_layout.h"

#include <errno.h>

#include "vmm/boot/pv_tables.h"
#include "vmm/boot/xen.h"

#define MAP_ALIGN (4 * MiB)
#define MAP_PAD	  (512 * KiB)

#define LOWER_END ((u64)1 << 47) /* of the canonical addresses below; above, it is the hole first */

/*
 * What a kernel may insist on. Page tables may be writable, for the guest's are not those that the
 * processor walks.
 */
#define MET                                                                               \
	((u64)1 << XENFEAT_writable_page_tables | (u64)1 << XENFEAT_pae_pgdir_above_4gb | \
	 (u64)1 << XENFEAT_mmu_pt_update_preserve_ad)

/* Bytes from @va to where a guest's addresses end; 0 for one that is no guest's. */
static u64 room_from(u64 va)
{
	if (va < LOWER_END)
		return LOWER_END - va;
	return va >= HYPERVISOR_VIRT_END ? -va : 0;
}

/* What all memory of @size has for pfns below the hole. */
static u64 limit_of(u64 size)
{
	return MIN(size - PAGE_SIZE, SPACE_HOLE_START);
}

/* The tables map themselves, so that their number follows from itself. */
static void arrange_tables(struct pv_layout *l)
{
	u64 offset = l->base % MAP_ALIGN, nr = 1;

	do {
		l->nr_tables = nr;
		l->stack = l->tables + (nr << PAGE_SHIFT);
		l->map_size = align_up(offset + l->stack + PAGE_SIZE + MAP_PAD, MAP_ALIGN) - offset;
		nr = 1 + pv_tables_count(l->base, l->map_size >> PAGE_SHIFT);
	} while (nr != l->nr_tables);
}

/* As it would be in a guest with @size bytes of memory; only need says whether it fits. */
static void arrange(struct pv_layout *l, const struct kernel_image *image, u64 initrd_size,
		    u64 size)
{
	const struct elf_notes *notes = &image->notes;
	bool apart = notes->mod_start_pfn.value; /* the initrd, from the mapping */
	u64 initrd = align_up(initrd_size, PAGE_SIZE), at = align_up(image->end, PAGE_SIZE);

	*l = (struct pv_layout){.base = notes->virt_base.value, .initrd_size = initrd_size};
	l->initrd = at;
	at += apart ? 0 : initrd;
	l->p2m_size = align_up(((size >> PAGE_SHIFT) - 1) * sizeof(u64), PAGE_SIZE);
	l->p2m = at;
	at += notes->init_p2m.present ? 0 : l->p2m_size;
	l->start_info = at;
	l->store = at + PAGE_SIZE;
	l->console = at + 2 * PAGE_SIZE;
	l->tables = at + 3 * PAGE_SIZE;
	arrange_tables(l);
	l->need = l->map_size;
	l->p2m_va = l->base + l->p2m;
	if (notes->init_p2m.present) {
		l->p2m = l->need;
		l->p2m_va = notes->init_p2m.value;
		l->p2m_tables = l->p2m + l->p2m_size;
		l->nr_p2m_tables = pv_tables_count(l->p2m_va, l->p2m_size >> PAGE_SHIFT);
		l->need = l->p2m_tables + (l->nr_p2m_tables << PAGE_SHIFT);
	}
	if (apart) {
		l->need += initrd;
		l->initrd = MAX(limit_of(size), l->need) - initrd;
	}
}

/* The least memory that would do, or 0: more memory makes the list longer, too. */
static u64 enough(const struct kernel_image *image, u64 initrd_size)
{
	struct pv_layout l;

	for (u64 size = SPACE_MIN_SIZE; size <= SPACE_HOLE_START + 2 * MiB;) {
		arrange(&l, image, initrd_size, size);
		if (l.need <= limit_of(size))
			return size;
		size = MAX(size + 2 * MiB, align_up(l.need + PAGE_SIZE, 2 * MiB));
	}
	return 0;
}

static int refuse_size(const struct space *space, const struct kernel_image *image,
		       const struct pv_layout *l, struct err *err)
{
	u64 size = enough(image, l->initrd_size);

	if (size <= space_size(space))
		return err_set(
			err, -E2BIG,
			"%s: with its initrd and page list it takes %llu MiB and has to be below 3 "
			"GiB (give a smaller initrd or less --memory)",
			image->name, mib(l->need));
	return err_set(
		err, -E2BIG,
		"%s: with its initrd and page list needs more than the guest's %llu MiB of memory "
		"(give --memory %lluM or more)",
		image->name, mib(space_size(space)), memory_mib(size));
}

static int check_wishes(const struct kernel_image *image, struct err *err)
{
	const struct elf_notes *notes = &image->notes;
	u64 base = notes->virt_base.value;

	if (base % PAGE_SIZE || !room_from(base))
		return err_set(err, -ENOEXEC,
			       "%s: is linked to 0x%llx, where no Xen PV kernel can be (link it "
			       "to other addresses)",
			       image->name, (unsigned long long)base);
	if (notes->hv_start_low.present && notes->hv_start_low.value > HYPERVISOR_VIRT_START)
		return err_set(
			err, -ENOEXEC,
			"%s: leaves a hypervisor room only from 0x%llx on (give a kernel that "
			"does from 0x%llx on)",
			image->name, (unsigned long long)notes->hv_start_low.value,
			(unsigned long long)HYPERVISOR_VIRT_START);
	if (notes->features_required & ~MET)
		return err_set(
			err, -ENOEXEC,
			"%s: needs Xen features 0x%llx, which are not here (use --mmu ept, or "
			"another kernel)",
			image->name, (unsigned long long)(notes->features_required & ~MET));
	return 0;
}

/* Whether the page list may be where the kernel wants it: apart, in the top table, from itself. */
static bool is_p2m_place(const struct pv_layout *l)
{
	u64 nr = l->p2m_size >> PAGE_SHIFT, map_nr = l->map_size >> PAGE_SHIFT;

	return l->p2m_va % PAGE_SIZE == 0 && room_from(l->p2m_va) >= l->p2m_size &&
	       (pv_tables_last(l->p2m_va, nr) < pv_tables_first(l->base) ||
		pv_tables_first(l->p2m_va) > pv_tables_last(l->base, map_nr));
}

int pv_layout_init(struct pv_layout *l, const struct space *space, const struct kernel_image *image,
		   u64 initrd_size, struct err *err)
{
	int ret = check_wishes(image, err);

	if (ret)
		return ret;
	/* No sum wraps: a file has less than 8 EiB. */
	arrange(l, image, initrd_size, space_size(space));
	if (l->need > limit_of(space_size(space)))
		return refuse_size(space, image, l, err);
	if (l->map_size > room_from(l->base))
		return err_set(
			err, -E2BIG,
			"%s: needs %llu MiB of addresses, and from 0x%llx on it has %llu (give a "
			"smaller initrd or less --memory)",
			image->name, mib(l->map_size), (unsigned long long)l->base,
			mib(room_from(l->base)));
	if (l->nr_p2m_tables && !is_p2m_place(l))
		return err_set(
			err, -ENOEXEC,
			"%s: asks for its page list at 0x%llx, where it cannot be (give another "
			"kernel)",
			image->name, (unsigned long long)l->p2m_va);
	return 0;
}
