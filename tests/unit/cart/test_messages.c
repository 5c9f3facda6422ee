#include "check.h"

#include "cart/messages.h"

static Common__Limit limit;

static Cart__NewItem good(void)
{
	Cart__NewItem item = CART__NEW_ITEM__INIT;

	common__limit__init(&limit);
	limit.kind_case = COMMON__LIMIT__KIND_UNITS;
	limit.units = 3;
	item.user_id = (char *)(uintptr_t) "ann";
	item.sku = (char *)(uintptr_t) "SKU-1._z";
	item.quantity = 1;
	item.limit = &limit;
	return item;
}

#define LONG_64 "0123456789012345678901234567890123456789012345678901234567890123"
#define TEXT(text) ((char *)(uintptr_t)(text))

static void test_what_is_wrong_is_named(void **state)
{
	Cart__NewItem item = good();

	assert_null(complain_item(&item).field);
	item.user_id = item.sku = item.session_id = TEXT(LONG_64);
	item.idempotency_key = TEXT(LONG_64 LONG_64);
	item.quantity = ITEM_UNITS_MAX;
	assert_null(complain_item(&item).field);
	item.user_id = TEXT("");
	assert_string_equal(complain_item(&item).field, "user_id");
	item.user_id = TEXT(LONG_64 "x");
	assert_string_equal(complain_item(&item).field, "user_id");
	item = good();
	item.session_id = TEXT(LONG_64 "x");
	assert_string_equal(complain_item(&item).field, "session_id");
	item = good();
	item.sku = TEXT("");
	assert_string_equal(complain_item(&item).field, "sku");
	item.sku = TEXT("a b");
	assert_string_equal(complain_item(&item).field, "sku");
	item = good();
	item.quantity = 0;
	assert_string_equal(complain_item(&item).field, "quantity");
	assert_null(complain_update(&item).field);
	item.quantity = ITEM_UNITS_MAX + 1;
	assert_string_equal(complain_item(&item).field, "quantity");
	assert_string_equal(complain_update(&item).field, "quantity");
	item = good();
	item.idempotency_key = TEXT(LONG_64 LONG_64 "x");
	assert_string_equal(complain_item(&item).field, "idempotency_key");
}

/* Absent is never "unlimited". */
static void test_a_limit_must_be_there(void **state)
{
	Cart__NewItem item = good();
	Common__Unlimited unlimited = COMMON__UNLIMITED__INIT;

	item.limit = NULL;
	assert_string_equal(complain_item(&item).field, "limit");
	item.limit = &limit;
	limit.kind_case = COMMON__LIMIT__KIND__NOT_SET;
	assert_string_equal(complain_item(&item).field, "limit");
	limit.kind_case = COMMON__LIMIT__KIND_UNITS;
	limit.units = 0;
	assert_string_equal(complain_item(&item).field, "limit.units");
	limit.units = 7;
	assert_int_equal(item_limit(&item).units, 7);
	assert_false(item_limit(&item).unlimited);
	limit.kind_case = COMMON__LIMIT__KIND_UNLIMITED;
	limit.unlimited = &unlimited;
	assert_null(complain_item(&item).field);
	assert_true(item_limit(&item).unlimited);
}

static void test_lookups_need_their_key(void **state)
{
	Cart__KeyLookup item = CART__KEY_LOOKUP__INIT;

	item.user_id = TEXT("ann");
	item.sku = TEXT("A");
	item.quantity = 1;
	assert_string_equal(complain_lookup(&item).field, "idempotency_key");
	item.idempotency_key = TEXT("k");
	assert_null(complain_lookup(&item).field);
	item.quantity = 0;
	assert_string_equal(complain_lookup(&item).field, "quantity");
}

static void put(struct lines *lines, uint8_t number, const char *sku, const char *session, uint32_t quantity)
{
	const struct hold hold = {.id = {{[15] = number}},
		.user = span_of("ann"),
		.session = span_of(session),
		.sku = span_of(sku),
		.state = LINE_HELD,
		.quantity = quantity,
		.deadline_ms = 1000 * number,
		.price_micros = number,
		.version = 1};

	lines_add(lines, &hold);
}

