// SPDX-License-Identifier: Apache-2.0
/*
 * Migration ordered, prepared and asked about. Contract in qmp_migrate.h.
 *
 * On the main thread. Parameters and capabilities are the machine's (machine_migrate_params());
 * they are changed all together or not at all, so that a wrong one leaves everything as it was. A
 * migration takes a copy when it begins.
 */
#include "vmm/control/qmp_migrate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/migrate/migrate.h"
#include "vmm/migrate/format.h"
#include "vmm/control/migrate_json.h"
#include "vmm/migrate/plan_thread.h"
#include "vmm/control/qmp_args.h"

static const char *const late_names[] = {
	[MIGRATE_LATE_GO_ON] = "go-on",
	[MIGRATE_LATE_CANCEL] = "cancel",
	[MIGRATE_LATE_POSTCOPY] = "post-copy",
};

int qmp_migrate(struct qmp_call *call)
{
	const char *uri;
	bool resume = false, blk = false, inc = false;
	int ret = qmp_string(call, "uri", QMP_REQUIRED, &uri);

	if (!ret)
		ret = qmp_bool(call, "resume", &resume);
	if (!ret)
		ret = qmp_bool(call, "blk", &blk);
	if (!ret)
		ret = qmp_bool(call, "inc", &inc);
	if (!ret && (blk || inc))
		ret = err_set(call->err, -EINVAL, "no disks are migrated");
	if (ret)
		return ret;
	if (resume)
		return machine_recover_migration(call->machine, uri, call->err);
	return machine_migrate(call->machine, uri, machine_migrate_params(call->machine),
			       call->err);
}

/* The destination waits for its source at the address that it has anyway. */
int qmp_migrate_recover(struct qmp_call *call)
{
	const char *at = machine_receives_at(call->machine), *uri;
	int ret = qmp_string(call, "uri", QMP_REQUIRED, &uri);

	if (ret || (at && !strcmp(at, uri)))
		return ret;
	return machine_recover_migration(call->machine, uri, call->err);
}

int qmp_x_quire_take_back(struct qmp_call *call)
{
	return machine_take_back(call->machine, call->err);
}

int qmp_migrate_cancel(struct qmp_call *call)
{
	return machine_cancel_migration(call->machine, call->err);
}

int qmp_migrate_start_postcopy(struct qmp_call *call)
{
	return machine_go_postcopy(call->machine, call->err);
}

int qmp_migrate_incoming(struct qmp_call *call)
{
	const char *uri;
	int ret = qmp_string(call, "uri", QMP_REQUIRED, &uri);

	return ret ? ret : machine_receive(call->machine, uri, call->err);
}

/* ---- Parameters ---- */

static int get_numbers(struct qmp_call *call, struct migrate_params *p)
{
	u64 streams = p->streams, downtime = p->downtime_ns / 1000000, time = p->time_ns / 1000000;
	int ret = qmp_number(call, "max-bandwidth", QMP_OPTIONAL, &p->bandwidth);

	if (!ret)
		ret = qmp_number(call, "max-postcopy-bandwidth", QMP_OPTIONAL, &p->post_bandwidth);
	if (!ret)
		ret = qmp_number(call, "downtime-limit", QMP_OPTIONAL, &downtime);
	if (!ret)
		ret = qmp_number(call, "x-quire-time-limit", QMP_OPTIONAL, &time);
	if (!ret)
		ret = qmp_number(call, "multifd-channels", QMP_OPTIONAL, &streams);
	if (!ret && (downtime > 2000000 || time > UINT64_MAX / 1000000))
		ret = err_set(call->err, -EINVAL, "a time is out of range");
	if (!ret && (!streams || streams > MIGRATE_MAX_STREAMS))
		ret = err_set(call->err, -EINVAL,
			      "Parameter 'multifd-channels' expects a number from 1 to %d",
			      MIGRATE_MAX_STREAMS);
	p->streams = (unsigned int)streams;
	p->downtime_ns = downtime * 1000000;
	p->time_ns = time * 1000000;
	return ret;
}

