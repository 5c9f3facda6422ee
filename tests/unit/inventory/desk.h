/* tests/unit/inventory/desk.h - the whole service on a port of its own, with a clock that stands still, and a client that goes through gRPC. */
#ifndef FLASHSALE_TESTS_DESK_H
#define FLASHSALE_TESTS_DESK_H

#include "inventory/inventory.h"
#include "tests/unit/base/folder.h"
#include "tests/unit/rpc/client.h"

#define DESK_WALL_MS 1700000000000
#define DESK_TTL_MS 60000

struct desk {
	char parent[FOLDER_TEXT_MAX];
	char directory[FOLDER_TEXT_MAX + 16];
	struct store_options store_options;
	struct inventory_settings settings;
	struct clock_manual clock;
	struct store *store;
	struct rpc_loop *loop;
	struct rpc_server *server;
	struct inventory *inventory;
	struct client client;
	Inventory__Sender cart; /* shard 0 of 2, epoch 1; fenced */
	Common__Placement here;
	uint8_t instance[INSTANCE_BYTES];
};

void desk_open(struct desk *desk);
void desk_close(struct desk *desk);
void desk_restart(struct desk *desk);
void desk_pass(struct desk *desk, int64_t ms); /* the clock; the writer looks at it soon */

/* One unary call; the answer is the caller's (protobuf_c_message_free_unpacked), NULL if it failed. */
#define DESK_CALL(desk, Method, method, request, status)                                                     \
	((Inventory__##Method##Response *)desk_call(desk, #Method, &(request)->base,                                 \
		&inventory__##method##_response__descriptor, status))
void *desk_call(struct desk *desk, const char *method, const ProtobufCMessage *request,
	const ProtobufCMessageDescriptor *type, struct rpc_status *status);
/* It must end so. */
void desk_fails(struct desk *desk, const char *method, const ProtobufCMessage *request, enum rpc_code code,
	const char *reason, const char *field);
void desk_free(void *message);

/* A stream; client_receive, desk_message and client_finish follow. */
void desk_stream(struct desk *desk, struct client_call *call, const char *method, const ProtobufCMessage *request);
void desk_cancel(struct client_call *call); /* and finish */

void desk_add(struct desk *desk, const char *sku, uint64_t quantity);
char *desk_id(uint32_t number, char text[ID_TEXT_LENGTH + 1]);
Inventory__NewHold desk_hold(uint32_t id, char text[ID_TEXT_LENGTH + 1], const char *sku, uint32_t quantity);
void desk_buy(struct desk *desk, uint32_t id, uint32_t quantity); /* of SKU0001; it must be granted */

#endif
