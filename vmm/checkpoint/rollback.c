// SPDX-License-Identifier: Apache-2.0
/*
 * Rolling back. Contract in rollback.h.
 *
 * Runs on the thread that owns the machine, with all vCPUs stopped and no checkpoint under way, so
 * that nobody else has the chain and nobody writes guest memory. What the engine does meanwhile
 * (evicting, its own threads) goes on: pages are replaced under its lock (mem_put_page()).
 *
 * Memory first, and the state when all of it is there: a failure between leaves a guest that is
 * neither here nor there, which the caller must end.
 */
#include "vmm/checkpoint/rollback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/engine/access.h"
#include "mm/image/image.h"
#include "vmm/checkpoint/chain.h"
#include "vmm/checkpoint/origin.h"
#include "vmm/vm/dirty.h"
#include "vmm/vm/vm.h"

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
	int ret;

	ASSERT(chain->dirty);
	ret = dirty_harvest(vm, chain->dirty, err);

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
	int ret;

	ASSERT(o->base_fd >= 0); /* and no image: the state is the origin's own */
	ret = space_revert_own(vm->space, &own);

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
