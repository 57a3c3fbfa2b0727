// SPDX-License-Identifier: Apache-2.0
/*
 * The microguest: what its first CPU does from its first instruction at CPL 3 to its last. The jobs
 * themselves are in guest/work/, but for those that are about page tables.
 */
#include <stddef.h>

#include "guest/micro/attack.h"
#include "guest/micro/boot.h"
#include "guest/micro/churn.h"
#include "guest/micro/clock.h"
#include "guest/micro/cpus.h"
#include "guest/micro/kernel.h"
#include "guest/micro/memory.h"
#include "guest/micro/xen.h"
#include "guest/work/work.h"

/*
 * Registers of the serial port (16550A), and their first bit: there is input, and an interrupt is
 * wanted for it, which finds interrupts disabled.
 */
#define INTERRUPT_ENABLE 1
#define LINE_STATUS	 5
#define DATA_READY	 1

/* The one object of the guest; everything else is reached from here, by arguments. */
static struct micro {
	unsigned int printing; /* lock of the serial port */
	struct boot boot;
	struct clock clock;
	struct cpus cpus;
	struct memory memory;
	struct work_options options;
	struct work_platform platform;
	struct work work;
	struct churn churn;
} micro;

/* At GUEST_BEAT_ADDRESS (link.ld). */
extern struct guest_beat_block micro_beats;
struct guest_beat_block micro_beats __attribute__((section(".beats"))) = {
	.magic = GUEST_BEAT_MAGIC,
	.version = GUEST_BEAT_VERSION,
};

extern const uint64_t entry_tsc; /* entry.S: the first CPU's first instruction */

void micro_start(unsigned int cpu, uint64_t info);

/* A spinlock: lines are rare and short, and a CPU that waits for one has nothing better to do. */
static void print(void *opaque, const char *text, unsigned int length)
{
	struct micro *m = opaque;

	while (__atomic_exchange_n(&m->printing, 1, __ATOMIC_ACQUIRE))
		cpus_relax();
	kernel_call(KERNEL_PRINT, (uint64_t)text, length);
	__atomic_store_n(&m->printing, 0, __ATOMIC_RELEASE);
}

static uint64_t now_ns(void *opaque)
{
	const struct micro *m = opaque;

	return clock_ns(&m->clock);
}

static bool told(void *opaque)
{
	(void)opaque;
	return kernel_call(KERNEL_IN, GUEST_SERIAL_PORT + LINE_STATUS, 0) & DATA_READY;
}

/* Whoever holds the other end keeps what comes until somebody wants it, which this says. */
static void listen_to_console(void)
{
	kernel_call(KERNEL_OUT, GUEST_SERIAL_PORT + INTERRUPT_ENABLE, DATA_READY);
}

static void relax(void *opaque)
{
	(void)opaque;
	cpus_relax();
}

/* There is one worker a CPU, and the CPUs are already there. */
static int run_workers(void *opaque, unsigned int count,
		       void (*work)(void *arg, unsigned int index), void *arg)
{
	struct micro *m = opaque;

	if (count != m->cpus.wanted)
		return -1;
	cpus_run(&m->cpus, work, arg);
	return 0;
}

static uint64_t page_address(void *opaque, uint64_t page)
{
	const struct micro *m = opaque;

	return memory_physical(&m->memory, page);
}

/* "micro: cpus 1 memory 125952 KiB map 2m clock kvm-clock, user code after 0.013 ms" */
static void introduce(const struct micro *m, uint64_t user_ticks)
{
	struct line line;

	line_start(&line);
	line_add(&line, "cpus %u memory %u KiB map ", m->options.cpus, m->memory.arena_pages * 4);
	line_text(&line, m->options.map == WORK_MAP_2M ? "2m" : "4k");
	line_text(&line, " clock ");
	line_text(&line, m->clock.source);
	line_add(&line, ", user code after %m ms", clock_scale(&m->clock, user_ticks) / 1000);
	work_print(&m->platform, &line);
}

static enum guest_exit fail_cpus(const struct micro *m)
{
	struct line reason;

	line_start(&reason);
	line_add(&reason, "only %u of %u CPUs started", 1 + m->cpus.ready, m->options.cpus);
	return work_verdict(&m->platform, GUEST_EXIT_CPUS, reason.text);
}

/*
 * In the order of what each step needs: memory needs the size of the job, CPUs need a clock to wait
 * by and land in memory that nobody else uses yet.
 */
static enum guest_exit run_job(struct micro *m, uint64_t user_ticks)
{
	struct work_platform *platform = &m->platform;
	const char *why;

	if (clock_init(&m->clock, m->options.tsc_khz))
		return work_verdict(platform, GUEST_EXIT_CLOCK, "no clock (give tsc_khz=)");
	why = memory_init(&m->memory, &m->boot, &m->options);
	if (why)
		return work_verdict(platform, GUEST_EXIT_MEMORY, why);
	introduce(m, user_ticks);
	if (m->options.stop)
		listen_to_console();
	if (cpus_start(&m->cpus, (unsigned int)m->options.cpus, &m->boot, &m->clock))
		return fail_cpus(m);
	platform->arena = (void *)ARENA_WINDOW;
	platform->arena_pages = m->memory.arena_pages;
	platform->generations = m->memory.generations;
	if (m->options.job == WORK_CHURN)
		return churn_run(&m->churn, platform, &m->options, &m->memory);
	if (m->options.job == WORK_ATTACK)
		return attack_run(platform, &m->memory);
	return work_run(&m->work, platform, &m->options);
}

/*
 * job=none ends before anything is measured or mapped: it is there to time how long a machine takes
 * to get to a guest's first instructions and to see it gone.
 */
static enum guest_exit run(struct micro *m, uint64_t info, uint64_t user_ticks)
{
	struct line text;
	const char *why;

	m->platform = (struct work_platform){
		.name = "micro",
		.opaque = m,
		.print = print,
		.now_ns = now_ns,
		.told = told,
		.relax = relax,
		.run_workers = run_workers,
		.page_address = page_address,
		.beats = &micro_beats,
	};
	why = xen_info ? boot_read_xen(&m->boot, info) : boot_read(&m->boot, info);
	if (why)
		return work_verdict(&m->platform, GUEST_EXIT_BOOT, why);
	if (work_options_parse(&m->options, m->boot.command, &text))
		return work_verdict(&m->platform, GUEST_EXIT_OPTIONS, text.text);
	if (m->options.job == WORK_NONE)
		return work_verdict(&m->platform, GUEST_EXIT_PASS, NULL);
	if (xen_info)
		m->options.map = WORK_MAP_4K; /* there are no large pages */
	return run_job(m, user_ticks);
}

/* Every CPU's first function, at CPL 3; the number is by order of arrival (entry.S). */
void micro_start(unsigned int cpu, uint64_t info)
{
	if (cpu)
		cpus_enter(&micro.cpus, cpu);
	if (xen_info) {
		xen_init();
		info = xen_info;
	}
	kernel_call(KERNEL_EXIT, run(&micro, info, clock_ticks() - entry_tsc), 0);
}