static int up(void **state)
{
	static struct lines lines;
	struct hold other = {.id = {{[15] = 99}},
		.user = span_of("ann"),
		.sku = span_of("A"),
		.quantity = 50,
		.version = 1};

	lines_init(&lines, 1, 10);
	put(&lines, 1, "B", "s1", 1);
	put(&lines, 2, "A", "s2", 2);
	put(&lines, 3, "A", "s1", 4);
	put(&lines, 4, "A", "s2", 8);
	put(&lines, 5, "A", "", 16);
	other.state = LINE_SOLD; /* not in the cart any more */
	lines_add(&lines, &other);
	other.id.bytes[15] = 98;
	other.state = LINE_HELD;
	other.order.bytes[0] = 1; /* in an order */
	lines_add(&lines, &other);
	*state = &lines;
	return 0;
}

static int down(void **state)
{
	lines_release(*state);
	return 0;
}

static void expect(
	const Cart__CartLine *line, const char *sku, const char *session, uint64_t quantity, size_t holds)
{
	assert_string_equal(line->user_id, "ann");
	assert_string_equal(line->sku, sku);
	assert_string_equal(line->session_id, session);
	assert_int_equal(line->quantity, quantity);
	assert_int_equal(line->n_hold_ids, holds);
}

static void test_lines_by_sku_and_session(void **state)
{
	struct line_query query = {.user = span_of("ann")};
	Cart__CartLine **lines;
	struct arena arena;
	size_t count;

	arena_init(&arena, 4096, 65536);
	assert_true(message_lines(&arena, *state, &query, &count, &lines));
	assert_int_equal(count, 4);
	expect(lines[0], "A", "", 16, 1);
	expect(lines[1], "A", "s1", 4, 1);
	expect(lines[2], "A", "s2", 10, 2);
	expect(lines[3], "B", "s1", 1, 1);
	assert_int_equal(lines[2]->price_micros, 4);	  /* the newest hold's */
	assert_int_equal(lines[2]->deadline->seconds, 2); /* the earliest */
	assert_string_equal(lines[2]->hold_ids[0], "00000000-0000-0000-0000-000000000004");
	query.sku = span_of("A");
	query.session = span_of("s2");
	assert_true(message_lines(&arena, *state, &query, &count, &lines));
	assert_int_equal(count, 1);
	expect(lines[0], "A", "s2", 10, 2);
	query.session = (struct span){0};
	query.together = true;
	assert_true(message_lines(&arena, *state, &query, &count, &lines));
	assert_int_equal(count, 1);
	expect(lines[0], "A", "", 30, 4);
	query.user = span_of("bob");
	assert_true(message_lines(&arena, *state, &query, &count, &lines));
	assert_int_equal(count, 0);
	arena_release(&arena);
}

static void test_too_little_room(void **state)
{
	const struct line_query query = {.user = span_of("ann")};
	Cart__CartLine **lines;
	struct arena arena;
	size_t count;

	for (size_t bytes = 64; bytes < 1024; bytes += 16) {
		arena_init(&arena, bytes, bytes);
		assert_false(message_lines(&arena, *state, &query, &count, &lines));
		arena_release(&arena);
	}
}

static void test_holds_newest_first(void **state)
{
	const struct line_query query = {
		.user = span_of("ann"), .sku = span_of("A"), .session = span_of("s2")};
	struct line *holds[4];

	assert_int_equal(message_holds(*state, &query, NULL, 0), 2);
	assert_int_equal(message_holds(*state, &query, holds, 4), 2);
	assert_int_equal(holds[0]->quantity, 8);
	assert_int_equal(holds[1]->quantity, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_wrong_is_named),
		cmocka_unit_test(test_a_limit_must_be_there),
		cmocka_unit_test(test_lookups_need_their_key),
		cmocka_unit_test_setup_teardown(test_lines_by_sku_and_session, up, down),
		cmocka_unit_test_setup_teardown(test_too_little_room, up, down),
		cmocka_unit_test_setup_teardown(test_holds_newest_first, up, down),
	};

	return RUN(tests);
}
