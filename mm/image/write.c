// SPDX-License-Identifier: Apache-2.0
/*
 * Beginning and ending a link. Contract in image.h.
 *
 * Until its last byte is on the device a link has a temporary name, which no reader looks at; one
 * rename makes it part of the chain. So whatever fails, and whenever the machine stops, the chain
 * is as it was before or has one more link that is whole.
 */
#include "mm/image/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mm/image/chain.h"

/* ---- Beginning ---- */

static void remove_tmp(void *opaque, u32 number)
{
	char name[IMAGE_NAME_SIZE];

	image_tmp_name(name, number);
	unlinkat(*(const int *)opaque, name, 0);
}

int image_lock_dir(const char *dir, int *dirfd, bool *made, struct err *err)
{
	int ret;

	*made = !mkdir(dir, 0700);
	if (!*made && errno != EEXIST)
		return err_set(err, -errno, "%s: cannot make it: %s (name a place for an image)",
			       dir, strerror(errno));
	*dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*dirfd < 0) {
		ret = err_set(err, -errno, "%s: cannot open it: %s (name a directory)", dir,
			      strerror(errno));
	} else if (flock(*dirfd, LOCK_EX | LOCK_NB)) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		err_set(err, ret, "%s: %s", dir,
			ret == -EBUSY ? "somebody else is writing to it (wait for that)"
				      : strerror(-ret));
		close(*dirfd);
	} else {
		image_each_tmp(*dirfd, remove_tmp, dirfd);
		return 0;
	}
	if (*made)
		rmdir(dir);
	return ret;
}

static void free_writer(struct image_writer *w)
{
	image_out_fini(&w->out);
	image_unmap(w->entry, w->header.nr_pages * sizeof(*w->entry));
	if (w->slot)
		image_unmap(w->slot, sizeof(*w->slot) << w->slot_bits);
	free(w->count);
	if (w->dirfd >= 0)
		close(w->dirfd);
	free(w->dir);
	free(w);
}

void image_abort(struct image_writer *w)
{
	unlinkat(w->dirfd, w->tmp, 0);
	if (w->made_dir)
		rmdir(w->dir);
	free_writer(w);
}

/* Everything but the file. */
static struct image_writer *alloc_writer(const struct image_writer_start *s)
{
	struct image_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct image_writer){
		.dirfd = -1,
		.dir = strdup(s->dir),
		.made_dir = s->made_dir,
		.header = s->header,
		.out = {.fd = -1},
		.total = {.number = s->header.number},
		.entry = image_map(s->header.nr_pages * sizeof(*w->entry)),
		.count = calloc(image_nr_regions(s->header.nr_pages), sizeof(*w->count)),
	};
	snprintf(w->tmp, sizeof(w->tmp), "%s", s->tmp);
	if (w->dir && w->entry && w->count)
		return w;
	free_writer(w);
	return NULL;
}

int image_writer_make(struct image_writer **out, const struct image_writer_start *s,
		      struct err *err)
{
	struct image_writer *w = alloc_writer(s);
	int fd, ret;

