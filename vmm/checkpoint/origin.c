// SPDX-License-Identifier: Apache-2.0
/* Bringing a guest back from an image. Contract in origin.h. */
#include "vmm/checkpoint/origin.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/image/image.h"
#include "vmm/checkpoint/checkpoint.h"
#include "vmm/vm/dirty.h"
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
	return load_all(o, (u8 *)(uintptr_t)space_page(vm->space, 0), err);
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

/* ---- A running one ---- */

static int put_back(struct vm *vm, struct image *image, page_no no, u8 *page, struct err *err)
{
	int ret = image_read(image, no, 1, page, err);

	if (ret)
		return ret;
	ret = mem_put_page(vm->mem, no, page);
	return ret ? err_set(err, ret, "page %u: %s", no, strerror(-ret)) : 0;
}

static int put_all_back(struct vm *vm, struct image *image, const u64 *dirty, u32 *pages,
			struct err *err)
{
	u8 *page = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	int ret = page ? 0 : err_set(err, -ENOMEM, "out of memory");

	*pages = 0;
	for (u32 word = 0; word < dirty_words(vm) && !ret; word++)
		for (u64 bits = dirty[word]; bits && !ret; bits &= bits - 1, ++*pages)
			ret = put_back(vm, image, word * 64 + (u32)__builtin_ctzll(bits), page,
				       err);
	free(page);
	return ret;
}

/* Memory first: the state counts when all of it is there. */
static int load_old_state(struct vm *vm, const void *state, u32 size, struct err *err)
{
	int ret = state_load(vm, state, size, STATE_CLOCK_CONTINUE, err);

	return ret ? ret : vm_new_generation(vm, err);
}

static int roll_back_to(struct vm *vm, struct chain *chain, u32 *pages, struct err *err)
{
	u32 size;
	const void *state = image_state(chain->image, &size);
	int ret = dirty_harvest(vm, chain->dirty, err);

	if (!ret)
		ret = put_all_back(vm, chain->image, chain->dirty, pages, err);
	if (!ret)
		ret = load_old_state(vm, state, size, err);
	if (!ret)
		memset(chain->dirty, 0, dirty_words(vm) * sizeof(u64));
	return ret;
}

/* What a clone has written is what it does not share: the host knows, and no log is needed. */
static int roll_back_clone(struct vm *vm, u32 *pages, struct err *err)
{
	const struct origin *o = vm->cfg.origin;
	u64 own;
	int ret = space_revert_own(vm->space, &own);

	if (ret)
		return err_set(err, ret, "memory of a clone: %s", strerror(-ret));
	*pages = (u32)own;
	return load_old_state(vm, o->state, o->state_size, err);
}

int vm_roll_back(struct vm *vm, struct chain *chain, u32 *pages, struct err *err)
{
	int ret;

	if (vm_is_clone(vm))
		return roll_back_clone(vm, pages, err);
	ret = chain_open_image(chain, err);
	return ret ? ret : roll_back_to(vm, chain, pages, err);
}
