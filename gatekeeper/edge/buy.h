/* gatekeeper/edge/buy.h - a buy: a small state machine, stepped by the loop without a lock. For buy.c, buy_answer.c and hurdle.c only.
 *
 *    glance (the door's thread; a slowed or challenged client meets its hurdle here) --- a refusal that a key may know better of ---> LOOKING_UP -> answer
 *       |
 *    CHECKING: protector and policy at the same time -> ADDING: the cart -> answer
 *                                                         `-> SHOWING: the line, for AddCartItem -> answer
 *
 * Buy and AddCartItem put units in the cart by a batch; UpdateCartItem sets a line's units by a call of its own, without a check when it empties the line. */
#ifndef FLASHSALE_EDGE_BUY_H
#define FLASHSALE_EDGE_BUY_H

#include "gatekeeper/edge/edge_internal.h"
#include "gatekeeper/edge/weigh.h"

struct buy {
	struct work *work;
	struct purchase purchase;
	uint32_t asked; /* checks that have not come back */
	bool degraded;
	struct rpc_ask client, limit, line; /* `line` looks the key up as well */
	struct rpc_request request;	    /* UpdateItem, GetItem */
	Protector__ClientCheck client_item;
	Policy__PurchaseCheck limit_item;
	Cart__NewItem line_item;
	Cart__KeyLookup key_item;
	Common__Limit limit_value;
	Common__Unlimited unlimited;
	struct verdict client_verdict, limit_verdict;
	struct problem refusal; /* while a key is looked up: what it is without one */
	Cart__CartLine added;	/* AddCartItem: as far as the grant tells */
};

/* hurdle.c: what a slowed or challenged client meets before its attempt. False: *ret says why not, its texts live in the request's arena. */
bool hurdle_pass(struct work *work, const struct purchase *purchase, const struct ban_verdict *ban,
	int64_t wall_ms, struct problem *ret);

/* buy_answer.c: fills `out` and counts. */
void buy_answer_grant(struct buy *buy, const Cart__ItemGrant *grant);
void buy_answer_line(struct buy *buy, Cart__CartLine *line);
/* A refusal in the form of the surface: 200 with flags, 429 with flags, or the problem. */
void buy_answer_refusal(struct work *work, const struct problem *problem, bool degraded);
/* The same for one that is no buy's yet: malformed, throttled. */
void buy_answer_problem(struct work *work, const struct problem *problem);

#endif
