/* Each call of LMDB that a group makes fails once, or finds damage: the group ends with an error, what is in memory is as it was before, and the next
 * group succeeds. What a damaged row says is never taken for a fact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/books_rows.h"
#include "tests/unit/base/faults.h"
#include "tests/unit/inventory/shop.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct bytes text(const char *from)
{
	return (struct bytes){from, (uint8_t)strlen(from)};
}

/* ---- commands ---- */

static enum verdict verdict;

static int done(int rc, enum verdict said)
{
	verdict = said;
	return rc;
}

static int add_goods(struct shop *shop)
{
	const struct goods_terms terms = {.quantity = 5, .price_micros = 1, .currency = "USD"};
	struct goods_answer answer = {0};
	int rc = books_open_goods(shop->books, "SKU0002", &terms, &answer);

	return done(rc, answer.verdict);
}

static int update_goods(struct shop *shop)
{
	const struct goods_update update = {.has_quantity = true, .quantity = 77};
	struct goods_answer answer = {0};
	int rc = books_update_goods(shop->books, "SKU0002", &update, &answer);

	return done(rc, answer.verdict);
}

static int adjust_goods(struct shop *shop)
{
	const struct id request = {{9}};
	struct goods_answer answer = {0};
	int rc = books_adjust_goods(shop->books, "SKU0002", 3, &request, &answer);

	return done(rc, answer.verdict);
}

static int close_goods(struct shop *shop)
{
	struct goods_answer answer = {0};
	int rc = books_close_goods(shop->books, "SKU0002", &answer);

	return done(rc, answer.verdict);
}

static int fence(struct shop *shop)
{
	struct sender sender = shop->cart;
	struct fence_answer answer = {0};
	int rc;

	sender.epoch = 2;
	rc = books_fence(shop->books, &sender, &(struct stored_ledger){0}, &answer);
	return done(rc, answer.verdict);
}

static int acknowledge(struct shop *shop)
{
	const struct stored_ledger stored = {shop->store->lineage, 3};
	struct sender sender = shop->cart;
	enum verdict said = VERDICT_COUNT;
	int rc;

	sender.epoch = 2;
	rc = books_acknowledge(shop->books, &sender, &stored, &said);
	return done(rc, said);
}

static int create(struct shop *shop)
{
	const struct hold_request request = shop_request(100, "SKU0001", "user", 3);
	struct hold_answer answer = {0};
	int rc = books_create_hold(shop->books, &shop->cart, &request, &answer);

	return done(rc, answer.verdict);
}

static int resize(struct shop *shop)
{
	const struct id id = shop_id(1);
	struct hold_answer answer = {0};
	int rc = books_resize_hold(shop->books, &id, 1, &answer);

	return done(rc, answer.verdict);
}

static int release(struct shop *shop)
{
	const struct id id = shop_id(1);
	struct hold_answer answer = {0};
	int rc = books_release_hold(shop->books, &id, &answer);

	return done(rc, answer.verdict);
}

static int confirm(struct shop *shop)
{
	const struct id id = shop_id(2);
	struct hold_answer answer = {0};
	int rc = books_confirm_hold(shop->books, &id, text("pay"), &answer);

	return done(rc, answer.verdict);
}

static int bind_holds(struct shop *shop, uint32_t order, uint32_t first)
{
	struct bind_request request = {.order = shop_id(order), .user = text("user"), .hold_count = 2};
	struct order_answer answer = {0};
	int rc;

	request.holds[0] = shop_id(first);
	request.holds[1] = shop_id(first + 1);
	rc = books_bind_order(shop->books, &shop->cart, &request, &answer);
	return done(rc, answer.verdict);
}

static int bind_one(struct shop *shop)
{
	return bind_holds(shop, 500, 10);
}

static int bind_other(struct shop *shop)
{
	return bind_holds(shop, 501, 20);
}

static int bind_third(struct shop *shop)
{
	return bind_holds(shop, 502, 30);
}

static int confirm_order(struct shop *shop)
{
	const struct id id = shop_id(500);
	struct order_answer answer = {0};
	int rc = books_confirm_order(shop->books, &id, text("pay"), &answer);

	return done(rc, answer.verdict);
}

static int refund_order(struct shop *shop)
{
	const struct id id = shop_id(500);
	struct order_answer answer = {0};
	int rc = books_refund_order(shop->books, &id, &answer);

	return done(rc, answer.verdict);
}

static int release_order(struct shop *shop)
{
	const struct id id = shop_id(501);
	struct order_answer answer = {0};
	int rc = books_release_order(shop->books, &id, &answer);

	return done(rc, answer.verdict);
}

