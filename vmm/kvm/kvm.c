// SPDX-License-Identifier: Apache-2.0
/* Opening KVM and asking what it is; the contract is in kvm.h. */
#include "vmm/kvm/kvm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What quire cannot do without: each with the words for the user where it is missing. */
static const struct {
	long cap;
	const char *name;
} required[] = {
	{KVM_CAP_USER_MEMORY, "user memory"},
	{KVM_CAP_IRQCHIP, "an in-kernel interrupt controller"},
	{KVM_CAP_PIT2, "an in-kernel timer (PIT)"},
	{KVM_CAP_EXT_CPUID, "CPUID control"},
	{KVM_CAP_SET_TSS_ADDR, "a TSS address"},
	{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
	{KVM_CAP_SYNC_REGS, "register synchronization"},
};

static int open_error(int errnum, struct err *err)
{
	switch (errnum) {
	case ENOENT:
		return err_set(
			err, -ENOENT,
			"/dev/kvm: no such device (load kvm_intel or kvm_amd, or use quire-lab)");
	case EACCES:
	case EPERM:
		return err_set(err, -EACCES,
			       "/dev/kvm: permission denied (join the group kvm, or run as root)");
	default:
		return err_set(err, -errnum, "/dev/kvm: %s", strerror(errnum));
	}
}

int kvm_open(struct err *err)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0)
		return open_error(errno, err);
	version = kvm_ioctl_value(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		close(fd);
		return err_set(err, -ENODEV, "/dev/kvm: API version %d, not %d (update the kernel)",
			       version, KVM_API_VERSION);
	}
	for (size_t i = 0; i < ARRAY_SIZE(required); i++) {
		if (kvm_cap(fd, required[i].cap))
			continue;
		close(fd);
		return err_set(err, -ENODEV, "/dev/kvm: this KVM lacks %s (update the kernel)",
			       required[i].name);
	}
	return fd;
}

enum kvm_kind kvm_kind(void)
{
	if (!access("/sys/module/kvm_intel", F_OK))
		return KVM_INTEL;
	if (!access("/sys/module/kvm_amd", F_OK))
		return KVM_AMD;
	if (!access("/sys/module/kvm_pvm", F_OK))
		return KVM_PVM;
	return KVM_UNKNOWN;
}

struct kvm_cpuid2 *kvm_supported_cpuid(int kvm_fd)
{
	/*
	 * KVM says E2BIG until the table is large enough; each try costs half a
	 * millisecond, and current ones fill about 80 entries.
	 */
	for (u32 n = 128; n <= 1024; n *= 2) {
		struct kvm_cpuid2 *cpuid = calloc(1,
						  sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));
		int ret;

		if (!cpuid)
			return NULL;
		cpuid->nent = n;
		ret = kvm_ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
		if (!ret)
			return cpuid;
		free(cpuid);
		errno = -ret;
		if (ret != -E2BIG)
			return NULL;
	}
	return NULL;
}
