// SPDX-License-Identifier: Apache-2.0
/*
 * The machine as the main loop sees it: one VM, its console, its state, its end. Contract in
 * machine.h.
 *
 * Other threads reach the main thread in three ways only: vCPUs through the console's queue, vCPUs
 * and the memory engine through ended_async, which says that the VM has something to tell
 * (vm_ended()), and the memory engine through the queue of its events.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "vmm/kvm/stats.h"
#include "vmm/machine/impl.h"
#include "vmm/pv/pv.h"
#include "vmm/run/vm_create.h"
#include "vmm/vm/vcpu.h"

void machine_notify(struct machine *m, enum machine_event event, enum shutdown_cause cause)
{
	if (m->listener)
		m->listener(m->listener_opaque, event, cause);
}

void machine_listen(struct machine *m, machine_event_fn fn, void *opaque)
{
	m->listener = fn;
	m->listener_opaque = opaque;
}

void machine_listen_memory(struct machine *m, machine_memory_event_fn fn, void *opaque)
{
	m->memory_listener = fn;
	m->memory_listener_opaque = opaque;
}

bool machine_is_over(const struct machine *m)
{
	return m->state == MACHINE_SHUTDOWN || m->state == MACHINE_INTERNAL_ERROR;
}

int machine_refuse_when_over(const struct machine *m, struct err *err)
{
	if (machine_is_over(m) || m->quitting)
		return err_set(err, -EINVAL, "guest %s: has ended", m->cfg.name);
	if (m->state == MACHINE_INMIGRATE)
		return err_set(err, -EINVAL, "guest %s: is not here yet", m->cfg.name);
	if (m->state == MACHINE_POSTMIGRATE)
		return err_set(err, -EINVAL, "guest %s: has moved away", m->cfg.name);
	return 0;
}

/* The end. */

static void finish(struct machine *m, enum shutdown_cause cause, int status, const struct err *why)
{
	struct err wrong;

	if (machine_is_over(m))
		return;
	if (cause != SHUTDOWN_BY_ERROR && machine_check_at_end(m, &wrong)) {
		cause = SHUTDOWN_BY_ERROR;
		status = 1;
		why = &wrong;
	}
	if (m->state == MACHINE_RUNNING && m->vm)
		vm_halt(m->vm);
	m->state = cause == SHUTDOWN_BY_ERROR ? MACHINE_INTERNAL_ERROR : MACHINE_SHUTDOWN;
	m->status = status;
	if (why)
		m->why = *why;
	machine_notify(m, MACHINE_EV_SHUTDOWN, cause);
	m->quitting = true;
	uv_async_send(&m->ended_async);
}

static void on_ended(uv_async_t *handle)
{
	struct machine *m = handle->data;
	struct vm_end end;

	if (m->quitting) {
		/* a whole turn of the loop after finish(): replies under way have been queued */
		uv_stop(m->loop);
		return;
	}
	if (m->vm && vm_ended(m->vm, &end))
		finish(m, end.cause, end.status, &end.why);
}

void machine_fail(struct machine *m, const struct err *why)
{
	finish(m, SHUTDOWN_BY_ERROR, 1, why);
}

void machine_quit(struct machine *m, enum shutdown_cause cause)
{
	struct err why = {""};

	if (cause == SHUTDOWN_BY_SIGNAL)
		err_set(&why, -EINTR, "ended by a signal");
	finish(m, cause, why.text[0] ? 1 : 0, &why);
}

int machine_exit_status(const struct machine *m, struct err *why)
{
	*why = m->why;
	return m->status;
}

/* Events of the memory engine, from its threads to ours. */

static void vm_memory_event(void *opaque, const struct mem_event *event)
{
	struct machine *m = opaque;

	memory_events_put(&m->memory_events, event);
	uv_async_send(&m->memory_async);
}

static void on_memory(uv_async_t *handle)
{
	struct machine *m = handle->data;
	struct mem_event event;

	while (memory_events_take(&m->memory_events, &event))
		if (m->memory_listener && !machine_is_over(m))
			m->memory_listener(m->memory_listener_opaque, &event);
}

/* What the VM asks of us, on vCPU threads. */

static void vm_has_ended(void *opaque)
{
	struct machine *m = opaque;

	uv_async_send(&m->ended_async);
}

static void vm_serial_out(void *opaque, u8 byte)
{
	const struct machine *m = opaque;

	console_put(m->console, byte);
}

static void vm_serial_ready(void *opaque)
{
	const struct machine *m = opaque;

	console_input_ready(m->console);
}

static bool vm_congested(void *opaque)
{
	const struct machine *m = opaque;

	return console_congested(m->console);
}

