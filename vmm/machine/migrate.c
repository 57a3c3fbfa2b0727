// SPDX-License-Identifier: Apache-2.0
/*
 * The machine's guest moves: away, or here. Contract in machine.h.
 *
 * One migration at a time. Its thread tells the main thread that something has changed, and the
 * main thread looks what: the machine's state follows the migration's, never the other way round.
 */
#include <errno.h>
#include <string.h>

#include "vmm/machine/impl.h"
#include "vmm/migrate/incoming.h"
#include "vmm/migrate/outgoing.h"
#include "vmm/migrate/plan_thread.h"
#include "vmm/run/vm_create.h"

void machine_listen_migrate(struct machine *m, machine_migrate_fn fn, void *opaque)
{
	m->moving.listener = fn;
	m->moving.opaque = opaque;
}

static void changed(void *opaque)
{
	struct machine *m = opaque;

	uv_async_send(&m->moving.async);
}

void machine_migrate_progress(struct machine *m, struct migrate_progress *progress)
{
	*progress = (struct migrate_progress){.status = MIGRATE_NONE};
	if (m->moving.outgoing)
		outgoing_progress(m->moving.outgoing, progress);
	else if (m->moving.incoming)
		incoming_progress(m->moving.incoming, progress);
}

struct migrate_params *machine_migrate_params(struct machine *m)
{
	return &m->moving.params;
}

static bool is_planning(const struct machine *m)
{
	struct planning_progress now = {.status = PLANNING_NONE};

	if (m->moving.planning)
		planning_progress(m->moving.planning, &now);
	return now.status == PLANNING_MEASURING;
}

/* The guest came here, and runs; nothing can be made of memory that is still elsewhere. */
static int refuse_when_coming(const struct machine *m, enum migrate_status status, struct err *err)
{
	switch (status) {
	case MIGRATE_POSTCOPY_ACTIVE:
	case MIGRATE_POSTCOPY_RECOVER:
		return err_set(err, -EBUSY, "guest %s: its own memory has not all come yet (wait)",
			       m->cfg.name);
	case MIGRATE_POSTCOPY_PAUSED:
		return err_set(err, -EBUSY,
			       "guest %s: its own memory has not all come yet (recover the "
			       "migration that brought it)",
			       m->cfg.name);
	default:
		return 0;
	}
}

int machine_refuse_when_moving(const struct machine *m, struct err *err)
{
	struct migrate_progress now = {.status = MIGRATE_NONE};
	int ret = machine_refuse_when_over(m, err);

	if (ret)
		return ret;
	if (is_planning(m))
		return err_set(err, -EBUSY, "guest %s: a migration is being planned (wait)",
			       m->cfg.name);
	if (m->moving.outgoing)
		outgoing_progress(m->moving.outgoing, &now);
	else if (m->moving.incoming)
		incoming_progress(m->moving.incoming, &now);
	ret = m->moving.outgoing ? 0 : refuse_when_coming(m, now.status, err);
	if (ret)
		return ret;
	return migrate_is_over(now.status)
		       ? 0
		       : err_set(err, -EBUSY, "guest %s: is moving (wait, or cancel it)",
				 m->cfg.name);
}

/* Whether there is a guest that can be moved, and nothing in the way. */
static int can_move(const struct machine *m, struct err *err)
{
	struct mem *mem;
	int ret = machine_refuse_when_moving(m, err);

	if (!ret)
		ret = machine_get_mem(m, &mem, err);
	if (!ret && m->checkpoint)
		ret = err_set(err, -EBUSY,
			      "guest %s: a checkpoint is under way (wait, or cancel it)",
			      m->cfg.name);
	return ret;
}

/* ---- Planning ---- */

int machine_plan(struct machine *m, const char *address, const struct migrate_params *params,
		 struct err *err)
{
	struct plan_order order = {
		.address = address,
		.runs = m->state == MACHINE_RUNNING,
		.params = params,
	};
	int ret = can_move(m, err);

	if (ret)
		return ret;
	planning_destroy(m->moving.planning);
	m->moving.planning = NULL;
	order.vm = m->vm;
	order.also_dirty = m->chain.dirty;
	return planning_start(&m->moving.planning, &order, err);
}

void machine_planning_progress(struct machine *m, struct planning_progress *progress)
{
	*progress = (struct planning_progress){.status = PLANNING_NONE};
	if (m->moving.planning)
		planning_progress(m->moving.planning, progress);
}

/* Whether the guest is the destination's by then. */
static bool has_moved(enum migrate_status status)
{
	return status == MIGRATE_COMPLETED || status == MIGRATE_POSTCOPY_ACTIVE ||
	       status == MIGRATE_POSTCOPY_PAUSED || status == MIGRATE_POSTCOPY_RECOVER;
}

/* ---- Away ---- */

int machine_migrate(struct machine *m, const char *address, const struct migrate_params *params,
		    struct err *err)
{
	struct outgoing_config cfg = {
		.name = m->cfg.name,
		.address = address,
		.runs = m->state == MACHINE_RUNNING,
		.params = *params,
		.opaque = m,
		.changed = changed,
	};
	int ret = can_move(m, err);

	if (ret)
		return ret;
	outgoing_destroy(m->moving.outgoing);
	m->moving.outgoing = NULL;
	m->moving.told = MIGRATE_NONE;
	m->moving.told_round = 0;
	cfg.vm = m->vm;
	cfg.also_dirty = m->chain.dirty;
	return outgoing_start(&m->moving.outgoing, &cfg, err);
}

static int need_outgoing(const struct machine *m, struct err *err)
{
	return m->moving.outgoing ? 0
				  : err_set(err, -ENOENT, "guest %s: is not moving", m->cfg.name);
}

