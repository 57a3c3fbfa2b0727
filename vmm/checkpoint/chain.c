// SPDX-License-Identifier: Apache-2.0
/*
 * A guest's place in its chain of links. Contract in chain.h.
 *
 * Always: where there is a directory there is a bitmap, of as many bits as the guest has pages, and
 * the image, if it is open, is link @number of that directory.
 */
#include "vmm/checkpoint/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mm/image/image.h"
#include "vmm/vm/dirty.h"

int chain_begin(struct chain *chain, struct vm *vm, const char *dir, u32 number, struct err *err)
{
	char *copy = strdup(dir);

	if (!chain->dirty)
		chain->dirty = calloc(dirty_words(vm), sizeof(u64));
	if (!copy || !chain->dirty) {
		free(copy);
		return err_set(err, -ENOMEM, "out of memory");
	}
	image_close(chain->image); /* of the link before */
	chain->image = NULL;
	free(chain->dir);
	chain->dir = copy;
	chain->number = number;
	memset(chain->dirty, 0, dirty_words(vm) * sizeof(u64));
	return 0;
}

int chain_open_image(struct chain *chain, struct err *err)
{
	if (!chain->dir)
		return err_set(err, -ENOENT, "there is no checkpoint to go back to");
	ASSERT(chain->dirty);
	return chain->image ? 0 : image_open(&chain->image, chain->dir, chain->number, err);
}

void chain_fini(struct chain *chain)
{
	image_close(chain->image);
	free(chain->dir);
	free(chain->dirty);
	*chain = (struct chain){.dir = NULL};
}
