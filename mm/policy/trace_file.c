// SPDX-License-Identifier: Apache-2.0
/*
 * Writing and reading reference traces. The format and the contract are in trace_file.h.
 *
 * The reader trusts nothing: each line must look exactly as the writer would have written it.
 * Memory grows with the text, never with numbers that stand in it.
 */
#include "mm/policy/trace_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC	    "quire trace "
#define HEADER	    MAGIC "1 pages "
#define BUFFER_SIZE (256 * KiB)
#define NO_MEMORY   "%s: not enough memory (give a shorter trace)"

/* ---- Writing ---- */

struct trace_file {
	FILE *file;
	int error; /* the first -errno, or 0 */
	u64 time_us;
};

static void keep_error(struct trace_file *file)
{
	if (!file->error)
		file->error = errno ? -errno : -EIO;
}

int trace_create(struct trace_file **out, const char *path, u32 nr_pages, struct err *err)
{
	struct trace_file *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_set(err, -ENOMEM, "%s: not enough memory to write a trace", path);
	t->file = fopen(path, "we");
	if (!t->file) {
		ret = err_set(err, -errno, "%s: %s (give a file that can be written)", path,
			      strerror(errno));
		goto out_free;
	}
	/* without memory for it stdio's own buffer does, more slowly */
	setvbuf(t->file, NULL, _IOFBF, BUFFER_SIZE);
	if (fprintf(t->file, HEADER "%" PRIu32 "\n", nr_pages) < 0)
		keep_error(t);
	*out = t;
	return 0;

out_free:
	free(t);
	return ret;
}

void trace_add(struct trace_file *file, u64 time_us, u32 page, bool write)
{
	if (file->error)
		return;
	file->time_us = MAX(file->time_us, time_us);
	errno = 0;
	if (fprintf(file->file, "%" PRIu64 " %" PRIu32 " %c\n", file->time_us, page,
		    write ? 'w' : 'r') < 0)
		keep_error(file);
}

int trace_flush(struct trace_file *file)
{
	errno = 0;
	if (!file->error && fflush(file->file))
		keep_error(file);
	return file->error;
}

int trace_close(struct trace_file *file)
{
	int ret;

	errno = 0;
	if (fclose(file->file))
		keep_error(file);
	ret = file->error;
	free(file);
	return ret;
}

/* ---- Making a trace ---- */

/*
 * From page numbers to dense ones: a hash table with linear probing, at most half full, whose slots
 * hold dense number + 1.
 */
struct builder {
	struct trace t;
	size_t max_refs, max_pages;
	u32 *slots;
	unsigned int bits; /* 2^bits slots */
};

static u32 *find_slot(const struct builder *b, u64 number)
{
	u64 at = (number * 0x9e3779b97f4a7c15u) >> (64 - b->bits);

	while (b->slots[at] && b->t.pages[b->slots[at] - 1] != number)
		at = (at + 1) & (((u64)1 << b->bits) - 1);
	return &b->slots[at];
}

static int grow_slots(struct builder *b)
{
	unsigned int bits = b->bits ? b->bits + 1 : 8;
	u32 *slots = calloc((size_t)1 << bits, sizeof(slots[0]));

	if (!slots)
		return -ENOMEM;
	free(b->slots);
	b->slots = slots;
	b->bits = bits;
	for (u32 i = 0; i < b->t.nr_pages; i++)
		*find_slot(b, b->t.pages[i]) = i + 1;
	return 0;
}

/*
 * The array with room for one more element of @size bytes, doubled when it was full; NULL, and the
 * array as it was, when memory is short.
 */
static void *grow(void *array, size_t nr, size_t *max, size_t size)
{
	size_t more = *max ? 2 * *max : 1024;

	if (nr < *max)
		return array;
	array = realloc(array, more * size);
	if (array)
		*max = more;
	return array;
}

