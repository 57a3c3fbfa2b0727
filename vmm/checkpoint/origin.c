// SPDX-License-Identifier: Apache-2.0
/*
 * Where a guest comes from that is not new. Contract in origin.h.
 *
 * Everything here runs on one thread, the one that makes the VM, before any vCPU does; clones are
 * forked from it after origin_make_base(). An origin is changed by nobody while a VM uses it.
 *
 * Always: there is either the image (and the state is the image's) or a base (and the state is our
 * own, the image closed); what cannot run on this host has been refused before there is a VM.
 */
#include "vmm/checkpoint/origin.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/image/image.h"
#include "vmm/kvm/kvm.h"
#include "vmm/vm/vm.h"

/* Pages read at once when all are. */
#define LOAD_AT_ONCE 256

/* ---- A new VM ---- */

/* What the image says of the machine must agree with itself, and fit this host. */
static int check(const struct origin *o, struct vm_config *cfg, struct err *err)
{
	struct state_shape shape;
	int ret = state_parse(o->state, o->state_size, &shape, err), kvm;

	if (ret)
		return ret;
	if (shape.memory != (u64)image_nr_pages(o->image) << PAGE_SHIFT)
		return err_set(err, -EBADMSG,
			       "%s: its state and its memory are of guests of different sizes",
			       o->dir);
	kvm = kvm_open(err);
	if (kvm < 0)
		return kvm;
	ret = state_check_host(&shape, kvm, err);
	close(kvm);
	cfg->memory = shape.memory;
	cfg->nr_cpus = shape.nr_cpus;
	return ret;
}

int origin_open(struct origin *o, const char *dir, u32 number, struct vm_config *cfg,
		struct err *err)
{
	int ret;

	o->base_fd = -1;
	o->dir = realpath(dir, NULL);
	if (!o->dir)
		return err_set(err, -errno, "%s: %s", dir, strerror(errno));
	ret = image_open(&o->image, o->dir, number, err);
	if (!ret) {
		o->state = image_state(o->image, &o->state_size);
		ret = check(o, cfg, err);
	}
	if (!ret && !o->eager)
		image_recorded(o->dir, image_nr_pages(o->image), &o->warm, &o->nr_warm);
	if (ret)
		origin_close(o);
	return ret;
}

void origin_close(struct origin *o)
{
	image_close(o->image);
	free(o->dir);
	free(o->warm);
	free(o->own_state);
	if (o->base_fd >= 0)
		close(o->base_fd);
	*o = (struct origin){.base_fd = -1};
}

static int load_some(const struct origin *o, u8 *memory, page_no no, u32 n, u8 *pages,
		     struct err *err)
{
	int ret = image_read(o->image, no, n, pages, err);
	u64 value;

	for (u32 i = 0; i < n && !ret; i++) {
		const u8 *page = pages + ((u64)i << PAGE_SHIFT);

		if (codec_pattern(page, &value) && !value)
			continue; /* absent is zeros */
		memcpy(memory + ((u64)(no + i) << PAGE_SHIFT), page, PAGE_SIZE);
	}
	return ret;
}

/* To @memory, which is zeros. */
static int load_all(const struct origin *o, u8 *memory, struct err *err)
{
	u8 *pages = aligned_alloc(PAGE_SIZE, LOAD_AT_ONCE * PAGE_SIZE);
	u32 nr = image_nr_pages(o->image);
	int ret = pages ? 0 : err_set(err, -ENOMEM, "out of memory");

	for (page_no no = 0; no < nr && !ret; no += LOAD_AT_ONCE)
		ret = load_some(o, memory, no, MIN(nr - no, (u32)LOAD_AT_ONCE), pages, err);
	free(pages);
	return ret;
}

int origin_load_memory(const struct origin *o, struct vm *vm, struct err *err)
{
	return load_all(o, space_page(vm->space, 0), err);
}

/* ---- A base for clones ---- */

/* A state of our own, and no image any more. */
static int let_go_of_image(struct origin *o, struct err *err)
{
	o->own_state = malloc(o->state_size);
	if (!o->own_state)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(o->own_state, o->state, o->state_size);
	o->state = o->own_state;
	image_close(o->image);
	o->image = NULL;
	return 0;
}

int origin_make_base(struct origin *o, struct err *err)
{
	u64 size = (u64)image_nr_pages(o->image) << PAGE_SHIFT;
	void *memory;
	int fd, ret, sealed;

	ret = space_base_create(&fd, size, &memory);
	if (ret)
		return err_set(err, ret, "memory for clones to share: %s", strerror(-ret));
	ret = load_all(o, memory, err);
	sealed = space_base_seal(fd, memory, size);
	if (!ret && sealed)
		ret = err_set(err, sealed, "memory for clones to share: %s", strerror(-sealed));
	if (!ret)
		ret = let_go_of_image(o, err);
	if (ret)
		close(fd);
	else
		o->base_fd = fd;
	return ret;
}
