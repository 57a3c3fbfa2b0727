// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime directory: names to paths, and claims. The rules are in rundir.h.
 *
 * A claim is a lock on a file beside the socket. The file is removed by its holder, so whoever gets
 * the lock looks whether the file is still the one at that path, and begins again if it is not. No
 * state but the file system's; the processes of several guests run this at the same time.
 */
#include "vmm/control/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_SUFFIX ".qmp"
#define LOCK_SUFFIX   ".lock"

_Static_assert(RUNDIR_PATH_MAX == sizeof(((struct sockaddr_un *)0)->sun_path), "unix(7)");

/* ---- Names and paths ---- */

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool rundir_name_valid(const char *name)
{
	size_t len = strnlen(name, RUNDIR_NAME_MAX + 1);

	if (!is_alnum(name[0]) || len > RUNDIR_NAME_MAX)
		return false;
	for (const char *c = name; *c; c++)
		if (!is_alnum(*c) && !strchr("_.-", *c))
			return false;
	return true;
}

/* An empty variable counts as unset. */
static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static int dir_path(char path[RUNDIR_PATH_MAX], struct err *err)
{
	const char *own = env("QUIRE_RUNTIME_DIR"), *xdg = env("XDG_RUNTIME_DIR");
	const char *base = own ? own : xdg ? xdg : "/run";

	if (snprintf(path, RUNDIR_PATH_MAX, "%s%s", base, own ? "" : "/quire") >= RUNDIR_PATH_MAX)
		return err_set(
			err, -ENAMETOOLONG,
			"%s: too long for a directory of sockets (set QUIRE_RUNTIME_DIR to a "
			"shorter one)",
			base);
	return 0;
}

/*
 * Who may write to the directory may replace a socket in it and play the guest to whoever connects,
 * so that must be nobody but us. Reading is harmless: the sockets themselves have mode 0600.
 */
int rundir_create(struct err *err)
{
	char path[RUNDIR_PATH_MAX];
	struct stat st;
	int ret = dir_path(path, err);

	if (ret)
		return ret;
	if ((mkdir(path, 0700) < 0 && errno != EEXIST) || stat(path, &st) < 0)
		return err_set(err, -errno, "runtime directory %s: %s (set QUIRE_RUNTIME_DIR)",
			       path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "runtime directory %s: not a directory", path);
	if (st.st_uid != geteuid())
		return err_set(
			err, -EPERM,
			"runtime directory %s: belongs to user %u (set QUIRE_RUNTIME_DIR to one "
			"of yours)",
			path, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM,
			       "runtime directory %s: others may write to it (chmod 700 it)", path);
	return 0;
}

int rundir_socket_path(const char *name, char path[RUNDIR_PATH_MAX], struct err *err)
{
	char dir[RUNDIR_PATH_MAX];
	int ret;

	if (!rundir_name_valid(name))
		return err_set(
			err, -EINVAL,
			"%s: not a name for a guest (up to %d of A-Z a-z 0-9 _ . -, the first a "
			"letter or digit)",
			name, RUNDIR_NAME_MAX);
	ret = dir_path(dir, err);
	if (ret)
		return ret;
	if (snprintf(path, RUNDIR_PATH_MAX, "%s/%s" SOCKET_SUFFIX, dir, name) >= RUNDIR_PATH_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "%s/%s" SOCKET_SUFFIX
			       ": too long for a socket, which can have %d bytes "
			       "(choose a shorter --name, or QUIRE_RUNTIME_DIR)",
			       dir, name, RUNDIR_PATH_MAX - 1);
	return 0;
}

/* The name of the guest whose socket has the file name @file, or false if it is no such socket. */
static bool name_of(const char *file, char name[RUNDIR_NAME_MAX + 1])
{
	size_t len = strlen(file), suffix = strlen(SOCKET_SUFFIX);

	if (len <= suffix || len - suffix > RUNDIR_NAME_MAX)
		return false;
	if (strcmp(file + len - suffix, SOCKET_SUFFIX))
		return false;
	memcpy(name, file, len - suffix);
	name[len - suffix] = '\0';
	return rundir_name_valid(name);
}

static int is_guest(const struct dirent *entry)
{
	char name[RUNDIR_NAME_MAX + 1];

	return name_of(entry->d_name, name);
}

/* The list is read whole before the first call, so @fn may remove what it is called with. */
int rundir_for_each(rundir_guest_fn fn, void *opaque, struct err *err)
{
	char dir[RUNDIR_PATH_MAX], path[RUNDIR_PATH_MAX], name[RUNDIR_NAME_MAX + 1];
	struct dirent **entries;
	int n, ret = dir_path(dir, err);

	if (ret)
		return ret;
	n = scandir(dir, &entries, is_guest, alphasort);
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0)
		return err_set(err, -errno, "runtime directory %s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		/* a name too long for a socket is somebody's stray file */
		if (!ret && name_of(entries[i]->d_name, name) &&
		    !rundir_socket_path(name, path, NULL))
			ret = fn(opaque, name, path);
		free(entries[i]);
	}
	free(entries);
	return ret;
}

/* ---- Claims ---- */

static void lock_path(const char *path, char lock[RUNDIR_PATH_MAX + sizeof(LOCK_SUFFIX)])
{
	snprintf(lock, RUNDIR_PATH_MAX + sizeof(LOCK_SUFFIX), "%s" LOCK_SUFFIX, path);
}

