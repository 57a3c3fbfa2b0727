// SPDX-License-Identifier: Apache-2.0
/* Contract in checkpoint_json.h. */
#include "vmm/control/checkpoint_json.h"

#include "vmm/control/qmp_event.h"

static json_t *number(u64 n)
{
	return json_integer((json_int_t)n);
}

json_t *checkpoint_json(const struct checkpoint_progress *p)
{
	json_t *object =
		json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "status",
			  checkpoint_phase_names[p->phase], "link", number(p->number), "count",
			  number(p->count), "done-pages", number(p->pages_done), "all-pages",
			  number(p->pages_all), "pages", number(p->pages), "bytes",
			  number(p->bytes), "pause-us", number(p->pause_ns / 1000),
			  "worst-pause-us", number(p->worst_ns / 1000), "total-us",
			  number(p->total_ns / 1000), "saved-at", number(p->saved_ns / 1000000000));

	if (object && p->phase == CHECKPOINT_FAILED)
		json_object_set_new(object, "error", json_string(p->why.text));
	return object;
}

char *checkpoint_event_line(const struct checkpoint_progress *p, const struct timeval *now)
{
	json_t *data = checkpoint_json(p);

	return data ? qmp_event("X_QUIRE_CHECKPOINT", data, now) : NULL;
}
