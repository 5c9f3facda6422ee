#include "check.h"

#include "cart/records.h"

static void same_hold(const struct hold *a, const struct hold *b)
{
	assert_int_equal(id_compare(&a->id, &b->id), 0);
	assert_int_equal(id_compare(&a->order, &b->order), 0);
	assert_int_equal(a->user.length, b->user.length);
	assert_memory_equal(a->user.text, b->user.text, a->user.length);
	assert_int_equal(a->sku.length, b->sku.length);
	assert_memory_equal(a->sku.text, b->sku.text, a->sku.length);
	assert_int_equal(a->session.length, b->session.length);
	assert_memory_equal(a->session.text, b->session.text, a->session.length);
	assert_int_equal(a->keyed, b->keyed);
	assert_memory_equal(&a->key, &b->key, 16);
	assert_memory_equal(&a->fingerprint, &b->fingerprint, 16);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->quantity, b->quantity);
	assert_int_equal(a->deadline_ms, b->deadline_ms);
	assert_int_equal(a->created_ms, b->created_ms);
	assert_int_equal(a->ended_ms, b->ended_ms);
	assert_int_equal(a->price_micros, b->price_micros);
	assert_int_equal(a->version, b->version);
}

static struct hold full(void)
{
	static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";
	struct hold hold = {.id = {{1, 2, 3}},
		.order = {{4}},
		.user = span_of(long_name),
		.sku = span_of(long_name),
		.session = span_of(long_name),
		.keyed = true,
		.key = {{7}},
		.fingerprint = {{8}},
		.state = LINE_REFUNDED,
		.quantity = 0xfffefdfc,
		.deadline_ms = 1700000000123,
		.created_ms = 1700000000001,
		.ended_ms = 1700000000999,
		.price_micros = 999999999999999,
		.version = 0x0102030405060708};

	return hold;
}

static size_t pack(const struct hold *hold, uint8_t *bytes)
{
	struct lines lines;
	size_t size;

	lines_init(&lines, 1, 10);
	size = record_hold_pack(lines_add(&lines, hold), bytes);
	lines_release(&lines);
	return size;
}

static void test_holds_there_and_back(void **state)
{
	uint8_t bytes[RECORD_HOLD_BYTES_MAX];
	struct hold hold = full(), back;
	size_t size = pack(&hold, bytes);

	assert_true(record_hold_unpack(&hold.id, bytes, size, &back));
	same_hold(&hold, &back);
	hold = (struct hold){.id = {{9}},
		.user = span_of("u"),
		.sku = span_of("S"),
		.state = LINE_HELD,
		.quantity = 1,
		.version = 1};
	size = pack(&hold, bytes);
	assert_in_range(size, 1, 48); /* absent parts take no room */
	assert_true(record_hold_unpack(&hold.id, bytes, size, &back));
	same_hold(&hold, &back);
}

/* A live line is stored without its shard's move: a later move needs no new record. */
static void test_deadline_without_the_move(void **state)
{
	struct hold hold = {.id = {{9}},
			    .user = span_of("u"),
			    .sku = span_of("S"),
			    .state = LINE_HELD,
			    .quantity = 1,
			    .deadline_ms = 5000},
		    back;
	uint8_t bytes[RECORD_HOLD_BYTES_MAX];
	struct lines lines;
	size_t size;

	lines_init(&lines, 1, 10);
	lines.moved_ms[0] = 700;
	size = record_hold_pack(lines_add(&lines, &hold), bytes);
	assert_true(record_hold_unpack(&hold.id, bytes, size, &back));
	assert_int_equal(back.deadline_ms, 4300);
	lines_release(&lines);
}

static void test_broken_records_are_refused(void **state)
{
	uint8_t bytes[RECORD_HOLD_BYTES_MAX + 1] = {0};
	struct hold hold = full(), back;
	size_t size = pack(&hold, bytes);

	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *exact = malloc(cut + 1);

		memcpy(exact, bytes, cut);
		assert_false(record_hold_unpack(&hold.id, exact, cut, &back));
		free(exact);
	}
	assert_false(record_hold_unpack(&hold.id, bytes, size + 1, &back));
	bytes[1] = 6; /* no such state */
	assert_false(record_hold_unpack(&hold.id, bytes, size, &back));
	bytes[1] = LINE_HELD; /* with a time of its end */
	assert_false(record_hold_unpack(&hold.id, bytes, size, &back));
	size = pack(&hold, bytes);
	assert_true(record_hold_unpack(&hold.id, bytes, size, &back));
	bytes[back.user.text - (const char *)bytes] = '\0'; /* names are texts */
	assert_false(record_hold_unpack(&hold.id, bytes, size, &back));
}

static void test_positions_there_and_back(void **state)
{
	const struct position position = {{{3}}, 0x1122334455667788, 42, -7, 99};
	uint8_t bytes[RECORD_POSITION_BYTES];
	struct position back;

	record_position_pack(&position, bytes);
	assert_true(record_position_unpack(bytes, sizeof(bytes), &back));
	assert_int_equal(id_compare(&back.lineage, &position.lineage), 0);
	assert_int_equal(back.sequence, position.sequence);
	assert_int_equal(back.epoch, 42);
	assert_int_equal(back.moved_ms, -7);
	assert_int_equal(back.floor, 99);
	assert_false(record_position_unpack(bytes, sizeof(bytes) - 1, &back));
}

static struct hold small(void)
{
	const struct hold hold = {.id = {{9}},
		.user = span_of("u"),
		.sku = span_of("S"),
		.state = LINE_HELD,
		.quantity = 1,
		.version = 1};

	return hold;
}

/* One byte of a good record is changed to what no record has. */
static void test_impossible_records_are_refused(void **state)
{
	enum { FLAGS, STATE, QUANTITY, USER_LENGTH = 38, SKU_LENGTH = 40, SESSION_LENGTH = 42 };
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {{FLAGS, 0x80}, {STATE, 0}, {STATE, LINE_REFUNDED + 1},
		{STATE, LINE_RELEASED} /* without its end */, {QUANTITY + 3, 0}, {USER_LENGTH, 0},
		{SKU_LENGTH, 0}, {SESSION_LENGTH, LINES_NAME_MAX + 1}};
	uint8_t good[RECORD_HOLD_BYTES_MAX + LINES_NAME_MAX + 2] = {0};
	struct hold hold = small(), back;
	size_t size = pack(&hold, good);

	assert_int_equal(size, SESSION_LENGTH + 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bad[sizeof(good)];
		size_t bad_size = size;

		memcpy(bad, good, sizeof(good));
		assert_true(record_hold_unpack(&hold.id, bad, size, &back));
		bad[cases[i].at] = cases[i].value;
		if (cases[i].at == USER_LENGTH || cases[i].at == SKU_LENGTH) { /* its text is gone too */
			memmove(bad + cases[i].at + 1, bad + cases[i].at + 2, size - cases[i].at - 2);
			bad_size--;
		} else if (cases[i].at == SESSION_LENGTH) { /* and its text is there */
			bad_size += LINES_NAME_MAX + 1;
		}
		assert_false(record_hold_unpack(&hold.id, bad, bad_size, &back));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holds_there_and_back),
		cmocka_unit_test(test_deadline_without_the_move),
		cmocka_unit_test(test_broken_records_are_refused),
		cmocka_unit_test(test_positions_there_and_back),
		cmocka_unit_test(test_impossible_records_are_refused),
	};

	return RUN(tests);
}