static void vm_log(void *opaque, const char *text)
{
	const struct machine *m = opaque;

	fputs(text, m->cfg.log);
	fflush(m->cfg.log);
}

/* What the console asks of us, on the main thread. */

static size_t console_gives_input(void *opaque, const u8 *data, size_t len)
{
	const struct machine *m = opaque;

	if (m->vm->pv && pv_console_in_use(m->vm->pv))
		return pv_console_input(m->vm->pv, data, len);
	return devices_serial_input(m->vm->devices, data, len);
}

static bool console_asks_listening(void *opaque)
{
	const struct machine *m = opaque;

	if (m->vm && m->vm->pv && pv_console_in_use(m->vm->pv))
		return true;
	return m->vm && devices_serial_listening(m->vm->devices);
}

static void console_drained(void *opaque)
{
	const struct machine *m = opaque;

	if (m->vm)
		vm_wake(m->vm);
}

static void console_quit(void *opaque)
{
	machine_quit(opaque, SHUTDOWN_BY_QMP_QUIT);
}

static void console_failed(void *opaque, const struct err *why)
{
	finish(opaque, SHUTDOWN_BY_ERROR, 1, why);
}

/* Birth and death. */

static void set_hosts(struct machine *m)
{
	m->vm_host = (struct vm_host){
		.opaque = m,
		.ended = vm_has_ended,
		.serial_out = vm_serial_out,
		.serial_ready = vm_serial_ready,
		.congested = vm_congested,
		.log = vm_log,
		.memory_event = vm_memory_event,
	};
	m->console_host = (struct console_host){
		.opaque = m,
		.input = console_gives_input,
		.listening = console_asks_listening,
		.drained = console_drained,
		.quit = console_quit,
		.failed = console_failed,
	};
}

static void open_handles(struct machine *m)
{
	uv_async_init(m->loop, &m->ended_async, on_ended);
	uv_async_init(m->loop, &m->memory_async, on_memory);
	uv_async_init(m->loop, &m->checkpoint_async, machine_on_checkpoint);
	uv_async_init(m->loop, &m->migrate_async, machine_on_migrate);
	m->ended_async.data = m->memory_async.data = m->checkpoint_async.data = m;
	m->migrate_async.data = m;
	m->nr_handles = 4;
	memory_events_init(&m->memory_events);
}

int machine_create(struct machine **out, uv_loop_t *loop, const struct machine_config *cfg,
		   struct err *err)
{
	struct machine *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return err_set(err, -ENOMEM, "out of memory");
	m->cfg = *cfg;
	m->vm_cfg = *cfg->vm;
	m->loop = loop;
	m->state = cfg->receive ? MACHINE_INMIGRATE : MACHINE_PRELAUNCH;
	m->migrate_params = MIGRATE_DEFAULTS;
	set_hosts(m);
	vcpu_init_signal();
	open_handles(m);
	ret = console_create(&m->console, loop, cfg->serial, &m->console_host, err);
	if (!ret && !cfg->receive)
		ret = vm_create(&m->vm, &m->vm_cfg, &m->vm_host, err);
	if (!ret)
		ret = machine_begin_chain(m, err);
	if (ret) {
		machine_destroy(m);
		return ret;
	}
	*out = m;
	return 0;
}

int machine_start(struct machine *m, enum machine_launch launch, struct err *err)
{
	if (m->cfg.receive)
		return strcmp(m->cfg.receive, MACHINE_DEFER)
			       ? machine_receive(m, m->cfg.receive, err)
			       : 0;
	if (launch == MACHINE_HOLD)
		return vm_start(m->vm, VM_PAUSE, err);
	m->state = MACHINE_RUNNING;
	return vm_start(m->vm, VM_RUN, err);
}

/* The last handle takes the machine along. */
static void on_closed(uv_handle_t *handle)
{
	struct machine *m = handle->data;

	if (--m->nr_handles)
		return;
	memory_events_fini(&m->memory_events);
	free(m->policy);
	free(m);
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	machine_end_checkpoint(m);
	machine_end_migration(m);
	vm_destroy(m->vm);
	m->vm = NULL;
	machine_forget_migration(m);
	console_destroy(m->console);
	uv_close((uv_handle_t *)&m->ended_async, on_closed);
	uv_close((uv_handle_t *)&m->memory_async, on_closed);
	uv_close((uv_handle_t *)&m->checkpoint_async, on_closed);
	uv_close((uv_handle_t *)&m->migrate_async, on_closed);
}

bool machine_is_emulated_linux(const struct machine *m)
{
	return m->vm && m->vm->entry.linux && m->vm->kind == KVM_PVM && !m->vm->pv;
}

