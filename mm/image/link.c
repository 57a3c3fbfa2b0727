// SPDX-License-Identifier: Apache-2.0
/*
 * One link file: opening it, and finding pages in it. The file is not trusted: whatever is used was
 * covered by a checksum that matched, and lies inside the file.
 *
 * Files are read, never mapped: a file that is cut short under a mapping is a SIGBUS, here it is an
 * error.
 */
#include "mm/image/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mm/codec/sum.h"

#define LEAST_SIZE (sizeof(struct image_header) + sizeof(struct image_footer))

/* So much of the file's end is read at once when it is opened: mostly all that opening needs. */
#define TAIL_SIZE (16 * KiB)

struct tail {
	u64 at, size;
	u8 data[TAIL_SIZE];
};

void image_link_name(char name[IMAGE_NAME_SIZE], u32 number)
{
	snprintf(name, IMAGE_NAME_SIZE, "%08u.link", number);
}

u64 image_sum(const void *data, u64 size)
{
	return sum_bytes(data, size, 0);
}

static int damaged(const struct image_link *link, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG,
		       "%s: %s (the file is damaged: use an older link, or a copy of it)",
		       link->path, what);
}

int image_link_read(const struct image_link *link, u64 at, u64 size, void *to, struct err *err)
{
	for (u64 done = 0; done < size;) {
		ssize_t n = pread(link->fd, (u8 *)to + done, size - done, (off_t)(at + done));

		if (n > 0)
			done += (u64)n;
		else if (!n)
			return err_set(err, -EBADMSG,
				       "%s: ends at byte %llu, inside what is needed (the file "
				       "was cut short: use a copy of it)",
				       link->path, (unsigned long long)(at + done));
		else if (errno != EINTR)
			return err_set(err, -errno, "%s: cannot read at byte %llu: %s", link->path,
				       (unsigned long long)(at + done), strerror(errno));
	}
	return 0;
}

/* ---- Opening ---- */

