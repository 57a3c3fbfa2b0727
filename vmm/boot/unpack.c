// SPDX-License-Identifier: Apache-2.0
/*
 * Three decoders with one shape; formats and contract are in unpack.h.
 *
 * Nothing that the data says decides how much memory is taken: windows have fixed sizes, and the
 * size claimed at the end is believed only up to UNPACK_MAX, then compared with what came out.
 *
 * LZ4 and gzip go through a window that stays in the cache: unpacking 53 MB that way and copying on
 * what is not zero takes 29 ms, against 50 ms through a buffer of the whole size. zstd may look
 * back over everything it has unpacked, so there the whole buffer is the cheap way.
 */
#include "vmm/boot/unpack.h"

#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/boot/scratch.h"

#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK	 (8 * MiB)
#define LZ4_PACKED_MAX	 ((u64)LZ4_COMPRESSBOUND(LZ4_BLOCK))
#define GZIP_MAGIC	 0x8b1fu
#define GZIP_WINDOW	 (1 * MiB)
#define GZIP_INPUT	 (128 * KiB)
#define GZIP_ONLY	 (16 + MAX_WBITS) /* inflateInit2(): expect a gzip header */
#define ZSTD_FRAME_MAGIC 0xfd2fb528u
#define SIZE_FIELD	 4

struct unpacker {
	const struct unpack_source *src;
	u64 read;  /* bytes of the payload taken so far */
	u64 total; /* what the payload says it unpacks to */
	u64 done;  /* bytes given to the sink */
	image_sink sink;
	void *opaque;
	struct err *err;
};

static int damaged(const struct unpacker *u)
{
	return err_set(u->err, -ENOEXEC,
		       "%s: the compressed kernel in it is damaged (get a new copy)",
		       u->src->file->name);
}

static int no_memory(const struct unpacker *u)
{
	return err_set(u->err, -ENOMEM, "%s: no memory to unpack it (free some on this host)",
		       u->src->file->name);
}

/* The payload without the size that the kernel's build puts behind it. */
static u64 packed_len(const struct unpacker *u)
{
	return u->src->len - SIZE_FIELD;
}

static int take(struct unpacker *u, void *to, u64 len)
{
	u64 at = u->src->offset + u->read;

	u->read += len;
	return hostfile_read(u->src->file, at, to, len, u->err);
}

static int give(struct unpacker *u, const u8 *data, u64 len)
{
	struct image_piece piece = {.total = u->total, .offset = u->done, .data = data, .len = len};

	if (!range_fits(u->done, len, u->total))
		return damaged(u);
	u->done += len;
	return len ? u->sink(u->opaque, &piece, u->err) : 0;
}

/* One block: its length, or the magic again where frames were concatenated. */
static int lz4_block(struct unpacker *u, u8 *packed, u8 *window)
{
	u32 len;
	int n, ret;

	if (packed_len(u) - u->read < sizeof(len))
		return damaged(u);
	ret = take(u, &len, sizeof(len));
	if (ret)
		return ret;
	len = le32toh(len);
	if (len == LZ4_LEGACY_MAGIC)
		return 0;
	if (len > LZ4_PACKED_MAX || !range_fits(u->read, len, packed_len(u)))
		return damaged(u);
	ret = take(u, packed, len);
	if (ret)
		return ret;
	n = LZ4_decompress_safe((const char *)packed, (char *)window, (int)len, (int)LZ4_BLOCK);
	return n < 0 ? damaged(u) : give(u, window, (u64)n);
}

static int unpack_lz4(struct unpacker *u)
{
	u8 *packed = scratch_map(LZ4_PACKED_MAX), *window = scratch_map(LZ4_BLOCK);
	int ret = packed && window ? 0 : no_memory(u);

	while (!ret && u->read < packed_len(u))
		ret = lz4_block(u, packed, window);
	scratch_unmap(packed, LZ4_PACKED_MAX);
	scratch_unmap(window, LZ4_BLOCK);
	return ret;
}