/* Say who holds @lock_fd; in terms of the name where @path is that of a named guest. */
static int set_in_use(const char *path, int lock_fd, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char name[RUNDIR_NAME_MAX + 1], own[RUNDIR_PATH_MAX], who[32] = "";

	/* empty for an instant after the lock was taken: then the reader's digits are no process */
	if (pread(lock_fd, who, sizeof(who) - 1, 0) <= 0 ||
	    strspn(who, "0123456789\n") != strlen(who))
		strcpy(who, "(unknown)");
	who[strcspn(who, "\n")] = '\0';
	if (name_of(slash ? slash + 1 : path, name) && !rundir_socket_path(name, own, NULL) &&
	    !strcmp(own, path))
		return err_set(
			err, -EADDRINUSE,
			"guest %s: name is in use by process %s (choose another --name, or quire "
			"quit %s)",
			name, who, name);
	return err_set(err, -EADDRINUSE,
		       "%s: socket is in use by process %s (choose another --qmp)", path, who);
}

/*
 * The holder removes the file when it ends, so a lock may turn out to be on a file that nobody else
 * can find any more: then it counts for nothing. Returns whether @fd is still what @lock names.
 */
static bool is_current(int fd, const char *lock)
{
	struct stat mine, there;

	return !fstat(fd, &mine) && !stat(lock, &there) && mine.st_dev == there.st_dev &&
	       mine.st_ino == there.st_ino;
}

/* Open the lock file, which is made if need be, and try to lock it: a descriptor or -errno. */
static int open_lock(const char *lock, bool *locked)
{
	for (;;) {
		int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		int ret;

		if (fd < 0)
			return -errno;
		*locked = !flock(fd, LOCK_EX | LOCK_NB);
		if (!*locked && errno != EWOULDBLOCK) {
			ret = -errno;
			close(fd);
			return ret;
		}
		if (!*locked || is_current(fd, lock))
			return fd;
		close(fd);
	}
}

/*
 * `quire ps` holds the lock of a dead guest for the moment it takes to clear it away: a few tries,
 * a little apart, tell such a visitor from a guest that lives.
 */
static int take_lock(const char *path, struct err *err)
{
	const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};
	char lock[RUNDIR_PATH_MAX + sizeof(LOCK_SUFFIX)];
	bool locked = false;
	int fd, ret;

	lock_path(path, lock);
	for (int tries = 0;; tries++) {
		fd = open_lock(lock, &locked);
		if (fd < 0)
			return err_set(err, fd, "control socket: %s: %s", lock, strerror(-fd));
		if (locked)
			return fd;
		if (tries == 5)
			break;
		close(fd);
		nanosleep(&moment, NULL);
	}
	ret = set_in_use(path, fd, err);
	close(fd);
	return ret;
}

/* Whether anybody listens at @path, which is a socket: 0 if not, -EADDRINUSE if so, else -errno. */
static int probe_socket(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int ret = -EADDRINUSE;

	if (fd < 0)
		return -errno;
	strcpy(addr.sun_path, path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno != EAGAIN)
		ret = errno == ECONNREFUSED ? 0 : -errno;
	close(fd);
	return ret;
}

/*
 * With the lock held, a socket at @path is what a killed guest left, unless a program that knows
 * nothing of our locks made it. Anything but a socket was not made by us: it stays.
 */
static int clear_path(const char *path, struct err *err)
{
	struct stat st;
	int ret;

	if (lstat(path, &st) < 0) {
		if (errno == ENOENT)
			return 0;
		return err_set(err, -errno, "control socket %s: %s", path, strerror(errno));
	}
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST, "%s: exists and is no socket (choose another --qmp)",
			       path);
	ret = probe_socket(path);
	if (ret == -EADDRINUSE)
		return err_set(err, ret, "%s: another program listens there (choose another --qmp)",
			       path);
	if (!ret && unlink(path) < 0)
		ret = -errno;
	return ret ? err_set(err, ret, "control socket %s: %s", path, strerror(-ret)) : 0;
}

/* In this order: a lock file that is unlinked while locked can be told from a current one. */
static void unlock(const char *path, int fd)
{
	char lock[RUNDIR_PATH_MAX + sizeof(LOCK_SUFFIX)];

	lock_path(path, lock);
	unlink(lock);
	close(fd);
}

/* The lock is a flock: an fcntl lock is lost when any other descriptor of the file is closed. */
int rundir_claim(struct rundir_claim *claim, const char *path, struct err *err)
{
	int fd, ret;

	if (strlen(path) >= RUNDIR_PATH_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "%s: too long for a socket, which can have %d bytes (choose another "
			       "--qmp)",
			       path, RUNDIR_PATH_MAX - 1);
	fd = take_lock(path, err);
	if (fd < 0)
		return fd;
	ret = clear_path(path, err);
	if (!ret && (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0))
		ret = err_set(err, -errno, "control socket %s: %s", path, strerror(errno));
	if (ret) {
		unlock(path, fd);
		return ret;
	}
	claim->lock_fd = fd;
	strcpy(claim->path, path);
	return 0;
}

void rundir_release(struct rundir_claim *claim)
{
	unlink(claim->path);
	unlock(claim->path, claim->lock_fd);
	claim->lock_fd = -1;
}
