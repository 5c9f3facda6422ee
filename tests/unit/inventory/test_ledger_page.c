/* What one message of the ledger's stream carries, and that it never tells of more than the books have published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include <errno.h>

#include "inventory/ledger_page.h"
#include "tests/unit/base/faults.h"
#include "tests/unit/inventory/shop.h"

static uint64_t read_page(struct shop *shop, const struct ledger_filter *filter, uint64_t head,
	uint64_t after, size_t *ret_entries)
{
	Inventory__ReadLedgerResponse response = INVENTORY__READ_LEDGER_RESPONSE__INIT;
	struct arena arena;

	arena_init(&arena, 4096, 1 << 20);
	assert_int_equal(
		ledger_page_read(shop->store, &arena, filter, SHOP_TTL_MS, head, &after, &response), 0);
	*ret_entries = response.n_entries;
	arena_release(&arena);
	return after;
}

/* Between a commit and its publication the store has more than the books say. */
static void test_ends_at_the_published_head(void **state)
{
	const struct ledger_filter all = {.by_cart = false};
	struct shop shop;
	uint64_t head;
	size_t entries;

	shop_open(&shop);
	shop_add(&shop, "SKU0001", 10);
	head = atomic_load(&shop.books->head);
	shop_buy(&shop, 1, 1);
	assert_true(atomic_load(&shop.books->head) > head);
	assert_int_equal(read_page(&shop, &all, head, 0, &entries), head);
	assert_int_equal(entries, head);
	assert_int_equal(read_page(&shop, &all, head, head, &entries), head);
	assert_int_equal(entries, 0);
	assert_int_equal(read_page(&shop, &all, head + 1, head, &entries), head + 1);
	assert_int_equal(entries, 1);
	shop_close(&shop);
}

/* Who wants small pages gets them. */
static void test_small_pages(void **state)
{
	const struct ledger_filter one = {.by_cart = false, .entries_max = 1};
	struct shop shop;
	size_t entries;

	shop_open(&shop);
	shop_add(&shop, "SKU0001", 10);
	assert_int_equal(read_page(&shop, &one, atomic_load(&shop.books->head), 0, &entries), 1);
	assert_int_equal(entries, 1);
	shop_close(&shop);
}

/* What concerns others is passed over, and the position moves on all the same. */
static void test_filters_by_cart(void **state)
{
	const struct ledger_filter ours = {.by_cart = true, .cart_shard = 0},
				   others = {.by_cart = true, .cart_shard = 1};
	struct shop shop;
	uint64_t head;
	size_t entries;

	shop_open(&shop); /* an incarnation, a fence of cart 0 */
	shop_add(&shop, "SKU0001", 10);
	shop_buy(&shop, 1, 1);
	head = atomic_load(&shop.books->head);
	assert_int_equal(read_page(&shop, &ours, head, 0, &entries), head);
	assert_int_equal(entries, 3);
	assert_int_equal(read_page(&shop, &others, head, 0, &entries), head);
	assert_int_equal(entries, 1);
	shop_close(&shop);
}

/* A page is bounded by entries and by what is looked at, and the next one goes on where it ended. */
static void test_pages_are_bounded(void **state)
{
	const struct ledger_filter all = {.by_cart = false}, others = {.by_cart = true, .cart_shard = 1};
	struct shop shop;
	uint64_t head, position;
	size_t entries;

	shop_open(&shop);
	shop_add(&shop, "SKU0001", 1000000);
	shop_begin(&shop);
	for (uint32_t i = 0; i < LEDGER_PAGE_SCAN; i++)
		shop_buy(&shop, i, 1);
	shop_commit(&shop);
	head = atomic_load(&shop.books->head);
	assert_int_equal(read_page(&shop, &all, head, 0, &entries), LEDGER_PAGE_ENTRIES);
	assert_int_equal(entries, LEDGER_PAGE_ENTRIES);
	position = read_page(&shop, &others, head, 0, &entries);
	assert_int_equal(position, LEDGER_PAGE_SCAN);
	assert_int_equal(read_page(&shop, &others, head, position, &entries), head);
	shop_close(&shop);
}

