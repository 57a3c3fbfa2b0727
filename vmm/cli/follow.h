// SPDX-License-Identifier: Apache-2.0
/*
 * Work that goes on in a guest's own process while we look on: asked about until it is over, shown
 * on a terminal, called off when we are (Ctrl-C). A process follows one thing at a time, on its
 * only thread.
 */
#ifndef QUIRE_VMM_CLI_FOLLOW_H
#define QUIRE_VMM_CLI_FOLLOW_H

#include <jansson.h>

#include "mm/base/base.h"
#include "vmm/control/client.h"

struct follow {
	const char *query;  /* QMP: how far is it? The reply has a "status" */
	const char *cancel; /* QMP: call it off; NULL: asking no more does no harm */
	unsigned int poll_us;
	bool (*is_over)(const json_t *progress);
	/* What there is to see, in one line on stderr; NULL: nothing */
	void (*show)(const void *opaque, const json_t *progress);
	const void *opaque;
};

/* From here on SIGINT and SIGTERM call off what is followed, instead of ending us. */
void follow_take_signals(void);

/*
 * Until it is over; *@progress is a new reference to the last answer, or NULL. After a signal it is
 * called off and followed to its end; -EINTR when it cannot be. Otherwise as client_execute().
 */
int follow(struct client *c, const struct follow *f, json_t **progress, struct err *err);

/* Its status; "" when there is none. Not to be shown as it is: see memory_view.h. */
const char *follow_status(const json_t *progress);
bool follow_is(const json_t *progress, const char *status);

#endif
