/* cart/messages.h - checks of what strangers send, and the domain's outcomes in the contract's form.
 *
 * What answers a batch is filled into memory that was taken before anything was asked for: no failure after a grant. Other messages come from
 * the arena given; NULL: it is at its cap. Texts point to the lines they were made from, which the loop may free after the answer is
 * packed: an answer leaves in the same turn. Pure: any thread. */
#ifndef FLASHSALE_CART_MESSAGES_H
#define FLASHSALE_CART_MESSAGES_H

#include "base/arena.h"
#include "cart/cart.h"
#include "flashsale/cart/v1/cart.pb-c.h"

#define ITEM_UNITS_MAX 1000000
#define ITEM_KEY_BYTES_MAX 128
#define CART_LINES_MAX 1000 /* of an answer */
#define CART_HOLDS_MAX 16384 /* looked at for one answer */

/* What is wrong with a request; field is NULL if nothing is. */
struct complaint {
	const char *field, *why;
};
struct complaint complain_user(const char *user);
struct complaint complain_session(const char *session);
struct complaint complain_sku(const char *sku);
struct complaint complain_item(const Cart__NewItem *item);   /* of AddItem: all of it */
struct complaint complain_update(const Cart__NewItem *item); /* quantity may be 0, and then needs no limit */
struct complaint complain_lookup(const Cart__KeyLookup *item);

/* Of a checked item. */
struct limit item_limit(const Cart__NewItem *item);
void item_add(const Cart__NewItem *item, enum key_operation operation, struct add *ret);

/* An outcome with its parts; must not move once it is set. */
struct outcome_message {
	Cart__ItemGrant grant;
	Common__Refusal refusal;
	Google__Protobuf__Timestamp deadline;
	char id[ID_TEXT_LENGTH + 1];
};
void outcome_grant_set(struct outcome_message *message, const struct outcome *outcome);
void outcome_refusal_set(struct outcome_message *message, Common__Reason reason, uint32_t retry_after_ms);

/* The lines of a person's cart, or of one SKU of it, by SKU and session. sku.text NULL: every SKU; session.text NULL: every one, and with
 * `together` they make one line. */
struct line_query {
	struct span user, sku, session;
	bool together;
};
/* False: the arena is at its cap. */
bool message_lines(struct arena *arena, const struct lines *lines, const struct line_query *query, size_t *ret_count,
	Cart__CartLine ***ret);
/* The holds that are in the cart, newest first, of one SKU; session.text NULL: every one. Returns how many, of which at most `max` are stored. */
size_t message_holds(const struct lines *lines, const struct line_query *query, struct line **ret, size_t max);

#endif
