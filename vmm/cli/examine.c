// SPDX-License-Identifier: Apache-2.0
/* Asking the host what it can do. Contract in examine.h. */
#include "vmm/cli/examine.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "mm/base/compat.h"

#define THP_DIR	    "/sys/kernel/mm/transparent_hugepage/"
#define HUGETLB_DIR "/sys/kernel/mm/hugepages/hugepages-2048kB/"

/* linux/userfaultfd.h, UFFD_FEATURE_*: index is the bit's number */
const char *host_uffd_feature_name(unsigned int bit)
{
	static const char *const names[HOST_NR_UFFD_FEATURES] = {
		"pagefault-flag-wp",
		"event-fork",
		"event-remap",
		"event-remove",
		"missing-hugetlbfs",
		"missing-shmem",
		"event-unmap",
		"sigbus",
		"thread-id",
		"minor-hugetlbfs",
		"minor-shmem",
		"exact-address",
		"wp-hugetlbfs-shmem",
		"wp-unpopulated",
		"poison",
		"wp-async",
		"move",
	};

	return bit < HOST_NR_UFFD_FEATURES ? names[bit] : NULL;
}

static u64 read_u64(const char *path)
{
	char line[32];

	host_read_line(path, line, sizeof(line));
	return strtoull(line, NULL, 10);
}

/* "always [madvise] never" to "madvise". */
static void read_bracketed(const char *path, char *out, size_t size)
{
	char line[128], *open, *close;

	host_read_line(path, line, sizeof(line));
	out[0] = '\0';
	open = strchr(line, '[');
	close = open ? strchr(open, ']') : NULL;
	if (close)
		snprintf(out, size, "%.*s", (int)(close - open - 1), open + 1);
}

static void examine_kvm(struct host *h)
{
	int fd = kvm_open(&h->kvm_why);

	h->kvm_status = fd < 0 ? fd : 0;
	if (fd < 0)
		return;
	h->cpl0_status = cpl0_measure(fd, &h->cpl0, &h->kvm_why);
	h->max_cpus = kvm_cap(fd, KVM_CAP_MAX_VCPUS);
	h->max_slots = kvm_cap(fd, KVM_CAP_NR_MEMSLOTS);
	h->dirty_ring_bytes = (u64)kvm_cap(fd, KVM_CAP_DIRTY_LOG_RING);
	h->manual_protect = kvm_cap(fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	h->memory_fault_info = kvm_cap(fd, KVM_CAP_MEMORY_FAULT_INFO) > 0;
	h->guest_memfd = kvm_cap(fd, KVM_CAP_GUEST_MEMFD) > 0;
	h->pre_fault = kvm_cap(fd, KVM_CAP_PRE_FAULT_MEMORY) > 0;
	close(fd);
}

/* The device asks for file permissions only, the system call for a capability or a sysctl. */
static int open_uffd(void)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd;

	if (device >= 0) {
		fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
		close(device);
		if (fd >= 0)
			return fd;
	}
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void examine_uffd(struct host *h)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = open_uffd();

	h->uffd_status = fd < 0 ? fd : 0;
	if (fd < 0)
		return;
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		h->uffd_status = -errno;
	else
		h->uffd_features = api.features;
	close(fd);
}

void host_examine(struct host *h)
{
	struct utsname uts;

	memset(h, 0, sizeof(*h));
	uname(&uts);
	snprintf(h->kernel, sizeof(h->kernel), "%s %s", uts.sysname, uts.release);
	h->kind = kvm_kind();
	h->paging = host_paging(h->kind, &h->paging_source);
	examine_kvm(h);
	examine_uffd(h);
	read_bracketed(THP_DIR "enabled", h->thp, sizeof(h->thp));
	read_bracketed(THP_DIR "shmem_enabled", h->thp_shmem, sizeof(h->thp_shmem));
	h->hugetlb_pages = read_u64(HUGETLB_DIR "nr_hugepages");
	h->hugetlb_free = read_u64(HUGETLB_DIR "free_hugepages");
}

enum host_linux host_runs_linux(const struct host *h)
{
	if (h->kvm_status || h->cpl0_status)
		return HOST_LINUX_NOT;
	return h->cpl0.emulated ? HOST_LINUX_SHADOW : HOST_LINUX_EPT;
}
