/* cart/cart_internal.h - between cart.c and cart_ledger.c only. */
#ifndef FLASHSALE_CART_CART_INTERNAL_H
#define FLASHSALE_CART_CART_INTERNAL_H

#include "cart/cart.h"

/* Each ends the attempt, or moves it on. */
void attempt_refuse(
	struct cart *cart, struct attempt *attempt, Common__Reason reason, uint32_t retry_after_ms);
void attempt_dispatch(struct cart *cart, struct attempt *attempt, int64_t now_ms);
void attempt_requeue(struct cart *cart, struct attempt *attempt, int64_t now_ms);

/* Those that wait hear of the line; the attempt stays. */
void attempt_tell_line(
	struct cart *cart, struct attempt *attempt, const struct line *line, uint64_t remaining);

#endif
