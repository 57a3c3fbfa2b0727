// SPDX-License-Identifier: Apache-2.0
/*
 * Reading KVM's statistics descriptor; the contract is in kvm_stats.h.
 *
 *   header | id | descriptors: { struct kvm_stats_desc, name[name_size] } ... | data: u64 ...
 *
 * Counters are found by name, since their order and number differ between kernels.
 */
#include "vmm/kvm_stats.h"

#include <string.h>
#include <unistd.h>

#include "vmm/kvm.h"

#define NAME_MAX_SIZE 64 /* 48 today */

static int read_at(int fd, void *buf, size_t len, u64 offset)
{
	ssize_t n = pread(fd, buf, len, (off_t)offset);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int read_counter(int fd, const struct kvm_stats_header *h, const char *name, u64 *value)
{
	u8 room[sizeof(struct kvm_stats_desc) + NAME_MAX_SIZE]
		__attribute__((aligned(_Alignof(struct kvm_stats_desc))));
	const struct kvm_stats_desc *d = (const void *)room;
	size_t size = sizeof(*d) + h->name_size;

	for (u32 i = 0; i < h->num_desc; i++) {
		int ret = read_at(fd, room, size, h->desc_offset + (u64)i * size);

		if (ret)
			return ret;
		if (!strncmp(d->name, name, h->name_size))
			return read_at(fd, value, sizeof(*value), h->data_offset + (u64)d->offset);
	}
	return -ENOENT;
}

int kvm_stats_mapped(int vm_fd, struct kvm_mapped *mapped)
{
	struct kvm_stats_header h;
	int fd = kvm_ioctl_value(vm_fd, KVM_GET_STATS_FD, 0), ret;

	if (fd < 0)
		return fd;
	ret = read_at(fd, &h, sizeof(h), 0);
	if (!ret && h.name_size > NAME_MAX_SIZE)
		ret = -EPROTO;
	if (!ret)
		ret = read_counter(fd, &h, "pages_4k", &mapped->pages_4k);
	if (!ret)
		ret = read_counter(fd, &h, "pages_2m", &mapped->pages_2m);
	if (!ret)
		ret = read_counter(fd, &h, "pages_1g", &mapped->pages_1g);
	close(fd);
	return ret;
}
