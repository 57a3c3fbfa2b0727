// SPDX-License-Identifier: Apache-2.0
/*
 * Several neighbouring links into one: flattening a chain, and keeping one short that grows for
 * ever.
 *
 * The merged link has number, identity, state and configuration of the newest of its parts, and the
 * parent of the oldest. It takes the newest part's name by a rename: from then on nobody needs the
 * older parts, which are removed. A crash in between leaves them behind, outside the chain; the
 * next merge removes them. At each moment every link of the chain has the contents it had.
 *
 * Merges keep out each other by a lock of their own, not writers: those only add to the chain, and
 * what they add has a parent of a number and identity that merging does not change.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "mm/image/chain.h"
#include "mm/image/data.h"
#include "mm/image/write.h"

#define LOCK_NAME "merge.lock"
#define TMP_NAME  "merge.tmp"

/* What is merged: links first (the newest) to last (the oldest) of a chain. */
struct merge {
	struct image_chain chain;
	u32 first, last;
	struct image_writer *writer;
	struct image_batch *batch;
	struct err *err;
};

/* ---- Copying ---- */

static int copy_batch(struct merge *m)
{
	struct image_batch *b = m->batch;
	int ret = image_fetch(b->want, b->n, b->block, b->data, m->err);

	/* what fails to be written is told at the end */
	for (u32 i = 0; i < b->n && !ret; i++)
		image_put_block(m->writer, b->want[i].no, &b->block[i]);
	b->n = 0;
	return ret;
}

/* The newest part that has the page. */
static int copy_page(struct merge *m, page_no no)
{
	struct image_entry entry = {0};
	int ret = 0;

	for (u32 i = m->first; i <= m->last && !ret && !entry.place; i++) {
		ret = image_link_find(m->chain.link[i], no, &entry, m->err);
		if (entry.place)
			image_batch_add(m->batch, m->chain.link[i], no, &entry);
	}
	if (!ret && m->batch->n == IMAGE_BATCH)
		ret = copy_batch(m);
	return ret;
}

static bool any_has_region(const struct merge *m, u32 region)
{
	u32 i;

	for (u32 l = m->first; l <= m->last; l++)
		if (image_link_region(m->chain.link[l], region, &i))
			return true;
	return false;
}

static int copy_pages(struct merge *m, image_progress_fn progress, void *opaque)
{
	u32 nr_pages = m->chain.link[0]->header.nr_pages;
	int ret = 0;

	for (u32 region = 0; region < image_nr_regions(nr_pages) && !ret; region++) {
		u64 no = (u64)region << IMAGE_REGION_SHIFT;
		u64 end = MIN(no + IMAGE_REGION_PAGES, nr_pages);

		if (!any_has_region(m, region))
			continue;
		for (; no < end && !ret && !m->writer->out.error; no++)
			ret = copy_page(m, (page_no)no);
		if (progress)
			progress(opaque, end * PAGE_SIZE, nr_pages * PAGE_SIZE);
	}
	return ret ? ret : copy_batch(m);
}

/* All pages, then state and configuration of the newest. The writer is gone afterwards. */
static int write_merged(struct merge *m, image_progress_fn progress, void *opaque)
{
	const struct image_link *newest = m->chain.link[m->first];
	void *state = NULL;
	char *config = NULL;
	int ret = -ENOMEM;

	m->batch = malloc(sizeof(*m->batch));
	if (!m->batch) {
		err_set(m->err, ret, "%s: out of memory", m->chain.dir);
	} else {
		m->batch->n = 0;
		ret = copy_pages(m, progress, opaque);
	}
	if (!ret)
		ret = image_link_state(newest, &state, m->err);
	if (!ret)
		ret = image_link_config(newest, &config, m->err);
	if (ret)
		image_abort(m->writer);
	else
		ret = image_commit(m->writer, state, newest->footer.state_size, config, NULL,
				   m->err);
	free(m->batch);
	free(state);
	free(config);
	return ret;
}

/* What the merged link says of itself. */
static struct image_header merged_header(const struct merge *m)
{
	struct image_header h = m->chain.link[m->first]->header;

	h.version = IMAGE_VERSION;
	h.parent = m->chain.link[m->last]->header.parent;
	h.parent_id = m->chain.link[m->last]->header.parent_id;
	return h;
}

/* ---- In place ---- */

