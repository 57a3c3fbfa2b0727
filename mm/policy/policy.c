// SPDX-License-Identifier: Apache-2.0
/* The table of replacement policies, and their names as people write them: NAME[:N][+idle]. */
#include "mm/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE "+idle"

const struct policy_ops *const policy_table[] = {
	&policy_fifo, &policy_clock, &policy_clock0, &policy_nth,
	&policy_nfu,  &policy_lru,   &policy_car,    NULL,
};

static const struct policy_ops *find(const char *name, size_t len)
{
	for (const struct policy_ops *const *p = policy_table; *p; p++)
		if (strlen((*p)->name) == len && !memcmp((*p)->name, name, len))
			return *p;
	return NULL;
}

static int unknown(const char *text, struct err *err)
{
	char names[120];
	size_t at = 0;

	for (const struct policy_ops *const *p = policy_table; *p; p++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s%s", at ? ", " : "",
				       (*p)->name, (*p)->max_param ? "[:N]" : "");
	ASSERT(at < sizeof(names));
	return err_set(err, -EINVAL,
		       "replacement policy %.60s: unknown (give one of %s; %s may follow)", text,
		       names, IDLE);
}

/* The N of NAME:N, digits only; 0 when it is none or too large. */
static u32 parse_param(const char *digits, size_t len, u32 max)
{
	u32 n = 0;

	for (size_t i = 0; i < len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return 0;
		n = n * 10 + (u32)(digits[i] - '0');
		if (n > max)
			return 0;
	}
	return n;
}

static void write_name(struct policy_choice *c)
{
	int n;

	if (c->param)
		n = snprintf(c->name, sizeof(c->name), "%s:%u%s", c->ops->name, c->param,
			     c->idle ? IDLE : "");
	else
		n = snprintf(c->name, sizeof(c->name), "%s%s", c->ops->name, c->idle ? IDLE : "");
	ASSERT(n > 0 && (size_t)n < sizeof(c->name));
}

int policy_parse(const char *text, struct policy_choice *choice, struct err *err)
{
	struct policy_choice c = {0};
	size_t len = strlen(text), name_len;

	if (len >= strlen(IDLE) && !strcmp(text + len - strlen(IDLE), IDLE)) {
		c.idle = true;
		len -= strlen(IDLE);
	}
	name_len = strcspn(text, ":");
	name_len = MIN(name_len, len);
	c.ops = find(text, name_len);
	if (!c.ops)
		return unknown(text, err);
	c.param = c.ops->default_param;
	if (name_len < len) {
		if (!c.ops->max_param)
			return err_set(
				err, -EINVAL,
				"replacement policy %.60s: %s takes no number (leave it out)", text,
				c.ops->name);
		c.param = parse_param(text + name_len + 1, len - name_len - 1, c.ops->max_param);
	}
	if (c.ops->max_param && !c.param)
		return err_set(
			err, -EINVAL,
			"replacement policy %.60s: not a number of passes (give %s:1 to %s:%u)",
			text, c.ops->name, c.ops->name, c.ops->max_param);
	write_name(&c);
	*choice = c;
	return 0;
}
