#include "check.h"

#include "cart/entries.h"
#include "rpc/timestamp.h"

static uint8_t hash[16] = {1, 2, 3}, print[16] = {4, 5, 6};

struct message {
	Inventory__LedgerEntry entry;
	Inventory__HoldCreated created;
	Inventory__HoldChanged changed;
	Inventory__CartFenced fenced;
	Inventory__Incarnation incarnation;
	Inventory__GoodsArchived archived;
	Inventory__Hold hold;
	Google__Protobuf__Timestamp time, deadline;
	Google__Protobuf__Duration moved;
};

static void message_init(struct message *m)
{
	inventory__ledger_entry__init(&m->entry);
	inventory__hold_created__init(&m->created);
	inventory__hold_changed__init(&m->changed);
	inventory__cart_fenced__init(&m->fenced);
	inventory__incarnation__init(&m->incarnation);
	inventory__hold__init(&m->hold);
	google__protobuf__duration__init(&m->moved);
	timestamp_set(&m->time, 1000);
	timestamp_set(&m->deadline, 2500);
	m->entry.sequence = 9;
	m->entry.time = &m->time;
}

static void created(struct message *m)
{
	message_init(m);
	m->hold.hold_id = (char *)(uintptr_t) "01a20593-71ec-75c6-8bc8-67eece0051d2";
	m->hold.user_id = (char *)(uintptr_t) "ann";
	m->hold.sku = (char *)(uintptr_t) "SKU1";
	m->hold.quantity = 3;
	m->hold.state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	m->hold.deadline = &m->deadline;
	m->hold.price_micros = 77;
	m->hold.version = 1;
	m->hold.cart_shard = 2;
	m->hold.key_hash = (ProtobufCBinaryData){16, hash};
	m->hold.fingerprint = (ProtobufCBinaryData){16, print};
	m->created.hold = &m->hold;
	m->entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CREATED;
	m->entry.hold_created = &m->created;
}

static void test_created(void **state)
{
	struct message m;
	struct entry entry;

	created(&m);
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_CREATED);
	assert_int_equal(entry.sequence, 9);
	assert_int_equal(entry.hold.quantity, 3);
	assert_int_equal(entry.hold.deadline_ms, 2500);
	assert_int_equal(entry.hold.created_ms, 1000);
	assert_int_equal(entry.hold.price_micros, 77);
	assert_true(entry.hold.keyed);
	assert_memory_equal(entry.hold.key.bytes, hash, 16);
	assert_memory_equal(entry.hold.fingerprint.bytes, print, 16);
	assert_string_equal(entry.hold.user.text, "ann");
	assert_int_equal(entry.hold.session.length, 0);
	m.hold.key_hash.len = m.hold.fingerprint.len = 0;
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_false(entry.hold.keyed);
	assert_true(entry_read(&m.entry, 3, &entry)); /* another cart's */
	assert_int_equal(entry.kind, ENTRY_OTHER);
	assert_int_equal(entry.sequence, 9);
}

#define TEXT(text) ((char *)(uintptr_t)(text))
#define LONG_NAME "01234567890123456789012345678901234567890123456789012345678901234" /* 65 bytes */

/* What cannot be understood is never half understood: one thing after the other is spoiled in a message that is fine. */
#define REFUSED(fill, spoil) \
	do { \
		struct message m; \
		struct entry got; \
		fill(&m); \
		assert_true(entry_read(&m.entry, 2, &got)); \
		spoil; \
		assert_false(entry_read(&m.entry, 2, &got)); \
	} while (0)

static void test_nonsense_is_refused(void **state)
{
	REFUSED(created, m.entry.sequence = 0);
	REFUSED(created, m.entry.time = NULL);
	REFUSED(created, m.time.nanos = 1000000000);
	REFUSED(created, m.created.hold = NULL);
	REFUSED(created, m.hold.deadline = NULL);
	REFUSED(created, m.deadline.seconds = INT64_MAX);
	REFUSED(created, m.hold.quantity = 0);
	REFUSED(created, m.hold.hold_id = TEXT("nonsense"));
	REFUSED(created, m.hold.order_id = TEXT("x"));
	REFUSED(created, m.hold.user_id = TEXT(""));
	REFUSED(created, m.hold.user_id = TEXT(LONG_NAME));
	REFUSED(created, m.hold.session_id = TEXT(LONG_NAME));
	REFUSED(created, m.hold.sku = TEXT(""));
	REFUSED(created, m.hold.sku = TEXT(LONG_NAME));
	REFUSED(created, m.hold.state = 0);
	REFUSED(created, m.hold.state = 17);
	REFUSED(created, m.hold.key_hash.len = 5);
	REFUSED(created, m.hold.fingerprint.len = 0);
}

