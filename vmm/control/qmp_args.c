// SPDX-License-Identifier: Apache-2.0
/*
 * Arguments out of a request, and replies. Contract in qmp_args.h. A variable is written only when
 * its argument is there and right; the sentences are those of QEMU's input visitors, word for word.
 */
#include "vmm/control/qmp_args.h"

#include <errno.h>
#include <string.h>

json_t *qmp_bytes(u64 n)
{
	return json_integer((json_int_t)n);
}

/* Reply with @value; jansson gives NULL when there is no memory. */
int qmp_give(struct qmp_call *call, json_t *value)
{
	call->ret = value;
	return value ? 0 : err_set(call->err, -ENOMEM, "no memory for the reply");
}

/* ---- Arguments; the sentences are those of QEMU's input visitors ---- */

/* The argument @key; *value is NULL when it is left out and need not be there. */
int qmp_arg(const struct qmp_call *call, const char *key, enum qmp_presence presence,
	    const json_t **value)
{
	*value = json_object_get(call->args, key);
	if (!*value && presence == QMP_REQUIRED)
		return err_set(call->err, -EINVAL, "Parameter '%s' is missing", key);
	return 0;
}

/* A whole number from 0 on; *n stays as it is when the argument is left out. */
int qmp_number(const struct qmp_call *call, const char *key, enum qmp_presence presence, u64 *n)
{
	const json_t *value;
	int ret = qmp_arg(call, key, presence, &value);

	if (ret || !value)
		return ret;
	if (!json_is_integer(value))
		return err_set(call->err, -EINVAL,
			       "Invalid parameter type for '%s', expected: integer", key);
	if (json_integer_value(value) < 0)
		return err_set(call->err, -EINVAL, "Parameter '%s' expects a number from 0 on",
			       key);
	*n = (u64)json_integer_value(value);
	return 0;
}

int qmp_string(const struct qmp_call *call, const char *key, enum qmp_presence presence,
	       const char **text)
{
	const json_t *value;
	int ret = qmp_arg(call, key, presence, &value);

	if (ret || !value)
		return ret;
	if (!json_is_string(value))
		return err_set(call->err, -EINVAL,
			       "Invalid parameter type for '%s', expected: string", key);
	*text = json_string_value(value);
	return 0;
}

int qmp_bool(const struct qmp_call *call, const char *key, bool *flag)
{
	const json_t *value;
	int ret = qmp_arg(call, key, QMP_OPTIONAL, &value);

	if (ret || !value)
		return ret;
	if (!json_is_boolean(value))
		return err_set(call->err, -EINVAL,
			       "Invalid parameter type for '%s', expected: boolean", key);
	*flag = json_is_true(value);
	return 0;
}

int qmp_choice(const struct qmp_call *call, const char *key, const char *const *names,
	       unsigned int n, const char *what, unsigned int *choice)
{
	const char *text = NULL;
	int ret = qmp_string(call, key, QMP_OPTIONAL, &text);

	if (ret || !text)
		return ret;
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(text, names[i])) {
			*choice = i;
			return 0;
		}
	return err_set(call->err, -EINVAL, "Parameter '%s' does not accept value '%s' (give %s)",
		       key, text, what);
}
