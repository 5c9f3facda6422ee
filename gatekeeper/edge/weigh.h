/* gatekeeper/edge/weigh.h - from what the services said, or that they said nothing, to a verdict: the table of what a buy gets when something is down.
 *
 * A no is definite only if it is a verdict in the item's answer, or the item was never sent. A status that carries a reason of ours is the service's own word,
 * given before anything was done; any other end of something that was sent is unknown.
 * Pure: any thread. */
#ifndef FLASHSALE_EDGE_WEIGH_H
#define FLASHSALE_EDGE_WEIGH_H

#include "flashsale/cart/v1/cart.pb-c.h"
#include "gatekeeper/edge/ban_list.h"
#include "gatekeeper/edge/routes.h"
#include "gatekeeper/edge/rule_list.h"

struct verdict {
	bool go;       /* nothing speaks against it; else: */
	bool degraded; /* from a snapshot, because the service was away */
	struct problem problem;
};

/* How a hop ended. */
struct hop {
	const struct rpc_status *status;
	bool sent;
	const ProtobufCMessage *answer; /* NULL unless the status is OK */
	const struct route *route;	/* for the names of fields */
};

/* A refusal in an item's answer, in words of the route. */
void weigh_refusal(const struct route *route, const Common__Refusal *refusal, struct problem *ret);
/* A ban that is in force, explained. */
void weigh_ban(const char *ban_id, int64_t end_ms, struct problem *ret);

/* What stands in for the protector while it is away. */
struct client_fallback {
	bool known;		      /* a snapshot was there once */
	bool fail_closed;	      /* it may not stand in */
	const struct ban_verdict *ban; /* that refuses by the snapshot, or NULL */
};
void weigh_client(const struct hop *hop, const struct client_fallback *fallback, struct verdict *ret);

/* What stands in for policy while it is away: the closest rule, or NULL when the snapshot is too old or has none. */
struct limit_fallback {
	const struct rule *rule;
	uint32_t quantity;
	int64_t now_ms;
};
/* With a go: *ret_limit. */
void weigh_limit(const struct hop *hop, const struct limit_fallback *fallback, struct verdict *ret,
	Common__Limit *ret_limit);
/* What a rule says of a purchase; true: nothing against it. */
bool weigh_rule(const struct rule *rule, uint32_t quantity, int64_t now_ms, struct problem *ret);

/* With a go: *ret_grant, within the answer. */
void weigh_line(const struct hop *hop, struct verdict *ret, const Cart__ItemGrant **ret_grant);
/* With a go: the grant that the key has, or NULL: nothing was granted under it. */
void weigh_key(const struct hop *hop, struct verdict *ret, const Cart__ItemGrant **ret_grant);
/* A hop that changes something and ended without an answer. */
void weigh_failure(const struct hop *hop, const char *service, struct problem *ret);

/* Whether a refusal means no more than that it is too late, or too much: a key may know of an earlier yes. */
bool weigh_key_may_know(const struct problem *problem);

#endif
