/* cart/placement.h - what the RPC files share: whose request is it, until when, and how a no leaves. The loop's thread. */
#ifndef FLASHSALE_CART_PLACEMENT_H
#define FLASHSALE_CART_PLACEMENT_H

#include "cart/messages.h"
#include "cart/service.h"

/* Each but placement_owns ends the call, with WRONG_SHARD, when it says false. */
bool placement_check(const struct cart_service *service, const Common__Placement *placement, struct rpc_call *call);
bool placement_check_user(const struct cart_service *service, const char *user, struct rpc_call *call);
bool placement_owns(const struct cart_service *service, const char *user);

/* Whether what is known of a SKU's holds, or of all (sku NULL) but those of links that have stopped, is the truth by now; no: ends the call. */
bool placement_heard(const struct cart_service *service, const char *sku, struct rpc_call *call);
/* The same of all: "there is none" can be said. A link that stopped before it was heard is DEPENDENCY_DOWN. */
bool placement_heard_all(const struct cart_service *service, struct rpc_call *call);
uint32_t placement_of_sku(const struct cart_service *service, const char *sku);

/* End a call: with what is wrong in it (nested: in its field `item`), or with the reason of a no. */
void item_fail(struct rpc_call *call, bool nested, const struct complaint *complaint);
void outcome_fail(struct rpc_call *call, const struct outcome *outcome);

/* rpc_items.c: when the answer has to leave. timeout_ms 0: the standard. */
int64_t item_deadline_ms(uint32_t timeout_ms, int64_t call_deadline_ns, int64_t mono_ns, int64_t now_ms);

#endif
