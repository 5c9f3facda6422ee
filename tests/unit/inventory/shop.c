#include "tests/unit/inventory/shop.h"
#include "inventory/replay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

static void on_goods(void *context, const struct goods *goods)
{
	struct shop *shop = context;

	shop->goods_changed++;
	shop->last_changed = *goods;
}

static void on_published(void *context, uint64_t head, const struct books_counts *counts)
{
	struct shop *shop = context;

	shop->published++;
	shop->head = head;
	shop->total.granted += counts->granted;
	shop->total.repeated += counts->repeated;
	shop->total.released += counts->released;
	shop->total.confirmed += counts->confirmed;
	shop->total.resized += counts->resized;
	shop->total.expired += counts->expired;
	shop->total.refunded += counts->refunded;
	shop->total.bound += counts->bound;
	shop->total.paid += counts->paid;
	shop->total.cancelled += counts->cancelled;
	shop->total.overdue += counts->overdue;
	shop->total.taken_back += counts->taken_back;
	for (int i = 0; i < VERDICT_COUNT; i++)
		shop->total.refused[i] += counts->refused[i];
}

static void on_clock_moved(void *context, int64_t drift_ms)
{
	struct shop *shop = context;

	shop->clock_moves++;
	shop->drift_ms = drift_ms;
}

static void open_books(struct shop *shop)
{
	struct error error = {0};

	shop->store = store_open(&shop->store_options, &error);
	if (!shop->store)
		fail_msg("%s", error.text);
	shop->books = books_open(shop->store, &shop->options, &error);
	if (!shop->books)
		fail_msg("%s", error.text);
}

static void set_options(struct shop *shop)
{
	shop->store_options = books_store_options;
	shop->store_options.directory = shop->directory;
	shop->store_options.shards = 1;
	shop->options = (struct books_options){.clock = &shop->clock.base,
		.hold_ttl_ms = SHOP_TTL_MS,
		.outage_grace_max_ms = 600000,
		.expiry_step = 1000,
		.goods_changed = on_goods,
		.published = on_published,
		.clock_moved = on_clock_moved,
		.context = shop};
}

void shop_open_there(
	struct shop *shop, const struct shop *other, const char *directory, uint32_t shard, uint32_t shards)
{
	memset(shop, 0, sizeof(*shop));
	snprintf(shop->directory, sizeof(shop->directory), "%s", directory);
	shop->clock = other->clock;
	set_options(shop);
	shop->store_options.map_bytes = other->store_options.map_bytes;
	shop->store_options.shard = shard;
	shop->store_options.shards = shards;
	open_books(shop);
}

void shop_leave(struct shop *shop)
{
	books_close(shop->books);
	store_close(shop->store);
	shop->books = NULL;
	shop->store = NULL;
}

void shop_open_sized(struct shop *shop, int64_t map_bytes)
{
	struct error error = {0};

	memset(shop, 0, sizeof(*shop));
	folder_make(shop->parent);
	snprintf(shop->directory, sizeof(shop->directory), "%s/store", shop->parent);
	clock_manual_init(&shop->clock, SHOP_WALL_MS, 5000);
	set_options(shop);
	shop->store_options.map_bytes = map_bytes;
	if (!store_create(&shop->store_options, &error))
		fail_msg("%s", error.text);
	open_books(shop);
	shop->cart = (struct sender){
		.given = true, .cart_shard = 0, .cart_shards = 1, .epoch = 1, .instance = "cart"};
	assert_int_equal(shop_fence(shop, 0, 1, "cart").verdict, VERDICT_YES);
}

void shop_open(struct shop *shop)
{
	shop_open_sized(shop, 256 << 20);
}

void shop_close(struct shop *shop)
{
	if (shop->txn)
		shop_abort(shop);
	books_close(shop->books);
	store_close(shop->store);
	folder_remove(shop->parent);
}

void shop_restart(struct shop *shop, int64_t away_ms)
{
	books_close(shop->books);
	store_close(shop->store);
	clock_manual_advance(&shop->clock, away_ms);
	open_books(shop);
}