static int get_names(struct qmp_call *call, struct migrate_params *p)
{
	unsigned int strategy = p->strategy, late = p->late;
	const char *psk = p->psk_file, *spill = p->spill;
	int ret = qmp_choice(call, "x-quire-strategy", migrate_strategy_names,
			     MIGRATE_NR_STRATEGIES, "pre-copy, post-copy, hybrid or auto",
			     &strategy);

	if (!ret)
		ret = qmp_choice(call, "x-quire-late", late_names, ARRAY_SIZE(late_names),
				 "go-on, cancel or post-copy", &late);
	if (!ret)
		ret = qmp_string(call, "x-quire-psk-file", QMP_OPTIONAL, &psk);
	if (!ret && strlen(psk) >= sizeof(p->psk_file))
		ret = err_set(call->err, -ENAMETOOLONG, "Parameter 'x-quire-psk-file' is too long");
	if (ret)
		return ret;
	p->strategy = strategy;
	p->late = late;
	if (psk != p->psk_file)
		snprintf(p->psk_file, sizeof(p->psk_file), "%s", psk);
	ret = qmp_string(call, "x-quire-spill", QMP_OPTIONAL, &spill);
	if (!ret && strlen(spill) >= sizeof(p->spill))
		ret = err_set(call->err, -ENAMETOOLONG, "Parameter 'x-quire-spill' is too long");
	if (ret)
		return ret;
	if (spill != p->spill)
		snprintf(p->spill, sizeof(p->spill), "%s", spill);
	return qmp_bool(call, "x-quire-copy", &p->copy);
}

int qmp_migrate_set_parameters(struct qmp_call *call)
{
	struct migrate_params *now = machine_migrate_params(call->machine), p = *now;
	int ret = get_numbers(call, &p);

	if (!ret)
		ret = get_names(call, &p);
	if (!ret)
		*now = p;
	return ret;
}

int qmp_query_migrate_parameters(struct qmp_call *call)
{
	const struct migrate_params *p = machine_migrate_params(call->machine);

	return qmp_give(call,
			json_pack("{s:o, s:o, s:o, s:i, s:s, s:b, s:o, s:s, s:s, s:s}",
				  "max-bandwidth", qmp_bytes(p->bandwidth),
				  "max-postcopy-bandwidth", qmp_bytes(p->post_bandwidth),
				  "downtime-limit", qmp_bytes(p->downtime_ns / 1000000),
				  "multifd-channels", (int)p->streams, "x-quire-strategy",
				  migrate_strategy_names[p->strategy], "x-quire-copy", (int)p->copy,
				  "x-quire-time-limit", qmp_bytes(p->time_ns / 1000000),
				  "x-quire-late", late_names[p->late], "x-quire-psk-file",
				  p->psk_file, "x-quire-spill", p->spill));
}

/* ---- Capabilities: what QEMU has as switches ---- */

/* QEMU 7.2's that there is nothing of here: they can be left off. */
static const char *const absent[] = {
	"xbzrle",
	"rdma-pin-all",
	"zero-blocks",
	"compress",
	"x-colo",
	"release-ram",
	"block",
	"pause-before-switchover",
	"dirty-bitmaps",
	"postcopy-blocktime",
	"late-block-activate",
	"x-ignore-shared",
	"validate-uuid",
	"background-snapshot",
	"zero-copy-send",
	"postcopy-preempt",
};

/* Events are always sent, the other side always answers, streams are a matter of their number. */
static const char *const constant[] = {"events", "return-path", "multifd"};

