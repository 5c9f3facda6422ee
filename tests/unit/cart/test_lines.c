#include "check.h"

#include "cart/lines.h"

static struct hold held(uint8_t number, const char *user, const char *sku, uint32_t quantity)
{
	struct hold hold = {.id = {{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, [15] = number}},
		.user = span_of(user),
		.sku = span_of(sku),
		.session = span_of("s"),
		.state = LINE_HELD,
		.quantity = quantity,
		.deadline_ms = 1000,
		.version = 1};

	return hold;
}

static struct hold with_key(struct hold hold, const char *key)
{
	hold.keyed = true;
	hold.key = key_scope(hold.user.text, hold.user.length, key, strlen(key));
	hold.fingerprint = key_fingerprint(KEY_ADD, hold.sku.text, hold.sku.length, hold.quantity);
	return hold;
}

static struct hold step(struct hold hold, enum line_state state, uint64_t version)
{
	hold.state = state;
	hold.version = version;
	return hold;
}

static void expect(
	const struct lines *lines, const char *user, const char *sku, uint64_t counted, uint64_t sold)
{
	const struct usage *usage = lines_usage(lines, span_of(user), span_of(sku));

	assert_int_equal(usage ? usage_taken(usage) : 0, counted);
	assert_int_equal(usage ? usage->sold : 0, sold);
}

static void test_units_count_by_person_and_sku(void **state)
{
	struct hold a = held(1, "ann", "A", 2), b = held(2, "ann", "A", 3), c = held(3, "ann", "B", 1);
	struct lines lines;

	lines_init(&lines, 1, 100);
	lines_add(&lines, &a);
	lines_add(&lines, &b);
	lines_add(&lines, &c);
	expect(&lines, "ann", "A", 5, 0);
	expect(&lines, "ann", "B", 1, 0);
	expect(&lines, "an", "A", 0, 0);
	assert_ptr_equal(
		lines_find(&lines, &b.id)->usage->lines, lines_find(&lines, &b.id)); /* newest first */
	lines_release(&lines);
}

static void test_every_step_forward_and_none_back(void **state)
{
	static const bool exists[6][6] = {
		[LINE_HELD] = {[LINE_HELD] = true,
			[LINE_SOLD] = true,
			[LINE_RELEASED] = true,
			[LINE_EXPIRED] = true},
		[LINE_SOLD] = {[LINE_SOLD] = true, [LINE_REFUNDED] = true},
	};
	struct hold first = held(1, "ann", "A", 2);

	for (enum line_state from = LINE_HELD; from <= LINE_REFUNDED; from++)
		for (enum line_state to = LINE_HELD; to <= LINE_REFUNDED; to++) {
			struct hold at = step(first, from, 5), change = step(first, to, 6);
			struct lines lines;
			struct line *line;

			lines_init(&lines, 1, 100);
			line = lines_add(&lines, &at);
			assert_int_equal(lines_change(&lines, line, &change), exists[from][to]);
			assert_int_equal(line->state, exists[from][to] ? to : from);
			expect(&lines, "ann", "A", line->state <= LINE_SOLD ? 2 : 0,
				line->state == LINE_SOLD ? 2 : 0);
			lines_release(&lines);
		}
}

static void test_old_news_change_nothing(void **state)
{
	struct hold a = held(1, "ann", "A", 3), smaller = step(a, LINE_HELD, 3),
		    released = step(a, LINE_RELEASED, 2);
	struct lines lines;
	struct line *line;

	lines_init(&lines, 1, 100);
	line = lines_add(&lines, &a);
	smaller.quantity = 1;
	assert_true(lines_change(&lines, line, &smaller));
	expect(&lines, "ann", "A", 1, 0);
	assert_false(lines_change(&lines, line, &smaller));
	assert_false(lines_change(&lines, line, &released));
	expect(&lines, "ann", "A", 1, 0);
	lines_release(&lines);
}

static void test_an_order_takes_lines_out_of_the_cart(void **state)
{
	struct hold a = held(1, "ann", "A", 3), bound = step(a, LINE_HELD, 2), sold = step(a, LINE_SOLD, 3);
	struct lines lines;
	struct line *line;

	lines_init(&lines, 1, 100);
	line = lines_add(&lines, &a);
	assert_true(line_in_cart(line));
	bound.order = sold.order = (struct id){{9}};
	assert_true(lines_change(&lines, line, &bound));
	assert_false(line_in_cart(line));
	assert_int_equal(line->usage->ordered, 3);
	assert_int_equal(line->usage->held, 0);
	assert_true(lines_change(&lines, line, &sold));
	assert_int_equal(line->usage->ordered, 0);
	expect(&lines, "ann", "A", 3, 3);
	lines_release(&lines);
}