void shop_begin(struct shop *shop)
{
	bool changed = false;

	assert_null(shop->txn);
	assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &shop->txn), 0);
	assert_int_equal(
		books_tick(shop->books, shop->txn, books_now_ms(shop->books), &shop->next_tick_ms, &changed),
		0);
}

void shop_commit(struct shop *shop)
{
	assert_int_equal(books_finish(shop->books, shop->txn, shop->books->now_ms), 0);
	assert_int_equal(mdb_txn_commit(shop->txn), 0);
	shop->txn = NULL;
	books_committed(shop->books);
}

void shop_abort(struct shop *shop)
{
	mdb_txn_abort(shop->txn);
	shop->txn = NULL;
	books_rollback(shop->books);
}

void shop_pass(struct shop *shop, int64_t ms)
{
	clock_manual_advance(&shop->clock, ms);
	shop_begin(shop);
	shop_commit(shop);
}

struct id shop_id(uint32_t number)
{
	struct id id = {.bytes = {1, 2, 3, 4, 5, 6, 0x70}};

	store_put_be64(id.bytes + 8, number);
	return id;
}

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){text, (uint8_t)strlen(text)};
}

struct hold_request shop_request(uint32_t id, const char *sku, const char *user, uint32_t quantity)
{
	return (struct hold_request){.id = shop_id(id),
		.sku = bytes_of(sku),
		.user = bytes_of(user),
		.session = bytes_of("sid"),
		.sku_hash = books_sku_hash(sku, strlen(sku)),
		.quantity = quantity,
		.deadline_ns = INT64_MAX};
}

/* Runs one command in the group that is open, or in one of its own. */
#define IN_GROUP(shop, call) \
	do { \
		bool own_ = !(shop)->txn; \
		if (own_) \
			shop_begin(shop); \
		assert_int_equal(call, 0); \
		if (own_) \
			shop_commit(shop); \
	} while (0)

void shop_add(struct shop *shop, const char *sku, int64_t quantity)
{
	struct goods_terms terms = {.quantity = quantity, .price_micros = 99000000, .currency = "USD"};
	struct goods_answer answer;

	IN_GROUP(shop, books_open_goods(shop->books, sku, &terms, &answer));
	assert_int_equal(answer.verdict, VERDICT_YES);
}

struct hold_answer shop_create(struct shop *shop, const struct hold_request *request)
{
	struct hold_answer answer;

	IN_GROUP(shop, books_create_hold(shop->books, &shop->cart, request, &answer));
	return answer;
}

struct hold_answer shop_buy(struct shop *shop, uint32_t id, uint32_t quantity)
{
	struct hold_request request = shop_request(id, "SKU0001", "user", quantity);

	return shop_create(shop, &request);
}

struct hold_answer shop_release(struct shop *shop, uint32_t id)
{
	struct id which = shop_id(id);
	struct hold_answer answer;

	IN_GROUP(shop, books_release_hold(shop->books, &which, &answer));
	return answer;
}

struct hold_answer shop_confirm(struct shop *shop, uint32_t id, const char *payment)
{
	struct id which = shop_id(id);
	struct hold_answer answer;

	IN_GROUP(shop, books_confirm_hold(shop->books, &which, bytes_of(payment), &answer));
	return answer;
}

struct hold_answer shop_resize(struct shop *shop, uint32_t id, uint32_t quantity)
{
	struct id which = shop_id(id);
	struct hold_answer answer;

	IN_GROUP(shop, books_resize_hold(shop->books, &which, quantity, &answer));
	return answer;
}

struct fence_answer shop_fence(struct shop *shop, uint32_t shard, uint64_t epoch, const char *instance)
{
	struct sender sender = {
		.given = true, .cart_shard = shard, .cart_shards = shop->cart.cart_shards, .epoch = epoch};
	struct fence_answer answer;

	if (!sender.cart_shards)
		sender.cart_shards = 1;
	memcpy(sender.instance, instance, strlen(instance));
	IN_GROUP(shop, books_fence(shop->books, &sender, &(struct stored_ledger){0}, &answer));
	return answer;
}

