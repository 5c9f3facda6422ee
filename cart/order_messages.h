/* cart/order_messages.h - orders in the contract's form, and why a wish did not come true, in words for who has to act on it.
 *
 * Messages come from the arena given; NULL: it is at its cap. They are copies but for the user's name, which lives as long as the order: an answer leaves
 * in the same turn. Pure: any thread. */
#ifndef FLASHSALE_CART_ORDER_MESSAGES_H
#define FLASHSALE_CART_ORDER_MESSAGES_H

#include "cart/messages.h"
#include "cart/orders.h"
#include "rpc/status.h"

Cart__OrderState order_state(const struct order *order); /* of a visible one */
Cart__Order *message_order(struct arena *arena, const struct orders *orders, const struct order *order);

/* `order` NULL: it is not there (any more). payment: that a confirmation reported. */
void order_status_set(struct rpc_status *status, const struct orders *orders, const struct order *order,
	enum order_wish want, struct span payment, const struct order_outcome *outcome);

struct complaint complain_order_id(const char *text, struct id *ret);
struct complaint complain_payment(const char *text);
struct complaint complain_checkout(const Cart__CheckoutRequest *request, int64_t *ret_ttl_ms);

#endif
