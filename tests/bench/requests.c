/* tests/bench/requests.c - see requests.h. */
#include "requests.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "rpc/wire.h"

#define ITEM_TIMEOUT_MS 20000
#define LIMIT_UNITS 5
#define OUTCOME_ITEMS 1 /* the field `items` of both answers */
#define OUTCOME_GRANT 1 /* and the field `grant` of their items */

/* What stands in the holes of a pattern: found by it. */
#define ID_HOLE "00000000-0000-7000-8000-000000000000"
#define PERSON_HOLE "shopper-__________"
#define KEY_HOLE "key-____________"
#define SESSION "0190a5c2-7d3e-7c31-9a55-0123456789ab"

static char id_hole[] = ID_HOLE, person_hole[] = PERSON_HOLE, key_hole[] = KEY_HOLE, session[] = SESSION;

static void pattern_keep(struct requests *requests, const ProtobufCMessage *request, size_t items_at)
{
	requests->size = protobuf_c_message_get_packed_size(request);
	requests->pattern = memory_new(requests->size);
	protobuf_c_message_pack(request, requests->pattern);
	requests->first_item = items_at;
	requests->item_size = (requests->size - items_at) / requests->items;
	assert(requests->item_size * requests->items == requests->size - items_at);
}

static void pattern_holds(struct requests *requests, const struct requests_options *options)
{
	static uint8_t instance[ID_BYTES] = "flashsale-bench";
	Inventory__BatchCreateHoldsRequest request = INVENTORY__BATCH_CREATE_HOLDS_REQUEST__INIT;
	Inventory__Sender sender = INVENTORY__SENDER__INIT;
	Inventory__NewHold hold = INVENTORY__NEW_HOLD__INIT;
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	size_t head_size;

	sender.cart_shards = 1;
	sender.epoch = options->epoch;
	sender.instance = (ProtobufCBinaryData){sizeof(instance), instance};
	ttl.seconds = options->ttl_ms / 1000;
	ttl.nanos = (int32_t)(options->ttl_ms % 1000 * 1000000);
	hold.hold_id = id_hole;
	hold.sku = (char *)(uintptr_t)options->sku;
	hold.user_id = person_hole;
	hold.session_id = session;
	hold.quantity = 1;
	hold.ttl = options->ttl_ms ? &ttl : NULL;
	hold.key_hash = (ProtobufCBinaryData){16, (uint8_t *)key_hole};
	hold.fingerprint = (ProtobufCBinaryData){16, (uint8_t *)key_hole};
	hold.timeout_ms = ITEM_TIMEOUT_MS;
	request.sender = &sender;
	head_size = protobuf_c_message_get_packed_size(&request.base);
	request.n_items = requests->items;
	request.items = NEW_ARRAY(requests->items, Inventory__NewHold *);
	for (uint32_t i = 0; i < requests->items; i++)
		request.items[i] = &hold;
	pattern_keep(requests, &request.base, head_size);
	free(request.items);
	requests->path = "/flashsale.inventory.v1.InventoryService/BatchCreateHolds";
}

static void pattern_items(struct requests *requests, const struct requests_options *options)
{
	Cart__BatchAddItemsRequest request = CART__BATCH_ADD_ITEMS_REQUEST__INIT;
	Common__Limit limit = COMMON__LIMIT__INIT;
	Cart__NewItem item = CART__NEW_ITEM__INIT;

	limit.kind_case = COMMON__LIMIT__KIND_UNITS;
	limit.units = LIMIT_UNITS;
	item.user_id = person_hole;
	item.session_id = session;
	item.sku = (char *)(uintptr_t)options->sku;
	item.quantity = 1;
	item.limit = &limit;
	item.idempotency_key = key_hole;
	item.timeout_ms = ITEM_TIMEOUT_MS;
	request.n_items = requests->items;
	request.items = NEW_ARRAY(requests->items, Cart__NewItem *);
	for (uint32_t i = 0; i < requests->items; i++)
		request.items[i] = &item;
	pattern_keep(requests, &request.base, 0);
	free(request.items);
	requests->path = "/flashsale.cart.v1.CartService/BatchAddItems";
}

/* Where in an item; 0: nowhere, for no field begins there. */
static size_t hole_find(const struct requests *requests, const char *hole)
{
	const uint8_t *item = requests->pattern + requests->first_item;
	const uint8_t *found = memmem(item, requests->item_size, hole, strlen(hole));

	return found ? (size_t)(found - item) : 0;
}

void requests_init(struct requests *requests, const struct requests_options *options)
{
	*requests = (struct requests){.items = options->items, .number = options->first_number};
	id_generator_init(&requests->ids, &clock_system);
	if (options->kind == REQUESTS_HOLDS)
		pattern_holds(requests, options);
	else
		pattern_items(requests, options);
	requests->id_at = hole_find(requests, ID_HOLE);
	requests->person_at = hole_find(requests, PERSON_HOLE);
	requests->key_at = hole_find(requests, KEY_HOLE);
	assert(requests->person_at && requests->key_at);
}

void requests_release(struct requests *requests)
{
	free(requests->pattern);
}

static void put_digits(uint8_t *to, size_t count, uint64_t number)
{
	for (; count; number /= 10)
		to[--count] = (uint8_t)('0' + number % 10);
}

static void fill(struct requests *requests, uint8_t *item)
{
	char text[ID_TEXT_LENGTH + 1];
	uint64_t number = requests->number++;

	if (requests->id_at) {
		struct id id = id_next(&requests->ids);

		memcpy(item + requests->id_at, id_format(&id, text), ID_TEXT_LENGTH);
	}
	put_digits(item + requests->person_at + strlen("shopper-"), strlen("__________"), number);
	put_digits(item + requests->key_at + strlen("key-"), strlen("____________"), number);
}

grpc_slice requests_next(struct requests *requests)
{
	grpc_slice slice = grpc_slice_malloc(requests->size);
	uint8_t *bytes = GRPC_SLICE_START_PTR(slice);

	memcpy(bytes, requests->pattern, requests->size);
	for (uint32_t i = 0; i < requests->items; i++)
		fill(requests, bytes + requests->first_item + i * requests->item_size);
	return slice;
}

uint32_t requests_granted(grpc_slice answer)
{
	struct wire wire = {GRPC_SLICE_START_PTR(answer), GRPC_SLICE_END_PTR(answer)};
	struct wire_field item, outcome;
	uint32_t granted = 0;

	while (wire_next(&wire, &item) == WIRE_FIELD) {
		struct wire inner = {item.bytes, item.bytes + item.size};

		if (item.id == OUTCOME_ITEMS && item.type == WIRE_BYTES &&
			wire_next(&inner, &outcome) == WIRE_FIELD && outcome.id == OUTCOME_GRANT)
			granted++;
	}
	return granted;
}
