// SPDX-License-Identifier: Apache-2.0
/*
 * What is to come, before any of it comes: the set-up that the source announces, all of it checked,
 * and the VM that the owner makes for it.
 *
 * Threads: "incoming" hears and waits, the owner takes the request and answers it (in->request,
 * in->vm, under in->lock). in->guest is the thread's until it has made the request; from then on
 * nobody changes it.
 *
 * Always: what is in in->setup has been checked; a VM is given once, or refused once.
 */
#include "vmm/migrate/incoming_setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mm/space/space.h"
#include "vmm/migrate/incoming_impl.h"
#include "vmm/migrate/incoming_pages.h"
#include "vmm/migrate/incoming_progress.h"
#include "vmm/kvm/kvm.h"
#include "vmm/migrate/talk.h"

static int check_setup(const struct migrate_setup *s, const struct wire_message *msg,
		       struct err *err)
{
	if (msg->size != sizeof(*s) + (u64)s->state_size || s->name[sizeof(s->name) - 1])
		return err_set(err, -EPROTO, "a set-up of %u bytes", msg->size);
	if (!s->streams || s->streams > MIGRATE_MAX_STREAMS)
		return err_set(err, -EPROTO, "%u streams", s->streams);
	if (s->memory % (2 * MiB) || s->memory < SPACE_MIN_SIZE || s->memory > SPACE_MAX_SIZE)
		return err_set(err, -EPROTO, "a guest of %llu bytes",
			       (unsigned long long)s->memory);
	if (s->handover && msg->fd < 0)
		return err_set(err, -EPROTO, "memory was announced, and none came");
	return 0;
}

static int prepare_pager(struct incoming *in, struct err *err)
{
	const struct remote_host host = {
		.opaque = in,
		.ask = incoming_ask,
		.all_here = incoming_all_here,
	};
	int ret;

	if (!in->setup.postcopy)
		return 0;
	in->missing = calloc(in->words, sizeof(u64));
	ret = in->missing ? remote_create(&in->remote, in->nr_pages, &host) : -ENOMEM;
	if (ret)
		return err_set(err, ret, "out of memory");
	in->guest.pager = remote_pager(in->remote);
	return 0;
}

int incoming_hear_setup(struct incoming *in, struct err *err)
{
	struct migrate_setup *s = &in->setup;
	struct wire_message msg;
	int ret = migrate_expect(in->main, MIGRATE_SETUP, MIGRATE_ANSWER_MS, &msg, err);

	if (ret)
		return ret;
	in->guest.memory_fd = msg.fd;
	if (msg.size < sizeof(*s))
		return err_set(err, -EPROTO, "a set-up of %u bytes", msg.size);
	memcpy(s, msg.data, sizeof(*s));
	ret = check_setup(s, &msg, err);
	in->state = ret ? NULL : malloc(MAX(s->state_size, 1u));
	if (ret || !in->state)
		return ret ? ret : err_set(err, -ENOMEM, "out of memory");
	memcpy(in->state, (const u8 *)msg.data + sizeof(*s), s->state_size);
	in->nr_pages = (u32)(s->memory >> PAGE_SHIFT);
	in->words = in->nr_pages / 64;
	pthread_mutex_lock(&in->lock);
	in->progress.pages_all = in->nr_pages;
	in->progress.handover = s->handover;
	pthread_mutex_unlock(&in->lock);
	snprintf(in->guest.name, sizeof(in->guest.name), "%s", s->name);
	in->guest.memory = s->memory;
	in->guest.nr_cpus = s->nr_cpus;
	in->guest.state = in->state;
	in->guest.state_size = s->state_size;
	in->guest.runs = s->runs;
	return prepare_pager(in, err);
}

int incoming_wait_for_vm(struct incoming *in, struct err *err)
{
	int ret = 0;

	pthread_mutex_lock(&in->lock);
	ASSERT(!in->vm && !in->request.wants_vm);
	in->request.wants_vm = true;
	pthread_mutex_unlock(&in->lock);
	incoming_set_status(in, MIGRATE_SETTING_UP);
	pthread_mutex_lock(&in->lock);
	while (!in->vm && !in->request.refused && !in->quit)
		pthread_cond_wait(&in->wake, &in->lock);
	if (!in->vm)
		ret = in->request.refused ? -EINVAL : -ECANCELED;
	if (in->request.refused)
		*err = in->request.refusal;
	pthread_mutex_unlock(&in->lock);
	return ret == -ECANCELED ? err_set(err, ret, "ended") : ret;
}

bool incoming_wants_vm(struct incoming *in, const struct incoming_guest **guest)
{
	bool wants;

	pthread_mutex_lock(&in->lock);
	wants = in->request.wants_vm;
	in->request.wants_vm = false;
	pthread_mutex_unlock(&in->lock);
	*guest = &in->guest;
	return wants;
}

int incoming_check(const struct incoming_guest *guest, struct err *err)
{
	struct state_shape shape;
	int ret = state_parse(guest->state, guest->state_size, &shape, err), kvm;

	if (ret)
		return ret;
	if (shape.memory != guest->memory || shape.nr_cpus != guest->nr_cpus)
		return err_set(err, -EPROTO, "its state is of a guest of another shape");
	kvm = kvm_open(err);
	if (kvm < 0)
		return kvm;
	ret = state_check_host(&shape, kvm, err);
	close(kvm);
	return ret;
}

void incoming_give_vm(struct incoming *in, struct vm *vm)
{
	pthread_mutex_lock(&in->lock);
	ASSERT(vm && !in->vm && !in->request.refused);
	in->vm = vm;
	pthread_cond_broadcast(&in->wake);
	pthread_mutex_unlock(&in->lock);
}

void incoming_refuse(struct incoming *in, const struct err *why)
{
	pthread_mutex_lock(&in->lock);
	ASSERT(!in->vm && !in->request.refused);
	in->request.refused = true;
	in->request.refusal = *why;
	pthread_cond_broadcast(&in->wake);
	pthread_mutex_unlock(&in->lock);
}