static void changed(struct message *m)
{
	message_init(m);
	m->changed.hold_id = TEXT("01a20593-71ec-75c6-8bc8-67eece0051d2");
	m->changed.state = INVENTORY__HOLD_STATE__HOLD_STATE_SOLD;
	m->changed.quantity = 2;
	m->changed.version = 4;
	m->changed.deadline = &m->deadline;
	m->changed.cart_shard = 2;
	m->entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CHANGED;
	m->entry.hold_changed = &m->changed;
}

static void fenced(struct message *m)
{
	message_init(m);
	m->fenced.cart_shard = 2;
	m->fenced.epoch = 6;
	m->fenced.instance = (ProtobufCBinaryData){16, hash};
	m->entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_CART_FENCED;
	m->entry.cart_fenced = &m->fenced;
}

static void incarnation(struct message *m)
{
	message_init(m);
	m->moved.seconds = 86400;
	m->incarnation.deadlines_moved = &m->moved;
	m->entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_INCARNATION;
	m->entry.incarnation = &m->incarnation;
}

static void archived(struct message *m)
{
	message_init(m);
	inventory__goods_archived__init(&m->archived);
	m->archived.sku = TEXT("SKU1");
	m->entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_GOODS_ARCHIVED;
	m->entry.goods_archived = &m->archived;
}

/* It has no cart shard: each cart has sold of these goods. */
static void test_archived(void **state)
{
	struct message m;
	struct entry entry;

	archived(&m);
	m.archived.units = 7;
	for (uint32_t shard = 0; shard < 3; shard++) {
		assert_true(entry_read(&m.entry, shard, &entry));
		assert_int_equal(entry.kind, ENTRY_ARCHIVED);
		assert_int_equal(entry.sequence, 9);
		assert_true(span_equal(entry.sku, span_of("SKU1")));
	}
}

static void test_nonsense_of_other_kinds_is_refused(void **state)
{
	REFUSED(changed, m.changed.deadline = NULL);
	REFUSED(changed, m.deadline.nanos = -1);
	REFUSED(changed, m.changed.quantity = 0);
	REFUSED(changed, m.changed.hold_id = TEXT(""));
	REFUSED(changed, m.changed.order_id = TEXT("x"));
	REFUSED(changed, m.changed.state = 6);
	REFUSED(fenced, m.fenced.instance.len = 15);
	REFUSED(archived, m.archived.sku = TEXT(""));
	REFUSED(archived, m.archived.sku = TEXT(LONG_NAME));
	REFUSED(incarnation, m.moved.seconds = -1);
	REFUSED(incarnation, m.moved.seconds = INT64_MAX / 1000 + 1);
	REFUSED(incarnation, m.moved.nanos = -1);
	REFUSED(incarnation, m.moved.nanos = 1000000000);
}

static void test_what_concerns_others_is_passed_over(void **state)
{
	struct message m;
	struct entry entry;

	fenced(&m);
	assert_true(entry_read(&m.entry, 3, &entry));
	assert_int_equal(entry.kind, ENTRY_OTHER);
	message_init(&m); /* what a later version adds */
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_OTHER);
	assert_int_equal(entry.sequence, 9);
}

struct order_message {
	struct message m;
	Inventory__OrderChanged order;
	Inventory__OrderItem item, *items[ORDER_HOLDS_MAX + 1];
};

static void ordered(struct order_message *o)
{
	message_init(&o->m);
	inventory__order_changed__init(&o->order);
	inventory__order_item__init(&o->item);
	o->item.hold_id = TEXT("01a20593-71ec-75c6-8bc8-67eece0051d2");
	o->item.sku = TEXT("SKU1");
	o->item.currency = TEXT("EUR");
	o->item.quantity = 1;
	for (int i = 0; i <= ORDER_HOLDS_MAX; i++)
		o->items[i] = &o->item;
	o->order.order_id = TEXT("01a20593-7204-7359-9412-dd0008998f9b");
	o->order.user_id = TEXT("ann");
	o->order.state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	o->order.deadline = &o->m.deadline;
	o->order.cart_shard = 2;
	o->order.items = o->items;
	o->order.n_items = ORDER_HOLDS_MAX;
	o->m.entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_ORDER_CHANGED;
	o->m.entry.order_changed = &o->order;
}

