/* inventory/complaints.h - what may come in: each field of each request against its range, and the domain's structs made of what is right.
 *
 * The structs point into the request, which lives as long as its call. Pure: any thread. */
#ifndef FLASHSALE_INVENTORY_COMPLAINTS_H
#define FLASHSALE_INVENTORY_COMPLAINTS_H

#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "inventory/books.h"

/* What is wrong with a request; `field` NULL: nothing. */
struct complaint {
	const char *field; /* by its name in the contract */
	const char *why;   /* for a person */
};

bool sku_valid(const char *sku);
struct complaint complain_sku(const char *sku);

/* Absent (NULL) senders are operators; fill() of a command that needs a cart refuses them. */
struct complaint sender_fill(const Inventory__Sender *sender, struct sender *ret);

/* What a cart says that it has stored: a position needs its lineage. */
struct complaint stored_fill(const char *lineage, uint64_t position, struct stored_ledger *ret);

struct complaint goods_terms_fill(const Inventory__CreateGoodsRequest *request, struct goods_terms *ret);
struct complaint goods_update_fill(const Inventory__UpdateGoodsRequest *request, struct goods_update *ret);

/* deadline_ns: of the whole call; an item's own may come before it. now_ns: CLOCK_MONOTONIC. */
struct complaint hold_request_fill(
	const Inventory__NewHold *hold, int64_t now_ns, int64_t deadline_ns, struct hold_request *ret);

struct complaint hold_id_fill(const char *text, struct id *ret);
struct complaint order_id_fill(const char *text, struct id *ret);
struct complaint bind_request_fill(const Inventory__BindOrderHoldsRequest *request, struct bind_request *ret);
struct complaint payment_fill(const char *text, struct bytes *ret);

#endif
