// SPDX-License-Identifier: Apache-2.0
/*
 * Reference traces: which pages were used, in which order. A live guest records one (`quire run
 * --trace-pages FILE`); tools/quire-sim replays it through every replacement policy.
 *
 * A recorded trace is text:
 *
 *	quire trace 1 pages 65536		version; page numbers are below 65536
 *	1043 17 r				at 1043 us page 17 was read
 *	1051 300 w				at 1051 us page 300 was written
 *
 * Fields are separated by one space, numbers are decimal without sign or leading zeros, each line
 * ends in a newline, times never go back and begin anywhere. A last line without a newline was cut
 * off when its writer died: it is left out. `w` means that the reference that was seen was a write;
 * a page that was read first may have been written afterwards without being seen.
 *
 * The reader also takes a plain reference string: decimal numbers separated by commas or blanks.
 */
#ifndef QUIRE_MM_POLICY_TRACE_FILE_H
#define QUIRE_MM_POLICY_TRACE_FILE_H

#include "mm/base/base.h"
#include "mm/base/err.h"

/* ---- Writing ---- */

struct trace_file;

/* -errno with a sentence when the file cannot be created; an existing one is replaced. */
int trace_create(struct trace_file **out, const char *path, u32 nr_pages, struct err *err);

/*
 * Append a reference; what does not fit the buffer is written at once. A time before that of the
 * reference before it becomes the same. After an error nothing more is written, and trace_flush()
 * and trace_close() tell. Not thread-safe: the caller's lock covers it.
 */
void trace_add(struct trace_file *file, u64 time_us, u32 page, bool write);

/* Write what is buffered. 0, or the first -errno since the file was created. */
int trace_flush(struct trace_file *file);

/* Write what is buffered and free everything. 0, or the first -errno; the trace is short then. */
int trace_close(struct trace_file *file);

/* ---- Reading ---- */

/* No trace is larger: 2^32 - 2 references and pages, and so many bytes of text. */
#define TRACE_MAX_BYTES (4 * GiB)

/*
 * A trace as a simulator wants it: pages are renumbered in the order of their first reference, so
 * that they are dense whatever the numbers were.
 */
struct trace {
	u32 *refs; /* dense numbers, below nr_pages */
	u32 nr_refs;
	u64 *pages; /* the number that stands in the file for each dense one */
	u32 nr_pages;
	bool recorded;	 /* with times and kinds of access; otherwise these are 0 */
	bool cut;	 /* the last line was not whole */
	u32 nr_writes;	 /* references that were writes */
	u64 duration_us; /* from first to last */
};

/*
 * Read a trace from memory or from an open file, to its end. @name is for the sentence: -EINVAL
 * when the text is no trace, -EFBIG, -ENOMEM, or what reading failed with. @t is written only on
 * success and then the caller's to trace_free().
 */
int trace_parse(struct trace *t, const char *name, const char *text, size_t len, struct err *err);
int trace_read(struct trace *t, const char *name, int fd, struct err *err);

/* Make one from numbers that are in memory already. -EINVAL when @nr is 0, -ENOMEM. */
int trace_from_numbers(struct trace *t, const u64 *numbers, u32 nr);

void trace_free(struct trace *t);

#endif
