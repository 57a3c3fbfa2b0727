// SPDX-License-Identifier: Apache-2.0
/* Contract in first_pages.h. */
#include "vmm/first_pages.h"

#include <string.h>

#include "mm/mem.h"
#include "mm/space.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define EFER_LMA    ((u64)1 << 10)
#define CR4_LA57    ((u64)1 << 12)
#define PTE_PRESENT 1u
#define PTE_LARGE   (1u << 7)
#define PTE_ADDRESS (((u64)1 << 52) - PAGE_SIZE)
#define MAX_LEVELS  5

/* The tables that were read last, by level: most of one walk is that of the one before. */
struct walker {
	const struct vm *vm;
	u64 *pages;
	struct {
		bool valid;
		u64 no;
		u64 entries[PAGE_SIZE / 8];
	} tables[MAX_LEVELS + 1];
};

/* Note the page at @at; false when there is none. */
static bool note(struct walker *w, gpa_t at, u64 *no)
{
	if (!space_page_of(w->vm->space, at, 1, no))
		return false;
	w->pages[*no / 64] |= (u64)1 << *no % 64;
	return true;
}

static bool read_entry(struct walker *w, unsigned int level, u64 table, unsigned int i, u64 *entry)
{
	u64 no;

	if (!note(w, gpa(table), &no))
		return false;
	if (!w->tables[level].valid || w->tables[level].no != no) {
		w->tables[level].valid = !mem_look(w->vm->mem, (page_no)no,
						   w->tables[level].entries);
		w->tables[level].no = no;
	}
	*entry = w->tables[level].entries[i];
	return w->tables[level].valid && (*entry & PTE_PRESENT);
}

/* The tables on the way to @gva, and the page there. */
static void walk(struct walker *w, const struct kvm_sregs *s, u64 gva)
{
	u64 entry = s->cr3, no, offset;

	for (unsigned int level = s->cr4 & CR4_LA57 ? 5 : 4; level; level--) {
		unsigned int shift = PAGE_SHIFT + 9 * (level - 1);

		if (!read_entry(w, level, entry & PTE_ADDRESS, gva >> shift & 511, &entry))
			return;
		if (level == 1 || (level < 4 && entry & PTE_LARGE)) {
			offset = gva & (((u64)1 << shift) - 1);
			note(w, gpa((entry & PTE_ADDRESS & ~(((u64)1 << shift) - 1)) + offset),
			     &no);
			return;
		}
	}
}

static void walk_vcpu(struct walker *w, const struct vcpu *vcpu)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &r) < 0 ||
	    kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0 || !(s.efer & EFER_LMA))
		return;
	const u64 at[] = {r.rip,     r.rip + 15, r.rsp,	     r.rsp - 8, s.gs.base,
			  s.fs.base, s.gdt.base, s.idt.base, s.tr.base};

	for (u32 i = 0; i < ARRAY_SIZE(at); i++)
		walk(w, &s, at[i]);
}

void first_pages(const struct vm *vm, u64 *pages)
{
	struct walker w = {.vm = vm, .pages = pages};

	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		walk_vcpu(&w, vm->vcpus[i]);
}
