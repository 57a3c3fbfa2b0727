// SPDX-License-Identifier: Apache-2.0
/*
 * The last words of a vCPU that cannot go on: where it was, what it was about to execute, what that
 * means, and every register. Contract in vcpu_report.h.
 */
#include "vmm/run/vcpu_report.h"

#include <stdio.h>
#include <string.h>

#include "vmm/vm/memory.h"

#define INSN_MAX 15 /* the longest x86 instruction */

/*
 * Up to INSN_MAX bytes at linear address @gva, through the guest's own page tables. They may lie
 * in a page that is not in memory: vm_read() brings it.
 */
static unsigned int fetch_code(struct vcpu *vcpu, u64 gva, u8 *bytes)
{
	unsigned int n = 0;

	while (n < INSN_MAX) {
		struct kvm_translation t = {.linear_address = gva + n};
		u64 in_page = MIN(PAGE_SIZE - (gva + n) % PAGE_SIZE, (u64)(INSN_MAX - n));

		if (kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &t) < 0 || !t.valid ||
		    vm_read(vcpu->vm, gpa(t.physical_address), bytes + n, in_page))
			break;
		n += (unsigned int)in_page;
	}
	return n;
}

static void hex(char *out, size_t size, const u8 *bytes, unsigned int n)
{
	size_t at = 0;

	snprintf(out, size, "%s", n ? "" : "not readable");
	for (unsigned int i = 0; i < n && at + 4 <= size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%02x", i ? " " : "", bytes[i]);
}

static int format_regs(char *out, size_t size, unsigned int id, const struct kvm_regs *r)
{
	return snprintf(out, size,
			"vcpu %u registers\n"
			"rax %016llx rbx %016llx rcx %016llx rdx %016llx\n"
			"rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n"
			"r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n"
			"r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n"
			"rip %016llx rflags %08llx\n",
			id, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
			r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags);
}

static void format_sregs(char *out, size_t size, const struct kvm_sregs *s)
{
	const struct {
		const char *name;
		const struct kvm_segment *seg;
	} segs[] = {{"cs", &s->cs}, {"ss", &s->ss}, {"ds", &s->ds}, {"es", &s->es},
		    {"fs", &s->fs}, {"gs", &s->gs}, {"tr", &s->tr}, {"ldt", &s->ldt}};
	size_t at = (size_t)snprintf(out, size,
				     "cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %04llx\n"
				     "gdt %016llx/%04x idt %016llx/%04x apic %08llx\n",
				     s->cr0, s->cr2, s->cr3, s->cr4, s->efer, s->gdt.base,
				     s->gdt.limit, s->idt.base, s->idt.limit, s->apic_base);

	for (size_t i = 0; i < ARRAY_SIZE(segs) && at < size; i++)
		at += (size_t)snprintf(out + at, size - at,
				       "%-3s %04x base %016llx limit %08x type %x dpl %u %s\n",
				       segs[i].name, segs[i].seg->selector, segs[i].seg->base,
				       segs[i].seg->limit, segs[i].seg->type, segs[i].seg->dpl,
				       segs[i].seg->l	 ? "64"
				       : segs[i].seg->db ? "32"
							 : "16");
}

void vcpu_report(struct vcpu *vcpu, enum shutdown_cause cause, const char *meaning)
{
	struct kvm_regs regs = {0};
	struct kvm_sregs sregs = {0};
	u8 code[INSN_MAX];
	char bytes[INSN_MAX * 3 + 1], dump[2048];
	const struct vm_host *host = vcpu->vm->host;
	int n;

	/* what comes after the first end is a consequence: memory may be cut off by now */
	if (vm_ended(vcpu->vm, NULL))
		return;
	if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		vm_fail(vcpu->vm, cause, "vcpu %u: %s (its registers cannot be read)", vcpu->id,
			meaning);
		return;
	}
	hex(bytes, sizeof(bytes), code, fetch_code(vcpu, sregs.cs.base + regs.rip, code));
	n = format_regs(dump, sizeof(dump), vcpu->id, &regs);
	format_sregs(dump + n, sizeof(dump) - (size_t)n, &sregs);
	host->log(host->opaque, dump);
	vm_fail(vcpu->vm, cause, "vcpu %u: rip %#llx, code %s: %s", vcpu->id, regs.rip, bytes,
		meaning);
}
