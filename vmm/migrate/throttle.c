// SPDX-License-Identifier: Apache-2.0
/*
 * Making vCPUs that write wait. Contract in throttle.h.
 *
 * A thread goes through periods. At the beginning of each, every vCPU that is throttled gets an
 * allowance of time in the guest; when it is spent the vCPU naps, by a timer of its own, until the
 * next period. So a thread that is late makes naps longer and never shorter.
 *
 * The thread "throttle" has the writers; t->lock guards what is ordered. Always: when it has ended,
 * no vCPU has an allowance, and none naps.
 */
#include "vmm/migrate/throttle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "mm/base/clock.h"
#include "mm/base/thread.h"
#include "vmm/kvm/stats.h"
#include "vmm/vm/vcpu.h"

#define PERIOD_NS ((u64)20000000)

/*
 * At 99 per cent, when nothing else has helped. A guest writes a page in a microsecond and is out
 * of it again within a millisecond at best: a hundredth of a short period would be enough to write
 * all of a small guest again and again.
 */
#define LAST_PERIOD_NS	  ((u64)200000000)
#define LAST_ALLOWANCE_NS ((u64)50000)

struct writer {
	struct kvm_counter faults;
	u64 last;
	double rate; /* faults in a second that it is let in, lately */
	u64 allowed; /* ns of the present period */
};

struct throttle {
	struct vm *vm;
	struct writer writers[VM_MAX_CPUS];
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* under lock */
	unsigned int percent;
	bool quit;
};

struct throttle *throttle_create(struct vm *vm)
{
	struct throttle *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->vm = vm;
	pthread_mutex_init(&t->lock, NULL);
	thread_cond_init(&t->wake);
	vm_freeze(vm); /* KVM gives a vCPU's counters to nobody while the guest is in it */
	for (unsigned int i = 0; i < vm->nr_vcpus; i++) {
		struct writer *w = &t->writers[i];

		if (!kvm_counter_open(vm->vcpus[i]->fd, "pf_fixed", &w->faults))
			kvm_counter_read(&w->faults, &w->last);
	}
	vm_thaw(vm);
	return t;
}

/* How much each writes; the most of them. */
static double look(struct throttle *t)
{
	double most = 0;

	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++) {
		struct writer *w = &t->writers[i];
		u64 now;

		if (w->faults.fd < 0 || kvm_counter_read(&w->faults, &now))
			continue;
		w->rate += ((double)(now - w->last) * 1e9 / (double)MAX(w->allowed, 1000000u) -
			    w->rate) /
			   4;
		w->last = now;
		most = MAX(most, w->rate);
	}
	return most;
}

/* Let it into the guest for so long; 0: for ever. */
static void allow(struct throttle *t, unsigned int i, u64 ns)
{
	struct vcpu *vcpu = t->vm->vcpus[i];
	u64 before = atomic_exchange(&vcpu->allowance_ns, ns);

	if (atomic_exchange(&vcpu->napping, false))
		vm_wake(t->vm);
	else if (ns && !before)
		vcpu_kick(vcpu); /* it does not know that its time is limited now */
}

static u64 period_of(unsigned int percent)
{
	return percent >= 99 ? LAST_PERIOD_NS : PERIOD_NS;
}

static void plan(struct throttle *t, unsigned int percent)
{
	double most = look(t);
	u64 period = period_of(percent);
	double most_ns = percent >= 99 ? (double)(period - LAST_ALLOWANCE_NS)
				       : percent * (double)period / 100;

	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++) {
		double share = most > 0 ? t->writers[i].rate / most : 1;

		if (share > 0.5)
			share = 1; /* what is counted is not that exact */
		t->writers[i].allowed = period - (u64)(share * most_ns);
		allow(t, i, share * most_ns >= 1 ? t->writers[i].allowed : 0);
	}
}

static void *throttle_thread(void *arg)
{
	struct throttle *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->quit) {
		u64 until = now_ns() + period_of(t->percent), now;

		plan(t, t->percent);
		while (!t->quit && (now = now_ns()) < until)
			thread_wait(&t->wake, &t->lock, until - now);
	}
	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++)
		allow(t, i, 0);
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int throttle_set(struct throttle *t, unsigned int percent)
{
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	if (!t->started && percent)
		ret = thread_start(&t->thread, "throttle", throttle_thread, t);
	t->started |= !ret && percent;
	if (!ret)
		t->percent = percent;
	pthread_mutex_unlock(&t->lock);
	return ret;
}

void throttle_destroy(struct throttle *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->quit = true;
	pthread_cond_broadcast(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (t->started)
		pthread_join(t->thread, NULL);
	for (unsigned int i = 0; i < t->vm->nr_vcpus; i++)
		if (t->writers[i].faults.fd >= 0)
			close(t->writers[i].faults.fd);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
