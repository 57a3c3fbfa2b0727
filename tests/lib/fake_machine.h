// SPDX-License-Identifier: Apache-2.0
/*
 * A machine without a guest: the functions of vmm/machine/machine.h on top of a few variables, for
 * tests of what lies above them. It keeps the contract that matters to clients: which state an
 * order leads to, which event it raises, and that orders fail once the machine has ended.
 *
 * These are definitions: one file of a program includes this, and the linker then has no reason to
 * take the real machine out of the library.
 */
#ifndef QUIRE_TESTS_LIB_FAKE_MACHINE_H
#define QUIRE_TESTS_LIB_FAKE_MACHINE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mm/engine/stats.h"
#include "vmm/checkpoint/checkpoint.h"
#include "vmm/machine/machine.h"
#include "vmm/migrate/migrate.h"
#include "vmm/pv/mmu_stats.h"
#include "vmm/migrate/plan_thread.h"
#include "vmm/inspect/translate.h"

struct machine {
	enum machine_state state;
	const char *name;
	u64 memory;
	u64 resident;
	int resident_error; /* what machine_memory_resident() returns instead, if not 0 */
	unsigned int nr_cpus;
	unsigned int nr_quits;
	machine_event_fn listener;
	void *listener_opaque;
	bool unmanaged; /* no memory engine */
	struct mem_stats mem;
	char policy[24];
	enum mem_proactive proactive;
	u64 reclaimable, wrong;
	struct mmu_stats mmu;
	struct mmu_check mmu_check; /* what a check is to find */
	/* checkpoints */
	struct machine_checkpoint order; /* the last one; .dir is not kept */
	bool ordered, under_way;
	unsigned int nr_roll_backs;
	/* migrations */
	struct migrate_params params; /* as set */
	struct migrate_progress migration;
	char address[64]; /* of the last order */
	bool resumed, go_postcopy, receives;
	struct planning_progress planning;
	/* translations */
	struct translate_order translate_order; /* the last one */
	struct translation translation;		/* what it is answered */
};

#define FAKE_MACHINE                                   \
	((struct machine){                             \
		.state = MACHINE_RUNNING,              \
		.name = "fake",                        \
		.memory = 64 * MiB,                    \
		.resident = 3 * MiB,                   \
		.nr_cpus = 2,                          \
		.reclaimable = 2 * MiB,                \
		.translation = {.host_paging = "npt"}, \
	})

enum machine_state machine_state(const struct machine *m)
{
	return m->state;
}

const char *machine_name(const struct machine *m)
{
	return m->name;
}

u64 machine_memory_size(const struct machine *m)
{
	return m->memory;
}

int machine_memory_resident(const struct machine *m, u64 *bytes)
{
	if (m->resident_error)
		return m->resident_error;
	*bytes = m->resident;
	return 0;
}

unsigned int machine_nr_cpus(const struct machine *m)
{
	return m->nr_cpus;
}

pid_t machine_cpu_tid(const struct machine *m, unsigned int cpu)
{
	ASSERT(cpu < m->nr_cpus);
	return 1000 + (pid_t)cpu;
}

int machine_mapped_pages(const struct machine *m, u64 pages[MACHINE_NR_PAGE_SIZES])
{
	(void)m;
	pages[0] = 7;
	pages[1] = 2;
	pages[2] = 0;
	return 0;
}

unsigned int machine_exit_counts(const struct machine *m,
				 struct machine_exit_count out[MACHINE_MAX_EXIT_KINDS])
{
	(void)m;
	out[0] = (struct machine_exit_count){"io", 12};
	out[1] = (struct machine_exit_count){"mmio", 3};
	return 2;
}

static void notify(struct machine *m, enum machine_event event, enum shutdown_cause cause)
{
	if (m->listener)
		m->listener(m->listener_opaque, event, cause);
}

static int refuse_when_over(const struct machine *m, struct err *err)
{
	return m->nr_quits ? err_set(err, -EINVAL, "guest %s: has ended", m->name) : 0;
}

