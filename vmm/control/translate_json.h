// SPDX-License-Identifier: Apache-2.0
/*
 * Translations as JSON, for programs and for quire's own client. Addresses and entries are strings,
 * "0x...": JSON's whole numbers, as QMP clients have them, end at 63 bits.
 */
#ifndef QUIRE_VMM_CONTROL_TRANSLATE_JSON_H
#define QUIRE_VMM_CONTROL_TRANSLATE_JSON_H

#include <jansson.h>

#include "vmm/inspect/translate.h"

/* What x-quire-translate returns; NULL: no memory. */
json_t *translate_json(const struct translation *t);

/* The names of enum ptwalk_kind: "read", "write", "fetch". */
#define TRANSLATE_NR_KINDS 3
extern const char *const translate_kind_names[TRANSLATE_NR_KINDS];

/*
 * "0x..." or decimal, up to 64 bits, behind the name of a segment and a colon or not: "gs:0x10".
 * Sets what of @order is about that. -EINVAL.
 */
int translate_parse_address(const char *text, struct translate_order *order);

#endif
