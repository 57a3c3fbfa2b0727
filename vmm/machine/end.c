// SPDX-License-Identifier: Apache-2.0
/*
 * The machine's end, whoever brings it about: the guest (a vCPU thread wakes us), an order, a
 * signal, a failure. The first is the one that counts. It is told, and then the main loop goes
 * round once more, so that replies under way are queued, and stops.
 *
 * On the main thread, but for machine_hear_end().
 */
#include <errno.h>

#include "vmm/machine/impl.h"

static void finish(struct machine *m, enum shutdown_cause cause, int status, const struct err *why)
{
	struct err wrong, lost;

	if (machine_is_over(m))
		return;
	if (cause != SHUTDOWN_BY_ERROR && machine_check_at_end(m, &wrong)) {
		cause = SHUTDOWN_BY_ERROR;
		status = 1;
		why = &wrong;
	}
	if (m->state == MACHINE_RUNNING && m->vm)
		vm_halt(m->vm);
	/* it has printed its last: that is written before its end is told, or is what ended it */
	if (console_flush(m->console, &lost) && cause != SHUTDOWN_BY_ERROR) {
		cause = SHUTDOWN_BY_ERROR;
		status = 1;
		why = &lost;
	}
	m->state = cause == SHUTDOWN_BY_ERROR ? MACHINE_INTERNAL_ERROR : MACHINE_SHUTDOWN;
	m->end.status = status;
	if (why)
		m->end.why = *why;
	machine_notify(m, MACHINE_EV_SHUTDOWN, cause);
	m->quitting = true;
	uv_async_send(&m->end.async);
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

void machine_hear_end(void *opaque)
{
	struct machine *m = opaque;

	uv_async_send(&m->end.async);
}

void machine_open_end(struct machine *m)
{
	uv_async_init(m->loop, &m->end.async, on_ended);
	m->end.async.data = m;
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

int machine_exit_status(struct machine *m, struct err *why)
{
	struct err lost;

	/* a sentence that is there already is of what happened before */
	if (console_finish(m->console, &lost) && !m->end.why.text[0]) {
		m->end.status = 1;
		m->end.why = lost;
	}
	*why = m->end.why;
	return m->end.status;
}
