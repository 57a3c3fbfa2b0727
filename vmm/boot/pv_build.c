// SPDX-License-Identifier: Apache-2.0
/* A Xen PV guest's memory as it begins; see pv_build.h. */
#include "vmm/boot/pv_build.h"

#include <string.h>

#include "vmm/boot/pv_layout.h"
#include "vmm/boot/pv_tables.h"
#include "vmm/boot/xen.h"

#define MAGIC "xen-3.0-x86_64"

#define CALL_SIZE 32u
#define INT3	  0xcc

_Static_assert(sizeof(struct start_info) <= PAGE_SIZE, "start_info has a page");
_Static_assert(sizeof(struct shared_info) <= PAGE_SIZE, "shared_info has a page");

/* Room in slot 0 that the layout has found to be there. */
static void *place(struct space *space, u64 at, u64 len)
{
	void *p = space_ptr_mut(space, gpa(at), len);

	ASSERT(p);
	return p;
}

/* Slots follow each other in pfns. */
static void write_p2m(struct space *space, const struct pv_layout *l)
{
	u64 *list = place(space, l->p2m, l->p2m_size), left = pv_nr_pages(space);

	for (unsigned int i = 0; i < space_nr_slots(space); i++) {
		const struct space_slot *slot = space_slot(space, i);
		u64 n = MIN(slot->size >> PAGE_SHIFT, left);

		for (u64 page = 0; page < n; page++)
			*list++ = gpa_gfn(slot->start).v + page;
		left -= n;
	}
}

static void write_tables(struct space *space, const struct pv_layout *l)
{
	struct pv_tables t = {
		.va = l->base,
		.nr = l->map_size >> PAGE_SHIFT,
		.root = l->tables >> PAGE_SHIFT,
		.tables = (l->tables >> PAGE_SHIFT) + 1,
		.ro_pfn = l->tables >> PAGE_SHIFT,
		.ro_nr = l->nr_tables,
	};

	pv_tables_write(space, &t);
	if (!l->nr_p2m_tables)
		return;
	t.va = l->p2m_va;
	t.nr = l->p2m_size >> PAGE_SHIFT;
	t.pfn = l->p2m >> PAGE_SHIFT;
	t.tables = l->p2m_tables >> PAGE_SHIFT;
	pv_tables_write(space, &t);
}

static void write_start_info(struct space *space, const struct pv_layout *l, bool by_pfn,
			     const char *append)
{
	struct start_info *si = place(space, l->start_info, PAGE_SIZE);

	*si = (struct start_info){
		.magic = MAGIC,
		.nr_pages = pv_nr_pages(space),
		.shared_info = gfn_gpa(pv_shared_info_frame(space)).v,
		.store_mfn = l->store >> PAGE_SHIFT,
		.console.domU = {.mfn = l->console >> PAGE_SHIFT, .evtchn = PV_CONSOLE_PORT},
		.pt_base = l->base + l->tables,
		.nr_pt_frames = l->nr_tables,
		.mfn_list = l->p2m_va,
	};
	if (l->initrd_size) {
		si->flags = by_pfn ? SIF_MOD_START_PFN : 0;
		si->mod_start = by_pfn ? l->initrd >> PAGE_SHIFT : l->base + l->initrd;
		si->mod_len = l->initrd_size;
	}
	if (l->nr_p2m_tables) {
		si->first_p2m_pfn = l->p2m >> PAGE_SHIFT;
		si->nr_p2m_frames = (l->p2m_size >> PAGE_SHIFT) + l->nr_p2m_tables;
	}
	if (append)
		memcpy(si->cmd_line, append, strlen(append) + 1);
}

/* No vCPU is to be told of events before it says so. */
static void write_shared_info(struct space *space)
{
	struct shared_info *shared = space_ptr_mut(space, gfn_gpa(pv_shared_info_frame(space)),
						   PAGE_SIZE);

	ASSERT(shared);
	memset(shared, 0, PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(shared->vcpu_info); i++)
		shared->vcpu_info[i].evtchn_upcall_mask = 1;
}

/*
 * Call number n is a function at 32 * n, which keeps what SYSCALL destroys. The one for IRET is
 * jumped to and does not come back: there the hypervisor takes what was pushed.
 */
static void write_hypercall_page(u8 *page)
{
	/* push %rcx; push %r11; mov $n, %eax; syscall; pop %r11; pop %rcx; ret */
	static const u8 call[] = {0x51, 0x41, 0x53, 0xb8, 0,	0,    0,
				  0,	0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3};
	/* push %rcx; push %r11; push %rax; mov $n, %eax; syscall */
	static const u8 iret[] = {0x51, 0x41, 0x53, 0x50, 0xb8, 0, 0, 0, 0, 0x0f, 0x05};

	memset(page, INT3, PAGE_SIZE);
	for (u32 n = 0; n < PAGE_SIZE / CALL_SIZE; n++) {
		u8 *at = page + n * CALL_SIZE;

		if (n == __HYPERVISOR_iret) {
			memcpy(at, iret, sizeof(iret));
			memcpy(at + 5, &n, sizeof(n));
		} else {
			memcpy(at, call, sizeof(call));
			memcpy(at + 4, &n, sizeof(n));
		}
	}
}

int pv_build(struct space *space, const struct kernel_image *image, const char *append,
	     const struct hostfile *initrd, struct pv_boot *boot, struct err *err)
{
	const struct elf_notes *notes = &image->notes;
	struct pv_layout l;
	int ret = pv_layout_init(&l, space, image, initrd ? initrd->size : 0, err);

	if (ret)
		return ret;
	ASSERT(!append || strlen(append) < MAX_GUEST_CMDLINE);
	if (initrd)
		ret = hostfile_read(initrd, 0, place(space, l.initrd, initrd->size), initrd->size,
				    err);
	if (ret)
		return ret;
	write_p2m(space, &l);
	write_tables(space, &l);
	write_start_info(space, &l, notes->mod_start_pfn.value, append);
	write_shared_info(space);
	if (notes->hypercall_page.present)
		write_hypercall_page(place(space, notes->hypercall_page.value - l.base, PAGE_SIZE));
	*boot = (struct pv_boot){
		.rip = notes->entry.value,
		.rsp = l.base + l.stack + PAGE_SIZE,
		.start_info = l.base + l.start_info,
		.root = {l.tables >> PAGE_SHIFT},
		.shared_info = pv_shared_info_frame(space),
		.console = {l.console >> PAGE_SHIFT},
		.store = {l.store >> PAGE_SHIFT},
		.nr_pages = pv_nr_pages(space),
	};
	return 0;
}
