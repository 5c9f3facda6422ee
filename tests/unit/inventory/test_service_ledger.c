#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/ledger_page.h"
#include "tests/unit/inventory/desk.h"

/* Linked with --wrap=rpc_wake: a follower that is woken by each commit need not wait for its next heartbeat. */
void __real_rpc_wake(struct rpc_call *call);
void __wrap_rpc_wake(struct rpc_call *call);
static _Atomic int wakes;

void __wrap_rpc_wake(struct rpc_call *call)
{
	atomic_fetch_add(&wakes, 1);
	__real_rpc_wake(call);
}

static int set_up(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	desk_open(desk);
	desk_add(desk, "SKU0001", 1000000);
	*state = desk;
	return 0;
}

static int tear_down(void **state)
{
	desk_close(*state);
	free(*state);
	return 0;
}

/* What a stream without `follow` has, counted by kind. */
struct tale {
	int entries, created, changed, goods, fenced, incarnations;
	uint64_t position, head, last;
	bool gap;
};

static void take(struct tale *tale, const Inventory__ReadLedgerResponse *message)
{
	for (size_t i = 0; i < message->n_entries; i++) {
		const Inventory__LedgerEntry *entry = message->entries[i];

		assert_true(entry->sequence > tale->last);
		tale->gap = tale->gap || entry->sequence != tale->last + 1;
		tale->last = entry->sequence;
		tale->entries++;
		tale->created += entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CREATED;
		tale->changed += entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CHANGED;
		tale->goods += entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_GOODS_CHANGED;
		tale->fenced += entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_CART_FENCED;
		tale->incarnations += entry->change_case == INVENTORY__LEDGER_ENTRY__CHANGE_INCARNATION;
	}
	tale->position = message->position;
	tale->head = message->head;
	assert_true(message->position >= tale->last && message->head >= message->position);
}

static struct tale read_all(struct desk *desk, const Inventory__ReadLedgerRequest *request)
{
	struct tale tale = {.last = request->after_sequence};
	struct client_call call;
	struct rpc_status status;
	int messages = 0;

	desk_stream(desk, &call, "ReadLedger", &request->base);
	while (client_receive(&call)) {
		Inventory__ReadLedgerResponse *message =
			client_unpack(&call, &inventory__read_ledger_response__descriptor);

		take(&tale, message);
		desk_free(message);
		messages++;
	}
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
	assert_true(messages >= 1);
	assert_int_equal(tale.position, tale.head);
	return tale;
}

static void fence(struct desk *desk, uint32_t shard, uint64_t epoch, bool accepted, uint64_t in_force)
{
	Inventory__FenceCartRequest request = INVENTORY__FENCE_CART_REQUEST__INIT;
	Inventory__FenceCartResponse *answer;
	struct rpc_status status;

	desk->cart.cart_shard = shard;
	desk->cart.epoch = epoch;
	request.sender = &desk->cart;
	answer = DESK_CALL(desk, FenceCart, fence_cart, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->accepted, accepted);
	assert_int_equal(answer->epoch, in_force);
	assert_string_equal(answer->lineage, desk->inventory->lineage);
	desk_free(answer);
}

