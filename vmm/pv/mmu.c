// SPDX-License-Identifier: Apache-2.0
/*
 * Hypercalls about page tables. A guest of this ABI tells of every change to a table in use, which
 * saves shadow paging from finding it out by a fault; the few that it makes directly
 * (compare-and-exchange of an entry) are found by write protection.
 *
 * Xen checks each entry, for its guests' tables are what the processor walks. Here they are only
 * data: whatever a guest writes there, shadow entries are made of frames that are its own. So
 * nothing is checked but that a table is in memory.
 */
#include "vmm/pv/mmu.h"

#include <errno.h>
#include <string.h>

#include "mm/base/inject.h"
#include "vmm/pv/impl.h"
#include "vmm/pv/memory.h"
#include "vmm/pv/vcpu.h"

#define AD (PTWALK_ACCESSED | PTWALK_DIRTY)

/* Entries are written 32 at a time: as many as a kernel sends in one go. */
#define BATCH 32

/* Other processors must not go on with what a flush was to remove. */
enum flush_of { FLUSH_OWN, FLUSH_ALL };

static void flush(struct pv_cpu *cpu, enum flush_of of)
{
	struct pv *pv = cpu->vcpu->vm->pv;

	shadow_sync(pv->shadow);
	if (of == FLUSH_ALL)
		pv_flush_others(cpu);
}

/* Which accessed and dirty bits an entry has afterwards: the ones that it comes with, or both. */
enum ad_bits { AD_REPLACE, AD_PRESERVE };

static long write_entry(struct pv *pv, u64 at, u64 value, enum ad_bits ad)
{
	u64 frame = at >> PAGE_SHIFT, old, new;
	int ret;

	at = align_down(at, sizeof(u64));
	if (!pv_is_frame(pv, frame) || pv_read_phys(pv, at, &old, sizeof(old)))
		return -EINVAL;
	do {
		new = ad == AD_PRESERVE ? value | (old & AD) : value;
		ret = pv_cmpxchg_phys(pv, at, &old, new);
	} while (ret > 0);
	pv->stats.entries_written += !ret;
	if (!ret && !inject(INJECT_MMU_ENTRY))
		shadow_entry_written(pv->shadow, frame, (u32)(at % PAGE_SIZE / sizeof(u64)), old,
				     new);
	return ret;
}

static long update(struct pv *pv, const struct mmu_update *u)
{
	switch (u->ptr & 3) {
	case MMU_NORMAL_PT_UPDATE:
	case MMU_PT_UPDATE_NO_TRANSLATE:
		return write_entry(pv, u->ptr, u->val, AD_REPLACE);
	case MMU_PT_UPDATE_PRESERVE_AD:
		return write_entry(pv, u->ptr, u->val, AD_PRESERVE);
	default: /* the table of frames, which is what it always is */
		return pv_is_frame(pv, u->ptr >> PAGE_SHIFT) ? 0 : -EINVAL;
	}
}

long pv_mmu_update(struct pv_cpu *cpu, const u64 args[5])
{
	struct pv *pv = cpu->vcpu->vm->pv;
	struct mmu_update u[BATCH];
	u64 count = args[1];
	u32 done = 0;
	long ret = pv_take_operations(cpu, count) ? 0 : -EINVAL;

	while (done < count && !ret) {
		u32 n = (u32)MIN(count - done, (u64)BATCH);

		if (pv_read(cpu, args[0] + done * sizeof(u[0]), u, n * sizeof(u[0])))
			ret = -EFAULT;
		for (u32 i = 0; i < n && !ret; i++) {
			ret = update(pv, &u[i]);
			done += !ret;
		}
	}
	if (args[2] && pv_write(cpu, args[2], &done, sizeof(done)))
		ret = -EFAULT;
	return ret;
}

long pv_update_va_mapping(struct pv_cpu *cpu, const u64 args[5])
{
	u64 at;
	long ret;

	if (pv_find_pte(cpu, args[0], &at))
		return -EINVAL;
	ret = write_entry(cpu->vcpu->vm->pv, at, args[1], AD_REPLACE);
	if (!ret && args[2] & UVMF_FLUSHTYPE_MASK)
		flush(cpu, args[2] & ~UVMF_FLUSHTYPE_MASK);
	return ret;
}

