/* policy/records.h - how rules look in the store: explicit big-endian, every size checked, no alignment assumed.
 *
 * Key: the SKU's text, a zero byte, the level plus one in 4 bytes: so rules lie in the order of SKU and level, and those of one SKU side by side.
 * Record: 1 byte RECORD_UNITS or RECORD_UNLIMITED, 4 units, 8 opening time, 8 closing time (two's complement; the least and the greatest number: none).
 * Unpacking returns false for bytes that this format could not have written: a damaged store. The layout is POLICY_FORMAT; a change
 * of it is another number. Pure: any thread. */
#ifndef FLASHSALE_POLICY_RECORDS_H
#define FLASHSALE_POLICY_RECORDS_H

#include "policy/rules.h"

#define POLICY_FORMAT 1
#define RULE_KEY_MAX (RULES_SKU_MAX + 1 + 4)
#define RULE_RECORD_BYTES 21

size_t rule_key_pack(const char *sku, int32_t level, uint8_t to[RULE_KEY_MAX]); /* bytes written */
size_t rule_key_prefix(const char *sku, uint8_t to[RULE_KEY_MAX]);		/* of all keys of the SKU */
void rule_record_pack(const struct rule *rule, uint8_t to[RULE_RECORD_BYTES]);
bool rule_unpack(const void *key, size_t key_size, const void *record, size_t record_size, struct rule *ret);

#endif
