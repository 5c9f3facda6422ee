/* tests/unit/inventory/shop.h - an inventory on a store of its own with a clock that stands still, driven group by group like the writer does. */
#ifndef FLASHSALE_TESTS_SHOP_H
#define FLASHSALE_TESTS_SHOP_H

#include "inventory/books.h"
#include "tests/unit/base/folder.h"

#define SHOP_WALL_MS 1700000000000
#define SHOP_TTL_MS 60000

struct shop {
	char parent[FOLDER_TEXT_MAX];
	char directory[FOLDER_TEXT_MAX + 16];
	struct store_options store_options;
	struct books_options options;
	struct clock_manual clock;
	struct store *store;
	struct books *books;
	MDB_txn *txn;
	struct sender cart;  /* shard 0 of 1, epoch 1 */
	uint32_t ids;        /* the next of shop_id */
	int64_t next_tick_ms;
	/* What the callbacks said. */
	int goods_changed, published;
	struct goods last_changed;
	uint64_t head;
	int clock_moves;
	int64_t drift_ms;
	struct books_counts total;
};

void shop_open_sized(struct shop *shop, int64_t map_bytes);
void shop_open(struct shop *shop);    /* creates, opens, fences the cart with epoch 1 */
void shop_close(struct shop *shop);   /* with the folder */
/* A store that is there, which somebody else removes; no cart has fenced. At the other's time. */
void shop_open_there(struct shop *shop, const struct shop *other, const char *directory, uint32_t shard, uint32_t shards);
void shop_leave(struct shop *shop);
void shop_restart(struct shop *shop, int64_t away_ms); /* what was committed stays; the clocks go on */

void shop_begin(struct shop *shop);
void shop_commit(struct shop *shop);
void shop_abort(struct shop *shop);
void shop_pass(struct shop *shop, int64_t ms); /* the clock, then a group with nothing but the tick */

struct id shop_id(uint32_t number);
struct hold_request shop_request(uint32_t id, const char *sku, const char *user, uint32_t quantity);

/* Each in a group of its own, unless one is open. */
void shop_add(struct shop *shop, const char *sku, int64_t quantity);
struct hold_answer shop_create(struct shop *shop, const struct hold_request *request);
struct hold_answer shop_buy(struct shop *shop, uint32_t id, uint32_t quantity); /* of SKU0001 */
struct hold_answer shop_release(struct shop *shop, uint32_t id);
struct hold_answer shop_confirm(struct shop *shop, uint32_t id, const char *payment);
struct hold_answer shop_resize(struct shop *shop, uint32_t id, uint32_t quantity);
struct fence_answer shop_fence(struct shop *shop, uint32_t shard, uint64_t epoch, const char *instance);
/* Binds holds first to first + count - 1. */
struct order_answer shop_bind(struct shop *shop, uint32_t order, uint32_t first, uint32_t count);
struct order_answer shop_confirm_order(struct shop *shop, uint32_t order, const char *payment);
struct order_answer shop_release_order(struct shop *shop, uint32_t order);
struct order_answer shop_refund_order(struct shop *shop, uint32_t order);
enum verdict shop_acknowledge(struct shop *shop, uint64_t position); /* the cart's */

/* As committed. */
struct goods shop_goods(struct shop *shop, const char *sku);
bool shop_hold(struct shop *shop, uint32_t id, struct hold *ret);
void shop_expect(struct shop *shop, const char *sku, int64_t stock, int64_t available, int64_t held, int64_t sold);
bool shop_order(struct shop *shop, uint32_t id, struct order *ret);
uint64_t shop_rows(struct shop *shop, enum books_table table);

/* The ledger played again: the number of findings, and their lines. */
uint64_t shop_replay(struct shop *shop, char *said, size_t size);
void shop_proves(struct shop *shop); /* there are none */

#endif
