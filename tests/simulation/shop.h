/* tests/simulation/shop.h - who wants something: shoppers, those who pay, operators. And how a cart answers them. */
#ifndef FLASHSALE_TESTS_SIMULATION_SHOP_H
#define FLASHSALE_TESTS_SIMULATION_SHOP_H

#include "wire.h"

enum shop_kind { SHOP_ADD, SHOP_SHRINK, SHOP_LOOKUP };

/* What a shopper asks of a cart. It belongs to the cart until its answer. */
struct shop_request {
	enum shop_kind kind;
	uint32_t user, sku;
	uint32_t quantity; /* SHRINK: what is to be left */
	uint32_t limit;    /* UINT32_MAX: none */
	uint32_t key;      /* 0: none */
};

void shop_begin(uint64_t commands);
bool shop_finished(void); /* all commands were given */
void shop_end(void);
void shop_rest(bool rest); /* no more commands for now */

/* The cart's last word: a hold, or a reason. */
void shop_hears(const struct shop_request *request, Common__Reason reason, const struct id *hold);

#endif
