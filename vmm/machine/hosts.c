// SPDX-License-Identifier: Apache-2.0
/*
 * What the VM and the console ask of their host: bytes from the one to the other. Of the machine,
 * vCPU threads use only what stays as it is while there is a VM: its console and its log.
 */
#include <stdio.h>

#include "vmm/machine/impl.h"
#include "vmm/pv/pv.h"

/* ---- What the VM asks of us, on vCPU threads ---- */

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

/* ---- What the console asks of us, on the main thread ---- */

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
	machine_fail(opaque, why);
}

void machine_set_hosts(struct machine *m)
{
	m->vm_host = (struct vm_host){
		.opaque = m,
		.ended = machine_hear_end,
		.serial_out = vm_serial_out,
		.serial_ready = vm_serial_ready,
		.congested = vm_congested,
		.log = vm_log,
		.memory_event = machine_hear_memory,
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
