/* What one message of the ledger's stream carries, and that it never tells of more than the books have published. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/ledger_page.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_at_the_published_head),
		cmocka_unit_test(test_filters_by_cart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
