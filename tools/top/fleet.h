// SPDX-License-Identifier: Apache-2.0
/*
 * All guests of this host, found where `quire ps` finds them: each NAME.qmp in $QUIRE_RUNTIME_DIR,
 * else $XDG_RUNTIME_DIR/quire, else /run/quire. They come and go; one of them is selected, and
 * stays so by name while it lives.
 */
#ifndef QUIRE_TOOLS_TOP_FLEET_H
#define QUIRE_TOOLS_TOP_FLEET_H

#include "mm/base/err.h"
#include "tools/top/guest.h"

#define FLEET_MAX 512

struct fleet {
	struct guest *guests[FLEET_MAX]; /* by name */
	size_t nr, selected;		 /* .selected < .nr, unless there is none */
	bool chosen;			 /* else it is the first one that is selected */
	char wanted[GUEST_NAME_MAX + 1]; /* the name to choose once it is there, or "" */
};

void fleet_fini(struct fleet *f);

/* Let those go that have gone, and find new ones. A directory that is not there has none. */
int fleet_scan(struct fleet *f, u64 now_ms, struct err *err);

/* Ask all of them for news, the selected one with a map of @map_cells cells. */
void fleet_ask(struct fleet *f, u64 now_ms, u32 map_cells);

/*
 * Wait until @extra_fd (or -1) can be read or until @until_ms, and serve guests meanwhile. Returns
 * whether @extra_fd is ready or a signal came.
 */
bool fleet_wait(struct fleet *f, int extra_fd, u64 until_ms);

/* NULL when there is none. */
struct guest *fleet_selected(const struct fleet *f);
void fleet_select(struct fleet *f, long step);

u64 fleet_now_ms(void);

#endif
