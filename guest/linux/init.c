// SPDX-License-Identifier: Apache-2.0
/*
 * First program of the small Linux guest. It mounts what programs expect, loads the drivers of the
 * devices that are there, prints
 *
 *	quire-linux: init reached, N cpus, M MiB, T s
 *
 * (T: since the kernel began, before the drivers), and goes on as the kernel's command line says:
 *
 *	quire.run=WORDS		/bin/work WORDS, guest/abi.h has them; put commas between them:
 *				quire.run=job=verify,size=64M
 *	quire.run=poweroff	end at once
 *	quire.run=reboot	reboot at once
 *	(nothing)		a shell on the console
 *
 * When the shell or the workload has ended, the guest powers off; a workload that failed is
 * reported to GUEST_EXIT_PORT first, which ends quire with that status. The ACPI power button
 * powers off at any time. The first process must never return: the kernel would panic.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/input.h>
#include <linux/reboot.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest/abi.h"
#include "guest/linux/modules.h"

#define MAX_BUTTONS 4

/* What the init process waits for: children, and presses of the power button. */
struct events {
	struct pollfd fds[1 + MAX_BUTTONS]; /* the first one: SIGCHLD */
	nfds_t count;
};

/* What has been printed may still wait for the serial port. */
static void drain(void)
{
	tcdrain(STDOUT_FILENO);
}

_Noreturn static void end(int command)
{
	drain();
	sync();
	reboot(command);
	/* Only a VMM that ignores a power-off gets here. */
	for (;;)
		pause();
}

/* Tell the VMM how the workload ended. Where nobody listens at the port, nothing happens. */
static void report_failure(int status)
{
	drain();
	if (ioperm(GUEST_EXIT_PORT, 1, 1))
		printf("quire-linux: no access to the exit port: %s\n", strerror(errno));
	else
		outb((unsigned char)status, GUEST_EXIT_PORT);
}

static void mount_one(const char *type, const char *at)
{
	mkdir(at, 0755);
	if (mount(type, at, type, 0, NULL) && errno != EBUSY)
		printf("quire-linux: %s cannot be mounted: %s\n", at, strerror(errno));
}

static void mount_all(void)
{
	mount_one("proc", "/proc");
	mount_one("sysfs", "/sys");
	mount_one("devtmpfs", "/dev");
	mount_one("devpts", "/dev/pts");
	mount_one("tmpfs", "/dev/shm");
	mount_one("tmpfs", "/tmp");
	mount_one("tmpfs", "/run");
}

static double seconds_up(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void introduce(double reached)
{
	struct sysinfo info;

	sysinfo(&info);
	printf("quire-linux: init reached, %ld cpus, %lu MiB, %.3f s\n",
	       sysconf(_SC_NPROCESSORS_ONLN), info.totalram * info.mem_unit >> 20, reached);
}

/* Copies the value of the last quire.run= on the kernel's command line; "" when there is none. */
static void read_command(char *command, size_t size)
{
	static const char key[] = "quire.run=";
	char text[4096] = "";
	char *rest = text;
	char *word;
	FILE *file = fopen("/proc/cmdline", "re");

	command[0] = 0;
	if (!file)
		return;
	if (!fgets(text, sizeof(text), file))
		text[0] = 0;
	fclose(file);
	while ((word = strsep(&rest, " \n")))
		if (!strncmp(word, key, strlen(key)))
			snprintf(command, size, "%s", word + strlen(key));
}

/*
 * The device behind the console, the last word in its file; /dev/console cannot control a session.
 */
static int open_terminal(void)
{
	char active[64] = "";
	char path[80];
	FILE *file = fopen("/sys/class/tty/console/active", "re");
	const char *name;

	if (file) {
		if (!fgets(active, sizeof(active), file))
			active[0] = 0;
		fclose(file);
	}
	active[strcspn(active, "\n")] = 0;
	name = strrchr(active, ' ');
	snprintf(path, sizeof(path), "/dev/%s", name ? name + 1 : active);
	return open(path, O_RDWR);
}

/*
 * In the child: the workload, or the shell where there is no command. It gets a session of its own
 * on the terminal, so that ^C and job control work.
 */
_Noreturn static void become(const char *command)
{
	sigset_t none;
	int terminal;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	terminal = open_terminal();
	if (terminal >= 0) {
		ioctl(terminal, TIOCSCTTY, 0);
		dup2(terminal, 0);
		dup2(terminal, 1);
		dup2(terminal, 2);
		if (terminal > 2)
			close(terminal);
	}
	if (command[0])
		execl("/bin/work", "work", command, NULL);
	else
		execl("/bin/sh", "sh", "-c", "busybox --install -s; cd /root; exec sh -l", NULL);
	printf("quire-linux: the workload cannot be run: %s\n", strerror(errno));
	_exit(127);
}

static pid_t start(const char *command)
{
	pid_t child = fork();

	if (!child)
		become(command);
	return child;
}

static int is_power_button(int fd)
{
	unsigned char keys[KEY_MAX / 8 + 1] = {0};

	if (ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys) < 0)
		return 0;
	return keys[KEY_POWER / 8] >> KEY_POWER % 8 & 1;
}

