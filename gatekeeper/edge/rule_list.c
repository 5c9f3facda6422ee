#include "gatekeeper/edge/rule_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gatekeeper/edge/table.h"
#include "rpc/timestamp.h"

#define EVERY_SKU "*"
#define EVERY_LEVEL (-1)
#define SKU_MAX 255

struct key {
	size_t size;
	char bytes[sizeof(int32_t) + SKU_MAX]; /* level, then SKU */
};

struct entry {
	UT_hash_handle hh;
	uint64_t round; /* of the snapshot or later that named it */
	struct rule rule;
	struct key key;
};

struct rule_list {
	pthread_mutex_t mutex;
	struct entry *entries;
	uint64_t round;
};

static bool make_key(struct key *key, const char *sku, size_t length, int32_t level)
{
	if (length > SKU_MAX)
		return false;
	memcpy(key->bytes, &level, sizeof(level));
	memcpy(key->bytes + sizeof(level), sku, length);
	key->size = sizeof(level) + length;
	return true;
}

/* "SKU/level", as the stream names what is gone. */
static bool parse_key(struct key *key, const char *text)
{
	const char *slash = strrchr(text, '/');
	char *end;
	long level;

	if (!slash)
		return false;
	level = strtol(slash + 1, &end, 10);
	return end != slash + 1 && !*end && level >= INT32_MIN && level <= INT32_MAX &&
	       make_key(key, text, (size_t)(slash - text), (int32_t)level);
}

static struct entry *find(const struct rule_list *list, const struct key *key)
{
	struct entry *entry;

	HASH_FIND(hh, list->entries, key->bytes, key->size, entry);
	return entry;
}

static void drop(struct rule_list *list, struct entry *entry)
{
	HASH_DEL(list->entries, entry);
	free(entry);
}

struct rule_list *rule_list_new(void)
{
	struct rule_list *list = NEW(struct rule_list);

	pthread_mutex_init(&list->mutex, NULL);
	return list;
}

void rule_list_free(struct rule_list *list)
{
	struct entry *entry, *next;

	if (!list)
		return;
	HASH_ITER (hh, list->entries, entry, next)
		drop(list, entry);
	pthread_mutex_destroy(&list->mutex);
	free(list);
}

static bool read_rule(const Policy__Policy *item, struct rule *rule)
{
	*rule = (struct rule){.open_ms = INT64_MIN, .close_ms = INT64_MAX};
	if (!item->limit || item->limit->kind_case == COMMON__LIMIT__KIND__NOT_SET)
		return false;
	rule->unlimited = item->limit->kind_case == COMMON__LIMIT__KIND_UNLIMITED;
	if (!rule->unlimited)
		rule->units = item->limit->units;
	return (!item->open_time || timestamp_get(item->open_time, &rule->open_ms)) &&
	       (!item->close_time || timestamp_get(item->close_time, &rule->close_ms));
}

static struct entry *add(struct rule_list *list, const struct key *key)
{
	struct entry *entry;

	if (HASH_COUNT(list->entries) >= RULE_LIST_MAX) {
		LOG_LIMITED(
			LOG_WARN, "too many rules to keep all at the edge", LOG_INT("max", RULE_LIST_MAX));
		return NULL;
	}
	entry = NEW(struct entry);
	entry->key = *key;
	HASH_ADD_KEYPTR(hh, list->entries, entry->key.bytes, key->size, entry);
	return entry;
}

static void put(struct rule_list *list, const Policy__Policy *item)
{
	struct entry *entry;
	struct rule rule;
	struct key key;

	if (!read_rule(item, &rule) || !make_key(&key, item->sku, strlen(item->sku), item->user_level)) {
		LOG_LIMITED(LOG_WARN, "a rule that can't be read is not kept at the edge");
		return;
	}
	entry = find(list, &key);
	if (!entry)
		entry = add(list, &key);
	if (!entry)
		return;
	entry->round = list->round;
	entry->rule = rule;
}

static void remove_key(struct rule_list *list, const char *text)
{
	struct key key;
	struct entry *entry = parse_key(&key, text) ? find(list, &key) : NULL;

	if (entry)
		drop(list, entry);
}

static void sweep(struct rule_list *list)
{
	struct entry *entry, *next;

	HASH_ITER (hh, list->entries, entry, next) {
		if (entry->round < list->round)
			drop(list, entry);
	}
}

void rule_list_apply(struct rule_list *list, const Policy__WatchPoliciesResponse *message)
{
	pthread_mutex_lock(&list->mutex);
	list->round += message->header->snapshot_begin;
	for (size_t i = 0; i < message->n_items; i++)
		put(list, message->items[i]);
	for (size_t i = 0; i < message->n_removed_keys; i++)
		remove_key(list, message->removed_keys[i]);
	if (message->header->snapshot_end)
		sweep(list);
	pthread_mutex_unlock(&list->mutex);
}

static const struct entry *find_closest(const struct rule_list *list, const char *sku, int32_t level)
{
	const struct {
		const char *sku;
		int32_t level;
	} steps[] = {{sku, level}, {sku, EVERY_LEVEL}, {EVERY_SKU, level}, {EVERY_SKU, EVERY_LEVEL}};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct entry *entry = NULL;
		struct key key;

		if (make_key(&key, steps[i].sku, strlen(steps[i].sku), steps[i].level))
			entry = find(list, &key);
		if (entry)
			return entry;
	}
	return NULL;
}

bool rule_list_find(struct rule_list *list, const char *sku, int32_t level, struct rule *ret)
{
	const struct entry *entry;

	pthread_mutex_lock(&list->mutex);
	entry = find_closest(list, sku, level);
	if (entry)
		*ret = entry->rule;
	pthread_mutex_unlock(&list->mutex);
	return entry != NULL;
}
