#include "policy/records.h"

#include <assert.h>
#include <string.h>

#include "base/store.h"

#define RECORD_UNITS 0
#define RECORD_UNLIMITED 1
#define LEVEL_BYTES 4

static void put_be32(uint8_t *to, uint32_t value)
{
	for (int i = 3; i >= 0; i--, value >>= 8)
		to[i] = (uint8_t)value;
}

static uint32_t get_be32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

size_t rule_key_prefix(const char *sku, uint8_t to[RULE_KEY_MAX])
{
	size_t length = strlen(sku);

	assert(length >= 1 && length <= RULES_SKU_MAX);
	memcpy(to, sku, length + 1);
	return length + 1;
}

size_t rule_key_pack(const char *sku, int32_t level, uint8_t to[RULE_KEY_MAX])
{
	size_t length = rule_key_prefix(sku, to);

	assert(level >= RULES_EVERY_LEVEL && level <= RULES_LEVEL_MAX);
	put_be32(to + length, (uint32_t)(level + 1));
	return length + LEVEL_BYTES;
}

void rule_record_pack(const struct rule *rule, uint8_t to[RULE_RECORD_BYTES])
{
	to[0] = rule->unlimited ? RECORD_UNLIMITED : RECORD_UNITS;
	put_be32(to + 1, rule->units);
	store_put_be64(to + 5, (uint64_t)rule->open_ms);
	store_put_be64(to + 13, (uint64_t)rule->close_ms);
}

static bool key_unpack(const uint8_t *key, size_t size, struct rule *rule)
{
	size_t length = strnlen((const char *)key, size);
	uint32_t level;

	if (length > RULES_SKU_MAX || size != length + 1 + LEVEL_BYTES)
		return false;
	memcpy(rule->sku, key, length + 1);
	level = get_be32(key + length + 1);
	if (level > RULES_LEVEL_MAX + 1)
		return false;
	rule->level = (int32_t)level - 1;
	return true;
}

bool rule_unpack(const void *key, size_t key_size, const void *record, size_t record_size, struct rule *ret)
{
	const uint8_t *from = record;
	struct rule rule = {0};

	if (record_size != RULE_RECORD_BYTES || from[0] > RECORD_UNLIMITED ||
		!key_unpack(key, key_size, &rule))
		return false;
	rule.unlimited = from[0] == RECORD_UNLIMITED;
	rule.units = get_be32(from + 1);
	rule.open_ms = (int64_t)store_get_be64(from + 5);
	rule.close_ms = (int64_t)store_get_be64(from + 13);
	if (!rules_rule_valid(&rule))
		return false;
	*ret = rule;
	return true;
}