int machine_cancel_migration(struct machine *m, struct err *err)
{
	return m->moving.outgoing ? outgoing_cancel(m->moving.outgoing, err) : 0;
}

int machine_go_postcopy(struct machine *m, struct err *err)
{
	int ret = need_outgoing(m, err);

	return ret ? ret : outgoing_go_postcopy(m->moving.outgoing, err);
}

int machine_recover_migration(struct machine *m, const char *address, struct err *err)
{
	int ret;

	if (m->moving.incoming && !m->moving.outgoing && !strncmp(address, "file:", 5))
		return incoming_finish_from(m->moving.incoming, address + 5, err);
	ret = need_outgoing(m, err);
	return ret ? ret : outgoing_recover(m->moving.outgoing, address, err);
}

int machine_take_back(struct machine *m, struct err *err)
{
	int ret = need_outgoing(m, err);

	return ret ? ret : outgoing_take_back(m->moving.outgoing, err);
}

/* It runs elsewhere: its processors here stay where they are, for good. */
static void has_left(struct machine *m)
{
	if (m->state == MACHINE_POSTMIGRATE || machine_is_over(m))
		return;
	m->moving.state_before = m->state;
	m->state = MACHINE_POSTMIGRATE;
	machine_notify(m, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
}

/* Nobody has it over there after all, and it runs here again. */
static void has_stayed(struct machine *m)
{
	if (m->state != MACHINE_POSTMIGRATE)
		return;
	m->state = m->moving.state_before;
	if (m->state == MACHINE_RUNNING)
		machine_notify(m, MACHINE_EV_RESUME, SHUTDOWN_BY_NONE);
}

/* ---- Here ---- */

int machine_receive(struct machine *m, const char *address, struct err *err)
{
	const struct incoming_config cfg = {
		.address = address,
		.psk_file = m->cfg.psk_file,
		.opaque = m,
		.changed = changed,
	};

	if (m->state != MACHINE_INMIGRATE || m->moving.incoming)
		return err_set(err, -EINVAL, "guest %s: waits for no guest", m->cfg.name);
	return incoming_start(&m->moving.incoming, &cfg, err);
}

const char *machine_receives_at(const struct machine *m)
{
	return m->moving.incoming ? incoming_address(m->moving.incoming) : NULL;
}

/* A VM for the guest that is about to come. What stands against it is the other side's to hear. */
static void make_vm(struct machine *m, const struct incoming_guest *guest)
{
	struct err err;
	int ret;

	m->vm_cfg.memory = guest->memory;
	m->vm_cfg.nr_cpus = guest->nr_cpus;
	m->vm_cfg.backing = SPACE_MEMFD;
	m->vm_cfg.incoming = guest;
	ret = incoming_check(guest, &err);
	if (!ret)
		ret = vm_create(&m->vm, &m->vm_cfg, &m->vm_host, &err);
	if (!ret)
		ret = vm_start(m->vm, VM_PAUSE, &err);
	if (ret)
		incoming_refuse(m->moving.incoming, &err);
	else
		incoming_give_vm(m->moving.incoming, m->vm);
}

static void has_come(struct machine *m)
{
	const struct incoming_guest *guest = m->vm_cfg.incoming;

	if (m->state != MACHINE_INMIGRATE)
		return;
	m->state = guest->runs ? MACHINE_RUNNING : MACHINE_PAUSED;
	if (guest->runs)
		machine_notify(m, MACHINE_EV_RESUME, SHUTDOWN_BY_NONE);
}

static void look_in(struct machine *m)
{
	const struct incoming_guest *guest;
	struct migrate_progress now;

	if (incoming_wants_vm(m->moving.incoming, &guest))
		make_vm(m, guest);
	incoming_progress(m->moving.incoming, &now);
	if (has_moved(now.status))
		has_come(m);
	else if (now.status == MIGRATE_FAILED)
		machine_fail(m, &now.why);
}

/* ---- Both ---- */

static void tell(struct machine *m)
{
	struct migrate_progress now;

	machine_migrate_progress(m, &now);
	if (!m->moving.listener || machine_is_over(m))
		return;
	if (now.round != m->moving.told_round)
		m->moving.listener(m->moving.opaque, &now, MACHINE_MIGRATE_ROUND);
	if (now.status != m->moving.told)
		m->moving.listener(m->moving.opaque, &now, MACHINE_MIGRATE_STATUS);
	m->moving.told = now.status;
	m->moving.told_round = now.round;
}

static void on_migrate(uv_async_t *handle)
{
	struct machine *m = handle->data;
	struct migrate_progress now;

	if (m->moving.outgoing) {
		outgoing_progress(m->moving.outgoing, &now);
		if (has_moved(now.status) || now.status == MIGRATE_UNSURE)
			has_left(m);
		else if (now.status == MIGRATE_FAILED)
			has_stayed(m);
	} else if (m->moving.incoming) {
		look_in(m);
	}
	tell(m);
}

void machine_open_migration(struct machine *m)
{
	m->moving.params = MIGRATE_DEFAULTS;
	uv_async_init(m->loop, &m->moving.async, on_migrate);
	m->moving.async.data = m;
}

void machine_end_migration(struct machine *m)
{
	planning_destroy(m->moving.planning);
	m->moving.planning = NULL;
	outgoing_destroy(m->moving.outgoing);
	m->moving.outgoing = NULL;
	if (m->moving.incoming)
		incoming_stop(m->moving.incoming);
}

void machine_forget_migration(struct machine *m)
{
	incoming_destroy(m->moving.incoming);
	m->moving.incoming = NULL;
}