static void fences_compare_and_set(void **state)
{
	struct desk *desk = *state;
	Inventory__FenceCartRequest request = INVENTORY__FENCE_CART_REQUEST__INIT;
	char other[ID_TEXT_LENGTH + 1];

	fence(desk, 0, 1, true, 1); /* a repetition */
	fence(desk, 0, 5, true, 5);
	fence(desk, 0, 4, false, 5);
	fence(desk, 0, 5, true, 5);
	desk->instance[0] ^= 1;
	fence(desk, 0, 5, false, 5);
	fence(desk, 0, 6, true, 6);
	desk_fails(desk, "FenceCart", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sender");
	request.sender = &desk->cart;
	request.position = 1;
	desk_fails(desk, "FenceCart", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "lineage");
	request.lineage = "x";
	desk_fails(desk, "FenceCart", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "lineage");
	request.lineage = desk_id(1, other);
	desk_fails(desk, "FenceCart", &request.base, RPC_FAILED_PRECONDITION, "LINEAGE_CHANGED", "");
	request.lineage = desk->inventory->lineage;
	desk->cart.cart_shards = 4;
	desk_fails(desk, "FenceCart", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
	desk->here.shard = 1;
	desk->here.shards = 2;
	desk->cart.cart_shards = 2;
	request.placement = &desk->here;
	desk_fails(desk, "FenceCart", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
}

static void it_is_read_from_a_position_without_gaps(void **state)
{
	struct desk *desk = *state;
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	struct tale tale;

	for (uint32_t i = 0; i < 10; i++)
		desk_buy(desk, i, 1);
	tale = read_all(desk, &request);
	assert_false(tale.gap);
	assert_int_equal(tale.incarnations, 1);
	assert_int_equal(tale.fenced, 1);
	assert_int_equal(tale.goods, 1);
	assert_int_equal(tale.created, 10);
	assert_int_equal(tale.entries, 13);
	request.after_sequence = 8;
	tale = read_all(desk, &request);
	assert_int_equal(tale.entries, 5);
	assert_int_equal(tale.created, 5);
	request.after_sequence = 13;
	tale = read_all(desk, &request);
	assert_int_equal(tale.entries, 0);
	assert_int_equal(tale.position, 13);
}

/* What a commit has just made visible in the store is told when the head says so, not before: a follower that came back with a position
 * beyond the head would be told that the ledger has lost something. */
static void a_page_ends_at_the_head(void **state)
{
	struct desk *desk = *state;
	Inventory__ReadLedgerResponse response = INVENTORY__READ_LEDGER_RESPONSE__INIT;
	const struct ledger_filter all = {0};
	struct arena arena;
	uint64_t position = 1, head;

	for (uint32_t i = 0; i < 5; i++)
		desk_buy(desk, i, 1);
	head = atomic_load(&desk->inventory->books->head);
	arena_init(&arena, 4096, 1 << 20);
	assert_int_equal(
		ledger_page_read(desk->store, &arena, &all, 1000, head - 2, &position, &response), 0);
	assert_int_equal(position, head - 2);
	assert_int_equal(response.n_entries, head - 3);
	arena_release(&arena);
}

static void a_cart_reads_its_own(void **state)
{
	struct desk *desk = *state;
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	struct tale tale;

	desk_buy(desk, 1, 1);
	fence(desk, 1, 3, true, 3);
	desk_buy(desk, 2, 1); /* of cart shard 1 */
	desk_buy(desk, 3, 1);
	request.filter_case = INVENTORY__READ_LEDGER_REQUEST__FILTER_CART_SHARD;
	request.cart_shard = 0; /* zero is a shard */
	tale = read_all(desk, &request);
	assert_int_equal(tale.created, 1);
	assert_int_equal(tale.fenced, 1);
	assert_int_equal(tale.incarnations, 1);
	assert_int_equal(tale.goods, 0);
	request.cart_shard = 1;
	tale = read_all(desk, &request);
	assert_int_equal(tale.created, 2);
	assert_int_equal(tale.fenced, 1);
	assert_int_equal(tale.position, 7); /* what was filtered out counts as read */
}

static void a_reader_of_another_history_is_refused(void **state)
{
	struct desk *desk = *state;
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	char other[ID_TEXT_LENGTH + 1];

	request.lineage = desk_id(1, other);
	desk_fails(desk, "ReadLedger", &request.base, RPC_FAILED_PRECONDITION, "LINEAGE_CHANGED", "");
	request.lineage = desk->inventory->lineage;
	request.after_sequence = 4;
	desk_fails(desk, "ReadLedger", &request.base, RPC_OUT_OF_RANGE, "LEDGER_AHEAD", "");
	request.after_sequence = 3;
	assert_int_equal(read_all(desk, &request).entries, 0);
	request.lineage = "x";
	desk_fails(desk, "ReadLedger", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "lineage");
	request.lineage = "";
	desk->here.shards = 2;
	request.placement = &desk->here;
	desk_fails(desk, "ReadLedger", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
}

static void next_message(struct client_call *call, struct tale *tale)
{
	Inventory__ReadLedgerResponse *message;

	assert_true(client_receive(call));
	message = client_unpack(call, &inventory__read_ledger_response__descriptor);
	take(tale, message);
	desk_free(message);
}

static void a_follower_hears_of_each_commit_and_of_silence(void **state)
{
	struct desk *desk = *state;
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	struct tale tale = {0};
	struct client_call call;
	int silent = 0;

	request.follow = true;
	desk_stream(desk, &call, "ReadLedger", &request.base);
	while (tale.entries < 3)
		next_message(&call, &tale);
	while (silent < 3) { /* heartbeats */
		int before = tale.entries;

		next_message(&call, &tale);
		silent += tale.entries == before;
	}
	atomic_store(&wakes, 0);
	desk_buy(desk, 1, 1);
	assert_int_equal(atomic_load(&wakes), 1);
	while (tale.created < 1)
		next_message(&call, &tale);
	desk_pass(desk, DESK_TTL_MS); /* it expires: nobody asked for that */
	while (tale.changed < 1)
		next_message(&call, &tale);
	assert_false(tale.gap);
	assert_int_equal(tale.entries, 5);
	desk_cancel(&call);
}

static void many_entries_come_in_several_messages(void **state)
{
	struct desk *desk = *state;
	Inventory__BatchCreateHoldsRequest request = INVENTORY__BATCH_CREATE_HOLDS_REQUEST__INIT;
	Inventory__ReadLedgerRequest read = INVENTORY__READ_LEDGER_REQUEST__INIT;
	const uint32_t count = 3000;
	Inventory__NewHold *holds = calloc(count, sizeof(*holds)), **items = calloc(count, sizeof(*items));
	char(*ids)[ID_TEXT_LENGTH + 1] = calloc(count, sizeof(*ids));
	struct rpc_status status;
	struct tale tale;

	for (uint32_t i = 0; i < count; i++) {
		holds[i] = desk_hold(i, ids[i], "SKU0001", 1);
		items[i] = &holds[i];
	}
	request.sender = &desk->cart;
	request.items = items;
	request.n_items = count;
	desk_free(DESK_CALL(desk, BatchCreateHolds, batch_create_holds, &request, &status));
	tale = read_all(desk, &read);
	assert_int_equal(tale.created, count);
	assert_false(tale.gap);
	free(holds);
	free(items);
	free(ids);
}

static void an_audit_finds_the_books_in_order(void **state)
{
	struct desk *desk = *state;
	Inventory__AuditStockRequest request = INVENTORY__AUDIT_STOCK_REQUEST__INIT;
	Inventory__AuditStockResponse *answer;
	struct rpc_status status;

	desk_add(desk, "SKU0002", 5);
	desk_buy(desk, 1, 7);
	answer = DESK_CALL(desk, AuditStock, audit_stock, &request, &status);
	assert_non_null(answer);
	assert_true(answer->consistent);
	assert_int_equal(answer->n_items, 2);
	assert_string_equal(answer->items[0]->sku, "SKU0001");
	assert_int_equal(answer->items[0]->row->held, 7);
	assert_int_equal(answer->items[0]->holds->held, 7);
	assert_int_equal(answer->items[0]->ledger->held, 7);
	assert_int_equal(answer->items[0]->ledger->available, 1000000 - 7);
	assert_int_equal(answer->sequence, 5);
	desk_free(answer);
	request.sku = "SKU0002";
	answer = DESK_CALL(desk, AuditStock, audit_stock, &request, &status);
	assert_non_null(answer); /* the one before is over once it has answered */
	assert_int_equal(answer->n_items, 1);
	desk_free(answer);
	request.sku = "a b";
	desk_fails(desk, "AuditStock", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sku");
}

static void acknowledge(struct desk *desk, uint64_t sequence)
{
	Inventory__AcknowledgeLedgerRequest request = INVENTORY__ACKNOWLEDGE_LEDGER_REQUEST__INIT;
	Inventory__AcknowledgeLedgerResponse *answer;
	struct rpc_status status;

	request.placement = &desk->here;
	request.sender = &desk->cart;
	request.sequence = sequence;
	request.lineage = desk->inventory->lineage;
	answer = DESK_CALL(desk, AcknowledgeLedger, acknowledge_ledger, &request, &status);
	assert_non_null(answer);
	desk_free(answer);
}

/* What a reader knows from above the floor of then, and the floor has passed since, may have ended without a word: it begins at 0. */
static void a_reader_that_the_floor_has_passed_begins_anew(void **state)
{
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	struct desk *desk = *state;
	_Atomic uint64_t *floor = &desk->inventory->books->compaction.shown_floor;
	uint64_t head = read_all(desk, &request).head;

	acknowledge(desk, head);
	while (atomic_load(floor) < head)
		desk_pass(desk, 10);
	request.after_sequence = 1;
	desk_fails(desk, "ReadLedger", &request.base, RPC_OUT_OF_RANGE, "LEDGER_COMPACTED", "");
	request.floor = head; /* the sparse one is what it has read */
	assert_int_equal(read_all(desk, &request).position, head);
	request.after_sequence = request.floor = 0;
	assert_int_equal(read_all(desk, &request).position, head);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fences_compare_and_set),
		TEST(it_is_read_from_a_position_without_gaps),
		TEST(a_page_ends_at_the_head),
		TEST(a_cart_reads_its_own),
		TEST(a_reader_of_another_history_is_refused),
		TEST(a_reader_that_the_floor_has_passed_begins_anew),
		TEST(a_follower_hears_of_each_commit_and_of_silence),
		TEST(many_entries_come_in_several_messages),
		TEST(an_audit_finds_the_books_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