/*
 * Run zlib until its window is full, the member ends, or the payload does: the last is not yet an
 * error, for the total will tell.
 */
static int gzip_fill(struct unpacker *u, z_stream *z, u8 *input, u8 *window)
{
	int ret;

	z->next_out = window;
	z->avail_out = GZIP_WINDOW;
	while (z->avail_out) {
		int status;

		if (!z->avail_in && u->read < u->src->len) {
			u64 len = MIN(GZIP_INPUT, u->src->len - u->read);

			ret = take(u, input, len);
			if (ret)
				return ret;
			z->next_in = input;
			z->avail_in = (uInt)len;
		}
		status = inflate(z, Z_NO_FLUSH);
		if (status == Z_STREAM_END || status == Z_BUF_ERROR)
			break;
		if (status == Z_MEM_ERROR)
			return no_memory(u);
		if (status != Z_OK)
			return damaged(u);
	}
	return 0;
}

/* A window that is not full was the last one. */
static int gzip_all(struct unpacker *u, z_stream *z, u8 *input, u8 *window)
{
	u64 len;
	int ret;

	do {
		ret = gzip_fill(u, z, input, window);
		len = GZIP_WINDOW - z->avail_out;
		if (!ret)
			ret = give(u, window, len);
	} while (!ret && len == GZIP_WINDOW);
	return ret;
}

static int unpack_gzip(struct unpacker *u)
{
	u8 *input = scratch_map(GZIP_INPUT), *window = scratch_map(GZIP_WINDOW);
	z_stream z = {0};
	int ret;

	if (input && window && inflateInit2(&z, GZIP_ONLY) == Z_OK) {
		ret = gzip_all(u, &z, input, window);
		inflateEnd(&z);
	} else {
		ret = no_memory(u);
	}
	scratch_unmap(input, GZIP_INPUT);
	scratch_unmap(window, GZIP_WINDOW);
	return ret;
}

static int unpack_zstd(struct unpacker *u)
{
	u64 len = packed_len(u) - u->read;
	u8 *packed = scratch_map(len), *whole = scratch_map(u->total);
	int ret = packed && whole ? take(u, packed, len) : no_memory(u);
	size_t n;

	if (ret)
		goto out_unmap;
	n = ZSTD_decompress(whole, u->total, packed, len);
	ret = ZSTD_isError(n) ? damaged(u) : give(u, whole, n);
out_unmap:
	scratch_unmap(packed, len);
	scratch_unmap(whole, u->total);
	return ret;
}

static const struct format {
	u32 magic;
	u32 mask;
	u64 skip; /* bytes of magic that the decoder does not want to see */
	int (*unpack)(struct unpacker *u);
} formats[] = {
	{LZ4_LEGACY_MAGIC, 0xffffffff, sizeof(u32), unpack_lz4},
	{GZIP_MAGIC, 0xffff, 0, unpack_gzip},
	{ZSTD_FRAME_MAGIC, 0xffffffff, 0, unpack_zstd},
};

static int run(struct unpacker *u, const struct format *format)
{
	u32 size;
	int ret;

	ret = hostfile_read(u->src->file, u->src->offset + packed_len(u), &size, sizeof(size),
			    u->err);
	if (ret)
		return ret;
	u->total = le32toh(size);
	if (!u->total || u->total > UNPACK_MAX)
		return damaged(u);
	u->read = format->skip;
	ret = format->unpack(u);
	if (!ret && u->done != u->total)
		ret = damaged(u);
	return ret;
}

int unpack(const struct unpack_source *src, image_sink sink, void *opaque, struct err *err)
{
	struct unpacker u = {.src = src, .sink = sink, .opaque = opaque, .err = err};
	u32 magic;
	int ret;

	if (src->len < sizeof(magic) + SIZE_FIELD)
		return -ENOTSUP;
	ret = hostfile_read(src->file, src->offset, &magic, sizeof(magic), err);
	if (ret)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if ((le32toh(magic) & formats[i].mask) == formats[i].magic)
			return run(&u, &formats[i]);
	return -ENOTSUP;
}