struct order_answer shop_bind(struct shop *shop, uint32_t order, uint32_t first, uint32_t count)
{
	struct bind_request request = {
		.order = shop_id(order), .user = bytes_of("user"), .hold_count = count};
	struct order_answer answer;

	for (uint32_t i = 0; i < count; i++)
		request.holds[i] = shop_id(first + i);
	IN_GROUP(shop, books_bind_order(shop->books, &shop->cart, &request, &answer));
	return answer;
}

struct order_answer shop_confirm_order(struct shop *shop, uint32_t order, const char *payment)
{
	struct id id = shop_id(order);
	struct order_answer answer;

	IN_GROUP(shop, books_confirm_order(shop->books, &id, bytes_of(payment), &answer));
	return answer;
}

struct order_answer shop_release_order(struct shop *shop, uint32_t order)
{
	struct id id = shop_id(order);
	struct order_answer answer;

	IN_GROUP(shop, books_release_order(shop->books, &id, &answer));
	return answer;
}

struct order_answer shop_refund_order(struct shop *shop, uint32_t order)
{
	struct id id = shop_id(order);
	struct order_answer answer;

	IN_GROUP(shop, books_refund_order(shop->books, &id, &answer));
	return answer;
}

enum verdict shop_acknowledge(struct shop *shop, uint64_t position)
{
	const struct stored_ledger stored = {shop->store->lineage, position};
	enum verdict verdict;

	IN_GROUP(shop, books_acknowledge(shop->books, &shop->cart, &stored, &verdict));
	return verdict;
}

struct goods shop_goods(struct shop *shop, const char *sku)
{
	struct goods goods;
	MDB_txn *txn;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(books_read_goods(shop->store, txn, sku, &goods), 0);
	mdb_txn_abort(txn);
	return goods;
}

bool shop_hold(struct shop *shop, uint32_t id, struct hold *ret)
{
	struct id which = shop_id(id);
	MDB_txn *txn;
	int rc;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	rc = books_read_hold(shop->store, txn, &which, ret);
	mdb_txn_abort(txn);
	assert_true(rc == 0 || rc == MDB_NOTFOUND);
	return rc == 0;
}

bool shop_order(struct shop *shop, uint32_t id, struct order *ret)
{
	struct id which = shop_id(id);
	MDB_txn *txn;
	int rc;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	rc = books_read_order(shop->store, txn, &which, ret);
	mdb_txn_abort(txn);
	assert_true(rc == 0 || rc == MDB_NOTFOUND);
	return rc == 0;
}

void shop_expect(
	struct shop *shop, const char *sku, int64_t stock, int64_t available, int64_t held, int64_t sold)
{
	struct goods goods = shop_goods(shop, sku);

	assert_int_equal(goods.stock, stock);
	assert_int_equal(goods.available, available);
	assert_int_equal(goods.held, held);
	assert_int_equal(goods.sold, sold);
}

uint64_t shop_rows(struct shop *shop, enum books_table table)
{
	MDB_stat stat;
	MDB_txn *txn;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(mdb_stat(txn, shop->store->tables[table], &stat), 0);
	mdb_txn_abort(txn);
	return stat.ms_entries;
}

struct heard {
	char *to;
	size_t size;
};

static void hear(void *context, const char *line)
{
	struct heard *heard = context;
	size_t at = strlen(heard->to);

	snprintf(heard->to + at, heard->size - at, "%s\n", line);
}

uint64_t shop_replay(struct shop *shop, char *said, size_t size)
{
	struct heard heard = {said, size};
	struct replay_result result;

	said[0] = '\0';
	assert_int_equal(replay_run(shop->store, hear, &heard, &result), 0);
	assert_int_equal(result.findings == 0, said[0] == '\0');
	return result.findings;
}

void shop_proves(struct shop *shop)
{
	char said[2048];

	if (shop_replay(shop, said, sizeof(said)))
		fail_msg("%s", said);
}