static int pass(struct shop *shop)
{
	return done(0, VERDICT_YES); /* only the tick */
}

/* In this order: each finds what those before have left. */
static const struct {
	int (*run)(struct shop *shop);
	enum verdict first, again;
} commands[] = {
	{add_goods, VERDICT_YES, VERDICT_ALREADY_OPEN},
	{update_goods, VERDICT_YES, VERDICT_YES},
	{adjust_goods, VERDICT_YES, VERDICT_REPEATED},
	{close_goods, VERDICT_YES, VERDICT_UNKNOWN_SKU},
	{create, VERDICT_YES, VERDICT_REPEATED},
	{resize, VERDICT_YES, VERDICT_REPEATED},
	{release, VERDICT_YES, VERDICT_REPEATED},
	{confirm, VERDICT_YES, VERDICT_REPEATED},
	{bind_one, VERDICT_YES, VERDICT_REPEATED},
	{bind_other, VERDICT_YES, VERDICT_REPEATED},
	{bind_third, VERDICT_YES, VERDICT_REPEATED},
	{confirm_order, VERDICT_YES, VERDICT_REPEATED},
	{refund_order, VERDICT_YES, VERDICT_REPEATED},
	{release_order, VERDICT_YES, VERDICT_REPEATED},
	{fence, VERDICT_YES, VERDICT_REPEATED},
	{acknowledge, VERDICT_YES, VERDICT_REPEATED},
};

/* ---- groups ---- */

static int group(struct shop *shop, int (*run)(struct shop *shop))
{
	struct books *books = shop->books;
	int64_t now_ms = books_now_ms(books);
	bool changed = false;
	int rc;

	books->room_checked_ms = now_ms; /* the look at the room has a test of its own */
	books->room_groups = 0;
	rc = books_tick(books, shop->txn, now_ms, &shop->next_tick_ms, &changed);
	if (!rc)
		rc = run(shop);
	return rc ? rc : books_finish(books, shop->txn, now_ms);
}

struct memory {
	uint32_t rows, cart_shards;
	uint64_t sequence;
	struct goods goods[4];
	struct fence fence;
};

static void remember(const struct books *books, struct memory *memory)
{
	memset(memory, 0, sizeof(*memory));
	memory->rows = books->row_count;
	memory->cart_shards = books->cart_shards;
	memory->sequence = books->sequence;
	for (uint32_t i = 0; i < books->row_count; i++)
		memory->goods[i] = books->rows[i]->now;
	memory->fence = books->carts->now;
}

/* Every call of this group in turn; nothing is committed. Returns how many there are. */
static int each_call_fails(struct shop *shop, int (*run)(struct shop *shop), enum fault kind)
{
	struct memory before, after;

	remember(shop->books, &before);
	for (int n = 1;; n++) {
		bool fired;
		int rc;

		assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &shop->txn), 0);
		faults_arm(kind, n);
		rc = group(shop, run);
		fired = faults_fired();
		shop_abort(shop);
		remember(shop->books, &after);
		assert_memory_equal(&before, &after, sizeof(before));
		if (!fired) {
			assert_int_equal(rc, 0);
			return n - 1;
		}
		if (kind == FAULT_ERROR)
			assert_int_equal(rc, FAULT_CODE);
		else
			assert_true(rc == 0 || rc == MDB_CORRUPTED || rc == MDB_NOTFOUND);
	}
}

static void open_with_holds(struct shop *shop)
{
	shop_open(shop);
	shop_add(shop, "SKU0001", 1000);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(shop_buy(shop, i, 2).verdict, VERDICT_YES);
}

/* Also what every command says when it comes again, in the same life and in the next: nothing of the books moves. */
static void every_command_fails_as_a_whole_and_counts_once(void **state)
{
	struct shop shop;
	struct memory first, again;

	open_with_holds(&shop);
	for (size_t i = 0; i < COUNT(commands); i++)
		for (int life = 0; life < 3; life++) {
			for (enum fault kind = 0; kind < FAULT_KINDS; kind++)
				each_call_fails(&shop, commands[i].run, kind);
			assert_int_equal(mdb_txn_begin(shop.store->env, NULL, 0, &shop.txn), 0);
			assert_int_equal(group(&shop, commands[i].run), 0);
			shop_commit(&shop);
			assert_int_equal(verdict, life ? commands[i].again : commands[i].first);
			remember(shop.books, life ? &again : &first);
			if (life && commands[i].again != VERDICT_YES)
				assert_memory_equal(first.goods, again.goods, sizeof(first.goods));
			if (life == 1)
				shop_restart(&shop, 0);
		}
	shop_proves(&shop);
	shop_close(&shop);
}