static void watch_buttons(struct events *events)
{
	glob_t paths;

	if (glob("/dev/input/event*", 0, NULL, &paths))
		return;
	for (size_t i = 0; i < paths.gl_pathc && events->count < 1 + MAX_BUTTONS; i++) {
		int fd = open(paths.gl_pathv[i], O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if (fd >= 0 && is_power_button(fd))
			events->fds[events->count++] = (struct pollfd){fd, POLLIN, 0};
		else if (fd >= 0)
			close(fd);
	}
	globfree(&paths);
}

static void watch_children(struct events *events)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	events->fds[0] = (struct pollfd){signalfd(-1, &set, SFD_CLOEXEC), POLLIN, 0};
	events->count = 1;
}

static int button_pressed(int fd)
{
	struct input_event event;
	int pressed = 0;

	while (read(fd, &event, sizeof(event)) == sizeof(event))
		if (event.type == EV_KEY && event.code == KEY_POWER && event.value)
			pressed = 1;
	return pressed;
}

/*
 * Whatever ended, orphans too, is waited for. Returns whether @child was among it, and how it
 * ended.
 */
static int reap(int signal_fd, pid_t child, int *status)
{
	struct signalfd_siginfo info;
	int found = 0, one;
	pid_t pid;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	while ((pid = waitpid(-1, &one, WNOHANG)) > 0) {
		if (pid != child)
			continue;
		*status = WIFEXITED(one) ? WEXITSTATUS(one) : 128 + WTERMSIG(one);
		found = 1;
	}
	return found;
}

/* Returns the status that @child ended with. */
static int wait_for(struct events *events, pid_t child)
{
	int status = 0;

	for (;;) {
		if (poll(events->fds, events->count, -1) < 0)
			continue;
		for (nfds_t i = 1; i < events->count; i++) {
			if (!events->fds[i].revents || !button_pressed(events->fds[i].fd))
				continue;
			printf("quire-linux: power button, powering off\n");
			end(LINUX_REBOOT_CMD_POWER_OFF);
		}
		if (events->fds[0].revents && reap(events->fds[0].fd, child, &status))
			return status;
	}
}

int main(void)
{
	double reached = seconds_up();
	struct events events;
	char command[1024];
	pid_t child;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/root", 1);
	mount_all();
	watch_children(&events);
	modules_load();
	watch_buttons(&events);
	introduce(reached);

	read_command(command, sizeof(command));
	if (!strcmp(command, "poweroff"))
		end(LINUX_REBOOT_CMD_POWER_OFF);
	if (!strcmp(command, "reboot"))
		end(LINUX_REBOOT_CMD_RESTART);
	child = start(command);
	if (child < 0)
		printf("quire-linux: no process for the workload: %s\n", strerror(errno));
	status = child < 0 ? 1 : wait_for(&events, child);
	if (command[0]) {
		printf("quire-linux: workload ended with status %d\n", status);
		if (status)
			report_failure(status);
	}
	end(LINUX_REBOOT_CMD_POWER_OFF);
}