#define ORDER_REFUSED(spoil) \
	do { \
		struct order_message o; \
		struct order_entry got; \
		ordered(&o); \
		assert_true(entry_read_order(&o.m.entry, items, &got)); \
		spoil; \
		assert_false(entry_read_order(&o.m.entry, items, &got)); \
	} while (0)

static void test_nonsense_of_orders_is_refused(void **state)
{
	struct order_item items[ORDER_HOLDS_MAX];
	char payment[PAYMENT_MAX + 2];

	memset(payment, 'p', sizeof(payment));
	payment[sizeof(payment) - 1] = '\0';
	ORDER_REFUSED(o.order.order_id = TEXT(""));
	ORDER_REFUSED(o.order.user_id = TEXT(""));
	ORDER_REFUSED(o.order.state = 0);
	ORDER_REFUSED(o.order.payment_reference = payment);
	ORDER_REFUSED(o.order.deadline = NULL);
	ORDER_REFUSED(o.m.deadline.nanos = -1);
	ORDER_REFUSED(o.m.time.nanos = -1);
	ORDER_REFUSED(o.order.n_items = 0); /* a bound order has holds */
	ORDER_REFUSED(o.order.n_items = ORDER_HOLDS_MAX + 1);
	ORDER_REFUSED(o.item.sku = TEXT(""));
	ORDER_REFUSED(o.item.currency = TEXT("EURO"));
	ORDER_REFUSED(o.item.quantity = 0);
	ORDER_REFUSED(o.item.hold_id = TEXT("x"));
}

static void test_orders(void **state)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_message o;
	struct order_entry order;
	struct entry entry;

	ordered(&o);
	assert_true(entry_read(&o.m.entry, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_ORDER);
	assert_true(entry_read_order(&o.m.entry, items, &order));
	assert_int_equal(order.item_count, ORDER_HOLDS_MAX);
	assert_string_equal(order.items[ORDER_HOLDS_MAX - 1].sku, "SKU1");
	o.order.state = INVENTORY__HOLD_STATE__HOLD_STATE_SOLD; /* what was bound is known */
	o.order.n_items = 0;
	assert_true(entry_read_order(&o.m.entry, items, &order));
	assert_true(entry_read(&o.m.entry, 3, &entry));
	assert_int_equal(entry.kind, ENTRY_OTHER);
}

static void test_changed(void **state)
{
	struct message m;
	struct entry entry;

	message_init(&m);
	m.changed.hold_id = (char *)(uintptr_t) "01a20593-71ec-75c6-8bc8-67eece0051d2";
	m.changed.order_id = (char *)(uintptr_t) "01a20593-7204-7359-9412-dd0008998f9b";
	m.changed.state = INVENTORY__HOLD_STATE__HOLD_STATE_RELEASED;
	m.changed.quantity = 2;
	m.changed.version = 4;
	m.changed.deadline = &m.deadline;
	m.changed.cart_shard = 2;
	m.entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CHANGED;
	m.entry.hold_changed = &m.changed;
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_CHANGED);
	assert_int_equal(entry.hold.state, LINE_RELEASED);
	assert_int_equal(entry.hold.version, 4);
	assert_int_equal(entry.hold.ended_ms, 1000);
	assert_false(id_is_zero(&entry.hold.order));
	assert_true(entry_read(&m.entry, 0, &entry));
	assert_int_equal(entry.kind, ENTRY_OTHER);
	m.changed.deadline = NULL;
	assert_false(entry_read(&m.entry, 2, &entry));
}

static void test_fences_and_incarnations(void **state)
{
	struct message m;
	struct entry entry;

	message_init(&m);
	m.fenced.cart_shard = 2;
	m.fenced.epoch = 6;
	m.fenced.instance = (ProtobufCBinaryData){16, hash};
	m.entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_CART_FENCED;
	m.entry.cart_fenced = &m.fenced;
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_FENCED);
	assert_int_equal(entry.epoch, 6);
	assert_memory_equal(entry.instance.bytes, hash, 16);
	m.entry.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_INCARNATION;
	m.entry.incarnation = &m.incarnation;
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_INCARNATION);
	assert_int_equal(entry.moved_ms, 0);
	m.moved.seconds = 3;
	m.moved.nanos = 250000000;
	m.incarnation.deadlines_moved = &m.moved;
	assert_true(entry_read(&m.entry, 2, &entry));
	assert_int_equal(entry.moved_ms, 3250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_created),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_archived),
		cmocka_unit_test(test_nonsense_of_other_kinds_is_refused),
		cmocka_unit_test(test_nonsense_of_orders_is_refused),
		cmocka_unit_test(test_what_concerns_others_is_passed_over),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_fences_and_incarnations),
	};

	return RUN(tests);
}
