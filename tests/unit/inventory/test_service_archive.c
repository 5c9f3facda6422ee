/* Followers, the sparse ledger, and a sale that is exported and archived, through gRPC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "tests/unit/inventory/desk.h"

#define RETENTION_MS 1000

static int set_up(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	desk_open(desk);
	desk->settings.retention_ms = RETENTION_MS;
	desk_restart(desk);
	desk_add(desk, "SKU0001", 100);
	*state = desk;
	return 0;
}

static int tear_down(void **state)
{
	desk_close(*state);
	free(*state);
	return 0;
}

static Inventory__ListFollowersResponse *followers(struct desk *desk)
{
	Inventory__ListFollowersRequest request = INVENTORY__LIST_FOLLOWERS_REQUEST__INIT;
	struct rpc_status status;
	Inventory__ListFollowersResponse *answer =
		DESK_CALL(desk, ListFollowers, list_followers, &request, &status);

	assert_non_null(answer);
	return answer;
}

static uint64_t head_of(struct desk *desk, uint64_t *ret_floor)
{
	Inventory__ListFollowersResponse *answer = followers(desk);
	uint64_t head = answer->head;

	if (ret_floor)
		*ret_floor = answer->floor;
	desk_free(answer);
	return head;
}

static void acknowledge(struct desk *desk, uint64_t sequence)
{
	Inventory__AcknowledgeLedgerRequest request = INVENTORY__ACKNOWLEDGE_LEDGER_REQUEST__INIT;
	struct rpc_status status;
	void *answer;

	request.placement = &desk->here;
	request.sender = &desk->cart;
	request.sequence = sequence;
	request.lineage = desk->inventory->lineage;
	answer = DESK_CALL(desk, AcknowledgeLedger, acknowledge_ledger, &request, &status);
	assert_non_null(answer);
	desk_free(answer);
}

/* The floor comes to the head: the writer's ticks bring it there. */
static void get_old(struct desk *desk)
{
	uint64_t floor, head = head_of(desk, NULL);

	acknowledge(desk, head);
	do {
		desk_pass(desk, RETENTION_MS);
		head_of(desk, &floor);
	} while (floor < head);
}

static void end_hold(struct desk *desk, uint32_t number, const char *payment)
{
	Inventory__ConfirmHoldRequest confirm = INVENTORY__CONFIRM_HOLD_REQUEST__INIT;
	Inventory__HoldConfirmation confirmation = INVENTORY__HOLD_CONFIRMATION__INIT;
	Inventory__ReleaseHoldRequest release = INVENTORY__RELEASE_HOLD_REQUEST__INIT;
	Inventory__HoldRelease hold = INVENTORY__HOLD_RELEASE__INIT;
	char text[ID_TEXT_LENGTH + 1];
	struct rpc_status status;
	void *answer;

	hold.hold_id = confirmation.hold_id = desk_id(number, text);
	release.hold = &hold;
	confirmation.payment_reference = (char *)(uintptr_t)payment;
	confirm.hold = &confirmation;
	answer = payment ? (void *)DESK_CALL(desk, ConfirmHold, confirm_hold, &confirm, &status)
			 : (void *)DESK_CALL(desk, ReleaseHold, release_hold, &release, &status);
	assert_non_null(answer);
	desk_free(answer);
}

