// SPDX-License-Identifier: Apache-2.0
/*
 * Reading KVM's statistics descriptor; the contract is in stats.h.
 *
 *   header | id | descriptors: { struct kvm_stats_desc, name[name_size] } ... | data: u64 ...
 *
 * Counters are found by name, since their order and number differ between kernels.
 */
#include "vmm/kvm/stats.h"

#include <string.h>
#include <unistd.h>

#include "vmm/kvm/kvm.h"

#define NAME_MAX_SIZE 64 /* 48 today */

static int read_at(int fd, void *buf, size_t len, u64 offset)
{
	ssize_t n = pread(fd, buf, len, (off_t)offset);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int find(int fd, const struct kvm_stats_header *h, const char *name, u64 *at)
{
	u8 room[sizeof(struct kvm_stats_desc) + NAME_MAX_SIZE]
		__attribute__((aligned(_Alignof(struct kvm_stats_desc))));
	const struct kvm_stats_desc *d = (const void *)room;
	size_t size = sizeof(*d) + h->name_size;

	for (u32 i = 0; i < h->num_desc; i++) {
		int ret = read_at(fd, room, size, h->desc_offset + (u64)i * size);

		if (ret)
			return ret;
		*at = h->data_offset + (u64)d->offset;
		if (!strncmp(d->name, name, h->name_size))
			return 0;
	}
	return -ENOENT;
}

static int open_stats(int kvm_fd, struct kvm_stats_header *h)
{
	int fd = kvm_ioctl_value(kvm_fd, KVM_GET_STATS_FD, 0), ret;

	if (fd < 0)
		return fd;
	ret = read_at(fd, h, sizeof(*h), 0);
	if (!ret && h->name_size > NAME_MAX_SIZE)
		ret = -EPROTO;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

static int read_counter(int fd, const struct kvm_stats_header *h, const char *name, u64 *value)
{
	u64 at;
	int ret = find(fd, h, name, &at);

	return ret ? ret : read_at(fd, value, sizeof(*value), at);
}

int kvm_stats_mapped(int vm_fd, struct kvm_mapped *mapped)
{
	struct kvm_stats_header h;
	int fd = open_stats(vm_fd, &h), ret;

	if (fd < 0)
		return fd;
	ret = read_counter(fd, &h, "pages_4k", &mapped->pages_4k);
	if (!ret)
		ret = read_counter(fd, &h, "pages_2m", &mapped->pages_2m);
	if (!ret)
		ret = read_counter(fd, &h, "pages_1g", &mapped->pages_1g);
	close(fd);
	return ret;
}

int kvm_counter_open(int kvm_fd, const char *name, struct kvm_counter *counter)
{
	struct kvm_stats_header h;
	int ret;

	counter->fd = open_stats(kvm_fd, &h);
	if (counter->fd < 0)
		return counter->fd;
	ret = find(counter->fd, &h, name, &counter->at);
	if (ret) {
		close(counter->fd);
		counter->fd = -1;
	}
	return ret;
}

int kvm_counter_read(const struct kvm_counter *counter, u64 *value)
{
	return read_at(counter->fd, value, sizeof(*value), counter->at);
}