static bool is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int set_capability(struct migrate_params *p, const json_t *one, struct err *err)
{
	const char *name = json_string_value(json_object_get(one, "capability"));
	const json_t *state = json_object_get(one, "state");

	if (!name || !json_is_boolean(state))
		return err_set(err, -EINVAL, "Parameter 'capabilities' is malformed");
	if (!strcmp(name, "postcopy-ram"))
		p->postcopy = json_is_true(state);
	else if (!strcmp(name, "auto-converge"))
		p->auto_converge = json_is_true(state);
	else if (is_among(name, absent, ARRAY_SIZE(absent)))
		return json_is_true(state)
			       ? err_set(err, -EINVAL, "Capability '%s' is not available", name)
			       : 0;
	else if (!is_among(name, constant, ARRAY_SIZE(constant)))
		return err_set(err, -EINVAL, "Parameter 'capability' does not accept value '%s'",
			       name);
	return 0;
}

/* A guest moves with those that it began to move with: a change now would do nothing. */
static int refuse_when_moving(const struct qmp_call *call)
{
	struct migrate_progress now;

	machine_migrate_progress(call->machine, &now);
	return now.incoming || migrate_is_over(now.status)
		       ? 0
		       : err_set(call->err, -EBUSY,
				 "the guest is moving: capabilities cannot be changed (wait, or "
				 "cancel it)");
}

/* All of them, or none. */
int qmp_migrate_set_capabilities(struct qmp_call *call)
{
	struct migrate_params *now = machine_migrate_params(call->machine), p = *now;
	const json_t *list;
	int ret = qmp_arg(call, "capabilities", QMP_REQUIRED, &list);

	if (!ret && !json_is_array(list))
		ret = err_set(call->err, -EINVAL,
			      "Invalid parameter type for 'capabilities', expected: array");
	if (!ret)
		ret = refuse_when_moving(call);
	for (size_t i = 0; !ret && i < json_array_size(list); i++)
		ret = set_capability(&p, json_array_get(list, i), call->err);
	if (!ret)
		*now = p;
	return ret;
}

enum { ON = true };

static json_t *capability(const char *name, bool on)
{
	return json_pack("{s:s, s:b}", "capability", name, "state", (int)on);
}

/* What there is: a client takes what is listed for something that can be had. */
int qmp_query_migrate_capabilities(struct qmp_call *call)
{
	const struct migrate_params *p = machine_migrate_params(call->machine);

	return qmp_give(call, json_pack("[o, o, o, o, o]", capability("postcopy-ram", p->postcopy),
					capability("auto-converge", p->auto_converge),
					capability("multifd", p->streams > 1),
					capability("return-path", ON), capability("events", ON)));
}

/* ---- How it goes ---- */

int qmp_query_migrate(struct qmp_call *call)
{
	struct migrate_progress progress;
	const char *at = machine_receives_at(call->machine);
	json_t *object;

	machine_migrate_progress(call->machine, &progress);
	object = migrate_json(&progress);
	if (object && at)
		json_object_set_new(object, "x-quire-listens-at", json_string(at));
	return qmp_give(call, object);
}

/* ---- What it would be like ---- */

int qmp_plan_migration(struct qmp_call *call)
{
	const char *uri;
	int ret = qmp_string(call, "uri", QMP_REQUIRED, &uri);

	return ret ? ret
		   : machine_plan(call->machine, uri, machine_migrate_params(call->machine),
				  call->err);
}

int qmp_query_plan(struct qmp_call *call)
{
	static const char *const names[] = {
		[PLANNING_NONE] = "none",
		[PLANNING_MEASURING] = "measuring",
		[PLANNING_READY] = "ready",
		[PLANNING_FAILED] = "failed",
	};
	struct planning_progress now;
	json_t *object;

	machine_planning_progress(call->machine, &now);
	object = json_pack("{s:s}", "status", names[now.status]);
	if (object && now.status == PLANNING_READY)
		json_object_set_new(object, "plan", plan_json(&now.plan));
	if (object && now.no_line.text[0])
		json_object_set_new(object, "no-line", json_string(now.no_line.text));
	if (object && now.why.text[0])
		json_object_set_new(object, "error-desc", json_string(now.why.text));
	return qmp_give(call, object);
}