static int open_file(struct image_link *link, int dirfd, u32 number, struct err *err)
{
	char name[IMAGE_NAME_SIZE];
	struct stat st;

	image_link_name(name, number);
	/* not to follow a planted link, nor to wait for the writer of a pipe */
	link->fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (link->fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (link->fd < 0 || fstat(link->fd, &st))
		return err_set(err, -errno, "%s: cannot open it: %s", link->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "%s: not a file (remove it)", link->path);
	if (st.st_size < (off_t)LEAST_SIZE || (u64)st.st_size >= IMAGE_MAX_OFFSET)
		return damaged(link, "too short or too long for a link", err);
	link->footer.size = (u64)st.st_size;
	return 0;
}

/* Something near the end of the file, from the tail if all of it is there. */
static int read_near_end(const struct image_link *link, const struct tail *tail, u64 at, u64 size,
			 void *to, struct err *err)
{
	if (at < tail->at || !range_fits(at - tail->at, size, tail->size))
		return image_link_read(link, at, size, to, err);
	memcpy(to, tail->data + (at - tail->at), size);
	return 0;
}

static int check_header(const struct image_link *link, struct err *err)
{
	const struct image_header *h = &link->header;

	if (memcmp(h->magic, IMAGE_MAGIC, sizeof(h->magic)) != 0)
		return damaged(link, "not a link of an image", err);
	if (!h->version || h->version > IMAGE_VERSION)
		return err_set(err, -EBADMSG,
			       "%s: of version %u of the format, up to %u are known (use a newer "
			       "quire)",
			       link->path, h->version, IMAGE_VERSION);
	return 0;
}

/* What the footer says of header and footer themselves. @size is that of the file. */
static int check_footer(const struct image_link *link, u64 size, struct err *err)
{
	const struct image_footer *f = &link->footer;
	u64 limit = size - sizeof(*f);

	if (f->sum != image_sum(f, offsetof(struct image_footer, sum)) || f->size != size ||
	    f->zero)
		return damaged(link, "its footer does not match its checksum", err);
	if (f->header_sum != image_sum(&link->header, sizeof(link->header)))
		return damaged(link, "its header does not match its checksum", err);
	if (!range_fits(f->root_at, (u64)f->nr_regions * sizeof(struct image_region), limit) ||
	    !range_fits(f->state_at, f->state_size, limit) ||
	    !range_fits(f->config_at, f->config_size, limit))
		return damaged(link, "its footer points out of the file", err);
	if (f->state_size > IMAGE_MAX_STATE || f->config_size > IMAGE_MAX_CONFIG)
		return damaged(link, "its state or configuration is too large", err);
	return 0;
}

/* What a link with good checksums may still not say. */
static int check_meaning(const struct image_link *link, u32 number, struct err *err)
{
	static const struct image_id none;
	const struct image_header *h = &link->header;

	if (h->number != number)
		return err_set(err, -EBADMSG, "%s: is link %u by its contents (rename it back)",
			       link->path, h->number);
	if (h->parent >= number || (!h->parent && memcmp(&h->parent_id, &none, sizeof(none)) != 0))
		return damaged(link, "has an impossible parent", err);
	if (!h->nr_pages || link->footer.nr_regions > image_nr_regions(h->nr_pages))
		return damaged(link, "has an impossible number of pages", err);
	return 0;
}

static int check_root(const struct image_link *link, struct err *err)
{
	u32 nr_regions = image_nr_regions(link->header.nr_pages), next = 0;
	u64 limit = link->footer.size - sizeof(link->footer), pages = 0;

	for (u32 i = 0; i < link->footer.nr_regions; i++) {
		const struct image_region *r = &link->root[i];

		if (r->region < next || r->region >= nr_regions || !r->count ||
		    r->count > IMAGE_REGION_PAGES ||
		    !range_fits(r->at, image_index_size(r->count), limit))
			return damaged(link, "its root is wrong", err);
		next = r->region + 1;
		pages += r->count;
	}
	if (pages != link->footer.pages)
		return damaged(link, "its root and its footer do not agree", err);
	return 0;
}

static int read_root(struct image_link *link, const struct tail *tail, struct err *err)
{
	const struct image_footer *f = &link->footer;
	u64 size = (u64)f->nr_regions * sizeof(*link->root);
	int ret;

	link->root = malloc(size + 1);
	link->index = calloc((u64)f->nr_regions + 1, sizeof(*link->index));
	if (!link->root || !link->index)
		return err_set(err, -ENOMEM, "%s: out of memory", link->path);
	ret = read_near_end(link, tail, f->root_at, size, link->root, err);
	if (ret)
		return ret;
	if (f->root_sum != image_sum(link->root, size))
		return damaged(link, "its root does not match its checksum", err);
	return check_root(link, err);
}

static int read_all(struct image_link *link, int dirfd, u32 number, struct err *err)
{
	struct tail tail;
	u64 size;
	int ret = open_file(link, dirfd, number, err);

	if (ret)
		return ret;
	size = link->footer.size;
	tail.size = MIN(size, sizeof(tail.data));
	tail.at = size - tail.size;
	ret = image_link_read(link, tail.at, tail.size, tail.data, err);
	if (!ret)
		ret = read_near_end(link, &tail, 0, sizeof(link->header), &link->header, err);
	if (!ret)
		ret = check_header(link, err);
	if (ret)
		return ret;
	memcpy(&link->footer, tail.data + tail.size - sizeof(link->footer), sizeof(link->footer));
	ret = check_footer(link, size, err);
	if (!ret)
		ret = check_meaning(link, number, err);
	return ret ? ret : read_root(link, &tail, err);
}

int image_link_open(struct image_link **out, int dirfd, const char *dir, u32 number,
		    struct err *err)
{
	char name[IMAGE_NAME_SIZE];
	struct image_link *link = calloc(1, sizeof(*link));
	int ret;

	image_link_name(name, number);
	if (link)
		link->fd = -1;
	if (!link || asprintf(&link->path, "%s/%s", dir, name) < 0) {
		free(link);
		return err_set(err, -ENOMEM, "%s/%s: out of memory", dir, name);
	}
	ret = read_all(link, dirfd, number, err);
	if (ret)
		image_link_close(link);
	else
		*out = link;
	return ret;
}

void image_link_close(struct image_link *link)
{
	if (link->index)
		for (u32 i = 0; i < link->footer.nr_regions; i++)
			free(atomic_load_explicit(&link->index[i], memory_order_relaxed));
	free(link->index);
	free(link->root);
	free(link->path);
	if (link->fd >= 0)
		close(link->fd);
	free(link);
}

/* ---- State and configuration ---- */

/* A checked stretch of the file, with a NUL behind it. */
static int read_blob(const struct image_link *link, u64 at, u32 size, u64 sum, const char *wrong,
		     void **out, struct err *err)
{
	u8 *blob = malloc((u64)size + 1);
	int ret;

	if (!blob)
		return err_set(err, -ENOMEM, "%s: out of memory", link->path);
	ret = image_link_read(link, at, size, blob, err);
	if (!ret && image_sum(blob, size) != sum)
		ret = damaged(link, wrong, err);
	if (ret) {
		free(blob);
		return ret;
	}
	blob[size] = 0;
	*out = blob;
	return 0;
}

int image_link_state(const struct image_link *link, void **state, struct err *err)
{
	const struct image_footer *f = &link->footer;

	return read_blob(link, f->state_at, f->state_size, f->state_sum,
			 "its state does not match its checksum", state, err);
}

int image_link_config(const struct image_link *link, char **config, struct err *err)
{
	const struct image_footer *f = &link->footer;
	void *blob;
	int ret = read_blob(link, f->config_at, f->config_size, f->config_sum,
			    "its configuration does not match its checksum", &blob, err);

	if (!ret)
		*config = blob;
	return ret;
}

/* ---- Finding pages ---- */

static bool entry_sane(const struct image_link *link, const struct image_entry *e)
{
	enum codec_kind kind = image_place_kind(e->place);
	u64 at = image_place_at(e->place), limit = link->footer.size - sizeof(link->footer);
	u32 size = image_place_size(e->place);

	if (e->place != image_place(kind, at, size) || kind == CODEC_NONE)
		return false;
	if (kind == CODEC_PATTERN)
		return !at && !size && !e->sum.word[2] && !e->sum.word[3];
	return size && (kind == CODEC_RAW ? size == PAGE_SIZE : size <= PAGE_SIZE) &&
	       range_fits(at, size, limit);
}

static bool index_sane(const struct image_link *link, const struct image_region *r,
		       const struct image_index *index)
{
	u64 first = (u64)r->region << IMAGE_REGION_SHIFT;
	u32 count = 0;

	if (image_sum(index, image_index_size(r->count)) != r->sum)
		return false;
	for (u32 i = 0; i < IMAGE_REGION_PAGES; i++) {
		if (!(index->present[i / 64] >> i % 64 & 1))
			continue;
		if (first + i >= link->header.nr_pages || count == r->count ||
		    !entry_sane(link, &index->entry[count]))
			return false;
		count++;
	}
	return count == r->count;
}

static int read_index(const struct image_link *link, const struct image_region *r,
		      struct image_index *index, struct err *err)
{
	int ret = image_link_read(link, r->at, image_index_size(r->count), index, err);

	if (!ret && !index_sane(link, r, index))
		ret = err_set(err, -EBADMSG,
			      "%s: the index of pages %llu to %llu, at byte %llu, is wrong (the "
			      "file is damaged: use an older link, or a copy of it)",
			      link->path, (unsigned long long)r->region << IMAGE_REGION_SHIFT,
			      ((unsigned long long)(r->region + 1) << IMAGE_REGION_SHIFT) - 1,
			      (unsigned long long)r->at);
	return ret;
}

int image_link_index(struct image_link *link, u32 i, const struct image_index **index,
		     struct err *err)
{
	const struct image_region *r = &link->root[i];
	struct image_index *fresh, *known;
	int ret;

	known = atomic_load_explicit(&link->index[i], memory_order_acquire);
	if (known) {
		*index = known;
		return 0;
	}
	fresh = malloc(image_index_size(r->count));
	if (!fresh)
		return err_set(err, -ENOMEM, "%s: out of memory", link->path);
	ret = read_index(link, r, fresh, err);
	if (ret) {
		free(fresh);
		return ret;
	}
	/* two threads may have read it: the first one's stays */
	*index = fresh;
	if (!atomic_compare_exchange_strong_explicit(&link->index[i], &known, fresh,
						     memory_order_acq_rel, memory_order_acquire)) {
		free(fresh);
		*index = known;
	}
	return 0;
}

/*
 * Entry i of the root is of region i or a later one, and so many regions are left behind it: where
 * all regions are there, that leaves one place to look at.
 */
bool image_link_region(const struct image_link *link, u32 region, u32 *i)
{
	u32 n = link->footer.nr_regions, all = image_nr_regions(link->header.nr_pages);
	u32 behind = all - region, low = n > behind ? n - behind : 0;
	u32 high = MIN(region + 1, n); /* the answer lies in [low, high) */

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (link->root[middle].region == region) {
			*i = middle;
			return true;
		}
		if (link->root[middle].region < region)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

int image_link_find(struct image_link *link, page_no no, struct image_entry *entry, struct err *err)
{
	u32 i, bit = no % IMAGE_REGION_PAGES, rank = 0;
	const struct image_index *index;
	int ret;

	entry->place = 0;
	if (!image_link_region(link, no >> IMAGE_REGION_SHIFT, &i))
		return 0;
	ret = image_link_index(link, i, &index, err);
	if (ret || !(index->present[bit / 64] >> bit % 64 & 1))
		return ret;
	for (u32 word = 0; word < bit / 64; word++)
		rank += (u32)__builtin_popcountll(index->present[word]);
	rank += (u32)__builtin_popcountll(index->present[bit / 64] & (((u64)1 << bit % 64) - 1));
	*entry = index->entry[rank];
	return 0;
}