static int add_page(struct builder *b, u64 number)
{
	u64 *pages = grow(b->t.pages, b->t.nr_pages, &b->max_pages, sizeof(pages[0]));

	if (!pages)
		return -ENOMEM;
	b->t.pages = pages;
	pages[b->t.nr_pages++] = number;
	return 0;
}

static int dense(struct builder *b, u64 number, u32 *out)
{
	u32 *slot;

	if ((!b->bits || b->t.nr_pages >= (u64)1 << (b->bits - 1)) && grow_slots(b))
		return -ENOMEM;
	slot = find_slot(b, number);
	if (!*slot) {
		if (add_page(b, number))
			return -ENOMEM;
		*slot = b->t.nr_pages;
	}
	*out = *slot - 1;
	return 0;
}

static int add(struct builder *b, u64 number)
{
	u32 *refs, page;

	/* TRACE_MAX_BYTES of text cannot hold more: two bytes each at least */
	ASSERT(b->t.nr_refs < UINT32_MAX - 1);
	if (dense(b, number, &page))
		return -ENOMEM;
	refs = grow(b->t.refs, b->t.nr_refs, &b->max_refs, sizeof(refs[0]));
	if (!refs)
		return -ENOMEM;
	b->t.refs = refs;
	refs[b->t.nr_refs++] = page;
	return 0;
}

void trace_free(struct trace *t)
{
	free(t->refs);
	free(t->pages);
	*t = (struct trace){0};
}

/* Hand over what was built when @ret is 0, drop it otherwise. */
static int finish(struct builder *b, struct trace *t, int ret)
{
	free(b->slots);
	if (ret)
		trace_free(&b->t);
	else
		*t = b->t;
	return ret;
}

int trace_from_numbers(struct trace *t, const u64 *numbers, u32 nr)
{
	struct builder b = {0};
	int ret = nr ? 0 : -EINVAL;

	for (u32 i = 0; i < nr && !ret; i++)
		ret = add(&b, numbers[i]);
	return finish(&b, t, ret);
}

/* ---- Reading ---- */

struct reader {
	const char *name;
	const char *at, *end;
	u64 line;
	struct err *err;
};

static bool take_char(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_text(struct reader *r, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, text, len) != 0)
		return false;
	r->at += len;
	return true;
}

