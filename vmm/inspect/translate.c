// SPDX-License-Identifier: Apache-2.0
/* Contract in translate.h. */
#include "vmm/inspect/translate.h"

#include <errno.h>
#include <string.h>

#include "mm/engine/copy.h"
#include "mm/engine/stats.h"
#include "vmm/kvm/host.h"
#include "vmm/pv/pv.h"
#include "vmm/vm/vcpu.h"
#include "vmm/vm/vm.h"

/* ---- What of a vCPU decides ---- */

struct registers {
	struct ptwalk_mode mode;
	u64 pdptes[4];
	enum segment_mode segment_mode;
	struct segment segments[SEGMENT_NR];
};

static const struct kvm_cpuid_entry2 *leaf(const struct vcpu *vcpu, u32 function, u32 index)
{
	for (u32 i = 0; i < vcpu->cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &vcpu->cpuid->entries[i];

		if (e->function == function && e->index == index)
			return e;
	}
	return NULL;
}

/* What its CPUID says (Intel SDM volume 2A and AMD APM volume 3, "CPUID"). */
static void read_features(const struct vcpu *vcpu, struct ptwalk_mode *mode)
{
	const struct kvm_cpuid_entry2 *vendor = leaf(vcpu, 0, 0), *basic = leaf(vcpu, 1, 0);
	const struct kvm_cpuid_entry2 *extended = leaf(vcpu, 0x80000001, 0);
	const struct kvm_cpuid_entry2 *sizes = leaf(vcpu, 0x80000008, 0);
	u32 maxphyaddr = sizes ? sizes->eax & 0xff : 36;

	mode->maxphyaddr = (u8)MIN(MAX(maxphyaddr, 32u), 52u);
	mode->gib_pages = extended && extended->edx >> 26 & 1;
	mode->pse36 = basic && basic->edx >> 17 & 1;
	/* the last four letters of AuthenticAMD and of HygonGenuine */
	mode->amd = vendor && (vendor->ecx == 0x444d4163 || vendor->ecx == 0x656e6975);
}

/* Component 9 of the XSAVE area (Intel SDM volume 1, "Managing State Using the XSAVE..."). */
static u32 read_pkru(const struct vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e = leaf(vcpu, 0xd, 9);
	struct kvm_xsave area;
	u64 present;
	u32 pkru;

	if (!e || !range_fits(e->ebx, sizeof(pkru), sizeof(area.region)) ||
	    kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, &area) < 0)
		return 0;
	memcpy(&present, (const u8 *)area.region + 512, sizeof(present));
	memcpy(&pkru, (const u8 *)area.region + e->ebx, sizeof(pkru));
	return present >> 9 & 1 ? pkru : 0;
}

/* A vCPU that never ran has its registers in the area shared with KVM. */
static int read_registers(const struct vcpu *vcpu, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	const struct kvm_run *run = vcpu->run;
	int ret = kvm_ioctl(vcpu->fd, KVM_GET_REGS, regs);

	if (ret >= 0)
		ret = kvm_ioctl(vcpu->fd, KVM_GET_SREGS, sregs);
	if (ret < 0)
		return ret;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_REGS)
		*regs = run->s.regs.regs;
	if (run->kvm_dirty_regs & KVM_SYNC_X86_SREGS)
		*sregs = run->s.regs.sregs;
	return 0;
}

/* Intel's four registers of PAE paging. On AMD, and where KVM does not tell, memory has them. */
static void read_pdptes(const struct vcpu *vcpu, struct registers *r)
{
	struct ptwalk_mode *mode = &r->mode;
	struct kvm_sregs2 s;

	if (ptwalk_paging(mode) != PTWALK_PAE || mode->amd ||
	    kvm_ioctl(vcpu->fd, KVM_GET_SREGS2, &s) < 0 ||
	    !(s.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID))
		return;
	memcpy(r->pdptes, s.pdptrs, sizeof(r->pdptes));
	mode->pdptes = r->pdptes;
}

static struct segment segment_of(const struct kvm_segment *s)
{
	return (struct segment){
		.base = s->base,
		.limit = s->limit,
		.type = s->type & 15,
		.usable = s->present && !s->unusable,
		.wide = s->db,
	};
}