static void test_keys_live_as_long_as_their_line(void **state)
{
	struct hold a = with_key(held(1, "ann", "A", 3), "k"), again = with_key(held(2, "ann", "A", 3), "k");
	struct hold ended = step(a, LINE_EXPIRED, 2);
	struct lines lines;
	struct line *line;

	lines_init(&lines, 1, 100);
	line = lines_add(&lines, &a);
	lines_add(&lines, &again);
	assert_ptr_equal(lines_find_key(&lines, &a.key), line); /* the first keeps it */
	ended.ended_ms = 5000;
	assert_true(lines_change(&lines, line, &ended));
	assert_ptr_equal(lines_find_key(&lines, &a.key), line);
	assert_null(lines_forgettable(&lines, 5000 + LINES_KEY_MS - 1));
	assert_ptr_equal(lines_forgettable(&lines, 5000 + LINES_KEY_MS), line);
	lines_remove(&lines, line);
	assert_null(lines_find_key(&lines, &a.key));
	assert_null(lines_find(&lines, &a.id));
	assert_null(lines_forgettable(&lines, INT64_MAX / 2)); /* a live one never is */
	lines_release(&lines);
}

/* A promise that was made again (cart/reconcile.h): the key leads to what counts, in whatever order they are told. */
static void test_what_has_ended_lets_go_of_its_key(void **state)
{
	struct hold a = with_key(held(1, "ann", "A", 3), "k"), again = with_key(held(2, "ann", "A", 3), "k");
	struct hold third = with_key(held(3, "ann", "A", 3), "k"), ended = step(a, LINE_EXPIRED, 2);
	struct line *first, *second;
	struct lines lines;

	lines_init(&lines, 1, 100);
	first = lines_add(&lines, &a);
	assert_true(lines_change(&lines, first, &ended));
	second = lines_add(&lines, &again);
	assert_ptr_equal(lines_find_key(&lines, &a.key), second);
	third.state = LINE_RELEASED;
	lines_add(&lines, &third);
	assert_ptr_equal(lines_find_key(&lines, &a.key), second);
	lines_remove(&lines, first);
	assert_ptr_equal(lines_find_key(&lines, &a.key), second);
	lines_release(&lines);
}

static void test_ended_lines_are_bounded(void **state)
{
	struct lines lines;

	lines_init(&lines, 1, 3);
	for (uint8_t i = 1; i <= 4; i++) {
		struct hold hold = step(held(i, "ann", "A", 1), LINE_RELEASED, 2);

		hold.ended_ms = 1000 + i;
		assert_null(lines_forgettable(&lines, 1000));
		lines_add(&lines, &hold);
	}
	assert_int_equal(lines_forgettable(&lines, 1000)->id.bytes[15], 1);
	lines_release(&lines);
}

static void test_deadlines_of_a_shard_move_at_once(void **state)
{
	struct hold a = held(1, "ann", "A", 1), sold = step(a, LINE_SOLD, 2), b = held(2, "ann", "A", 1);
	struct lines lines;
	struct line *line, *later;

	lines_init(&lines, 1, 100);
	line = lines_add(&lines, &a);
	lines.moved_ms[0] += 500;
	assert_int_equal(lines_deadline_ms(&lines, line), 1500);
	later = lines_add(&lines, &b);
	assert_int_equal(lines_deadline_ms(&lines, later), 1000);
	assert_int_equal(lines_overdue(&lines, line->usage, 1000), 1);
	sold.deadline_ms = 1500;
	assert_true(lines_change(&lines, line, &sold));
	lines.moved_ms[0] += 500;
	assert_int_equal(lines_deadline_ms(&lines, line), 1500); /* a sold one stands still */
	assert_int_equal(lines_deadline_ms(&lines, later), 1500);
	lines_release(&lines);
}

/* Chains of one hash: ids that end alike, keys that begin alike, names that XXH3 can't tell apart. */
static void test_equal_hashes_are_not_equal_things(void **state)
{
	char names[2][2][33];
	struct hold holds[2];
	struct lines lines;

	lines_init(&lines, 1, 100);
	for (uint8_t i = 0; i < 2; i++) {
		colliding_name(names[i][0], (char)('a' + i));
		colliding_name(names[i][1], (char)('c' + i));
		assert_int_equal(hash64(names[0][0], 32), hash64(names[i][0], 32));
		holds[i] = held(7, names[i][0], names[i][1], 1u + i);
		holds[i].id.bytes[0] = i;
		holds[i].keyed = true;
		holds[i].key = (struct hash128){{[15] = i}};
		lines_add(&lines, &holds[i]);
	}
	assert_int_equal(lines.persons.count, 2);
	assert_int_equal(lines.goods.count, 2);
	for (uint8_t i = 0; i < 2; i++) {
		assert_int_equal(lines_find(&lines, &holds[i].id)->quantity, 1 + i);
		assert_int_equal(lines_find_key(&lines, &holds[i].key)->quantity, 1 + i);
		expect(&lines, names[i][0], names[i][1], 1u + i, 0);
		expect(&lines, names[i][0], names[!i][1], 0, 0);
	}
	lines_release(&lines);
}