/* Questions. */

enum machine_state machine_state(const struct machine *m)
{
	return m->state;
}

const char *machine_name(const struct machine *m)
{
	return m->cfg.name;
}

u64 machine_memory_size(const struct machine *m)
{
	return m->vm_cfg.memory;
}

int machine_memory_resident(const struct machine *m, u64 *bytes)
{
	*bytes = 0;
	return m->vm ? space_resident(m->vm->space, bytes) : 0;
}

unsigned int machine_nr_cpus(const struct machine *m)
{
	return m->vm ? m->vm->nr_vcpus : 0;
}

pid_t machine_cpu_tid(const struct machine *m, unsigned int cpu)
{
	ASSERT(cpu < machine_nr_cpus(m));
	return atomic_load(&m->vm->vcpus[cpu]->tid);
}

int machine_mapped_pages(const struct machine *m, u64 pages[MACHINE_NR_PAGE_SIZES])
{
	struct kvm_mapped mapped;
	int ret = m->vm ? kvm_stats_mapped(m->vm->fd, &mapped) : -ENODEV;

	if (ret)
		return ret;
	pages[0] = mapped.pages_4k;
	pages[1] = mapped.pages_2m;
	pages[2] = mapped.pages_1g;
	return 0;
}

unsigned int machine_exit_counts(const struct machine *m,
				 struct machine_exit_count out[MACHINE_MAX_EXIT_KINDS])
{
	_Static_assert(VCPU_NR_EXIT_KINDS <= MACHINE_MAX_EXIT_KINDS, "room for every kind");

	for (unsigned int kind = 0; kind < VCPU_NR_EXIT_KINDS; kind++) {
		out[kind] = (struct machine_exit_count){.name = vcpu_exit_names[kind]};
		for (unsigned int i = 0; i < machine_nr_cpus(m); i++)
			out[kind].count += atomic_load_explicit(&m->vm->vcpus[i]->exits[kind],
								memory_order_relaxed);
	}
	return VCPU_NR_EXIT_KINDS;
}

/* Orders. */

int machine_pause(struct machine *m, struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	if (ret || m->state != MACHINE_RUNNING)
		return ret;
	vm_pause(m->vm);
	m->state = MACHINE_PAUSED;
	machine_notify(m, MACHINE_EV_STOP, SHUTDOWN_BY_NONE);
	return 0;
}

int machine_resume(struct machine *m, struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	if (ret || m->state == MACHINE_RUNNING)
		return ret;
	m->state = MACHINE_RUNNING;
	machine_notify(m, MACHINE_EV_RESUME, SHUTDOWN_BY_NONE);
	vm_resume(m->vm);
	return 0;
}

/* A new VM in place of the old one. What does not come up leaves no VM. */
static int replace_vm(struct machine *m, struct err *err)
{
	int ret;

	machine_end_checkpoint(m);
	vm_destroy(m->vm);
	m->vm = NULL;
	memory_events_clear(&m->memory_events); /* they are of a guest that is no more */
	ret = vm_create(&m->vm, &m->vm_cfg, &m->vm_host, err);
	if (!ret)
		ret = machine_begin_chain(m, err);
	if (ret)
		return ret;
	ret = vm_start(m->vm, m->state == MACHINE_RUNNING ? VM_RUN : VM_PAUSE, err);
	if (ret) {
		vm_destroy(m->vm);
		m->vm = NULL;
	}
	return ret;
}

int machine_reset(struct machine *m, struct err *err)
{
	int ret = machine_refuse_when_moving(m, err);

	if (!ret && m->vm_cfg.incoming)
		ret = err_set(err, -EINVAL,
			      "guest %s: it moved here, and what it was started from did not",
			      m->cfg.name);
	if (ret)
		return ret;
	if (m->state == MACHINE_RUNNING)
		vm_pause(m->vm);
	machine_notify(m, MACHINE_EV_RESET, SHUTDOWN_BY_QMP_RESET);
	ret = replace_vm(m, err);
	if (ret)
		finish(m, SHUTDOWN_BY_ERROR, 1, err);
	return ret;
}

int machine_powerdown(struct machine *m, struct err *err)
{
	int ret = machine_refuse_when_over(m, err);

	if (!ret && m->vm->pv)
		ret = err_set(err, -EOPNOTSUPP,
			      "guest %s: has no power button, on shadow page tables (end it from "
			      "inside, or by quire quit)",
			      m->cfg.name);
	if (ret)
		return ret;
	machine_notify(m, MACHINE_EV_POWERDOWN, SHUTDOWN_BY_NONE);
	devices_power_button(m->vm->devices);
	return 0;
}
