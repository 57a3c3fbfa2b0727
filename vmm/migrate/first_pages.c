// SPDX-License-Identifier: Apache-2.0
/*
 * A walk through the page tables of vCPUs that stand still. Contract in first_pages.h.
 *
 * Nothing that the guest says is trusted, nor needs to be: an address outside its memory ends that
 * walk, and all that can come of a wrong one is a page that is sent early for nothing.
 */
#include "vmm/migrate/first_pages.h"

#include <string.h>

#include "mm/engine/copy.h"
#include "mm/x86/ptwalk.h"
#include "mm/space/space.h"
#include "vmm/kvm/kvm.h"
#include "vmm/pv/pv.h"
#include "vmm/vm/vcpu.h"
#include "vmm/vm/vm.h"

#define TABLES 8

/* The tables that were read last: most of one walk is that of the one before. */
struct walker {
	const struct vm *vm;
	u64 *pages;
	struct {
		bool valid;
		u64 no;
		u64 entries[PAGE_SIZE / 8];
	} tables[TABLES];
};

/* Note the page at @at; false when there is none. */
static bool note(struct walker *w, gpa_t at, u64 *no)
{
	if (!space_page_of(w->vm->space, at, 1, no))
		return false;
	w->pages[*no / 64] |= (u64)1 << *no % 64;
	return true;
}

static bool read_entry(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	struct walker *w = opaque;
	u64 no, i;

	if (!note(w, at, &no))
		return false;
	i = no % TABLES;
	if (!w->tables[i].valid || w->tables[i].no != no) {
		w->tables[i].valid = !mem_look(w->vm->mem, (page_no)no, w->tables[i].entries);
		w->tables[i].no = no;
	}
	memcpy(entry, (u8 *)w->tables[i].entries + at.v % PAGE_SIZE, size);
	return w->tables[i].valid;
}

/* The tables on the way to @linear, and the page there. */
static void walk(struct walker *w, const struct ptwalk_mode *mode, u64 linear)
{
	const struct ptwalk_memory memory = {.opaque = w, .read = read_entry};
	const struct ptwalk_access access = {PTWALK_READ, PTWALK_BY_SUPERVISOR};
	struct ptwalk_result r;
	u64 no;

	if (ptwalk(mode, &memory, &access, linear, &r) == PTWALK_DONE)
		note(w, r.at, &no);
}

static void walk_vcpu(struct walker *w, const struct vcpu *vcpu)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &r) < 0 ||
	    kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0 || !(s.efer & EFER_LMA))
		return;
	/* the widest of processors, and no SMAP: what is mapped is wanted, whatever guards it */
	const struct ptwalk_mode mode = {
		.cr0 = s.cr0,
		.cr3 = s.cr3,
		.cr4 = s.cr4 & CR4_LA57,
		.efer = s.efer,
		.maxphyaddr = 52,
		.gib_pages = true,
	};
	const u64 at[] = {r.rip,     r.rip + 15, r.rsp,	     r.rsp - 8, s.gs.base,
			  s.fs.base, s.gdt.base, s.idt.base, s.tr.base};

	for (u32 i = 0; i < ARRAY_SIZE(at); i++)
		walk(w, &mode, at[i]);
}

/* Its linear addresses may be in the kernel's table or in the processes'. */
static void walk_pv(struct walker *w, struct vcpu *vcpu)
{
	struct ptwalk_mode mode = {
		.cr0 = CR0_PG | CR0_WP,
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_NXE,
		.maxphyaddr = 52,
	};
	struct pv_place place;
	u64 no;

	pv_where(vcpu, &place);
	for (u32 i = 0; i < ARRAY_SIZE(place.physical); i++)
		if (place.physical[i])
			note(w, gpa(place.physical[i]), &no);
	for (u32 i = 0; i < ARRAY_SIZE(place.roots); i++) {
		if (place.roots[i] > UINT64_MAX >> PAGE_SHIFT)
			continue;
		mode.cr3 = place.roots[i] << PAGE_SHIFT;
		for (u32 k = 0; k < ARRAY_SIZE(place.linear); k++)
			walk(w, &mode, place.linear[k]);
	}
}

void first_pages(const struct vm *vm, u64 *pages)
{
	struct walker w = {.vm = vm, .pages = pages};

	for (unsigned int i = 0; i < vm->nr_vcpus; i++)
		if (vm->pv)
			walk_pv(&w, vm->vcpus[i]);
		else
			walk_vcpu(&w, vm->vcpus[i]);
}