	if (!w) {
		if (s->made_dir)
			rmdir(s->dir);
		close(s->dirfd);
		return err_set(err, -ENOMEM, "%s: out of memory", s->dir);
	}
	w->dirfd = s->dirfd;
	fd = openat(w->dirfd, w->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ret = fd < 0 ? -errno : image_out_init(&w->out, fd, s->no_sync);
	if (ret) {
		err_set(err, ret, "%s/%s: cannot make it: %s", w->dir, w->tmp, strerror(-ret));
		image_abort(w);
		return ret;
	}
	/* an error here is kept for the end */
	image_out_append(&w->out, &w->header, sizeof(w->header));
	*out = w;
	return 0;
}

/*
 * The header of the newest link. Who names that link has written it, or restored a guest from it,
 * and the links before it are not looked at: 64 of them are 250 system calls and more. Otherwise
 * the whole chain must be there.
 */
static int read_parent(struct image_header *parent, bool named, int dirfd, const char *dir,
		       u32 newest, struct err *err)
{
	struct image_chain chain;
	struct image_link *link;
	int ret;

	if (!named) {
		ret = image_chain_open(&chain, dir, newest, err);
		if (!ret) {
			*parent = chain.link[0]->header;
			image_chain_close(&chain);
		}
		return ret;
	}
	ret = image_link_open(&link, dirfd, dir, newest, err);
	if (ret == -ENOENT)
		err_set(err, ret, "%s: link %u has gone (write a new image)", dir, newest);
	if (ret)
		return ret;
	*parent = link->header;
	image_link_close(link);
	return 0;
}

/* After which link it comes, if any: number and parent. */
static int find_parent(struct image_header *h, const struct image_writer_config *cfg, int dirfd,
		       const char *dir, struct err *err)
{
	struct image_header parent;
	u32 newest;
	int ret = image_newest(dirfd, &newest);

	if (ret)
		return err_set(err, ret, "%s: cannot list it: %s", dir, strerror(-ret));
	h->number = 1;
	if (!cfg->incremental && newest)
		return err_set(err, -EEXIST, "%s: holds an image already (name another directory)",
			       dir);
	if (!cfg->incremental)
		return 0;
	if (cfg->parent && newest != cfg->parent)
		return err_set(err, -ESTALE,
			       "%s: its newest link is %u, not %u (write a new image)", dir, newest,
			       cfg->parent);
	if (newest == UINT32_MAX)
		return err_set(err, -EOVERFLOW, "%s: no more numbers (write a new image)", dir);
	ret = read_parent(&parent, cfg->parent != 0, dirfd, dir, newest, err);
	if (ret)
		return ret;
	h->number = parent.number + 1;
	h->parent = parent.number;
	h->parent_id = parent.id;
	if (parent.nr_pages != cfg->nr_pages)
		ret = err_set(err, -EINVAL,
			      "%s: of a guest of %u pages, not %u (write a new image)", dir,
			      parent.nr_pages, cfg->nr_pages);
	return ret;
}

int image_begin(struct image_writer **out, const char *dir, const struct image_writer_config *cfg,
		struct err *err)
{
	char tmp[IMAGE_NAME_SIZE];
	struct image_writer_start s = {
		.dir = dir,
		.tmp = tmp,
		.no_sync = cfg->no_sync,
		.header = {.version = IMAGE_VERSION,
			   .nr_pages = cfg->nr_pages,
			   .when = (u64)time(NULL)},
	};
	struct image_id *id = &s.header.id;
	int ret = image_lock_dir(dir, &s.dirfd, &s.made_dir, err);

