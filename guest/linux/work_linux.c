// SPDX-License-Identifier: Apache-2.0
/*
 * The workload of guest/work/ as a Linux program, here: /bin/work of the small Linux guest.
 *
 *	work WORD...		words as in guest/abi.h, also with commas between them
 *
 * Its memory is one anonymous mapping, in huge pages if map=2m (where the kernel has some), its
 * CPUs are threads, each bound to one. Exit status: enum guest_exit. Like the microguest it takes
 * nearly all the memory there is unless size= says otherwise.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest/work/work.h"

#define HUGE_PAGE ((uint64_t)2 << 20)

/* Left to the kernel when all the rest is ours: page tables, caches, the odd process. */
#define SPARE ((uint64_t)16 << 20)

struct program {
	int pagemap; /* /proc/self/pagemap, or -1 */
	struct work_options options;
	struct work_platform platform;
	struct guest_beat_block beats;
	struct work work;
};

static void print(void *opaque, const char *text, unsigned int length)
{
	(void)opaque;
	/*
	 * One write is one line, whole, on a terminal; with nobody there to read it, nobody is
	 * told.
	 */
	if (write(STDOUT_FILENO, text, length) < 0)
		return;
}

static uint64_t now_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Input, or its end. What was said is taken, so that a shell does not get it afterwards. */
static bool told(void *opaque)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char byte;

	(void)opaque;
	return poll(&input, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) >= 0;
}

/* On a terminal any byte counts, not only the end of a line, and none is printed into our lines. */
static void listen_to_console(void)
{
	struct termios mode;

	if (tcgetattr(STDIN_FILENO, &mode))
		return;
	mode.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

static void relax(void *opaque)
{
	static const struct timespec moment = {.tv_nsec = 50000};

	(void)opaque;
	nanosleep(&moment, NULL);
}

/*
 * Linux Documentation/admin-guide/mm/pagemap.rst: bit 63 says present, bits 0 to 54 hold the frame.
 */
static uint64_t page_address(void *opaque, uint64_t page)
{
	const struct program *program = opaque;
	uint64_t address = (uint64_t)program->platform.arena + page * GUEST_PAGE_SIZE;
	off_t at = (off_t)(address / GUEST_PAGE_SIZE * sizeof(uint64_t));
	uint64_t entry;

	if (pread(program->pagemap, &entry, sizeof(entry), at) != sizeof(entry) || !(entry >> 63))
		return UINT64_MAX;
	return (entry & (((uint64_t)1 << 55) - 1)) * GUEST_PAGE_SIZE;
}

struct thread {
	pthread_t id;
	unsigned int index;
	void (*work)(void *arg, unsigned int index);
	void *arg;
};

static void bind_to_cpu(unsigned int index)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(index, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *run_thread(void *arg)
{
	struct thread *thread = arg;

	bind_to_cpu(thread->index);
	thread->work(thread->arg, thread->index);
	return NULL;
}

/*
 * The workers wait for each other, so all are needed. Where one cannot be started, the others are
 * left waiting until the program ends, which it then does.
 */
static int run_workers(void *opaque, unsigned int count,
		       void (*work)(void *arg, unsigned int index), void *arg)
{
	struct thread threads[GUEST_MAX_CPUS];

	(void)opaque;
	if (count > sysconf(_SC_NPROCESSORS_ONLN))
		return -1;
	for (unsigned int i = 0; i < count; i++)
		threads[i] = (struct thread){.index = i, .work = work, .arg = arg};
	for (unsigned int i = 1; i < count; i++)
		if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
			return -1;
	run_thread(&threads[0]);
	for (unsigned int i = 1; i < count; i++)
		pthread_join(threads[i].id, NULL);
	return 0;
}

/* MemAvailable of /proc/meminfo, in bytes; 0 when it cannot be had. */
static uint64_t memory_available(void)
{
	unsigned long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
			break;
	fclose(file);
	return (uint64_t)kib << 10;
}

/*
 * An anonymous mapping of @size bytes that begins on a huge page. Returns NULL when there is none.
 */
static void *map_memory(uint64_t size)
{
	uint64_t start;
	void *map = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	start = ((uint64_t)map + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	return (void *)start;
}

/*
 * Returns NULL, or why there is not enough memory. A page takes its table entry along, four bytes.
 */
static const char *prepare_memory(struct program *program)
{
	const struct work_options *options = &program->options;
	struct work_platform *platform = &program->platform;
	uint64_t available = memory_available();
	uint64_t per_page = GUEST_PAGE_SIZE + sizeof(*platform->generations);
	uint64_t most = available > SPARE ? (available - SPARE) / per_page : 0;
	uint64_t size;

	platform->arena_pages = options->size ? options->size / GUEST_PAGE_SIZE : most;
	if (platform->arena_pages > most || !most)
		return "less memory than size=";
	size = platform->arena_pages * GUEST_PAGE_SIZE;
	platform->arena = map_memory(size);
	platform->generations = map_memory(platform->arena_pages * sizeof(*platform->generations));
	if (!platform->arena || !platform->generations)
		return "less memory than size=";
	/* A kernel without huge pages refuses, and small ones it is. */
	madvise(platform->arena, size,
		options->map == WORK_MAP_2M ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return NULL;
}

static void introduce(const struct program *program)
{
	struct line line;

	line_start(&line);
	line_add(&line, "cpus %u memory %u KiB map ", program->options.cpus,
		 program->platform.arena_pages * 4);
	line_text(&line, program->options.map == WORK_MAP_2M ? "2m" : "4k");
	work_print(&program->platform, &line);
}

static enum guest_exit run(struct program *program, const char *words)
{
	struct work_platform *platform = &program->platform;
	const char *why;
	struct line text;

	if (work_options_parse(&program->options, words, &text))
		return work_verdict(platform, GUEST_EXIT_OPTIONS, text.text);
	if (program->options.skip)
		return work_verdict(platform, GUEST_EXIT_OPTIONS, "skip= is for the microguest");
	if (program->options.stop)
		listen_to_console();
	if (program->options.job != WORK_CHURN && program->options.job != WORK_NONE) {
		why = prepare_memory(program);
		if (why)
			return work_verdict(platform, GUEST_EXIT_MEMORY, why);
		introduce(program);
	}
	return work_run(&program->work, platform, &program->options);
}

/* All arguments as one text with blanks between them. Returns -1 when they are too long. */
static int join(char *words, size_t size, char **argv)
{
	size_t used = 0;

	for (; *argv; argv++) {
		int length = snprintf(words + used, size - used, "%s ", *argv);

		if (length < 0 || (size_t)length >= size - used)
			return -1;
		used += (size_t)length;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct program program; /* large, and zeros at first */
	char words[4096] = "";

	(void)argc;
	program.platform = (struct work_platform){
		.name = "linux",
		.opaque = &program,
		.print = print,
		.now_ns = now_ns,
		.told = told,
		.relax = relax,
		.run_workers = run_workers,
		.page_address = page_address,
		.beats = &program.beats,
	};
	program.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (join(words, sizeof(words), argv + 1))
		return (int)work_verdict(&program.platform, GUEST_EXIT_OPTIONS, "too many words");
	return (int)run(&program, words);
}
