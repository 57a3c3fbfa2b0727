// SPDX-License-Identifier: Apache-2.0
/* One attempt, and what may come of it: counted, and told if it is wrong. Contract in attack.h. */
#include "guest/micro/attack.h"

bool attack_try(struct attack *attack, const char *what, uint64_t at, const struct xen_attempt *how,
		uint64_t allowed)
{
	uint64_t vector = xen_attempt(how);
	struct line line;

	attack->attempts++;
	attack->faults += vector == VECTOR_PF;
	if (allowed >> (vector == XEN_NO_EXCEPTION ? 63 : vector) & 1)
		return true;
	attack->wrong++;
	line_start(&line);
	line_text(&line, "attack wrong: ");
	line_text(&line, what);
	line_add(&line, " at %x: ", at);
	if (vector == XEN_NO_EXCEPTION)
		line_text(&line, "no exception");
	else
		line_add(&line, "exception %u error %x rip %x", vector, xen_caught.error,
			 xen_caught.rip);
	work_print(attack->platform, &line);
	return false;
}

void attack_check(struct attack *attack, const char *what, uint64_t at, bool is_so)
{
	struct line line;

	attack->attempts++;
	if (is_so)
		return;
	attack->wrong++;
	line_start(&line);
	line_text(&line, "attack wrong: ");
	line_text(&line, what);
	line_add(&line, ", %x", at);
	work_print(attack->platform, &line);
}

void attack_must_fault(struct attack *attack, const char *what, uint64_t at,
		       void (*code)(uint64_t, uint64_t), uint64_t error)
{
	const struct xen_attempt how = {code, at, 0};

	if (!attack_try(attack, what, at, &how, EXCEPTION(VECTOR_PF)))
		return;
	attack_check(attack, "address of a page fault", xen_caught.cr2, xen_caught.cr2 == at);
	attack_check(attack, "error code of a page fault", xen_caught.error,
		     (xen_caught.error & error) == error);
}

void attack_no_access(struct attack *attack, const char *what, uint64_t at, uint64_t error)
{
	attack_must_fault(attack, what, at, code_read, error);
	attack_must_fault(attack, what, at, code_write, error | ERROR_WRITE);
	attack_must_fault(attack, what, at, code_jump, error | ERROR_FETCH);
}

uint64_t attack_read(struct attack *attack, const char *what, uint64_t at)
{
	void code_read_word(uint64_t, uint64_t);
	const struct xen_attempt how = {code_read_word, at, 0};

	attack_try(attack, what, at, &how, NONE);
	return code_value;
}