static void followers_are_known_by_what_they_have_stored(void **state)
{
	struct desk *desk = *state;
	Inventory__AcknowledgeLedgerRequest ahead = INVENTORY__ACKNOWLEDGE_LEDGER_REQUEST__INIT;
	Inventory__UnregisterFollowerRequest gone = INVENTORY__UNREGISTER_FOLLOWER_REQUEST__INIT;
	Inventory__UnregisterFollowerResponse *unregistered;
	Inventory__ListFollowersResponse *answer = followers(desk);
	char other[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	assert_int_equal(answer->n_followers, 1);
	assert_int_equal(answer->followers[0]->position, 0);
	assert_int_equal(answer->followers[0]->epoch, 1);
	desk_free(answer);
	acknowledge(desk, 2);
	answer = followers(desk);
	assert_int_equal(answer->followers[0]->position, 2);
	ahead.sender = &desk->cart;
	ahead.sequence = answer->head + 1;
	desk_fails(desk, "AcknowledgeLedger", &ahead.base, RPC_INVALID_ARGUMENT, "INVALID", "lineage");
	ahead.lineage = desk_id(1, other);
	desk_fails(desk, "AcknowledgeLedger", &ahead.base, RPC_FAILED_PRECONDITION, "LINEAGE_CHANGED", "");
	ahead.lineage = desk->inventory->lineage;
	desk_fails(desk, "AcknowledgeLedger", &ahead.base, RPC_OUT_OF_RANGE, "LEDGER_AHEAD", "");
	desk_free(answer);
	ahead.sequence = 1;
	desk->cart.epoch = 9;
	desk_fails(desk, "AcknowledgeLedger", &ahead.base, RPC_FAILED_PRECONDITION, "STALE_EPOCH", "");
	ahead.sender = NULL;
	desk_fails(desk, "AcknowledgeLedger", &ahead.base, RPC_INVALID_ARGUMENT, "INVALID", "sender");
	gone.cart_shard = 7;
	desk_fails(desk, "UnregisterFollower", &gone.base, RPC_NOT_FOUND, "NOT_FOUND", "");
	gone.cart_shard = 0;
	for (int i = 0; i < 2; i++) {
		unregistered = DESK_CALL(desk, UnregisterFollower, unregister_follower, &gone, &status);
		assert_non_null(unregistered);
		assert_true(unregistered->follower->gone);
		assert_int_equal(unregistered->follower->position, 2);
		desk_free(unregistered);
	}
}

/* How a read after a position ends, and how many entries it has. */
static int read_after(
	struct desk *desk, uint64_t after, uint64_t floor, struct rpc_status *status, uint64_t *ret_floor)
{
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	struct client_call call;
	int entries = 0;

	request.after_sequence = after;
	request.floor = floor;
	desk_stream(desk, &call, "ReadLedger", &request.base);
	while (client_receive(&call)) {
		Inventory__ReadLedgerResponse *message =
			client_unpack(&call, &inventory__read_ledger_response__descriptor);

		entries += (int)message->n_entries;
		*ret_floor = message->floor;
		desk_free(message);
	}
	client_finish(&call, status);
	return entries;
}

static void a_sparse_ledger_is_read_from_0_or_from_above(void **state)
{
	struct desk *desk = *state;
	uint64_t middle, head, floor = 0;
	struct rpc_status status;

	desk_buy(desk, 1, 1);
	middle = head_of(desk, NULL);
	end_hold(desk, 1, NULL);
	get_old(desk);
	head = head_of(desk, NULL);
	assert_int_equal(read_after(desk, 0, 0, &status, &floor), 4); /* 2 incarnations, fence, goods */
	assert_int_equal(status.code, RPC_OK);
	assert_int_equal(floor, head);
	assert_int_equal(read_after(desk, middle, 0, &status, &floor), 0);
	assert_int_equal(status.code, RPC_OUT_OF_RANGE);
	assert_string_equal(status.reason, "LEDGER_COMPACTED");
	assert_int_equal(read_after(desk, middle, middle, &status, &floor), 0); /* it was below it then too */
	assert_int_equal(status.code, RPC_OK);
	assert_int_equal(read_after(desk, head, 0, &status, &floor), 0);
	assert_int_equal(status.code, RPC_OK);
}

static void an_id_that_is_gone_is_answered_so(void **state)
{
	struct desk *desk = *state;
	Inventory__CreateHoldRequest create = INVENTORY__CREATE_HOLD_REQUEST__INIT;
	Inventory__FenceCartRequest fence = INVENTORY__FENCE_CART_REQUEST__INIT;
	Inventory__FenceCartResponse *fenced;
	char text[ID_TEXT_LENGTH + 1];
	Inventory__NewHold hold = desk_hold(1, text, "SKU0001", 1);
	struct rpc_status status;

	desk_buy(desk, 1, 1);
	end_hold(desk, 1, NULL);
	get_old(desk);
	create.sender = &desk->cart;
	create.hold = &hold;
	desk_fails(desk, "CreateHold", &create.base, RPC_FAILED_PRECONDITION, "GONE", "");
	fence.sender = &desk->cart;
	fenced = DESK_CALL(desk, FenceCart, fence_cart, &fence, &status);
	assert_non_null(fenced);
	assert_string_equal(fenced->removed_id, text);
	desk_free(fenced);
}

/* ---- archives ---- */

struct export
{
	uint64_t entries, count, sold;
	char digest[40];
	struct rpc_status status;
};

static struct export export_sale_with(struct desk *desk, const char *sku, const char *with)
{
	Inventory__ExportGoodsRequest request = INVENTORY__EXPORT_GOODS_REQUEST__INIT;
	char *others[] = {(char *)(uintptr_t)with};
	struct export export = {0};
	struct client_call call;

	request.sku = (char *)(uintptr_t)sku;
	request.with_skus = others;
	request.n_with_skus = with != NULL;
	desk_stream(desk, &call, "ExportGoods", &request.base);
	while (client_receive(&call)) {
		Inventory__ExportGoodsResponse *message =
			client_unpack(&call, &inventory__export_goods_response__descriptor);

		export.entries += message->n_entries;
		export.count = message->count;
		if (message->n_goods)
			export.sold = message->goods[0]->sold;
		snprintf(export.digest, sizeof(export.digest), "%s", message->digest);
		desk_free(message);
	}
	client_finish(&call, &export.status);
	return export;
}

static struct export export_sale(struct desk *desk, const char *sku)
{
	return export_sale_with(desk, sku, NULL);
}

static void close_goods(struct desk *desk, const char *sku)
{
	Inventory__CloseGoodsRequest request = INVENTORY__CLOSE_GOODS_REQUEST__INIT;
	struct rpc_status status;
	void *answer;

	request.sku = (char *)(uintptr_t)sku;
	answer = DESK_CALL(desk, CloseGoods, close_goods, &request, &status);
	assert_non_null(answer);
	desk_free(answer);
}

static void only_what_was_exported_is_archived(void **state)
{
	struct desk *desk = *state;
	Inventory__ArchiveGoodsRequest request = INVENTORY__ARCHIVE_GOODS_REQUEST__INIT;
	Inventory__ArchiveGoodsResponse *begun;
	Inventory__GetHoldRequest get = INVENTORY__GET_HOLD_REQUEST__INIT;
	struct export export, again;
	struct rpc_status status;
	char text[ID_TEXT_LENGTH + 1];

	desk_buy(desk, 1, 2);
	desk_buy(desk, 2, 3);
	end_hold(desk, 1, "p");
	end_hold(desk, 2, "q");
	request.sku = (char *)(uintptr_t) "SKU0001";
	export = export_sale(desk, "SKU0001");
	assert_string_equal(export.status.reason, "WRONG_STATE"); /* on sale */
	close_goods(desk, "SKU0001");
	export = export_sale(desk, "SKU0001");
	assert_string_equal(export.status.reason, "WRONG_STATE"); /* too young */
	export = export_sale(desk, "SKU0009");
	assert_string_equal(export.status.reason, "UNKNOWN_SKU");
	get_old(desk);
	desk_fails(desk, "ArchiveGoods", &request.base, RPC_ABORTED, "VERSION_MISMATCH", "");
	export = export_sale(desk, "SKU0001");
	assert_int_equal(export.status.code, RPC_OK);
	assert_int_equal(export.entries, 5); /* of goods, and two of each hold */
	assert_int_equal(export.count, 5);
	assert_int_equal(export.sold, 5);
	again = export_sale(desk, "SKU0001");
	assert_string_equal(again.digest, export.digest);
	assert_int_equal(strlen(export.digest), 32);
	again.digest[5] ^= 1;
	request.digest = again.digest;
	desk_fails(desk, "ArchiveGoods", &request.base, RPC_ABORTED, "VERSION_MISMATCH", "");
	request.digest = export.digest;
	request.sku = (char *)(uintptr_t) "SKU0009"; /* a digest is of what was exported */
	desk_fails(desk, "ArchiveGoods", &request.base, RPC_ABORTED, "VERSION_MISMATCH", "");
	request.sku = (char *)(uintptr_t) "SKU0001";
	begun = DESK_CALL(desk, ArchiveGoods, archive_goods, &request, &status);
	assert_non_null(begun);
	assert_int_equal(begun->count, 5);
	desk_free(begun);
	get.hold_id = desk_id(1, text);
	do {
		desk_pass(desk, 10);
		desk_free(DESK_CALL(desk, GetHold, get_hold, &get, &status));
	} while (status.code == RPC_OK);
	assert_int_equal(status.code, RPC_NOT_FOUND);
	while (export_sale(desk, "SKU0001").status.code != RPC_OK) /* its last entry has to get old */
		get_old(desk);
	again = export_sale(desk, "SKU0001");
	assert_int_equal(again.entries, 2); /* of goods, and the archive */
	assert_int_equal(again.sold, 5);
	begun = DESK_CALL(desk, ArchiveGoods, archive_goods, &request, &status);
	assert_non_null(begun); /* who asks again hears the same, and nothing is archived anew */
	assert_int_equal(begun->count, 5);
	desk_free(begun);
	assert_string_equal(export_sale(desk, "SKU0001").digest, again.digest);
}

static void an_order_keeps_its_goods_together(void **state)
{
	struct desk *desk = *state;
	Inventory__BindOrderHoldsRequest bind = INVENTORY__BIND_ORDER_HOLDS_REQUEST__INIT;
	Inventory__ConfirmOrderHoldsRequest confirm = INVENTORY__CONFIRM_ORDER_HOLDS_REQUEST__INIT;
	Inventory__ExportGoodsRequest request = INVENTORY__EXPORT_GOODS_REQUEST__INIT;
	Inventory__CreateHoldRequest create = INVENTORY__CREATE_HOLD_REQUEST__INIT;
	char texts[3][ID_TEXT_LENGTH + 1], *ids[2] = {texts[0], texts[1]};
	Inventory__NewHold hold = desk_hold(2, texts[1], "SKU0002", 1);
	char *with[] = {(char *)(uintptr_t) "SKU0001", (char *)(uintptr_t) "SKU0001"};
	struct rpc_status status;
	struct export export;

	desk_add(desk, "SKU0002", 10);
	desk_buy(desk, 1, 1);
	create.sender = bind.sender = &desk->cart;
	create.hold = &hold;
	desk_free(DESK_CALL(desk, CreateHold, create_hold, &create, &status));
	desk_id(1, texts[0]);
	bind.order_id = confirm.order_id = desk_id(90, texts[2]);
	bind.user_id = (char *)(uintptr_t) "user";
	bind.hold_ids = ids;
	bind.n_hold_ids = 2;
	desk_free(DESK_CALL(desk, BindOrderHolds, bind_order_holds, &bind, &status));
	confirm.payment_reference = (char *)(uintptr_t) "p";
	desk_free(DESK_CALL(desk, ConfirmOrderHolds, confirm_order_holds, &confirm, &status));
	close_goods(desk, "SKU0001");
	close_goods(desk, "SKU0002");
	get_old(desk);
	export = export_sale(desk, "SKU0002");
	assert_string_equal(export.status.reason, "WRONG_STATE");
	assert_non_null(strstr(export.status.message, "SKU0001"));
	assert_non_null(strstr(export.status.message, texts[2]));
	request.sku = (char *)(uintptr_t) "SKU0002";
	request.with_skus = with;
	request.n_with_skus = 2;
	desk_fails(desk, "ExportGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "with_skus");
	export = export_sale_with(desk, "SKU0002", "SKU0001");
	assert_int_equal(export.status.code, RPC_OK);
	assert_int_equal(export.entries, 2 + 2 * 3 + 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(followers_are_known_by_what_they_have_stored),
		TEST(a_sparse_ledger_is_read_from_0_or_from_above),
		TEST(an_id_that_is_gone_is_answered_so),
		TEST(only_what_was_exported_is_archived),
		TEST(an_order_keeps_its_goods_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
