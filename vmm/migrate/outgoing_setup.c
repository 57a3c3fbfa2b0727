// SPDX-License-Identifier: Apache-2.0
/*
 * Setting up: connected to a destination that has a VM like this one, and knows its state as it is
 * by now, so that everything slow about state is over when the guest stands still.
 *
 * On the migration's thread, with no lock but while the progress is written. The guest runs, and
 * stands still only for a moment, while its state is saved for the first time.
 */
#include "vmm/migrate/outgoing_setup.h"

#include <string.h>

#include "mm/engine/copy.h"
#include "mm/space/space.h"
#include "vmm/migrate/outgoing_impl.h"
#include "vmm/migrate/outgoing_link.h"
#include "vmm/migrate/outgoing_postcopy.h"
#include "vmm/migrate/talk.h"
#include "vmm/vm/vm.h"

/* The state as it is by now: so that everything slow about it is behind us at the end. */
static int early_state(struct outgoing *o, struct err *err)
{
	int ret;

	vm_freeze(o->cfg.vm);
	ret = state_save(o->cfg.vm, &o->state, err);
	if (o->can_post)
		outgoing_note_first(o);
	vm_thaw(o->cfg.vm);
	return ret;
}

/*
 * Whether the other side can have the memory itself. Pages that are stored, or that an image has
 * still, would have to be sent while the guest stands still: where they are many, copying all of it
 * while the guest runs is better.
 */
static bool hands_over(const struct outgoing *o)
{
	return wire_is_local(o->wires[0]) && !o->cfg.params.copy && !o->can_post &&
	       (o->features & MIGRATE_F_HANDOVER) &&
	       mem_elsewhere(o->cfg.vm->mem, NULL) <= MIGRATE_FEW_PAGES;
}

static int send_setup(struct outgoing *o, struct err *err)
{
	struct migrate_setup setup = {
		.memory = space_size(o->cfg.vm->space),
		.nr_cpus = o->cfg.vm->nr_vcpus,
		.streams = o->cfg.params.streams,
		.postcopy = o->can_post,
		.handover = o->progress.handover,
		.runs = o->cfg.runs,
		.state_size = o->state.size,
	};

	strncpy(setup.name, o->name, sizeof(setup.name) - 1);
	return wire_send2(o->wires[0], MIGRATE_SETUP, &setup, sizeof(setup), o->state.data,
			  o->state.size, setup.handover ? space_fd(o->cfg.vm->space) : -1, err);
}

int outgoing_set_up(struct outgoing *o, struct err *err)
{
	struct wire_message msg;
	int ret = outgoing_connect(o, MIGRATE_MAIN, err);

	if (!ret && o->can_post)
		ret = outgoing_postcopy_begin(o, err);
	if (!ret)
		ret = early_state(o, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&o->lock);
	o->progress.handover = hands_over(o);
	pthread_mutex_unlock(&o->lock);
	ret = send_setup(o, err);
	if (!ret)
		ret = migrate_expect(o->wires[0], MIGRATE_READY, 3 * MIGRATE_ANSWER_MS, &msg, err);
	if (!ret)
		ret = outgoing_connect_rest(o, err);
	return ret ? ret : outgoing_make_sender(o, err);
}
