// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel's KVM API, one step up: opening it with errors that a person understands, and ioctls
 * whose argument size is checked at compile time (a struct of the wrong kind cannot be passed).
 *
 * The face of vmm/kvm/, which owns what is asked of the host's KVM by everybody alike, and keeps
 * nothing of any VM. It uses mm/base, and numbers of mm/x86. Begin here; then host.h (what kind of
 * KVM it is, and what translates addresses there), cpuid.h (what a guest's processors say they
 * are), segment.h (segments as KVM has them), stats.h (KVM's own counters). No lock, any thread.
 *
 * Source: Documentation/virt/kvm/api.rst of Linux; <linux/kvm.h>.
 */
#ifndef QUIRE_VMM_KVM_KVM_H
#define QUIRE_VMM_KVM_KVM_H

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "mm/base/base.h"
#include "mm/base/err.h"

/* ioctl with a pointer argument: 0 or a positive result, else -errno. */
#define kvm_ioctl(fd, request, arg)                                                                \
	({                                                                                         \
		_Static_assert(sizeof(*(arg)) == _IOC_SIZE(request), "argument of another ioctl"); \
		int kvm_ret_ = ioctl(fd, request, arg);                                            \
		kvm_ret_ < 0 ? -errno : kvm_ret_;                                                  \
	})

/* ioctl whose argument is a plain value, or which has none (value 0). */
static inline int kvm_ioctl_value(int fd, unsigned long request, unsigned long value)
{
	int ret = ioctl(fd, request, value);

	return ret < 0 ? -errno : ret;
}

/*
 * Open /dev/kvm and check that this KVM has what quire cannot do without. Returns a descriptor that
 * the caller closes, or -errno with a sentence that says what to do.
 */
int kvm_open(struct err *err);

/* KVM_CHECK_EXTENSION on /dev/kvm or on a VM; 0 where unknown. */
static inline int kvm_cap(int fd, long cap)
{
	int ret = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return ret < 0 ? 0 : ret;
}

/* What KVM's vendor module is. */
enum kvm_kind {
	KVM_UNKNOWN, /* sysfs does not tell */
	KVM_INTEL,   /* VMX */
	KVM_AMD,     /* SVM */
	KVM_PVM,     /* no hardware help: CPL 3 runs natively, CPL 0 is emulated */
};

enum kvm_kind kvm_kind(void);

/*
 * All processor features that KVM can give a guest. The caller frees the result; NULL with errno
 * set on failure.
 */
struct kvm_cpuid2 *kvm_supported_cpuid(int kvm_fd);

#endif