static bool at_digit(const struct reader *r)
{
	return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

/* Digits, to a number that fits. */
static bool take_number(struct reader *r, u64 *out)
{
	u64 n = 0;

	if (!at_digit(r))
		return false;
	for (; at_digit(r); r->at++)
		if (__builtin_mul_overflow(n, (u64)10, &n) ||
		    __builtin_add_overflow(n, (u64)(*r->at - '0'), &n))
			return false;
	*out = n;
	return true;
}

/* As the writer writes it: no leading zeros. */
static bool take_strict_number(struct reader *r, u64 *out)
{
	const char *start = r->at;

	return take_number(r, out) && (*start != '0' || r->at == start + 1);
}

static bool take_access(struct reader *r, bool *write)
{
	*write = take_char(r, 'w');
	return *write || take_char(r, 'r');
}

static int read_header(struct reader *r, u64 *nr_pages)
{
	if (!take_text(r, HEADER))
		return err_set(r->err, -EINVAL,
			       "%s: a trace of another version (record it with this quire)",
			       r->name);
	if (!take_strict_number(r, nr_pages) || !*nr_pages || *nr_pages > UINT32_MAX ||
	    !take_char(r, '\n'))
		return err_set(r->err, -EINVAL, "%s: its first line is not \"%sN\"", r->name,
			       HEADER);
	return 0;
}

/* One line of a recorded trace, to its newline. */
static int read_line(struct reader *r, struct builder *b, u64 limit, u64 *time)
{
	u64 now, page;
	bool write;

	if (!take_strict_number(r, &now) || !take_char(r, ' ') || !take_strict_number(r, &page) ||
	    !take_char(r, ' ') || !take_access(r, &write) || !take_char(r, '\n'))
		return err_set(r->err, -EINVAL,
			       "%s:%" PRIu64 ": not a reference (a line is TIME_US PAGE r|w)",
			       r->name, r->line);
	if (page >= limit)
		return err_set(r->err, -EINVAL,
			       "%s:%" PRIu64 ": page %" PRIu64 " is beyond the %" PRIu64
			       " pages of the first line",
			       r->name, r->line, page, limit);
	if (now < *time && b->t.nr_refs)
		return err_set(r->err, -EINVAL, "%s:%" PRIu64 ": time goes back", r->name, r->line);
	if (b->t.nr_refs)
		b->t.duration_us += now - *time;
	*time = now;
	b->t.nr_writes += write;
	if (add(b, page))
		return err_set(r->err, -ENOMEM, NO_MEMORY, r->name);
	return 0;
}

/* Forget what follows the last newline: its writer died over it. */
static void drop_cut_line(struct reader *r, struct builder *b)
{
	const char *end = r->end;

	while (end > r->at && end[-1] != '\n')
		end--;
	b->t.cut = end != r->end;
	r->end = end;
}

static int read_recorded(struct reader *r, struct builder *b)
{
	u64 limit = 0, time = 0;
	int ret = read_header(r, &limit);

	if (ret)
		return ret;
	b->t.recorded = true;
	drop_cut_line(r, b);
	for (r->line = 2; r->at < r->end && !ret; r->line++)
		ret = read_line(r, b, limit, &time);
	return ret;
}

static int read_numbers(struct reader *r, struct builder *b)
{
	static const char separators[] = ", \t\r\n";
	u64 number;

	r->line = 1;
	while (r->at < r->end) {
		if (*r->at && strchr(separators, *r->at)) {
			r->line += *r->at++ == '\n';
			continue;
		}
		if (!take_number(r, &number) || number > INT64_MAX ||
		    (r->at < r->end && (!*r->at || !strchr(separators, *r->at))))
			return err_set(r->err, -EINVAL,
				       "%s:%" PRIu64 ": not a page number (give a trace that quire "
				       "recorded, or numbers such as 7,0,1,2)",
				       r->name, r->line);
		if (add(b, number))
			return err_set(r->err, -ENOMEM, NO_MEMORY, r->name);
	}
	return 0;
}

int trace_parse(struct trace *t, const char *name, const char *text, size_t len, struct err *err)
{
	struct reader r = {.name = name, .at = text, .end = text + len, .err = err};
	struct builder b = {0};
	int ret;

	if (len > TRACE_MAX_BYTES)
		return err_set(err, -EFBIG, "%s: too large (give a shorter trace)", name);
	if (len >= strlen(MAGIC) && !memcmp(text, MAGIC, strlen(MAGIC)))
		ret = read_recorded(&r, &b);
	else
		ret = read_numbers(&r, &b);
	if (!ret && !b.t.nr_refs)
		ret = err_set(err, -EINVAL, "%s: no references in it (give a trace)", name);
	return finish(&b, t, ret);
}

static int read_all(int fd, char **text, size_t *len)
{
	size_t max = 0;
	char *more;
	ssize_t n;

	*text = NULL;
	*len = 0;
	for (;;) {
		more = grow(*text, *len, &max, 1);
		if (!more)
			return -ENOMEM;
		*text = more;
		n = read(fd, *text + *len, max - *len);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			*len += (size_t)n;
		if (*len > TRACE_MAX_BYTES)
			return -EFBIG;
	}
}

int trace_read(struct trace *t, const char *name, int fd, struct err *err)
{
	char *text;
	size_t len;
	int ret = read_all(fd, &text, &len);

	if (ret)
		err_set(err, ret, "%s: %s (give a readable trace)", name, strerror(-ret));
	else
		ret = trace_parse(t, name, text, len, err);
	free(text);
	return ret;
}
