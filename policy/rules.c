#include "policy/rules.h"

#include <assert.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

#define HASH_FUNCTION(key, length, value) ((value) = (unsigned)hash64((key), (length)))
#include <uthash.h>

/* A hash table finds one rule, a tree lists them in order. The key is padded with zeros, so that it hashes and compares as bytes. */
struct rule_key {
	char sku[RULES_SKU_MAX];
	int32_t level;
};

struct entry {
	struct rule_key key;
	struct rule rule;
	UT_hash_handle hh;
	RB_ENTRY(entry) node;
};

RB_HEAD(entries, entry);

struct rules {
	struct entry *table;
	struct entries order;
	struct rule standard;
};

static int compare_entries(const struct entry *a, const struct entry *b)
{
	int order = strcmp(a->rule.sku, b->rule.sku);

	return order ? order : (a->rule.level > b->rule.level) - (a->rule.level < b->rule.level);
}

RB_GENERATE_INTERNAL(entries, entry, node, compare_entries, __attribute__((unused)) static)

bool rules_sku_valid(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return length >= 1 && length <= RULES_SKU_MAX && !text[length];
}

bool rules_subject_valid(const char *text)
{
	return strcmp(text, RULES_EVERY_SKU) == 0 || rules_sku_valid(text);
}

bool rules_rule_valid(const struct rule *rule)
{
	if (!rules_subject_valid(rule->sku))
		return false;
	if (rule->level < RULES_EVERY_LEVEL || rule->level > RULES_LEVEL_MAX)
		return false;
	if (rule->unlimited ? rule->units != 0 : rule->units < 1 || rule->units > RULES_UNITS_MAX)
		return false;
	return rule->open_ms < rule->close_ms;
}

static void key_set(struct rule_key *key, const char *sku, int32_t level)
{
	size_t length = strlen(sku);

	assert(length <= sizeof(key->sku));
	memset(key, 0, sizeof(*key));
	memcpy(key->sku, sku, length);
	key->level = level;
}

static struct entry *find(const struct rules *rules, const struct rule_key *key)
{
	struct entry *entry;

	HASH_FIND(hh, rules->table, key, sizeof(*key), entry);
	return entry;
}

struct rules *rules_new(const struct rule *standard)
{
	struct rules *rules = NEW(struct rules);

	RB_INIT(&rules->order);
	rules->standard = *standard;
	strcpy(rules->standard.sku, RULES_EVERY_SKU);
	rules->standard.level = RULES_EVERY_LEVEL;
	rules->standard.open_ms = RULES_ALWAYS_OPEN;
	rules->standard.close_ms = RULES_NEVER_CLOSED;
	assert(rules_rule_valid(&rules->standard));
	return rules;
}

static void drop(struct rules *rules, struct entry *entry)
{
	HASH_DELETE(hh, rules->table, entry);
	RB_REMOVE(entries, &rules->order, entry);
	free(entry);
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	while (rules->table)
		drop(rules, rules->table);
	free(rules);
}

size_t rules_count(const struct rules *rules)
{
	return HASH_COUNT(rules->table);
}

void rules_put(struct rules *rules, const struct rule *rule)
{
	struct rule_key key;
	struct entry *entry;

	assert(rules_rule_valid(rule));
	key_set(&key, rule->sku, rule->level);
	entry = find(rules, &key);
	if (entry) {
		entry->rule = *rule;
		return;
	}
	entry = NEW(struct entry);
	entry->key = key;
	entry->rule = *rule;
	HASH_ADD(hh, rules->table, key, sizeof(entry->key), entry);
	RB_INSERT(entries, &rules->order, entry);
}

bool rules_remove(struct rules *rules, const char *sku, int32_t level)
{
	struct rule_key key;
	struct entry *entry;

	key_set(&key, sku, level);
	entry = find(rules, &key);
	if (entry)
		drop(rules, entry);
	return entry != NULL;
}

const struct rule *rules_get(const struct rules *rules, const char *sku, int32_t level)
{
	struct rule_key key;
	const struct entry *entry;

	key_set(&key, sku, level);
	entry = find(rules, &key);
	return entry ? &entry->rule : NULL;
}

const struct rule *rules_standard(const struct rules *rules)
{
	return &rules->standard;
}

const struct rule *rules_closest(const struct rules *rules, const char *sku, int32_t level)
{
	const int32_t levels[] = {level, RULES_EVERY_LEVEL};
	struct rule_key key;
	const struct entry *entry;

	key_set(&key, sku, level);
	for (int every_sku = 0; every_sku <= 1; every_sku++) {
		if (every_sku)
			key_set(&key, RULES_EVERY_SKU, level);
		for (int i = 0; i < 2; i++) {
			key.level = levels[i];
			entry = find(rules, &key);
			if (entry)
				return &entry->rule;
		}
	}
	return &rules->standard;
}

const struct rule *rules_after(const struct rules *rules, const char *sku, int32_t level)
{
	struct entry least = {.rule.level = level + 1};
	struct entry *entry;

	assert(strlen(sku) <= RULES_SKU_MAX && level < INT32_MAX);
	strcpy(least.rule.sku, sku);
	entry = RB_NFIND(entries, (struct entries *)(uintptr_t)&rules->order, &least);
	return entry ? &entry->rule : NULL;
}

enum rules_verdict rules_judge(const struct rule *rule, uint32_t quantity, int64_t now_ms)
{
	if (now_ms < rule->open_ms)
		return RULES_NOT_OPEN;
	if (now_ms >= rule->close_ms)
		return RULES_CLOSED;
	if (!rule->unlimited && quantity > rule->units)
		return RULES_OVER;
	return RULES_WITHIN;
}
