/* cart/service.h - the cart service: what its files share.
 *
 * The loop's thread owns everything: the cart in memory (cart/cart.h), the links to inventory, the shelf's gathering side, every call. The shelf's
 * writer thread sees packed batches only. No lock anywhere.
 * Time: `now` is the wall clock at start plus what has passed since on the monotonic clock, so a jump of the wall clock ends nobody's wait. */
#ifndef FLASHSALE_CART_SERVICE_H
#define FLASHSALE_CART_SERVICE_H

#include "cart/cart.h"
#include "cart/link.h"
#include "cart/orders.h"
#include "cart/shelf.h"
#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "rpc/client.h"
#include "rpc/service.h"

struct cart_settings {
	struct service_settings common;
	int64_t inventory_shards; /* --inventory-shards 1 */
	int64_t attempts_max;     /* --attempts-max */
	int64_t queue_max;        /* --queue-max */
	int64_t remembered_max;   /* --remembered-max */
	int64_t start_grace_ms;   /* --start-grace */
};

/* A call that waits for something; known to the service, so that the end can end it. */
struct open_call {
	struct open_call *previous, *next;
	void (*end)(struct open_call *call); /* answer it now */
};

struct cart_service {
	Cart__CartService_Service methods; /* what rpc_serve gets, and the methods are called with */
	const struct cart_settings *settings;
	struct service *service;
	struct rpc_loop *loop;
	struct cart *cart;
	struct orders *orders;
	struct shelf *shelf;
	struct rpc_pool *inventory;
	struct rpc_batcher *creates, *releases;
	struct link **links;
	uint32_t shard, shards, inventory_shards;
	struct slab sendings;
	struct open_call *open_calls;
	struct order_watch *watches; /* rpc_orders_watch.c */
	char incarnation[ID_TEXT_LENGTH + 1];
	int64_t wall_start_ms, mono_start_ns;
	struct rpc_timer tick;
	int64_t serving_by_ms;
	bool serving, ending;
};

/* The hooks of service_definition. */
bool cart_service_check(const void *settings, struct error *error);
bool cart_service_start(struct service *service, struct error *error);
void cart_service_stop(struct service *service);
void cart_service_release(struct service *service);

static inline int64_t cart_service_now_ms(const struct cart_service *service, int64_t mono_ns)
{
	return service->wall_start_ms + (mono_ns - service->mono_start_ns) / 1000000;
}
int64_t cart_service_mono_ns(const struct cart_service *service, int64_t now_ms);

/* Something has moved: is the service ready now? */
void cart_service_look(struct cart_service *service);

void open_call_add(struct cart_service *service, struct open_call *call);
void open_call_remove(struct cart_service *service, struct open_call *call);

/* sending.c: asks of inventory. The effect `send`, and what is common to all commands. */
void sending_init(struct cart_service *service);
void cart_service_send(void *context, struct attempt *attempt);
void cart_service_batchers(struct cart_service *service); /* loop only */
void cart_service_sender(struct cart_service *service, uint32_t shard, Common__Placement *placement, Inventory__Sender *sender);
/* How a command ended that inventory did not answer with an outcome. */
struct answer answer_of_status(const struct rpc_status *status, bool sent);
struct answer answer_of_outcome(const Inventory__HoldOutcome *outcome);

/* A waiter of this service knows who wants to hear of its outcome. */
struct service_waiter {
	struct waiter waiter;
	void (*decided)(struct service_waiter *waiter);
	const uint8_t *trace; /* TRACE_ID_BYTES, as long as the waiter; NULL: none */
};

/* rpc_items.c: the effect `decided`. */
void cart_service_decided(void *context, struct waiter *waiter);

/* metrics.c */
void cart_metrics_register(void);
void cart_metrics_update(const struct cart_service *service);

/* The methods; each gets `service`, `request`, the closure `answer` and `call`. */
#define CART_METHOD(name, Type)                                                                          \
	void cart_##name(Cart__CartService_Service *service, const Cart__##Type##Request *request, \
		Cart__##Type##Response_Closure answer, void *call)
/* rpc_items.c */
CART_METHOD(add_item, AddItem);
CART_METHOD(batch_add_items, BatchAddItems);
/* rpc_keys.c */
CART_METHOD(batch_lookup_keys, BatchLookupKeys);
/* rpc_changes.c */
CART_METHOD(update_item, UpdateItem);
CART_METHOD(remove_item, RemoveItem);
/* rpc_carts.c */
CART_METHOD(get_cart, GetCart);
CART_METHOD(get_item, GetItem);
CART_METHOD(get_user_units, GetUserUnits);
/* rpc_checkout.c */
CART_METHOD(checkout, Checkout);
/* rpc_orders.c */
CART_METHOD(get_order, GetOrder);
CART_METHOD(list_orders, ListOrders);
/* rpc_order_changes.c */
CART_METHOD(confirm_order, ConfirmOrder);
CART_METHOD(cancel_order, CancelOrder);
CART_METHOD(refund_order, RefundOrder);
/* rpc_orders_watch.c */
CART_METHOD(watch_orders, WatchOrders);

#endif
