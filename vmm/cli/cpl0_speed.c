// SPDX-License-Identifier: Apache-2.0
/*
 * The speed of CPL 0, measured. Contract in cpl0_speed.h.
 *
 * A VM of its own with one page and one vCPU, apart from all that vmm/vm has: what it needs of KVM
 * is little, and a host where this fails is what `quire doctor` is asked about.
 */
#include "vmm/cli/cpl0_speed.h"

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/kvm/kvm.h"
#include "vmm/devices/memmap.h"
#include "vmm/boot/entry_state.h"

#define CODE_ADDRESS PAGE_SIZE

/*
 * A first run of SHORT rounds tells the two kinds apart: some 10 us of overhead natively, a
 * millisecond in an emulator. Only a native processor then gets LONG rounds, for a figure worth
 * printing.
 */
#define SHORT		8000u
#define LONG		2000000u
#define INSNS_PER_ROUND 2
#define EMULATED_BELOW	20e6 /* instructions a second; the slowest real case seen is 50 million */

/* 1: dec %ecx; jnz 1b; hlt (32-bit) */
static const u8 code[] = {0x49, 0x75, 0xfd, 0xf4};

struct tiny_vm {
	int kvm_fd, fd, vcpu_fd;
	struct kvm_run *run;
	int run_size;
	u8 *memory;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int open_vm(struct tiny_vm *p)
{
	u64 idmap = MEMMAP_KVM_IDMAP;

	p->fd = kvm_ioctl_value(p->kvm_fd, KVM_CREATE_VM, 0);
	if (p->fd < 0)
		return p->fd;
	kvm_ioctl(p->fd, KVM_SET_IDENTITY_MAP_ADDR, &idmap);
	return kvm_ioctl_value(p->fd, KVM_SET_TSS_ADDR, MEMMAP_KVM_TSS);
}

static int map_code(struct tiny_vm *p)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE_ADDRESS,
		.memory_size = PAGE_SIZE,
	};

	p->memory = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0);
	if (p->memory == MAP_FAILED) {
		p->memory = NULL;
		return -errno;
	}
	memcpy(p->memory, code, sizeof(code));
	region.userspace_addr = (uintptr_t)p->memory;
	return kvm_ioctl(p->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int open_vcpu(struct tiny_vm *p)
{
	void *run;

	p->vcpu_fd = kvm_ioctl_value(p->fd, KVM_CREATE_VCPU, 0);
	if (p->vcpu_fd < 0)
		return p->vcpu_fd;
	p->run_size = kvm_ioctl_value(p->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (p->run_size < 0)
		return p->run_size;
	run = mmap(NULL, (size_t)p->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	p->run = run;
	return 0;
}

/* Count down from @rounds; *seconds is what it took, entry and exit included. */
static int count_down(struct tiny_vm *p, u32 rounds, double *seconds)
{
	const struct boot_entry entry = {.mode = BOOT_PVH, .rip = gpa(CODE_ADDRESS)};
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	double start;
	int ret;

	ret = kvm_ioctl(p->vcpu_fd, KVM_GET_SREGS, &sregs);
	if (ret < 0)
		return ret;
	x86_boot_state(&entry, &regs, &sregs);
	regs.rcx = rounds;
	ret = kvm_ioctl(p->vcpu_fd, KVM_SET_SREGS, &sregs);
	if (!ret)
		ret = kvm_ioctl(p->vcpu_fd, KVM_SET_REGS, &regs);
	if (ret < 0)
		return ret;
	start = now();
	do {
		ret = kvm_ioctl_value(p->vcpu_fd, KVM_RUN, 0);
	} while (ret == -EINTR);
	*seconds = now() - start;
	if (ret < 0)
		return ret;
	return p->run->exit_reason == KVM_EXIT_HLT ? 0 : -EIO;
}

/* The best of a few: on a busy host one alone may say that the processor is slow. */
static int count_down_best(struct tiny_vm *p, u32 rounds, double *seconds)
{
	int ret = 0;

	*seconds = 1e9;
	for (int i = 0; i < 5 && !ret; i++) {
		double once;

		ret = count_down(p, rounds, &once);
		if (!ret)
			*seconds = MIN(*seconds, once);
	}
	return ret;
}

static int measure(struct tiny_vm *p, struct cpl0_speed *r)
{
	double began = now(), seconds;
	u32 rounds = SHORT;
	int ret = open_vm(p);

	if (!ret)
		ret = map_code(p);
	if (!ret)
		ret = open_vcpu(p);
	if (!ret)
		ret = count_down(p, 1, &seconds);
	if (ret)
		return ret;
	r->create_ms = (now() - began) * 1e3;
	ret = count_down_best(p, SHORT, &seconds);
	if (!ret && SHORT * INSNS_PER_ROUND / seconds > EMULATED_BELOW) {
		rounds = LONG;
		ret = count_down(p, LONG, &seconds);
	}
	r->instructions_per_second = rounds * INSNS_PER_ROUND / seconds;
	r->emulated = rounds == SHORT;
	return ret;
}

static void close_all(struct tiny_vm *p)
{
	if (p->run)
		munmap(p->run, (size_t)p->run_size);
	if (p->vcpu_fd >= 0)
		close(p->vcpu_fd);
	if (p->fd >= 0)
		close(p->fd);
	if (p->memory)
		munmap(p->memory, PAGE_SIZE);
}

int cpl0_measure(int kvm_fd, struct cpl0_speed *result, struct err *err)
{
	struct tiny_vm p = {.kvm_fd = kvm_fd, .fd = -1, .vcpu_fd = -1};
	int ret = measure(&p, result);

	close_all(&p);
	if (ret)
		return err_set(err, ret, "KVM: a VM of one page does not run: %s", strerror(-ret));
	return 0;
}