/* Only the cache hears of it: for who is there and who is not. */
static void test_expecting_changes_nothing(void **state)
{
	struct hold a = with_key(held(1, "ann", "A", 2), "k");
	struct lines lines;

	lines_init(&lines, 1, 100);
	for (int there = 0; there < 2; there++) {
		for (int keyed = 0; keyed < 2; keyed++) {
			lines_expect(&lines, span_of("ann"), keyed ? &a.key : NULL);
			lines_expect_nodes(&lines, span_of("ann"), keyed ? &a.key : NULL);
		}
		assert_int_equal(lines.persons.count, there);
		if (!there)
			lines_add(&lines, &a);
	}
	expect(&lines, "ann", "A", 2, 0);
	lines_release(&lines);
}

static void test_what_is_claimed_stays_so_until_it_is_bound_or_ends(void **state)
{
	struct hold a = held(1, "ann", "A", 3), smaller = step(a, LINE_HELD, 2),
		    bound = step(a, LINE_HELD, 3), free_again = step(a, LINE_HELD, 4);
	struct lines lines;
	struct line *line;

	lines_init(&lines, 1, 100);
	line = lines_add(&lines, &a);
	line->claimed = true;
	smaller.quantity = 2;
	assert_true(lines_change(&lines, line, &smaller));
	assert_true(line->claimed);
	assert_false(line_in_cart(line));
	bound.order = (struct id){{9}};
	assert_true(lines_change(&lines, line, &bound));
	assert_false(line->claimed);
	assert_true(lines_change(&lines, line, &free_again));
	assert_true(line_in_cart(line));
	lines_release(&lines);
}

/* An answer knows the hold as it is now, its first entry in the ledger as it was made. */
static void test_the_ledger_fills_in_what_an_answer_did_not_say(void **state)
{
	struct hold answered = held(1, "ann", "A", 3), told = answered;
	struct lines lines;
	struct line *line;

	lines_init(&lines, 1, 100);
	told.created_ms = 77;
	told.price_micros = 5;
	told.deadline_ms = 4000;
	for (uint64_t version = 1; version <= 2; version++) {
		answered.version = version;
		line = lines_add(&lines, &answered);
		line->unseen = true;
		lines_see(&lines, line, &told);
		assert_false(line->unseen);
		assert_int_equal(line->created_ms, 77);
		assert_int_equal(line->price_micros, 5);
		assert_int_equal(line->deadline_ms, version == 1 ? 4000 : 1000);
		lines_remove(&lines, line);
	}
	lines_release(&lines);
}

/* Who has ten thousand lines does not make every add look at them all. */
static void test_the_search_for_overdue_lines_is_bounded(void **state)
{
	struct lines lines;
	uint64_t overdue;

	lines_init(&lines, 1, 100);
	for (uint32_t i = 0; i < 10000; i++) {
		struct hold hold = held(1, "ann", "A", 1);

		memcpy(hold.id.bytes, &i, sizeof(i));
		lines_add(&lines, &hold);
	}
	overdue = lines_overdue(&lines, lines_usage(&lines, span_of("ann"), span_of("A")), INT64_MAX);
	assert_in_range(overdue, 1000, 9999);
	lines_release(&lines);
}

static void test_nothing_is_left_of_those_who_have_nothing(void **state)
{
	struct lines lines;

	lines_init(&lines, 4, 100);
	for (int i = 0; i < 1000; i++) {
		char user[16], sku[16];
		struct usage *usage;

		snprintf(user, sizeof(user), "u%d", i);
		snprintf(sku, sizeof(sku), "s%d", i % 7);
		usage = lines_use(&lines, span_of(user), span_of(sku));
		assert_int_equal(usage->goods->shard, hash_shard(sku, 4));
		lines_unuse(&lines, usage);
	}
	assert_int_equal(lines.persons.count, 0);
	assert_int_equal(lines.goods.count, 0);
	lines_release(&lines);
}

/* Ids in the order of their making find their slots side by side; whatever their time and noise. */
static void test_ids_lie_in_order(void **state)
{
	struct clock_manual clock;
	struct id_generator ids;
	struct id before, after;

	clock_manual_init(&clock, 1767225600000, 0);
	id_generator_init(&ids, &clock.base);
	for (int ms = 0; ms < 50; ms++, clock_manual_advance(&clock, 1)) {
		int jumps = 0; /* a counter that began near its end goes on in the next millisecond */

		before = id_next(&ids);
		for (int i = 0; i < 1000; i++, before = after) {
			after = id_next(&ids);
			jumps += (uint32_t)(lines_id_hash(&after) - lines_id_hash(&before)) != 1;
		}
		assert_in_range(jumps, 0, 1);
	}
}