static void read_segments(const struct kvm_regs *regs, const struct kvm_sregs *s,
			  struct registers *r)
{
	const struct kvm_segment *segments[] = {
		[SEGMENT_ES] = &s->es, [SEGMENT_CS] = &s->cs, [SEGMENT_SS] = &s->ss,
		[SEGMENT_DS] = &s->ds, [SEGMENT_FS] = &s->fs, [SEGMENT_GS] = &s->gs,
	};

	for (u32 i = 0; i < SEGMENT_NR; i++)
		r->segments[i] = segment_of(segments[i]);
	if (!(s->cr0 & CR0_PE) || regs->rflags & RFLAGS_VM)
		r->segment_mode = SEGMENT_REAL;
	else
		r->segment_mode = s->efer & EFER_LMA && s->cs.l ? SEGMENT_64_BIT
								: SEGMENT_PROTECTED;
}

/* On shadow tables, what KVM has for registers is the monitor's. */
static int read_shadowed(struct vcpu *vcpu, struct registers *r, struct translation *t)
{
	t->shadowed = true;
	pv_walk_mode(vcpu, &r->mode, &t->user);
	return pv_segments(vcpu, r->segments, &r->segment_mode);
}

static int read_all(const struct vcpu *vcpu, struct registers *r)
{
	struct ptwalk_mode *mode = &r->mode;
	struct kvm_regs regs;
	struct kvm_sregs s;
	int ret = read_registers(vcpu, &regs, &s);

	if (ret < 0)
		return ret;
	*mode = (struct ptwalk_mode){
		.cr0 = s.cr0,
		.cr3 = s.cr3,
		.cr4 = s.cr4,
		.efer = s.efer,
		.rflags = regs.rflags,
	};
	read_features(vcpu, mode);
	if (mode->cr4 & CR4_PKE)
		mode->pkru = read_pkru(vcpu);
	read_pdptes(vcpu, r);
	read_segments(&regs, &s, r);
	return 0;
}

/* ---- The walk ---- */

struct walker {
	const struct vm *vm;
	int ret; /* why an entry that is in memory could not be read */
	u8 page[PAGE_SIZE];
};

/* A page that must come from another host is not waited for: this is the main thread. */
static int look(struct walker *w, u64 no)
{
	struct mem_page page;
	int ret = mem_get_pages(w->vm->mem, (page_no)no, 1, &page);

	if (!ret && page.owed)
		ret = -EBUSY;
	return ret ? ret : mem_look(w->vm->mem, (page_no)no, w->page);
}

static bool read_entry(void *opaque, gpa_t at, u32 size, u64 *entry)
{
	struct walker *w = opaque;
	u64 no;

	*entry = 0;
	if (!space_page_of(w->vm->space, at, size, &no))
		return false;
	if (!w->vm->mem)
		return !space_read(w->vm->space, at, entry, size);
	w->ret = look(w, no);
	if (w->ret)
		return false;
	memcpy(entry, w->page + at.v % PAGE_SIZE, size);
	return true;
}

static u32 index_of(enum ptwalk_paging paging, const struct ptwalk_step *step)
{
	if (paging == PTWALK_32_BIT)
		return (u32)(step->at.v % PAGE_SIZE / 4);
	/* PAE's table of level 3 has four entries, and begins anywhere in a page */
	return (u32)(step->at.v / 8 % (paging == PTWALK_PAE && step->level == 3 ? 4 : 512));
}

static void add_second_steps(const struct nested *map, struct translation *t)
{
	for (u32 i = 0; i < t->walk.nr_steps; i++) {
		t->steps[i].guest = t->walk.steps[i];
		t->steps[i].index = index_of(t->paging, &t->walk.steps[i]);
		nested_walk(map, t->walk.steps[i].at, &t->steps[i].second);
	}
	if (t->outcome == PTWALK_DONE)
		nested_walk(map, t->walk.at, &t->page);
}

/* Large pages of the guest's may be cut small: then there is one more than it has steps. */
static void add_shadow(struct vcpu *vcpu, struct translation *t)
{
	u64 entries[4];
	u32 n = pv_shadow_walk(vcpu, t->linear, entries);

	t->shadow_levels = n;
	for (u32 i = 0; i < MIN(n, t->walk.nr_steps); i++) {
		t->steps[i].has_shadow = true;
		t->steps[i].shadow = entries[i];
	}
}

