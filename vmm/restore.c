// SPDX-License-Identifier: Apache-2.0
/* Bringing a guest back from an image. Contract in restore.h. */
#include "vmm/restore.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/image.h"
#include "vmm/checkpoint.h"
#include "vmm/dirty.h"
#include "vmm/vm.h"

/* Pages read at once when all are. */
#define LOAD_AT_ONCE 256

/* ---- A new VM ---- */

/* What the image says of the machine must agree with itself, and fit this host. */
static int check(const struct origin *o, struct vm_config *cfg, struct err *err)
{
	struct state_shape shape;
	u32 size;
	const void *state = image_state(o->image, &size);
	int ret = state_parse(state, size, &shape, err), kvm;

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

	o->dir = realpath(dir, NULL);
	if (!o->dir)
		return err_set(err, -errno, "%s: %s", dir, strerror(errno));
	ret = image_open(&o->image, o->dir, number, err);
	if (!ret)
		ret = check(o, cfg, err);
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
	o->image = NULL;
	o->dir = NULL;
	o->warm = NULL;
}

static int load_some(const struct origin *o, struct vm *vm, page_no no, u32 n, u8 *pages,
		     struct err *err)
{
	int ret = image_read(o->image, no, n, pages, err);
	u64 value;

	for (u32 i = 0; i < n && !ret; i++) {
		const u8 *page = pages + ((u64)i << PAGE_SHIFT);

		if (codec_pattern(page, &value) && !value)
			continue; /* absent is zeros */
		memcpy((u8 *)(uintptr_t)space_page(vm->space, no + i), page, PAGE_SIZE);
	}
	return ret;
}

int origin_load_memory(const struct origin *o, struct vm *vm, struct err *err)
{
	u8 *pages = aligned_alloc(PAGE_SIZE, LOAD_AT_ONCE * PAGE_SIZE);
	u32 nr = image_nr_pages(o->image);
	int ret = pages ? 0 : err_set(err, -ENOMEM, "out of memory");

	for (page_no no = 0; no < nr && !ret; no += LOAD_AT_ONCE)
		ret = load_some(o, vm, no, MIN(nr - no, (u32)LOAD_AT_ONCE), pages, err);
	free(pages);
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

static int roll_back_to(struct vm *vm, struct chain *chain, u32 *pages, struct err *err)
{
	u32 size;
	const void *state = image_state(chain->image, &size);
	int ret = dirty_harvest(vm, chain->dirty, err);

	if (!ret)
		ret = put_all_back(vm, chain->image, chain->dirty, pages, err);
	if (!ret)
		ret = state_load(vm, state, size, STATE_CLOCK_CONTINUE, err);
	if (!ret)
		memset(chain->dirty, 0, dirty_words(vm) * sizeof(u64));
	return ret;
}

int vm_roll_back(struct vm *vm, struct chain *chain, u32 *pages, struct err *err)
{
	int ret = chain_open_image(chain, err);

	return ret ? ret : roll_back_to(vm, chain, pages, err);
}
