/* cart/tool_client.h - inventory for a tool: calls that are waited for, and a ledger read to its end.
 *
 * What it sends may be sent again: every command of inventory is one effect an id. Threads: main's; a loop works behind it. */
#ifndef FLASHSALE_CART_TOOL_CLIENT_H
#define FLASHSALE_CART_TOOL_CLIENT_H

#include "base/arena.h"
#include "base/error.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "rpc/service.h"
#include "rpc/status.h"

struct tool_client;

/* From the service's settings: where inventory is, and the certificates to ask it with. */
struct tool_client *tool_client_new(const struct service_settings *settings, struct error *error);
void tool_client_free(struct tool_client *client); /* NULL is fine */

/* The answer, in the arena; NULL: *ret_status says why. While inventory can't be reached it is asked again, for some seconds. */
const ProtobufCMessage *tool_client_call(struct tool_client *client, uint32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct rpc_status *ret_status);

/* From the beginning to the head as it is then; what concerns one cart shard. message() false: not understood, ends it. It runs on the loop while main waits. */
bool tool_client_read_ledger(struct tool_client *client, const Common__Placement *placement,
	uint32_t cart_shard, bool (*message)(void *context, const Inventory__ReadLedgerResponse *message),
	void *context, struct error *error);

#endif
