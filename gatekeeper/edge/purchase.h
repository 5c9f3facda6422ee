/* gatekeeper/edge/purchase.h - who wants how much of what: the requests of Buy, AddCartItem and UpdateCartItem as one, checked. Pure: any thread. */
#ifndef FLASHSALE_EDGE_PURCHASE_H
#define FLASHSALE_EDGE_PURCHASE_H

#include "base/address.h"
#include "gatekeeper/edge/edge.h"
#include "gatekeeper/edge/problem.h"

#define PURCHASE_USER_MAX 64
#define PURCHASE_SESSION_MAX 64
#define PURCHASE_SKU_MAX 64
#define PURCHASE_KEY_MAX 128
#define PURCHASE_LEVEL_MAX 1000
#define PURCHASE_QUANTITY_MAX 1000000

enum purchase_kind { PURCHASE_BUY, PURCHASE_ADD, PURCHASE_UPDATE };

struct purchase {
	enum purchase_kind kind;
	const char *session_id, *client_ip, *user_id, *sku; /* the message's; client_ip may be "" */
	const char *key;				    /* "" without one */
	int32_t level;
	uint32_t quantity; /* 0: only of PURCHASE_UPDATE */
	bool has_address;
	struct address address; /* client_ip's */
};

/* `message` is the request of the kind. False: *ret_problem is INVALID with the field's JSON name. */
bool purchase_read(struct purchase *purchase, enum purchase_kind kind, const ProtobufCMessage *message,
	struct edge_slice key, struct arena *arena, struct problem *ret_problem);

/* The header Idempotency-Key, copied; *ret stays as it is without one. */
bool purchase_key(
	struct edge_slice key, struct arena *arena, const char **ret, struct problem *ret_problem);

#endif
