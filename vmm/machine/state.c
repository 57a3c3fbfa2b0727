// SPDX-License-Identifier: Apache-2.0
/*
 * What state the machine is in, what cannot be asked of it there, and the one who is told when that
 * changes. On the main thread, which every order has to pass here: whoever comes from another one
 * ends the process.
 */
#include <errno.h>

#include "vmm/machine/impl.h"

enum machine_state machine_state(const struct machine *m)
{
	return m->state;
}

bool machine_is_over(const struct machine *m)
{
	return m->state == MACHINE_SHUTDOWN || m->state == MACHINE_INTERNAL_ERROR;
}

int machine_refuse_when_over(const struct machine *m, struct err *err)
{
	ASSERT(pthread_equal(pthread_self(), m->main));
	if (machine_is_over(m) || m->quitting)
		return err_set(err, -EINVAL, "guest %s: has ended", m->cfg.name);
	if (m->state == MACHINE_INMIGRATE)
		return err_set(err, -EINVAL, "guest %s: is not here yet", m->cfg.name);
	if (m->state == MACHINE_POSTMIGRATE)
		return err_set(err, -EINVAL, "guest %s: has moved away", m->cfg.name);
	return 0;
}

void machine_notify(struct machine *m, enum machine_event event, enum shutdown_cause cause)
{
	ASSERT(pthread_equal(pthread_self(), m->main));
	if (m->listener.fn)
		m->listener.fn(m->listener.opaque, event, cause);
}

void machine_listen(struct machine *m, machine_event_fn fn, void *opaque)
{
	m->listener.fn = fn;
	m->listener.opaque = opaque;
}
