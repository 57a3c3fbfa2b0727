// SPDX-License-Identifier: Apache-2.0
/*
 * floor: the least that any VMM must do on this KVM before its guest's first instruction has run,
 * as a program: one VM with interrupt controllers and a timer, one slot of memory, one vCPU, and a
 * guest whose first instruction is a port write. Prints "x" when that has arrived. No errors are
 * explained: it is a baseline for measurements, not a program for people.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEMORY	    (256ul << 20)
#define CODE	    0x1000
#define NR_CPUID    128
#define CHECK(cond) ((cond) ? (void)0 : _exit(1))

/* out %al, $0xf4; hlt (any mode) */
static const uint8_t code[] = {0xe6, 0xf4, 0xf4};

static int create_vm(int kvm)
{
	struct kvm_userspace_memory_region region = {.memory_size = MEMORY};
	struct kvm_pit_config pit = {0};
	void *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	CHECK(memory != MAP_FAILED && vm >= 0);
	memcpy((uint8_t *)memory + CODE, code, sizeof(code));
	region.userspace_addr = (uintptr_t)memory;
	CHECK(!ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul));
	CHECK(!ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region));
	CHECK(!ioctl(vm, KVM_CREATE_IRQCHIP, 0));
	CHECK(!ioctl(vm, KVM_CREATE_PIT2, &pit));
	return vm;
}

static void set_registers(int vcpu)
{
	struct kvm_regs regs = {.rip = CODE, .rflags = 2};
	struct kvm_sregs sregs;

	CHECK(!ioctl(vcpu, KVM_GET_SREGS, &sregs));
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	CHECK(!ioctl(vcpu, KVM_SET_SREGS, &sregs));
	CHECK(!ioctl(vcpu, KVM_SET_REGS, &regs));
}

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu;
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + NR_CPUID * sizeof(struct kvm_cpuid_entry2));
	struct kvm_run *run;

	CHECK(kvm >= 0 && cpuid);
	vm = create_vm(kvm);
	cpuid->nent = NR_CPUID;
	CHECK(!ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	CHECK(vcpu >= 0);
	run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		   MAP_SHARED, vcpu, 0);
	CHECK(run != MAP_FAILED);
	CHECK(!ioctl(vcpu, KVM_SET_CPUID2, cpuid));
	set_registers(vcpu);
	CHECK(!ioctl(vcpu, KVM_RUN, 0));
	CHECK(run->exit_reason == KVM_EXIT_IO && run->io.port == 0xf4);
	return write(STDOUT_FILENO, "x\n", 2) == 2 ? 0 : 1;
}
