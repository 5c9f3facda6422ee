/* inventory/messages.h - from the domain's structs to the contract's messages.
 *
 * What a command answers with is filled into memory that the caller has already: no failure after a commit. What reads make comes from the arena
 * given; NULL or false: it is at its cap. Texts of messages point to the struct or record that they were made from unless it says copy.
 * Pure: any thread. */
#ifndef FLASHSALE_INVENTORY_MESSAGES_H
#define FLASHSALE_INVENTORY_MESSAGES_H

#include "base/arena.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "inventory/books.h"

Common__Reason verdict_reason(enum verdict verdict); /* UNSPECIFIED for a yes */

/* With its parts; must not move once it is set. */
struct goods_message {
	Inventory__Goods goods;
	Google__Protobuf__Duration hold_ttl;
};
/* Texts point to *goods. standard_ttl_ms: of goods that do not say. */
void goods_message_set(struct goods_message *message, const struct goods *goods, int64_t standard_ttl_ms);
Inventory__Goods *message_goods(struct arena *arena, const struct goods *goods, int64_t standard_ttl_ms); /* a copy */

/* With its parts; must not move once it is set. */
struct outcome_message {
	Inventory__HoldOutcome outcome;
	union {
		struct {
			Inventory__HoldGrant grant;
			Google__Protobuf__Timestamp deadline;
		};
		Common__Refusal refusal;
	};
};
/* field: of an item that was refused as INVALID, else NULL. */
void outcome_message_set(
	struct outcome_message *message, const struct hold_answer *answer, const char *field, const char *why);

/* The outcome of a command about an order with its parts; must not move once it is set. Texts point to the answer. */
struct order_message {
	Inventory__OrderOutcome outcome;
	Inventory__OrderGrant grant;
	Inventory__OrderRefusal refusal;
	Google__Protobuf__Timestamp deadline;
	Inventory__OrderItem items[ORDER_HOLDS_MAX], *list[ORDER_HOLDS_MAX];
	char ids[ORDER_HOLDS_MAX][ID_TEXT_LENGTH + 1];
};
void order_message_set(struct order_message *message, const struct order_answer *answer);

/* A hold with what the ledger knows of it; a copy. `expired`: its deadline has passed, swept or not. shift_ms: external - internal time. */
Inventory__Hold *message_hold(struct arena *arena, const struct hold *hold, const struct ledger_entry *created,
	struct bytes payment, bool expired, int64_t shift_ms);

/* An entry of the ledger; a copy. */
Inventory__LedgerEntry *message_entry(
	struct arena *arena, uint64_t sequence, const struct ledger_entry *entry, int64_t standard_ttl_ms);

#endif