int machine_pause(struct machine *m, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (ret || m->state != MACHINE_RUNNING)
		return ret;
	m->state = MACHINE_PAUSED;
	notify(m, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
	return 0;
}

int machine_resume(struct machine *m, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (ret || m->state == MACHINE_RUNNING)
		return ret;
	m->state = MACHINE_RUNNING;
	notify(m, MACHINE_EV_RESUME, SHUTDOWN_BY_NONE);
	return 0;
}

int machine_reset(struct machine *m, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (!ret)
		notify(m, MACHINE_EV_RESET, SHUTDOWN_BY_QMP_RESET);
	return ret;
}

int machine_powerdown(struct machine *m, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (!ret)
		notify(m, MACHINE_EV_POWERDOWN, SHUTDOWN_BY_NONE);
	return ret;
}

void machine_quit(struct machine *m, enum shutdown_cause cause)
{
	m->state = MACHINE_SHUTDOWN;
	if (!m->nr_quits++)
		notify(m, MACHINE_EV_SHUTDOWN, cause);
}

void machine_listen(struct machine *m, machine_event_fn fn, void *opaque)
{
	m->listener = fn;
	m->listener_opaque = opaque;
}

static int check_engine(const struct machine *m, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (!ret && m->unmanaged)
		ret = err_set(err, -EOPNOTSUPP, "guest %s: its memory is not managed", m->name);
	return ret;
}

int machine_set_limit(struct machine *m, u64 limit, u64 limit_min, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret && limit_min > limit)
		ret = err_set(err, -EINVAL, "limit: the minimum is above it");
	if (ret)
		return ret;
	m->mem.limit = limit;
	m->mem.limit_min = limit_min;
	return 0;
}

int machine_set_policy(struct machine *m, const char *policy, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret && strlen(policy) >= sizeof(m->policy))
		ret = err_set(err, -EINVAL, "no such policy");
	if (!ret)
		strcpy(m->policy, policy);
	return ret;
}

int machine_set_proactive(struct machine *m, enum mem_proactive mode, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret)
		m->proactive = mode;
	return ret;
}

/* A slice of at most 1 MiB, until there is no more. */
int machine_checkpoint(struct machine *m, const struct machine_checkpoint *order, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret && m->under_way)
		ret = err_set(err, -EBUSY, "guest fake: a checkpoint is under way");
	if (ret)
		return ret;
	m->order = *order;
	m->order.dir = NULL;
	m->ordered = m->under_way = true;
	return 0;
}

int machine_cancel_checkpoint(struct machine *m, struct err *err)
{
	if (!m->under_way)
		return err_set(err, -ENOENT, "guest fake: no checkpoint is under way");
	m->under_way = false;
	return 0;
}

void machine_checkpoint_progress(const struct machine *m, struct checkpoint_progress *progress)
{
	*progress = (struct checkpoint_progress){
		.phase = m->under_way ? CHECKPOINT_SAVING : CHECKPOINT_CANCELLED,
		.number = 2001,
		.count = 2002,
		.pages_done = 2003,
		.pages_all = 2004,
		.pages = 2005,
		.bytes = 2006,
		.pause_ns = 2007000,
		.worst_ns = 2008000,
		.total_ns = 2009000,
		.saved_ns = 2010000000000,
	};
}

int machine_roll_back(struct machine *m, struct machine_rolled_back *rolled, struct err *err)
{
	int ret = check_engine(m, err);

	*rolled = (struct machine_rolled_back){.pages = 50, .pause_ns = 1234567};
	m->nr_roll_backs += !ret;
	return ret;
}

s64 machine_reclaim(struct machine *m, u64 bytes, struct err *err)
{
	u64 went = MIN(MIN(bytes, 1 * MiB), m->reclaimable);
	int ret = check_engine(m, err);

	if (ret)
		return ret;
	m->reclaimable -= went;
	return (s64)went;
}

int machine_memory_stats(struct machine *m, struct mem_stats *stats, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret)
		*stats = m->mem;
	return ret;
}

/* Cell i has i pages in state 0, i + 1 in state 1, ... */
int machine_memory_map(struct machine *m, struct mem_map_cell *cells, u32 n, struct err *err)
{
	int ret = check_engine(m, err);

	for (u32 i = 0; i < n && !ret; i++)
		for (u32 state = 0; state < PAGE_NR_STATES; state++)
			cells[i].pages[state] = i + state;
	return ret;
}

