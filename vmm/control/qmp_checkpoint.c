// SPDX-License-Identifier: Apache-2.0
/* Checkpoints ordered, cancelled, asked about, and gone back to. Contract in qmp_checkpoint.h. */
#include "vmm/control/qmp_checkpoint.h"

#include <errno.h>

#include "vmm/control/checkpoint_json.h"
#include "vmm/control/qmp_args.h"

int qmp_x_quire_checkpoint(struct qmp_call *call)
{
	struct machine_checkpoint order = {0};
	u64 every_us = 0;
	int ret = qmp_string(call, "dir", QMP_REQUIRED, &order.dir);

	if (!ret)
		ret = qmp_bool(call, "incremental", &order.incremental);
	if (!ret)
		ret = qmp_number(call, "every-us", QMP_OPTIONAL, &every_us);
	if (!ret)
		ret = qmp_number(call, "bandwidth", QMP_OPTIONAL, &order.bandwidth);
	if (!ret && every_us > UINT64_MAX / 1000)
		ret = err_set(call->err, -EINVAL, "Parameter 'every-us' is out of range");
	order.every_ns = every_us * 1000;
	return ret ? ret : machine_checkpoint(call->machine, &order, call->err);
}

int qmp_x_quire_cancel_checkpoint(struct qmp_call *call)
{
	return machine_cancel_checkpoint(call->machine, call->err);
}

int qmp_x_quire_query_checkpoint(struct qmp_call *call)
{
	struct checkpoint_progress progress;

	machine_checkpoint_progress(call->machine, &progress);
	return qmp_give(call, checkpoint_json(&progress));
}

int qmp_x_quire_roll_back(struct qmp_call *call)
{
	struct machine_rolled_back rolled;
	int ret = machine_roll_back(call->machine, &rolled, call->err);

	return ret ? ret
		   : qmp_give(call, json_pack("{s:I, s:I}", "pages", (json_int_t)rolled.pages,
					      "pause-us", (json_int_t)(rolled.pause_ns / 1000)));
}
