// SPDX-License-Identifier: Apache-2.0
/*
 * The directory of an image: names, and the links that lead to one.
 *
 * Links point to their parents, so a file that no newer one points to is not in the chain. Merging
 * relies on that: the merged link takes the place of the newest of its parts, and from then on the
 * others are left out, removed or not.
 */
#include "mm/image/chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * A link that was found as a parent may be gone when it is opened, because it was merged. Then a
 * newer one leads elsewhere by now, and looking again finds out. Merges are slow, looking is not.
 */
#define TRIES 20

/* ---- Names ---- */

void image_tmp_name(char name[IMAGE_NAME_SIZE], u32 number)
{
	snprintf(name, IMAGE_NAME_SIZE, "%08u.tmp", number);
}

static int each_name(int dirfd, void (*make)(char *, u32), void (*fn)(void *, u32), void *opaque)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char name[IMAGE_NAME_SIZE];
	struct dirent *d;
	int ret;

	if (!dir) {
		ret = -errno;
		if (fd >= 0)
			close(fd);
		return ret;
	}
	for (errno = 0; (d = readdir(dir)); errno = 0) {
		unsigned long number = strtoul(d->d_name, NULL, 10);

		if (!number || number > UINT32_MAX)
			continue;
		make(name, (u32)number);
		if (!strcmp(name, d->d_name))
			fn(opaque, (u32)number);
	}
	ret = -errno;
	closedir(dir);
	return ret;
}

int image_each_link(int dirfd, void (*fn)(void *opaque, u32 number), void *opaque)
{
	return each_name(dirfd, image_link_name, fn, opaque);
}

int image_each_tmp(int dirfd, void (*fn)(void *opaque, u32 number), void *opaque)
{
	return each_name(dirfd, image_tmp_name, fn, opaque);
}

static void keep_highest(void *opaque, u32 number)
{
	u32 *highest = opaque;

	*highest = MAX(*highest, number);
}

int image_newest(int dirfd, u32 *number)
{
	*number = 0;
	return image_each_link(dirfd, keep_highest, number);
}

/* ---- Chains ---- */

static void drop_links(struct image_chain *chain)
{
	for (u32 i = 0; i < chain->n; i++)
		image_link_close(chain->link[i]);
	free(chain->link);
	chain->link = NULL;
	chain->n = 0;
}

static int add_link(struct image_chain *chain, struct image_link *link)
{
	struct image_link **more = chain->link;

	/* a power of two is full */
	if (!(chain->n & (chain->n - 1)))
		more = realloc(chain->link, (chain->n ? (u64)chain->n * 2 : 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	chain->link = more;
	more[chain->n++] = link;
	return 0;
}

/* Whether @parent is what @link was made after. */
static int check_parent(const struct image_link *link, const struct image_link *parent,
			struct err *err)
{
	if (memcmp(&link->header.parent_id, &parent->header.id, sizeof(parent->header.id)) != 0)
		return err_set(err, -EBADMSG,
			       "%s: not the link that link %u was made after (put that one back)",
			       parent->path, link->header.number);
	if (link->header.nr_pages != parent->header.nr_pages)
		return err_set(err, -EBADMSG,
			       "%s: of a guest of %u pages, link %u is of one of %u (put the right "
			       "one back)",
			       parent->path, parent->header.nr_pages, link->header.number,
			       link->header.nr_pages);
	return 0;
}

/* From @number down to the base. -ENOENT: one of them is not there (see TRIES). */
static int open_links(struct image_chain *chain, u32 number, struct err *err)
{
	while (number) {
		struct image_link *link, *child = chain->n ? chain->link[chain->n - 1] : NULL;
		int ret = image_link_open(&link, chain->dirfd, chain->dir, number, err);

		if (ret == -ENOENT)
			return err_set(err, -ENOENT, "%s: there is no link %u%s", chain->dir,
				       number,
				       child ? ", which others need (put it back)"
					     : " (quire image info lists them)");
		if (!ret && child) {
			ret = check_parent(child, link, err);
			if (ret)
				image_link_close(link);
		}
		if (ret)
			return ret;
		if (add_link(chain, link)) {
			image_link_close(link);
			return err_set(err, -ENOMEM, "%s: out of memory", chain->dir);
		}
		number = link->header.parent;
	}
	return 0;
}

static int try_to_open(struct image_chain *chain, u32 number, struct err *err)
{
	int ret = 0;

	if (!number)
		ret = image_newest(chain->dirfd, &number);
	if (ret)
		return err_set(err, ret, "%s: cannot list it: %s", chain->dir, strerror(-ret));
	if (!number)
		return err_set(err, -ENOENT, "%s: no image of a guest (there is no link in it)",
			       chain->dir);
	ret = open_links(chain, number, err);
	if (ret)
		drop_links(chain);
	return ret;
}

int image_chain_open(struct image_chain *chain, const char *dir, u32 number, struct err *err)
{
	const struct timespec moment = {.tv_nsec = 100000};
	int ret;

	*chain = (struct image_chain){
		.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.dir = strdup(dir),
	};
	if (chain->dirfd < 0)
		ret = err_set(err, -errno,
			      "%s: cannot open it: %s (name the directory of an image)", dir,
			      strerror(errno));
	else if (!chain->dir)
		ret = err_set(err, -ENOMEM, "%s: out of memory", dir);
	else
		ret = try_to_open(chain, number, err);
	for (int i = 1; i < TRIES && ret == -ENOENT && chain->dirfd >= 0; i++) {
		nanosleep(&moment, NULL);
		ret = try_to_open(chain, number, err);
	}
	if (ret)
		image_chain_close(chain);
	return ret;
}

void image_chain_close(struct image_chain *chain)
{
	drop_links(chain);
	if (chain->dirfd >= 0)
		close(chain->dirfd);
	free(chain->dir);
}