/* -errno or the descriptor that holds the lock. */
static int lock_merges(const char *dir, struct err *err)
{
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd, ret = 0;

	if (dirfd < 0)
		return err_set(err, -errno,
			       "%s: cannot open it: %s (name the directory of an image)", dir,
			       strerror(errno));
	fd = openat(dirfd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		ret = err_set(err, -errno, "%s/" LOCK_NAME ": cannot make it: %s", dir,
			      strerror(errno));
	else if (flock(fd, LOCK_EX | LOCK_NB))
		ret = err_set(err, errno == EWOULDBLOCK ? -EBUSY : -errno, "%s: %s", dir,
			      errno == EWOULDBLOCK ? "its links are being merged (wait for that)"
						   : strerror(errno));
	else
		unlinkat(dirfd, TMP_NAME, 0);
	close(dirfd);
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

/* A link that is older than the newest, and not in its chain, is a part of a merged one. */
static void remove_part(void *opaque, u32 number)
{
	const struct image_chain *chain = opaque;
	char name[IMAGE_NAME_SIZE];

	if (number > chain->link[0]->header.number)
		return;
	for (u32 i = 0; i < chain->n; i++)
		if (chain->link[i]->header.number == number)
			return;
	image_link_name(name, number);
	unlinkat(chain->dirfd, name, 0);
}

/* Newest first, so that what a crash leaves can still be opened. */
static void remove_merged(const struct merge *m)
{
	char name[IMAGE_NAME_SIZE];

	for (u32 i = m->first + 1; i <= m->last; i++) {
		image_link_name(name, m->chain.link[i]->header.number);
		unlinkat(m->chain.dirfd, name, 0);
	}
}

static int merge_in_place(struct merge *m, image_progress_fn progress, void *opaque)
{
	const struct image_writer_start s = {
		.dir = m->chain.dir,
		.dirfd = openat(m->chain.dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.tmp = TMP_NAME,
		.header = merged_header(m),
	};
	int ret;

	if (s.dirfd < 0)
		return err_set(m->err, -errno, "%s: %s", s.dir, strerror(errno));
	ret = image_writer_make(&m->writer, &s, m->err);
	if (!ret)
		ret = write_merged(m, progress, opaque);
	if (!ret)
		remove_merged(m);
	return ret;
}

/* The whole chain; leftovers of a merge that was cut short go. */
static int open_to_merge(struct merge *m, const char *dir, struct err *err)
{
	int ret = image_chain_open(&m->chain, dir, 0, err);

	if (ret)
		return ret;
	m->err = err;
	image_each_link(m->chain.dirfd, remove_part, &m->chain);
	return 0;
}

static int flatten_here(const char *dir, u32 number, image_progress_fn progress, void *opaque,
			struct err *err)
{
	struct merge m = {0};
	int ret, lock = lock_merges(dir, err);

	if (lock < 0)
		return lock;
	ret = open_to_merge(&m, dir, err);
	if (ret) {
		close(lock);
		return ret;
	}
	m.last = m.chain.n - 1;
	while (number && m.first < m.last && m.chain.link[m.first]->header.number != number)
		m.first++;
	if (number && m.chain.link[m.first]->header.number != number)
		ret = err_set(err, -ENOENT, "%s: there is no link %u (quire image info lists them)",
			      dir, number);
	else if (m.first < m.last)
		ret = merge_in_place(&m, progress, opaque);
	image_chain_close(&m.chain);
	close(lock);
	return ret;
}

/* ---- To another directory ---- */

/* Room for an image of one link. */
static int begin_elsewhere(struct merge *m, const char *to)
{
	char tmp[IMAGE_NAME_SIZE];
	struct image_writer_start s = {.dir = to, .tmp = tmp, .header = merged_header(m)};
	u32 newest;
	int ret = image_lock_dir(to, &s.dirfd, &s.made_dir, m->err);

	if (ret)
		return ret;
	ret = image_newest(s.dirfd, &newest);
	if (!ret && newest)
		ret = -EEXIST;
	if (ret) {
		close(s.dirfd);
		if (s.made_dir)
			rmdir(to);
		return err_set(m->err, ret, "%s: %s", to,
			       newest ? "holds an image already (name another directory)"
				      : strerror(-ret));
	}
	image_tmp_name(tmp, s.header.number);
	return image_writer_make(&m->writer, &s, m->err);
}

static int flatten_to(const char *dir, u32 number, const char *to, image_progress_fn progress,
		      void *opaque, struct err *err)
{
	struct merge m = {.err = err};
	int ret = image_chain_open(&m.chain, dir, number, err);

	if (ret)
		return ret;
	m.last = m.chain.n - 1;
	ret = begin_elsewhere(&m, to);
	if (!ret)
		ret = write_merged(&m, progress, opaque);
	image_chain_close(&m.chain);
	return ret;
}

int image_flatten(const char *dir, u32 number, const char *to, image_progress_fn progress,
		  void *opaque, struct err *err)
{
	if (to)
		return flatten_to(dir, number, to, progress, opaque, err);
	return flatten_here(dir, number, progress, opaque, err);
}

/* ---- Keeping it short ---- */

/*
 * Which links to merge, of a chain that is too long: from the one before the newest on, as many as
 * must go, and further while the next one is less than twice what is merged. So sizes grow
 * geometrically towards the base, and a page is copied a few times in the life of a long chain: 6
 * times for 3000 links of one size where 8 are kept.
 */
static void choose(struct merge *m, u32 max)
{
	u64 size = 0;

	m->first = 1;
	m->last = m->chain.n - max + 1;
	for (u32 i = m->first; i <= m->last; i++)
		size += m->chain.link[i]->footer.size;
	while (m->last + 1 < m->chain.n && m->chain.link[m->last + 1]->footer.size / 2 < size)
		size += m->chain.link[++m->last]->footer.size;
}

int image_merge(const char *dir, u32 max, struct err *err)
{
	struct merge m = {0};
	int ret, lock;

	ASSERT(max >= 2);
	lock = lock_merges(dir, err);
	if (lock < 0)
		return lock;
	ret = open_to_merge(&m, dir, err);
	if (!ret) {
		if (m.chain.n > max) {
			choose(&m, max);
			ret = merge_in_place(&m, NULL, NULL);
			ret = ret ? ret : (int)(m.last - m.first);
		}
		image_chain_close(&m.chain);
	}
	close(lock);
	return ret;
}
