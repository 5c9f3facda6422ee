/* tests/simulation/shop.h - who wants something: shoppers, those who pay, operators. And how a cart answers them. */
#ifndef FLASHSALE_TESTS_SIMULATION_SHOP_H
#define FLASHSALE_TESTS_SIMULATION_SHOP_H

#include "wire.h"

enum shop_kind { SHOP_ADD, SHOP_SHRINK, SHOP_LOOKUP, SHOP_CHECKOUT, SHOP_PAY, SHOP_CANCEL, SHOP_REFUND, SHOP_SEE, SHOP_KINDS };

/* What a shopper asks of a cart. It belongs to the cart until its answer. */
struct shop_request {
	enum shop_kind kind;
	uint32_t user, sku;
	uint32_t quantity; /* SHRINK: what is to be left */
	uint32_t limit;    /* UINT32_MAX: none */
	uint32_t key;      /* 0: none */
	struct id order;
	uint32_t payment;
	int64_t ttl_ms;
};

void shop_begin(uint64_t commands);
bool shop_finished(void); /* all commands were given */
void shop_end(void);
void shop_rest(bool rest); /* no more commands for now */

/* The cart's last word: a hold, or a reason. */
/* Of a request about orders; `order` of each that a checkout made. */
void shop_hears_order(const struct shop_request *request, Common__Reason reason, const struct id *order);
void shop_hears(const struct shop_request *request, Common__Reason reason, const struct id *hold);

#endif