/* An entry of a kind that nobody knows. */
static void put_nonsense(struct shop *shop, uint64_t sequence)
{
	uint8_t key[8], row[64] = {99};
	MDB_val k = {sizeof(key), key}, v = {sizeof(row), row};
	MDB_txn *txn;

	store_put_be64(key, sequence);
	assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, shop->store->tables[TABLE_LEDGER], &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static int read_error(struct shop *shop, uint64_t head)
{
	const struct ledger_filter all = {.by_cart = false};
	Inventory__ReadLedgerResponse response = INVENTORY__READ_LEDGER_RESPONSE__INIT;
	uint64_t position = 0;
	struct arena arena;
	int rc;

	arena_init(&arena, 4096, 1 << 20);
	rc = ledger_page_read(shop->store, &arena, &all, SHOP_TTL_MS, head, &position, &response);
	arena_release(&arena);
	return rc;
}

/* An archive concerns every cart. */
static void test_archives_go_to_all(void **state)
{
	const struct ledger_filter other = {.by_cart = true, .cart_shard = 1};
	const struct ledger_entry entry = {.kind = LEDGER_GOODS_ARCHIVED,
		.cart_shard = LEDGER_NO_CART,
		.archived = {.sku = {"SKU0001", 7}, .units = 1}};
	uint8_t key[8], row[LEDGER_RECORD_MAX];
	MDB_val k = {sizeof(key), key}, v = {0, row};
	struct shop shop;
	uint64_t head;
	size_t before, entries;
	MDB_txn *txn;

	shop_open(&shop);
	head = atomic_load(&shop.books->head);
	read_page(&shop, &other, head, 0, &before);
	store_put_be64(key, head + 1);
	v.mv_size = ledger_pack(&entry, row);
	assert_int_equal(mdb_txn_begin(shop.store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, shop.store->tables[TABLE_LEDGER], &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_int_equal(read_page(&shop, &other, head + 1, 0, &entries), head + 1);
	assert_int_equal(entries, before + 1);
	shop_close(&shop);
}

/* The store fails, or the page's memory ends, at any point: an error, never half a page that looks whole. */
static void test_errors_and_damage_are_told(void **state)
{
	const struct ledger_filter all = {.by_cart = false};
	struct shop shop;
	uint64_t head;
	size_t entries;

	shop_open(&shop);
	shop_add(&shop, "SKU0001", 10);
	shop_buy(&shop, 1, 1);
	head = atomic_load(&shop.books->head);
	put_nonsense(&shop, head + 1);
	assert_int_equal(read_page(&shop, &all, head, 0, &entries), head); /* not published: not looked at */
	for (int kind = 0; kind <= FAULT_KINDS; kind++)
		for (int n = 1;; n++) {
			Inventory__ReadLedgerResponse response = INVENTORY__READ_LEDGER_RESPONSE__INIT;
			bool memory = kind == FAULT_KINDS, fired;
			uint64_t position = 0;
			struct arena arena;
			int rc;

			arena_init(&arena, 256, memory ? 256 * (size_t)n : 1 << 20);
			if (!memory)
				faults_arm((enum fault)kind, n);
			rc = ledger_page_read(
				shop.store, &arena, &all, SHOP_TTL_MS, head, &position, &response);
			fired = memory ? rc != 0 : faults_fired();
			arena_release(&arena);
			if (!fired)
				break;
			if (kind == FAULT_ABSENT) { /* the end, as far as one can see */
				assert_int_equal(rc, 0);
				assert_true(position <= head);
				continue;
			}
			if (kind == FAULT_SHORT_VALUE && rc == 0)
				continue; /* of the one beyond the head */
			assert_int_equal(rc, memory		   ? ENOMEM
					     : kind == FAULT_ERROR ? FAULT_CODE
								   : MDB_CORRUPTED);
		}
	assert_int_equal(read_error(&shop, head + 1), MDB_CORRUPTED); /* published, it is damage */
	shop_close(&shop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_at_the_published_head),
		cmocka_unit_test(test_small_pages),
		cmocka_unit_test(test_filters_by_cart),
		cmocka_unit_test(test_pages_are_bounded),
		cmocka_unit_test(test_archives_go_to_all),
		cmocka_unit_test(test_errors_and_damage_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