static size_t archived;

static void on_archived(void *context, const struct line *line)
{
	assert_ptr_equal(context, &archived);
	assert_true(line->state != LINE_RELEASED && line->state != LINE_EXPIRED);
	archived++;
}

static size_t archive_lines(struct lines *lines, const char *sku, size_t slots)
{
	size_t before = archived;
	struct map_walk walk = {0};

	while (lines_archive(lines, span_of(sku), &walk, slots, on_archived, &archived))
		continue;
	return archived - before;
}

/* What was sold of the goods goes, and what the ledger has told as held, whose end was dropped before it was read. What has ended, what only an answer told
 * (it is of the next sale), and all of others stays. */
static void test_an_archived_sale_is_forgotten(void **state)
{
	struct lines lines;
	char user[16];

	lines_init(&lines, 1, 1000);
	archived = 0;
	for (uint8_t i = 0; i < 200; i++) {
		struct hold hold = held(i, user, i % 4 ? "A" : "B", 1);

		snprintf(user, sizeof(user), "user-%u", i % 7);
		hold.user = span_of(user);
		hold.state = i % 5 == 1	   ? LINE_HELD
			     : i % 5 == 2  ? LINE_REFUNDED
			     : i % 10 == 3 ? LINE_RELEASED
			     : i % 10 == 8 ? LINE_EXPIRED
					   : LINE_SOLD;
		lines_add(&lines, &hold)->unseen = i == 5 || i == 6;
	}
	assert_int_equal(archive_lines(&lines, "C", SIZE_MAX), 0);
	assert_int_equal(archive_lines(&lines, "A", SIZE_MAX), 118);
	assert_int_equal(archived, 118);
	assert_int_equal(lines.by_id.count, 82);
	for (uint8_t i = 0; i < 200; i++) {
		struct hold hold = held(i, "x", "x", 1);
		bool over = i % 5 != 3 && i != 5 && i != 6;

		assert_int_equal(lines_find(&lines, &hold.id) == NULL, i % 4 && over);
	}
	assert_int_equal(archive_lines(&lines, "A", SIZE_MAX), 0);
	lines_release(&lines);
}

/* In steps: each looks at few; what is bought meanwhile, and makes the map grow, is the next sale's. */
static void test_an_archived_sale_is_forgotten_step_by_step(void **state)
{
	struct map_walk walk = {0};
	struct lines lines;
	struct hold hold;
	uint8_t i = 0;

	lines_init(&lines, 1, 1000);
	archived = 0;
	for (; i < 60; i++) {
		hold = held(i, "u", i % 2 ? "A" : "B", 1);
		hold.state = LINE_SOLD;
		lines_add(&lines, &hold);
	}
	for (int steps = 0; lines_archive(&lines, span_of("A"), &walk, 1, on_archived, &archived); steps++) {
		assert_true(archived <= (size_t)steps + 30);
		assert_true(steps < 4096);
		for (int more = 0; more < 5 && i < 250; more++) {
			hold = held(i++, "u", "A", 1);
			lines_add(&lines, &hold)->unseen = true;
		}
	}
	assert_int_equal(i, 250);
	assert_int_equal(archived, 30);
	assert_int_equal(lines.by_id.count, 30 + 190);
	assert_int_equal(lines_usage(&lines, span_of("u"), span_of("A"))->held, 190);
	lines_release(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units_count_by_person_and_sku),
		cmocka_unit_test(test_an_archived_sale_is_forgotten),
		cmocka_unit_test(test_an_archived_sale_is_forgotten_step_by_step),
		cmocka_unit_test(test_every_step_forward_and_none_back),
		cmocka_unit_test(test_old_news_change_nothing),
		cmocka_unit_test(test_an_order_takes_lines_out_of_the_cart),
		cmocka_unit_test(test_keys_live_as_long_as_their_line),
		cmocka_unit_test(test_what_has_ended_lets_go_of_its_key),
		cmocka_unit_test(test_ended_lines_are_bounded),
		cmocka_unit_test(test_deadlines_of_a_shard_move_at_once),
		cmocka_unit_test(test_equal_hashes_are_not_equal_things),
		cmocka_unit_test(test_expecting_changes_nothing),
		cmocka_unit_test(test_what_is_claimed_stays_so_until_it_is_bound_or_ends),
		cmocka_unit_test(test_the_ledger_fills_in_what_an_answer_did_not_say),
		cmocka_unit_test(test_the_search_for_overdue_lines_is_bounded),
		cmocka_unit_test(test_nothing_is_left_of_those_who_have_nothing),
		cmocka_unit_test(test_ids_lie_in_order),
	};

	return RUN(tests);
}
