#include "gatekeeper/edge/purchase.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"

#define TAKE(type) \
	do { \
		const type *from = (const type *)message; \
		purchase->session_id = from->session_id; \
		purchase->client_ip = from->client_ip; \
		purchase->user_id = from->user_id; \
		purchase->level = from->user_level; \
		purchase->sku = from->sku; \
		purchase->quantity = from->quantity; \
	} while (0)

static void take(struct purchase *purchase, const ProtobufCMessage *message)
{
	switch (purchase->kind) {
	case PURCHASE_BUY:
		TAKE(Gatekeeper__BuyRequest);
		break;
	case PURCHASE_ADD:
		TAKE(Gatekeeper__AddCartItemRequest);
		break;
	case PURCHASE_UPDATE:
		TAKE(Gatekeeper__UpdateCartItemRequest);
		break;
	}
}

static bool refuse(struct problem *problem, const char *field, const char *expected)
{
	problem_from_reason(problem, COMMON__REASON__REASON_INVALID, "%s must be %s", field, expected);
	snprintf(problem->field, sizeof(problem->field), "%s", field);
	return false;
}

static bool is_sku(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const size_t length = strspn(text, allowed);

	return length > 0 && length <= PURCHASE_SKU_MAX && !text[length];
}

static bool is_key(struct edge_slice key)
{
	if (key.size < 1 || key.size > PURCHASE_KEY_MAX)
		return false;
	for (size_t i = 0; i < key.size; i++) {
		if (key.data[i] < ' ' || key.data[i] > '~')
			return false;
	}
	return true;
}

static bool check_person(struct purchase *purchase, struct problem *problem)
{
	const size_t user = strlen(purchase->user_id);

	if (user < 1 || user > PURCHASE_USER_MAX)
		return refuse(problem, "userID", "1 to 64 bytes");
	if (purchase->level < 0 || purchase->level > PURCHASE_LEVEL_MAX)
		return refuse(problem, "userLevel", "0 to 1000");
	if (strlen(purchase->session_id) > PURCHASE_SESSION_MAX)
		return refuse(problem, "sessionID", "at most 64 bytes");
	purchase->has_address =
		address_parse(purchase->client_ip, strlen(purchase->client_ip), &purchase->address);
	if (purchase->client_ip[0] && !purchase->has_address)
		return refuse(problem, "clientIP", "an IPv4 or IPv6 address");
	return true;
}

static bool check_goods(const struct purchase *purchase, struct problem *problem)
{
	const bool may_be_none = purchase->kind == PURCHASE_UPDATE;

	if (!is_sku(purchase->sku))
		return refuse(problem, "goodsSKU", "1 to 64 characters of A-Z a-z 0-9 . _ -");
	if (purchase->quantity < !may_be_none || purchase->quantity > PURCHASE_QUANTITY_MAX)
		return refuse(problem, "goodsQuantity", may_be_none ? "0 to 1000000" : "1 to 1000000");
	return true;
}

bool purchase_key(struct edge_slice key, struct arena *arena, const char **ret, struct problem *ret_problem)
{
	const char *copy;

	if (!key.data)
		return true;
	if (!is_key(key))
		return refuse(
			ret_problem, "Idempotency-Key", "given once, 1 to 128 printable ASCII characters");
	copy = arena_text(arena, key.data, key.size);
	if (copy)
		*ret = copy;
	else
		problem_from_reason(
			ret_problem, COMMON__REASON__REASON_OVERLOADED, "the request needs too much memory");
	return copy != NULL;
}

bool purchase_read(struct purchase *purchase, enum purchase_kind kind, const ProtobufCMessage *message,
	struct edge_slice key, struct arena *arena, struct problem *ret_problem)
{
	*purchase = (struct purchase){.kind = kind, .key = ""};
	take(purchase, message);
	return check_person(purchase, ret_problem) && check_goods(purchase, ret_problem) &&
	       purchase_key(key, arena, &purchase->key, ret_problem);
}
