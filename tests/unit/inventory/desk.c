#include "tests/unit/inventory/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#define SERVICE "/flashsale.inventory.v1.InventoryService/"

static void no_fatal(void *context, const char *why)
{
	fprintf(stderr, "fatal: %s\n", why);
	abort();
}

static void start(struct desk *desk)
{
	struct error error = {0};
	struct inventory_parts parts = {
		.settings = &desk->settings, .clock = &desk->clock.base, .fatal = no_fatal};

	desk->store = store_open(&desk->store_options, &error);
	if (!desk->store)
		fail_msg("%s", error.text);
	id_random(&parts.incarnation);
	parts.store = desk->store;
	parts.loop = desk->loop = rpc_loop_new("test");
	desk->server = rpc_server_new(desk->loop, &rpc_limits_standard);
	desk->inventory = inventory_new(&parts, &error);
	if (!desk->inventory)
		fail_msg("%s", error.text);
	rpc_serve(desk->server, &desk->inventory->methods.base);
	if (!rpc_listen(desk->server, "127.0.0.1:0", NULL, &error))
		fail_msg("%s", error.text);
	rpc_server_set_serving(desk->server, true);
	client_open(&desk->client, rpc_server_port(desk->server), NULL, NULL);
}

static void stop(struct desk *desk)
{
	client_close(&desk->client);
	rpc_server_drain(desk->server, 0, 5000);
	inventory_end(desk->inventory);
	rpc_server_free(desk->server);
	inventory_free(desk->inventory);
	rpc_loop_free(desk->loop);
	store_close(desk->store);
}

void desk_open(struct desk *desk)
{
	Inventory__FenceCartRequest fence = INVENTORY__FENCE_CART_REQUEST__INIT;
	Inventory__FenceCartResponse *fenced;
	struct rpc_status status;
	struct error error = {0};

	memset(desk, 0, sizeof(*desk));
	folder_make(desk->parent);
	snprintf(desk->directory, sizeof(desk->directory), "%s/store", desk->parent);
	desk->store_options = books_store_options;
	desk->store_options.directory = desk->directory;
	desk->store_options.shards = 1;
	desk->store_options.map_bytes = 256 << 20;
	desk->settings = (struct inventory_settings){
		.hold_ttl_ms = DESK_TTL_MS, .outage_grace_max_ms = 600000, .queue_max = 65536};
	clock_manual_init(&desk->clock, DESK_WALL_MS, 5000);
	if (!store_create(&desk->store_options, &error))
		fail_msg("%s", error.text);
	start(desk);
	memcpy(desk->instance, "instance", 8);
	inventory__sender__init(&desk->cart);
	desk->cart.cart_shards = 2;
	desk->cart.epoch = 1;
	desk->cart.instance = (ProtobufCBinaryData){INSTANCE_BYTES, desk->instance};
	common__placement__init(&desk->here);
	desk->here.shards = 1;
	fence.sender = &desk->cart;
	fence.placement = &desk->here;
	fenced = DESK_CALL(desk, FenceCart, fence_cart, &fence, &status);
	assert_non_null(fenced);
	assert_true(fenced->accepted);
	desk_free(fenced);
}

void desk_close(struct desk *desk)
{
	stop(desk);
	folder_remove(desk->parent);
}

void desk_restart(struct desk *desk)
{
	stop(desk);
	start(desk);
}

void desk_pass(struct desk *desk, int64_t ms)
{
	clock_manual_advance(&desk->clock, ms);
	writer_wake(desk->inventory->writer);
}

void *desk_call(struct desk *desk, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *type, struct rpc_status *status)
{
	char path[128];
	void *answer = NULL;

	snprintf(path, sizeof(path), SERVICE "%s", method);
	client_ask(&desk->client, path, request, status, type, &answer);
	if (status->code != RPC_OK && answer)
		fail_msg("%s failed and answered", method);
	return answer;
}

void desk_fails(struct desk *desk, const char *method, const ProtobufCMessage *request, enum rpc_code code,
	const char *reason, const char *field)
{
	struct rpc_status status;

	desk_call(desk, method, request, NULL, &status);
	if (status.code != code || strcmp(status.reason, reason) != 0 || strcmp(status.field, field) != 0)
		fail_msg("%s ended with %s, %s, field '%s': %s; expected %s, %s, '%s'", method,
			rpc_code_name(status.code), status.reason, status.field, status.message,
			rpc_code_name(code), reason, field);
}

void desk_free(void *message)
{
	protobuf_c_message_free_unpacked(message, NULL);
}

void desk_stream(
	struct desk *desk, struct client_call *call, const char *method, const ProtobufCMessage *request)
{
	char path[128];

	snprintf(path, sizeof(path), SERVICE "%s", method);
	client_start(call, &desk->client, path, CLIENT_FOREVER, NULL);
	client_send_message(call, request);
	client_half_close(call);
}

void desk_cancel(struct client_call *call)
{
	struct rpc_status status;

	grpc_call_cancel(call->call, NULL);
	while (client_receive(call))
		;
	client_finish(call, &status);
}

void desk_add(struct desk *desk, const char *sku, uint64_t quantity)
{
	Inventory__CreateGoodsRequest request = INVENTORY__CREATE_GOODS_REQUEST__INIT;
	struct rpc_status status;
	void *answer;

	request.sku = (char *)(uintptr_t)sku;
	request.quantity = quantity;
	request.price_micros = 99900000;
	answer = DESK_CALL(desk, CreateGoods, create_goods, &request, &status);
	if (!answer)
		fail_msg("%s", status.message);
	desk_free(answer);
}

char *desk_id(uint32_t number, char text[ID_TEXT_LENGTH + 1])
{
	struct id id = {.bytes = {1, 0x8b, 0, 0, 0, 0, 0x70, 0, 0x80}};

	store_put_be64(id.bytes + 8, 0x8000000000000000u | number);
	return id_format(&id, text);
}

Inventory__NewHold desk_hold(uint32_t id, char text[ID_TEXT_LENGTH + 1], const char *sku, uint32_t quantity)
{
	Inventory__NewHold hold = INVENTORY__NEW_HOLD__INIT;

	hold.hold_id = desk_id(id, text);
	hold.sku = (char *)(uintptr_t)sku;
	hold.user_id = (char *)(uintptr_t) "user";
	hold.session_id = (char *)(uintptr_t) "sid";
	hold.quantity = quantity;
	return hold;
}

void desk_buy(struct desk *desk, uint32_t id, uint32_t quantity)
{
	Inventory__CreateHoldRequest request = INVENTORY__CREATE_HOLD_REQUEST__INIT;
	char text[ID_TEXT_LENGTH + 1];
	Inventory__NewHold hold = desk_hold(id, text, "SKU0001", quantity);
	struct rpc_status status;
	void *answer;

	request.sender = &desk->cart;
	request.hold = &hold;
	answer = DESK_CALL(desk, CreateHold, create_hold, &request, &status);
	if (!answer)
		fail_msg("%s", status.message);
	desk_free(answer);
}
