/* cart/rpc_orders.h - what the RPC files about orders share. The loop's thread. */
#ifndef FLASHSALE_CART_RPC_ORDERS_H
#define FLASHSALE_CART_RPC_ORDERS_H

#include "cart/ordering.h"

/* Whether an order's id belongs to this shard; no: ends the call. */
bool order_owned(const struct cart_service *service, const char *order_id, struct rpc_call *call);
/* The visible order with this id, of this person ("": whoever's); NULL: ends the call. */
struct order *order_named(
	const struct cart_service *service, const char *order_id, const char *user, struct rpc_call *call);
void order_fail_large(struct rpc_call *call);

#endif
