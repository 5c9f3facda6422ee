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

static void refused(void (*spoil)(struct message *m))
{
	struct message m;
	struct entry entry;

	created(&m);
	spoil(&m);
	assert_false(entry_read(&m.entry, 2, &entry));
}

static void spoil_id(struct message *m)
{
	m->hold.hold_id = (char *)(uintptr_t) "nonsense";
}
static void spoil_user(struct message *m)
{
	m->hold.user_id = (char *)(uintptr_t) "";
}
static void spoil_state(struct message *m)
{
	m->hold.state = 17;
}
static void spoil_deadline(struct message *m)
{
	m->hold.deadline = NULL;
}
static void spoil_key(struct message *m)
{
	m->hold.key_hash.len = 5;
}
static void spoil_print(struct message *m)
{
	m->hold.fingerprint.len = 0;
}
static void spoil_units(struct message *m)
{
	m->hold.quantity = 0;
}
static void spoil_order(struct message *m)
{
	m->hold.order_id = (char *)(uintptr_t) "x";
}
static void spoil_time(struct message *m)
{
	m->entry.time = NULL;
}
static void spoil_sequence(struct message *m)
{
	m->entry.sequence = 0;
}
static void spoil_hold(struct message *m)
{
	m->created.hold = NULL;
}

/* What cannot be understood is never half understood. */
static void test_nonsense_is_refused(void **state)
{
	void (*const all[])(struct message *) = {spoil_id, spoil_user, spoil_state, spoil_deadline, spoil_key,
		spoil_print, spoil_units, spoil_order, spoil_time, spoil_sequence, spoil_hold};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		refused(all[i]);
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
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_fences_and_incarnations),
	};

	return RUN(tests);
}
