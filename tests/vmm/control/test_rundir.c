// SPDX-License-Identifier: Apache-2.0
/*
 * The runtime directory of vmm/control/rundir.h, in directories of its own under /tmp. Guests are
 * played by forked processes, because what a killed process leaves behind is the point.
 */
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/control/rundir.h"

/* Each test has an empty directory and QUIRE_RUNTIME_DIR pointing at it. */
struct place {
	char dir[64];
};

static int setup(void **state)
{
	struct place *p = malloc(sizeof(*p));

	strcpy(p->dir, "/tmp/quire-rundir-XXXXXX");
	if (!mkdtemp(p->dir) || setenv("QUIRE_RUNTIME_DIR", p->dir, 1))
		return -1;
	unsetenv("XDG_RUNTIME_DIR");
	*state = p;
	return 0;
}

static unsigned int nr_files(const char *dir)
{
	unsigned int n = 0;
	DIR *d = opendir(dir);

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	closedir(d);
	return n;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int ret = rmdir(p->dir); /* fails if a test, or the code under test, left something */

	free(p);
	return ret;
}

static void in_dir(const struct place *p, const char *file, char path[RUNDIR_PATH_MAX])
{
	assert_true(snprintf(path, RUNDIR_PATH_MAX, "%s/%s", p->dir, file) < RUNDIR_PATH_MAX);
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void bind_socket(int fd, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(addr.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

/* A socket at @path: alive as long as the returned descriptor is open, then stale. */
static int make_socket(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	bind_socket(fd, path);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* ---- Names and paths ---- */

static void knows_good_names(void **state)
{
	static const char *const good[] = {"a", "Z", "0", "vm-1", "a.b_c-d", "guest-123"};
	static const char *const bad[] = {"",	 ".",	"..",	"-a",  ".a",	"_a",
					  "a/b", "/",	"a b",	"a\n", "a\x7f", "\xc3\xa9",
					  "a;b", "a:b", "a\\b", "a*"};
	char name[RUNDIR_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(rundir_name_valid(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(rundir_name_valid(bad[i]));
	memset(name, 'x', sizeof(name));
	name[RUNDIR_NAME_MAX + 1] = '\0';
	assert_false(rundir_name_valid(name));
	name[RUNDIR_NAME_MAX] = '\0';
	assert_true(rundir_name_valid(name));
}

static void follows_the_environment(void **state)
{
	char path[RUNDIR_PATH_MAX];
	struct err err;

	(void)state;
	setenv("QUIRE_RUNTIME_DIR", "/own", 1);
	setenv("XDG_RUNTIME_DIR", "/xdg", 1);
	assert_int_equal(rundir_socket_path("vm", path, &err), 0);
	assert_string_equal(path, "/own/vm.qmp");
	unsetenv("QUIRE_RUNTIME_DIR");
	assert_int_equal(rundir_socket_path("vm", path, &err), 0);
	assert_string_equal(path, "/xdg/quire/vm.qmp");
	setenv("XDG_RUNTIME_DIR", "", 1);
	assert_int_equal(rundir_socket_path("vm", path, &err), 0);
	assert_string_equal(path, "/run/quire/vm.qmp");
	unsetenv("XDG_RUNTIME_DIR");
}

static void refuses_paths_that_no_socket_can_have(void **state)
{
	char dir[RUNDIR_PATH_MAX + 1], path[RUNDIR_PATH_MAX];
	struct err err;

	(void)state;
	memset(dir, 'd', sizeof(dir));
	dir[0] = '/';
	dir[RUNDIR_PATH_MAX - 8] = '\0'; /* DIR/ab.qmp and the final NUL fill it exactly */
	setenv("QUIRE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_socket_path("ab", path, &err), 0);
	assert_int_equal(strlen(path), RUNDIR_PATH_MAX - 1);
	assert_int_equal(rundir_socket_path("abc", path, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.text, "too long for a socket"));
	assert_int_equal(rundir_socket_path("a/b", path, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a/b: not a name"));
	dir[RUNDIR_PATH_MAX - 8] = 'd';
	dir[RUNDIR_PATH_MAX] = '\0';
	setenv("QUIRE_RUNTIME_DIR", dir, 1);
	assert_int_equal(rundir_create(&err), -ENAMETOOLONG);
	assert_int_equal(rundir_socket_path("ab", path, &err), -ENAMETOOLONG);
}

/* ---- The directory ---- */

static void creates_a_private_directory(void **state)
{
	const struct place *p = *state;
	char path[RUNDIR_PATH_MAX];
	struct stat st;
	struct err err;

	in_dir(p, "run", path);
	setenv("QUIRE_RUNTIME_DIR", path, 1);
	assert_int_equal(rundir_create(&err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(rundir_create(&err), 0);
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(rundir_create(&err), -EPERM);
	assert_non_null(strstr(err.text, "others may write to it"));
	assert_int_equal(rmdir(path), 0);
	make_file(path);
	assert_int_equal(rundir_create(&err), -ENOTDIR);
	assert_int_equal(unlink(path), 0);
	in_dir(p, "no/such", path);
	setenv("QUIRE_RUNTIME_DIR", path, 1);
	assert_int_equal(rundir_create(&err), -ENOENT);
}

static void refuses_the_directory_of_others(void **state)
{
	const struct place *p = *state;
	struct err err;

	if (geteuid())
		skip(); /* only root can give a directory away */
	assert_int_equal(chown(p->dir, 12345, 12345), 0);
	assert_int_equal(rundir_create(&err), -EPERM);
	assert_non_null(strstr(err.text, "belongs to user 12345"));
}

static int join_names(void *opaque, const char *name, const char *path)
{
	char *list = opaque;

	assert_non_null(strstr(path, name));
	strcat(list, name);
	strcat(list, " ");
	return strcmp(name, "stop") ? 0 : 77;
}

static void lists_guests_only(void **state)
{
	static const char *const files[] = {"b.qmp",	      "a.qmp",	"c.qmp.lock",
					    ".qmp",	      ".x.qmp", "d.qmpx",
					    "with space.qmp", "qmp",	"A-1.qmp"};
	const struct place *p = *state;
	char path[RUNDIR_PATH_MAX], list[200] = "";
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		in_dir(p, files[i], path);
		make_file(path);
	}
	assert_int_equal(rundir_for_each(join_names, list, &err), 0);
	assert_string_equal(list, "A-1 a b ");
	in_dir(p, "stop.qmp", path);
	make_file(path);
	in_dir(p, "zzz.qmp", path);
	make_file(path);
	list[0] = '\0';
	assert_int_equal(rundir_for_each(join_names, list, &err), 77);
	assert_string_equal(list, "A-1 a b stop ");
	unlink(path);
	in_dir(p, "stop.qmp", path);
	unlink(path);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		in_dir(p, files[i], path);
		unlink(path);
	}
	in_dir(p, "no-such-directory", path);
	setenv("QUIRE_RUNTIME_DIR", path, 1);
	assert_int_equal(rundir_for_each(join_names, list, &err), 0);
}

/* ---- Claims ---- */

static void a_claim_excludes_and_leaves_nothing(void **state)
{
	const struct place *p = *state;
	struct rundir_claim first, second;
	char path[RUNDIR_PATH_MAX], expected[64];
	struct err err;

	assert_int_equal(rundir_socket_path("vm", path, &err), 0);
	assert_int_equal(rundir_claim(&first, path, &err), 0);
	assert_int_equal(rundir_claim(&second, path, &err), -EADDRINUSE);
	snprintf(expected, sizeof(expected), "guest vm: name is in use by process %d (", getpid());
	assert_memory_equal(err.text, expected, strlen(expected));
	close(make_socket(path));
	rundir_release(&first);
	assert_int_equal(nr_files(p->dir), 0);
	assert_int_equal(rundir_claim(&first, path, &err), 0);
	rundir_release(&first);
}

static void other_paths_are_not_called_names(void **state)
{
	const struct place *p = *state;
	struct rundir_claim first, second;
	char path[RUNDIR_PATH_MAX], expected[RUNDIR_PATH_MAX + 64];
	struct err err;

	in_dir(p, "monitor", path);
	assert_int_equal(rundir_claim(&first, path, &err), 0);
	assert_int_equal(rundir_claim(&second, path, &err), -EADDRINUSE);
	snprintf(expected, sizeof(expected), "%s: socket is in use by process %d (", path,
		 getpid());
	assert_memory_equal(err.text, expected, strlen(expected));
	rundir_release(&first);
}

static void clears_away_stale_sockets_only(void **state)
{
	const struct place *p = *state;
	struct rundir_claim claim;
	char path[RUNDIR_PATH_MAX];
	struct stat st;
	struct err err;
	int fd;

	in_dir(p, "vm.qmp", path);
	close(make_socket(path));
	assert_int_equal(rundir_claim(&claim, path, &err), 0);
	assert_int_equal(lstat(path, &st), -1);
	rundir_release(&claim);

	fd = make_socket(path);
	assert_int_equal(rundir_claim(&claim, path, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another program listens there"));
	assert_int_equal(lstat(path, &st), 0);
	close(fd);
	unlink(path);

	/* a datagram socket, as of a logger: neither stale nor ours */
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	bind_socket(fd, path);
	assert_int_equal(rundir_claim(&claim, path, &err), -EPROTOTYPE);
	assert_int_equal(lstat(path, &st), 0);
	close(fd);
	unlink(path);

	make_file(path);
	assert_int_equal(rundir_claim(&claim, path, &err), -EEXIST);
	assert_non_null(strstr(err.text, "exists and is no socket"));
	unlink(path);

	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(rundir_claim(&claim, path, &err), -EEXIST);
	unlink(path);
	assert_int_equal(nr_files(p->dir), 0);

	in_dir(p, "no/such.qmp", path);
	assert_int_equal(rundir_claim(&claim, path, &err), -ENOENT);
}

static void refuses_long_paths(void **state)
{
	char path[RUNDIR_PATH_MAX + 1];
	struct rundir_claim claim;
	struct err err;

	(void)state;
	memset(path, 'x', sizeof(path));
	path[RUNDIR_PATH_MAX] = '\0';
	assert_int_equal(rundir_claim(&claim, path, &err), -ENAMETOOLONG);
}

/* A process that has claimed @path, listens there, and does nothing more. */
static pid_t start_guest(const char *path)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct rundir_claim claim;

		if (rundir_claim(&claim, path, NULL))
			_exit(1);
		make_socket(path);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void a_killed_guest_holds_nothing(void **state)
{
	const struct place *p = *state;
	struct rundir_claim claim;
	char path[RUNDIR_PATH_MAX], expected[64];
	struct err err;
	pid_t pid;

	assert_int_equal(rundir_socket_path("vm", path, &err), 0);
	pid = start_guest(path);
	assert_int_equal(rundir_claim(&claim, path, &err), -EADDRINUSE);
	snprintf(expected, sizeof(expected), "guest vm: name is in use by process %d (", pid);
	assert_memory_equal(err.text, expected, strlen(expected));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(nr_files(p->dir), 2);
	assert_int_equal(rundir_claim(&claim, path, &err), 0);
	rundir_release(&claim);
	assert_int_equal(nr_files(p->dir), 0);
}

/*
 * Many processes take and release the same claim as fast as they can. While one holds it, the file
 * "inside" must not exist yet: O_EXCL finds any two that hold it at once.
 */
static void claims_exclude_under_contention(void **state)
{
	enum { NR_PROCESSES = 8, NR_ROUNDS = 300 };
	const struct place *p = *state;
	char path[RUNDIR_PATH_MAX], inside[RUNDIR_PATH_MAX];
	unsigned int taken = 0;

	in_dir(p, "vm.qmp", path);
	in_dir(p, "inside", inside);
	for (int i = 0; i < NR_PROCESSES; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid)
			continue;
		for (int round = 0; round < NR_ROUNDS; round++) {
			struct rundir_claim claim;
			int fd, ret = rundir_claim(&claim, path, NULL);

			if (ret == -EADDRINUSE)
				continue;
			fd = open(inside, O_CREAT | O_EXCL | O_WRONLY, 0600);
			if (ret || fd < 0 || unlink(inside))
				_exit(255);
			close(fd);
			rundir_release(&claim);
			taken++;
		}
		_exit(taken ? 0 : 254);
	}
	for (int i = 0; i < NR_PROCESSES; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(nr_files(p->dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_good_names),
		cmocka_unit_test_setup_teardown(follows_the_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_paths_that_no_socket_can_have, setup,
						teardown),
		cmocka_unit_test_setup_teardown(creates_a_private_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_the_directory_of_others, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_guests_only, setup, teardown),
		cmocka_unit_test_setup_teardown(a_claim_excludes_and_leaves_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(other_paths_are_not_called_names, setup, teardown),
		cmocka_unit_test_setup_teardown(clears_away_stale_sockets_only, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_long_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_guest_holds_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_exclude_under_contention, setup, teardown),
	};

	return cmocka_run_group_tests_name("rundir", tests, NULL, NULL);
}
