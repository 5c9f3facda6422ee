#include "gatekeeper/edge/stock_marks.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gatekeeper/edge/table.h"

struct mark {
	UT_hash_handle hh;
	uint64_t round; /* of the snapshot or later that named it */
	int32_t shard;
	enum stock_mark value;
	char sku[];
};

struct stock_marks {
	pthread_mutex_t mutex;
	struct mark *marks;
	uint32_t shards;
	uint64_t *rounds; /* by shard: snapshots begun */
};

struct stock_marks *stock_marks_new(uint32_t shards)
{
	struct stock_marks *marks = NEW(struct stock_marks);

	marks->shards = shards;
	marks->rounds = NEW_ARRAY(shards, uint64_t);
	pthread_mutex_init(&marks->mutex, NULL);
	return marks;
}

static void drop(struct stock_marks *marks, struct mark *mark)
{
	HASH_DEL(marks->marks, mark);
	free(mark);
}

void stock_marks_free(struct stock_marks *marks)
{
	struct mark *mark, *next;

	if (!marks)
		return;
	HASH_ITER (hh, marks->marks, mark, next)
		drop(marks, mark);
	pthread_mutex_destroy(&marks->mutex);
	free(marks->rounds);
	free(marks);
}

static struct mark *find(const struct stock_marks *marks, const char *sku)
{
	struct mark *mark;

	HASH_FIND_STR(marks->marks, sku, mark);
	return mark;
}

static struct mark *add(struct stock_marks *marks, const char *sku)
{
	const size_t length = strlen(sku);
	struct mark *mark;

	if (HASH_COUNT(marks->marks) >= STOCK_MARKS_MAX) {
		LOG_LIMITED(LOG_WARN, "too many goods to mark all of their stock",
			LOG_INT("max", STOCK_MARKS_MAX));
		return NULL;
	}
	mark = memory_new(sizeof(*mark) + length + 1);
	memcpy(mark->sku, sku, length + 1);
	HASH_ADD_KEYPTR(hh, marks->marks, mark->sku, length, mark);
	return mark;
}

static void put(struct stock_marks *marks, int32_t shard, const Inventory__StockMark *item)
{
	struct mark *mark = find(marks, item->sku);

	if (!mark)
		mark = add(marks, item->sku);
	if (!mark)
		return;
	mark->round = marks->rounds[shard];
	mark->shard = shard;
	mark->value = item->closed ? STOCK_CLOSED : item->available ? STOCK_AVAILABLE : STOCK_SOLD_OUT;
}

/* What the snapshot that just ended did not name is gone. */
static void sweep(struct stock_marks *marks, int32_t shard)
{
	struct mark *mark, *next;

	HASH_ITER (hh, marks->marks, mark, next) {
		if (mark->shard == shard && mark->round < marks->rounds[shard])
			drop(marks, mark);
	}
}

void stock_marks_apply(struct stock_marks *marks, int32_t shard, const Inventory__WatchStockResponse *message)
{
	struct mark *mark;

	assert(shard >= 0 && (uint32_t)shard < marks->shards);
	pthread_mutex_lock(&marks->mutex);
	marks->rounds[shard] += message->header->snapshot_begin;
	for (size_t i = 0; i < message->n_items; i++)
		put(marks, shard, message->items[i]);
	for (size_t i = 0; i < message->n_removed_keys; i++) {
		mark = find(marks, message->removed_keys[i]);
		if (mark && mark->shard == shard)
			drop(marks, mark);
	}
	if (message->header->snapshot_end)
		sweep(marks, shard);
	pthread_mutex_unlock(&marks->mutex);
}

enum stock_mark stock_marks_get(struct stock_marks *marks, const char *sku)
{
	const struct mark *mark;
	enum stock_mark value;

	pthread_mutex_lock(&marks->mutex);
	mark = find(marks, sku);
	value = mark ? mark->value : STOCK_UNKNOWN;
	pthread_mutex_unlock(&marks->mutex);
	return value;
}