static long new_root(struct pv_cpu *cpu, enum shadow_view view, u64 frame)
{
	struct pv *pv = cpu->vcpu->vm->pv;

	/* no table for processes: only the kernel runs for now */
	if (view == SHADOW_USER && !frame)
		frame = SHADOW_NO_ROOT;
	if (frame != SHADOW_NO_ROOT && !pv_is_frame(pv, frame))
		return -EINVAL;
	cpu->roots[view] = frame;
	/* a new root is a flush */
	shadow_sync(pv->shadow);
	pv_set_roots(cpu);
	return 0;
}

static long clear_page(struct pv *pv, u64 frame)
{
	static const u8 zeros[PAGE_SIZE];

	if (!pv_is_frame(pv, frame))
		return -EINVAL;
	shadow_forget_table(pv->shadow, frame);
	return pv_write_phys(pv, frame << PAGE_SHIFT, zeros, PAGE_SIZE) ? -EINVAL : 0;
}

static long copy_page(struct pv *pv, u64 to, u64 from)
{
	u8 page[PAGE_SIZE];

	if (!pv_is_frame(pv, to) || !pv_is_frame(pv, from) ||
	    pv_read_phys(pv, from << PAGE_SHIFT, page, PAGE_SIZE))
		return -EINVAL;
	shadow_forget_table(pv->shadow, to);
	return pv_write_phys(pv, to << PAGE_SHIFT, page, PAGE_SIZE) ? -EINVAL : 0;
}

/* Not checked as Xen does, but noted: a kernel may write entries of a pinned table directly. */
static long pin(struct pv *pv, u64 frame)
{
	if (!pv_is_frame(pv, frame))
		return -EINVAL;
	shadow_note_table(pv->shadow, frame);
	return 0;
}

static long unpin(struct pv *pv, u64 frame)
{
	if (!pv_is_frame(pv, frame))
		return -EINVAL;
	shadow_forget_table(pv->shadow, frame);
	return 0;
}

static long extended(struct pv_cpu *cpu, const struct mmuext_op *op)
{
	struct pv *pv = cpu->vcpu->vm->pv;
	u64 frame = op->arg1.mfn;

	switch (op->cmd) {
	case MMUEXT_PIN_L1_TABLE:
	case MMUEXT_PIN_L2_TABLE:
	case MMUEXT_PIN_L3_TABLE:
	case MMUEXT_PIN_L4_TABLE:
		return pin(pv, frame);
	case MMUEXT_UNPIN_TABLE:
		return unpin(pv, frame);
	case MMUEXT_NEW_BASEPTR:
		return new_root(cpu, SHADOW_KERNEL, frame);
	case MMUEXT_NEW_USER_BASEPTR:
		return new_root(cpu, SHADOW_USER, frame);
	case MMUEXT_TLB_FLUSH_LOCAL:
	case MMUEXT_INVLPG_LOCAL:
		flush(cpu, FLUSH_OWN);
		return 0;
	case MMUEXT_TLB_FLUSH_MULTI:
	case MMUEXT_INVLPG_MULTI:
	case MMUEXT_TLB_FLUSH_ALL:
	case MMUEXT_INVLPG_ALL:
		flush(cpu, FLUSH_ALL);
		return 0;
	case MMUEXT_FLUSH_CACHE:
	case MMUEXT_FLUSH_CACHE_GLOBAL:
	case MMUEXT_SET_LDT: /* no segment of a local table is ever loaded: vmm/pv/cpu.c */
		return 0;
	case MMUEXT_CLEAR_PAGE:
		return clear_page(pv, frame);
	case MMUEXT_COPY_PAGE:
		return copy_page(pv, frame, op->arg2.src_mfn);
	default:
		return -ENOSYS;
	}
}

long pv_mmuext_op(struct pv_cpu *cpu, const u64 args[5])
{
	u64 count = args[1];
	struct mmuext_op op;
	u32 done = 0;
	long ret = pv_take_operations(cpu, count) ? 0 : -EINVAL;

	while (done < count && !ret) {
		if (pv_read(cpu, args[0] + done * sizeof(op), &op, sizeof(op)))
			ret = -EFAULT;
		else
			ret = extended(cpu, &op);
		done += !ret;
	}
	if (args[2] && pv_write(cpu, args[2], &done, sizeof(done)))
		ret = -EFAULT;
	return ret;
}