/* Holds and orders that are due: swept, or ended by who touches them first. */
static void expiry_fails_as_a_whole(void **state)
{
	static int (*const late[])(struct shop * shop) = {
		pass, confirm, confirm_order, release_order, resize, create};
	struct shop shop;

	open_with_holds(&shop);
	shop_begin(&shop);
	assert_int_equal(bind_one(&shop), 0);
	assert_int_equal(bind_other(&shop), 0);
	shop_commit(&shop);
	clock_manual_advance(&shop.clock, 2 * SHOP_TTL_MS);
	for (uint32_t step = 1; step <= 1000; step += 999) {
		shop.books->options.expiry_step = step;
		for (size_t i = 0; i < COUNT(late); i++)
			for (enum fault kind = 0; kind < FAULT_KINDS; kind++)
				assert_true(each_call_fails(&shop, late[i], kind) > 0);
	}
	shop_pass(&shop, 1000);
	shop_expect(&shop, "SKU0001", 1000, 1000, 0, 0);
	shop_proves(&shop);
	shop_close(&shop);
}

static void opening_fails_with_words_and_without_an_incarnation(void **state)
{
	struct shop shop;
	uint64_t head;

	open_with_holds(&shop);
	head = shop.books->sequence;
	books_close(shop.books);
	for (enum fault kind = 0; kind < FAULT_KINDS; kind++)
		for (int n = 1;; n++) {
			struct error error = {0};
			bool fired;

			faults_arm(kind, n);
			shop.books = books_open(shop.store, &shop.options, &error);
			fired = faults_fired();
			if (shop.books)
				head = shop.books->sequence;
			else
				assert_non_null(strstr(error.text, "opening the books"));
			books_close(shop.books);
			if (!fired)
				break;
			/* A shorter SKU is a SKU too, and of the last ledger entry only the place is looked at. */
			assert_true(kind != FAULT_ERROR || shop.books == NULL);
		}
	shop.books = books_open(shop.store, &shop.options, &(struct error){0});
	assert_non_null(shop.books);
	assert_int_equal(shop.books->sequence, head + 1);
	books_close(NULL);
	shop_close(&shop);
}

/* Without an answer to how much room there is, what was known stands, or there is none. */
static void a_look_at_the_room_that_fails_ends_no_group(void **state)
{
	struct shop shop;

	open_with_holds(&shop);
	for (int n = 1;; n++) {
		bool changed, fired;
		int rc;

		assert_int_equal(mdb_txn_begin(shop.store->env, NULL, 0, &shop.txn), 0);
		shop.books->room_checked_ms = INT64_MIN;
		faults_arm(FAULT_ERROR, n);
		rc = books_tick(shop.books, shop.txn, books_now_ms(shop.books), &shop.next_tick_ms, &changed);
		fired = faults_fired();
		shop_abort(&shop);
		if (!fired)
			break;
		assert_true(rc == 0 || rc == FAULT_CODE);
	}
	assert_false(shop.books->full);
	shop_close(&shop);
}

static void reads_tell_errors_and_damage(void **state)
{
	const struct id hold = shop_id(10), order = shop_id(500);
	struct ledger_entry entry;
	struct order order_row;
	struct goods goods;
	struct hold hold_row;
	struct shop shop;

	open_with_holds(&shop);
	shop_begin(&shop);
	assert_int_equal(bind_one(&shop), 0);
	shop_commit(&shop);
	for (enum fault kind = 0; kind < FAULT_SHORT_KEY; kind++)
		for (int which = 0; which < 4; which++) {
			MDB_txn *txn;
			int rc;

			assert_int_equal(store_read_begin(shop.store, &txn), 0);
			faults_arm(kind, 1);
			rc = which == 0	  ? books_read_goods(shop.store, txn, "SKU0001", &goods)
			     : which == 1 ? books_read_hold(shop.store, txn, &hold, &hold_row)
			     : which == 2 ? books_read_order(shop.store, txn, &order, &order_row)
					  : books_read_ledger(shop.store, txn, 2, &entry);
			assert_true(faults_fired());
			assert_int_equal(rc, kind == FAULT_ERROR    ? FAULT_CODE
					     : kind == FAULT_ABSENT ? MDB_NOTFOUND
								    : MDB_CORRUPTED);
			mdb_txn_abort(txn);
		}
	shop_close(&shop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_fails_as_a_whole_and_counts_once),
		cmocka_unit_test(expiry_fails_as_a_whole),
		cmocka_unit_test(opening_fails_with_words_and_without_an_incarnation),
		cmocka_unit_test(a_look_at_the_room_that_fails_ends_no_group),
		cmocka_unit_test(reads_tell_errors_and_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
