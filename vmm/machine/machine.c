// SPDX-License-Identifier: Apache-2.0
/*
 * The machine is made, made anew by a reset, taken apart; and what it is ordered as a whole.
 * Contract in machine.h; which file may call which is in impl.h.
 *
 * Other threads reach the main thread by five uv_async_t only: the console's, and one of each part
 * (end, memory, saving, moving). The last of the parts' to be closed takes the machine along.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "vmm/machine/impl.h"
#include "mm/wire/wire.h"
#include "vmm/run/vm_create.h"
#include "vmm/vm/vcpu.h"

/* ---- Birth and death ---- */

static void open_parts(struct machine *m)
{
	machine_open_end(m);
	machine_open_memory(m);
	machine_open_checkpoint(m);
	machine_open_migration(m);
	m->nr_handles = 4;
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
	m->main = pthread_self();
	m->state = cfg->receive ? MACHINE_INMIGRATE : MACHINE_PRELAUNCH;
	machine_set_hosts(m);
	vcpu_init_signal();
	open_parts(m);
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
	if (m->cfg.receive && strcmp(m->cfg.receive, MACHINE_DEFER))
		return machine_receive(m, m->cfg.receive, err);
	if (m->cfg.receive) /* where is said later, but a key that is none can be told now */
		return m->cfg.psk_file ? wire_check_key(m->cfg.psk_file, err) : 0;
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
	machine_close_memory(m);
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
	uv_close((uv_handle_t *)&m->end.async, on_closed);
	uv_close((uv_handle_t *)&m->memory.async, on_closed);
	uv_close((uv_handle_t *)&m->saving.async, on_closed);
	uv_close((uv_handle_t *)&m->moving.async, on_closed);
}

/* ---- Orders ---- */

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
	machine_forget_memory_events(m);
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
		machine_fail(m, err);
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