	ASSERT(cfg->nr_pages);
	if (ret)
		return ret;
	memcpy(s.header.magic, IMAGE_MAGIC, sizeof(s.header.magic));
	ret = find_parent(&s.header, cfg, s.dirfd, dir, err);
	if (!ret && getrandom(id, sizeof(*id), 0) != sizeof(*id))
		ret = err_set(err, -EIO, "%s: the host has no random numbers", dir);
	if (ret) {
		close(s.dirfd);
		if (s.made_dir)
			rmdir(dir);
		return ret;
	}
	image_tmp_name(tmp, s.header.number);
	return image_writer_make(out, &s, err);
}

/* ---- Ending ---- */

/* The entries of a region without those that are not there. */
static void pack_region(const struct image_writer *w, u32 region, struct image_index *index)
{
	u32 first = region << IMAGE_REGION_SHIFT, count = 0;

	memset(index->present, 0, sizeof(index->present));
	for (u32 i = 0; i < MIN(IMAGE_REGION_PAGES, w->header.nr_pages - first); i++) {
		if (!w->entry[first + i].place)
			continue;
		index->present[i / 64] |= (u64)1 << i % 64;
		index->entry[count++] = w->entry[first + i];
	}
	ASSERT(count == w->count[region]);
}

/* Index blocks and the root. */
static int write_index(struct image_writer *w, struct image_footer *f)
{
	u32 all = image_nr_regions(w->header.nr_pages);
	struct image_index *index = malloc(image_index_size(IMAGE_REGION_PAGES));
	struct image_region *root;

	for (u32 i = 0; i < all; i++)
		f->nr_regions += w->count[i] != 0;
	root = malloc((u64)f->nr_regions * sizeof(*root) + 1);
	if (root && index) {
		for (u32 i = 0, n = 0; i < all; i++) {
			if (!w->count[i])
				continue;
			root[n].region = i;
			root[n].count = w->count[i];
			pack_region(w, i, index);
			root[n].at = image_out_at(&w->out);
			root[n].sum = image_sum(index, image_index_size(root[n].count));
			image_out_append(&w->out, index, image_index_size(root[n++].count));
		}
		f->root_at = image_out_at(&w->out);
		f->root_sum = image_sum(root, (u64)f->nr_regions * sizeof(*root));
		image_out_append(&w->out, root, (u64)f->nr_regions * sizeof(*root));
	} else if (!w->out.error) {
		w->out.error = -ENOMEM;
	}
	free(root);
	free(index);
	return w->out.error;
}

static int write_end(struct image_writer *w, const void *state, u32 state_size, const char *config)
{
	struct image_footer f = {
		.state_sum = image_sum(state, state_size),
		.config_sum = image_sum(config, strlen(config)),
		.state_size = state_size,
		.config_size = (u32)strlen(config),
		.pages = w->total.pages,
		.patterns = w->total.patterns,
		.shared = w->total.shared,
		.raw = w->total.raw,
		.header_sum = image_sum(&w->header, sizeof(w->header)),
	};

	ASSERT(state_size <= IMAGE_MAX_STATE && strlen(config) <= IMAGE_MAX_CONFIG);
	write_index(w, &f);
	f.state_at = image_out_at(&w->out);
	image_out_append(&w->out, state, state_size);
	f.config_at = image_out_at(&w->out);
	image_out_append(&w->out, config, f.config_size);
	f.size = image_out_at(&w->out) + sizeof(f);
	f.sum = image_sum(&f, offsetof(struct image_footer, sum));
	image_out_append(&w->out, &f, sizeof(f));
	w->total.bytes = f.size;
	return image_out_finish(&w->out);
}

/* The new name on the device, and the directory's own when it is new. */
static int sync_names(const struct image_writer *w)
{
	int ret = 0, up;

	if (w->out.no_sync)
		return 0;
	if (fsync(w->dirfd))
		return -errno;
	if (!w->made_dir)
		return 0;
	up = openat(w->dirfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (up < 0 || fsync(up))
		ret = -errno;
	if (up >= 0)
		close(up);
	return ret;
}

/*
 * One rename, then it is there. A merged link takes the place of one of the same contents, so that
 * it does no harm there if its name is not known to have reached the device.
 */
static int make_visible(struct image_writer *w)
{
	char name[IMAGE_NAME_SIZE];
	bool replaces;
	int ret;

	image_link_name(name, w->header.number);
	replaces = !faccessat(w->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW);
	if (renameat(w->dirfd, w->tmp, w->dirfd, name))
		return -errno;
	ret = sync_names(w);
	if (ret && !replaces)
		unlinkat(w->dirfd, name, 0);
	return ret;
}

int image_commit(struct image_writer *w, const void *state, u32 state_size, const char *config,
		 struct image_written *written, struct err *err)
{
	int ret = write_end(w, state, state_size, config);

	if (!ret)
		ret = make_visible(w);
	if (ret) {
		err_set(err, ret, "%s: cannot write link %u: %s (the links before it are unharmed)",
			w->dir, w->header.number, strerror(-ret));
		image_abort(w);
		return ret;
	}
	if (written)
		*written = w->total;
	free_writer(w);
	return 0;
}

/* ---- Syncing what was not ---- */

struct sync {
	int dirfd, ret;
};

static void sync_link(void *opaque, u32 number)
{
	struct sync *s = opaque;
	char name[IMAGE_NAME_SIZE];
	int fd;

	image_link_name(name, number);
	fd = openat(s->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* it may have been merged since it was listed */
	if (fd < 0 && errno == ENOENT)
		return;
	if (fd < 0 || fsync(fd))
		s->ret = s->ret ? s->ret : -errno;
	if (fd >= 0)
		close(fd);
}

int image_sync(const char *dir, struct err *err)
{
	struct sync s = {.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	int ret = s.dirfd < 0 ? -errno : image_each_link(s.dirfd, sync_link, &s);

	if (!ret)
		ret = s.ret;
	if (!ret && fsync(s.dirfd))
		ret = -errno;
	if (s.dirfd >= 0)
		close(s.dirfd);
	return ret ? err_set(err, ret, "%s: cannot sync it: %s", dir, strerror(-ret)) : 0;
}
