/* cart/orders_internal.h - between the files of orders only. */
#ifndef FLASHSALE_CART_ORDERS_INTERNAL_H
#define FLASHSALE_CART_ORDERS_INTERNAL_H

#include "cart/orders.h"

struct order *order_new(struct orders *orders, const struct id *id, struct span user, uint32_t shard);
void order_free(struct orders *orders, struct order *order); /* nobody waits for it */

/* Lines of a bind that is under way, or is no more. */
void order_claim(struct orders *orders, const struct order *order, bool claimed);
void order_set_items(struct order *order, const struct order_item *items, uint32_t count);
void order_set_payment(struct order *order, struct span payment); /* empty: none */
void order_set_deadline(struct orders *orders, struct order *order, int64_t deadline_ms);
void order_list_it(struct orders *orders, struct order *order); /* in the list where its wish and truth belong */
void order_set_wish(struct orders *orders, struct order *order, enum order_wish wish);
void order_settle_wish(struct orders *orders, struct order *order); /* one that came true, or never can, is dropped */
void order_changed(struct orders *orders, struct order *order); /* who watches may see it */

/* Whether the truth decides what is wanted; *ret: yes, or why not. */
bool order_verdict(const struct order *order, enum order_wish want, struct span payment, Common__Reason *ret);
void order_join(struct order *order, struct order_waiter *waiter);
void order_leave(struct order_waiter *waiter);
void order_tell(struct orders *orders, struct order *order, Common__Reason reason); /* to all; UNSPECIFIED: what the truth says, to those whom it says something */

static inline struct span order_payment(const struct order *order)
{
	return order->payment ? span_of(order->payment) : (struct span){"", 0};
}

#endif
