// SPDX-License-Identifier: Apache-2.0
/* Words for strategies and statuses, as QMP has them. Contract in migrate.h. */
#include "vmm/migrate/migrate.h"

const char *const migrate_strategy_names[] = {
	[MIGRATE_PRECOPY] = "pre-copy",
	[MIGRATE_POSTCOPY] = "post-copy",
	[MIGRATE_HYBRID] = "hybrid",
	[MIGRATE_AUTO] = "auto",
};

const char *const migrate_status_names[] = {
	[MIGRATE_NONE] = "none",
	[MIGRATE_SETTING_UP] = "setup",
	[MIGRATE_ACTIVE] = "active",
	[MIGRATE_DEVICE] = "device",
	[MIGRATE_POSTCOPY_ACTIVE] = "postcopy-active",
	[MIGRATE_POSTCOPY_PAUSED] = "postcopy-paused",
	[MIGRATE_POSTCOPY_RECOVER] = "postcopy-recover",
	[MIGRATE_CANCELLED] = "cancelled",
	[MIGRATE_FAILED] = "failed",
	[MIGRATE_COMPLETED] = "completed",
	[MIGRATE_UNSURE] = "x-quire-unsure",
};
