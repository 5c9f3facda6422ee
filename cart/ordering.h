/* cart/ordering.h - orders in the service: their effects, who waits for them, who watches them. The loop's thread. */
#ifndef FLASHSALE_CART_ORDERING_H
#define FLASHSALE_CART_ORDERING_H

#include "cart/service.h"

struct orders *ordering_new(struct cart_service *service);

/* A waiter of this service knows who wants to hear of its outcome. */
struct service_order_waiter {
	struct order_waiter waiter;
	void (*told)(struct service_order_waiter *waiter, const struct order *order);
	const char *trace; /* traceparent, or ""; as long as the waiter */
};

/* rpc_orders_watch.c: a person's orders have changed; or some of them are no more. */
void order_watches_wake(struct cart_service *service, const char *user);
void order_watches_forgot(struct cart_service *service, const char *user);

#endif
