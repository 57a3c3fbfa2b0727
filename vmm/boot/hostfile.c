// SPDX-License-Identifier: Apache-2.0
/* Reading the host's files; the contract is in hostfile.h. */
#include "vmm/boot/hostfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A long path keeps its end, where files differ; otherwise it would push the reason out of the
 * line.
 */
static void set_name(struct hostfile *f, const char *role, const char *path)
{
	size_t len = strlen(path), room = sizeof(f->name) - strlen(role) - sizeof(" ...");

	if (len <= room)
		snprintf(f->name, sizeof(f->name), "%s %s", role, path);
	else
		snprintf(f->name, sizeof(f->name), "%s ...%s", role, path + (len - room));
}

static int check_kind(struct hostfile *f, const char *role, struct err *err)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return err_set(err, -errno, "%s: %s (check the disk it is on)", f->name,
			       strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "%s: is a directory (give --%s a file)", f->name,
			       role);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s: is not a regular file (give --%s a file on disk)",
			       f->name, role);
	if (st.st_size == 0)
		return err_set(err, -EINVAL, "%s: is empty (check how it was made)", f->name);
	f->size = (u64)st.st_size;
	return 0;
}

int hostfile_open(struct hostfile *f, const char *role, const char *path, struct err *err)
{
	int ret;

	set_name(f, role, path);
	/*
	 * O_NONBLOCK: opening a FIFO must not wait for a writer. It means nothing to regular files.
	 */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0)
		return err_set(err, -errno, "%s: %s (check what --%s names)", f->name,
			       strerror(errno), role);
	ret = check_kind(f, role, err);
	if (ret)
		hostfile_close(f);
	return ret;
}

void hostfile_close(struct hostfile *f)
{
	close(f->fd);
	f->fd = -1;
}

int hostfile_read(const struct hostfile *f, u64 offset, void *to, u64 len, struct err *err)
{
	for (u64 done = 0; done < len;) {
		ssize_t n = pread(f->fd, (u8 *)to + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -errno,
				       "%s: cannot be read: %s (check the disk it is on)", f->name,
				       strerror(errno));
		if (n == 0)
			return err_set(err, -EIO,
				       "%s: became shorter while it was read (try again)", f->name);
		done += (u64)n;
	}
	return 0;
}