static void find_linear(const struct registers *r, struct translation *t)
{
	const struct translate_order *order = &t->order;
	const struct segment_access access = {
		.mode = r->segment_mode,
		.name = order->segment,
		.kind = order->access.kind,
		.size = 1,
		.linear_bits = t->paging == PTWALK_5_LEVEL ? 57 : 48,
	};

	t->linear = order->address;
	t->outcome = PTWALK_NOT_CANONICAL;
	if (!order->segmented)
		return;
	t->segment = r->segments[order->segment];
	t->segment_outcome = segment_linear(&t->segment, &access, order->address, &t->linear);
}

/* With the vCPUs outside the guest. */
static int walk(struct vm *vm, const struct nested *map, struct translation *t, struct err *err)
{
	struct vcpu *vcpu = vm->vcpus[t->order.cpu];
	struct walker w = {.vm = vm};
	const struct ptwalk_memory memory = {.opaque = &w, .read = read_entry};
	struct registers r = {.mode = {.cr0 = 0}};
	int ret = vm->pv ? read_shadowed(vcpu, &r, t) : read_all(vcpu, &r);

	if (ret < 0)
		return err_set(err, ret, "vCPU %u: its registers cannot be read: %s", vcpu->id,
			       strerror(-ret));
	t->paging = ptwalk_paging(&r.mode);
	find_linear(&r, t);
	if (t->segment_outcome != SEGMENT_DONE)
		return 0;
	t->outcome = ptwalk(&r.mode, &memory, &t->order.access, t->linear, &t->walk);
	if (w.ret == -EBUSY)
		return err_set(err, w.ret,
			       "a page table of the guest has not come yet from the host that "
			       "the guest was moved away from (try again)");
	if (w.ret)
		return err_set(err, w.ret, "a page table of the guest cannot be read: %s",
			       strerror(-w.ret));
	/* PAE's registers are no references */
	t->guest_levels = t->walk.nr_steps - (r.mode.pdptes && t->walk.nr_steps);
	add_second_steps(map, t);
	if (t->shadowed)
		add_shadow(vcpu, t);
	return 0;
}

/* ---- What it costs ---- */

/*
 * KVM's tables have four levels for whatever memory a guest of ours can have. Its shadow tables
 * have as many as the guest's, but three in place of two or none.
 */
static void add_costs(const struct nested *map, enum host_paging host, struct translation *t)
{
	static const u32 shadow_levels[] = {
		[PTWALK_OFF] = 3,     [PTWALK_32_BIT] = 3,  [PTWALK_PAE] = 3,
		[PTWALK_4_LEVEL] = 4, [PTWALK_5_LEVEL] = 5,
	};
	bool large = t->paging == PTWALK_OFF || t->walk.shift >= 21;

	if (t->shadowed) {
		t->host_levels = host == HOST_PAGING_SHADOW ? 0 : NESTED_LEVELS - map->huge;
		t->references = ptwalk_references(t->shadow_levels, t->host_levels);
	} else if (host == HOST_PAGING_SHADOW) {
		t->shadow_levels = shadow_levels[t->paging] - (map->huge && large);
		t->references = ptwalk_references(t->shadow_levels, 0);
	} else {
		t->host_levels = NESTED_LEVELS - map->huge;
		t->references = ptwalk_references(t->guest_levels, t->host_levels);
	}
}

int translate(struct vm *vm, const struct translate_order *order, struct translation *t,
	      struct err *err)
{
	const struct nested map = {
		.space = vm->space,
		.mem = vm->mem,
		.huge = vm->cfg.backing == SPACE_HUGETLB,
	};
	enum host_paging host;
	const char *source;
	int ret;

	*t = (struct translation){.order = *order};
	if (order->cpu >= vm->nr_vcpus)
		return err_set(err, -EINVAL, "vCPU %llu: the guest has %u, counted from 0",
			       (unsigned long long)order->cpu, vm->nr_vcpus);
	vm_freeze(vm);
	ret = walk(vm, &map, t, err);
	vm_thaw(vm);
	if (ret)
		return ret;
	host = host_paging(vm->kind, &source);
	t->host_paging = host_paging_name(host);
	if (t->outcome == PTWALK_DONE)
		add_costs(&map, host, t);
	nested_count(&map, t->map);
	t->has_kvm = !kvm_stats_mapped(vm->fd, &t->kvm);
	return 0;
}