int machine_reset_memory_peak(struct machine *m, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret)
		m->mem.peak_bytes = 0;
	return ret;
}

int machine_audit_memory(struct machine *m, u64 *wrong, struct err *err)
{
	int ret = check_engine(m, err);

	if (!ret && m->state == MACHINE_RUNNING)
		ret = err_set(err, -EINVAL, "guest %s: is running (pause it first)", m->name);
	if (!ret)
		*wrong = m->wrong;
	return ret;
}

int machine_translate(struct machine *m, const struct translate_order *order, struct translation *t,
		      struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (!ret && order->cpu >= m->nr_cpus)
		ret = err_set(err, -EINVAL, "vCPU %llu: there is none",
			      (unsigned long long)order->cpu);
	if (ret)
		return ret;
	m->translate_order = *order;
	*t = m->translation;
	return 0;
}

int machine_mmu_stats(struct machine *m, struct mmu_stats *stats, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (!ret)
		*stats = m->mmu;
	return ret;
}

int machine_check_mmu(struct machine *m, struct mmu_check *check, struct err *err)
{
	int ret = refuse_when_over(m, err);

	if (!ret && !m->mmu.shadow)
		ret = err_set(err, -EOPNOTSUPP, "guest %s: has no shadow tables", m->name);
	if (!ret)
		*check = m->mmu_check;
	return ret;
}

int machine_migrate(struct machine *m, const char *address, const struct migrate_params *params,
		    struct err *err)
{
	if (m->state == MACHINE_SHUTDOWN)
		return err_set(err, -EINVAL, "guest %s: has ended", m->name);
	ASSERT(params == &m->params);
	snprintf(m->address, sizeof(m->address), "%s", address);
	m->migration.status = MIGRATE_ACTIVE;
	return 0;
}

int machine_recover_migration(struct machine *m, const char *address, struct err *err)
{
	if (m->migration.status != MIGRATE_POSTCOPY_PAUSED)
		return err_set(err, -EINVAL, "there is no broken migration to recover");
	snprintf(m->address, sizeof(m->address), "%s", address);
	m->resumed = true;
	return 0;
}

int machine_plan(struct machine *m, const char *address, const struct migrate_params *params,
		 struct err *err)
{
	ASSERT(params == &m->params);
	if (m->planning.status == PLANNING_MEASURING)
		return err_set(err, -EBUSY, "guest fake: a migration is being planned (wait)");
	snprintf(m->address, sizeof(m->address), "%s", address);
	m->planning.status = PLANNING_MEASURING;
	return 0;
}

void machine_planning_progress(struct machine *m, struct planning_progress *progress)
{
	*progress = m->planning;
}

int machine_cancel_migration(struct machine *m, struct err *err)
{
	if (migrate_is_over(m->migration.status))
		return 0;
	if (m->migration.status >= MIGRATE_POSTCOPY_ACTIVE)
		return err_set(err, -EINVAL, "guest %s: has moved", m->name);
	m->migration.status = MIGRATE_CANCELLED;
	return 0;
}

int machine_take_back(struct machine *m, struct err *err)
{
	if (m->migration.status != MIGRATE_UNSURE)
		return err_set(err, -EINVAL, "it is not unknown where the guest runs");
	m->migration.status = MIGRATE_FAILED;
	return 0;
}

int machine_go_postcopy(struct machine *m, struct err *err)
{
	if (!m->params.postcopy)
		return err_set(err, -EINVAL, "this migration was not set up for post-copy");
	m->go_postcopy = true;
	return 0;
}

int machine_receive(struct machine *m, const char *address, struct err *err)
{
	if (m->state != MACHINE_INMIGRATE)
		return err_set(err, -EINVAL, "guest %s: waits for no guest", m->name);
	snprintf(m->address, sizeof(m->address), "%s", address);
	m->receives = true;
	return 0;
}

const char *machine_receives_at(const struct machine *m)
{
	return m->receives ? m->address : NULL;
}

void machine_migrate_progress(struct machine *m, struct migrate_progress *progress)
{
	*progress = m->migration;
}

struct migrate_params *machine_migrate_params(struct machine *m)
{
	return &m->params;
}

#endif
