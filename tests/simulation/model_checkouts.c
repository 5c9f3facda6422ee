/* tests/simulation/model_checkouts.c - the same key again finds the same orders. See model.h. */
#include <string.h>

#include "model_books.h"

#define CHECKOUTS_MAX 4096 /* a run; later ones go unjudged */
#define CHECKOUT_ORDERS 8

static struct checkout {
	uint32_t user, key;
	uint64_t memory;
	size_t count;
	struct id orders[CHECKOUT_ORDERS];
} checkouts[CHECKOUTS_MAX];
static size_t checkout_count;

void model_checkouts_begin(void)
{
	checkout_count = 0;
}

static bool among(const struct checkout *checkout, const struct id *order)
{
	for (size_t i = 0; i < checkout->count; i++)
		if (id_compare(&checkout->orders[i], order) == 0)
			return true;
	return false;
}

/* The key goes with the sale of all that it made. */
static bool is_archived(const struct checkout *checkout)
{
	for (size_t i = 0; i < checkout->count; i++) {
		const struct model_order *order = model_order_get(&checkout->orders[i]);

		if (!order || !order->archived)
			return false;
	}
	return true;
}

/* Promise 6: the same key again finds what the first one made. */
void model_checked_out(uint32_t user, uint32_t key, uint64_t memory, const struct id *orders, size_t count)
{
	struct checkout *checkout = checkouts;

	for (; checkout < checkouts + checkout_count; checkout++)
		if (checkout->user == user && checkout->key == key && checkout->memory == memory &&
			!is_archived(checkout)) {
			for (size_t i = 0; i < count; i++)
				WORLD_CHECK(among(checkout, &orders[i]),
					"promise 6: the key of a checkout makes another order");
			return;
		}
	if (checkout_count == CHECKOUTS_MAX || count > CHECKOUT_ORDERS)
		return;
	*checkout = (struct checkout){.user = user, .key = key, .memory = memory, .count = count};
	memcpy(checkout->orders, orders, count * sizeof(*orders));
	checkout_count++;
}
