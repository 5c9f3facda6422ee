/* cart/link.h - one inventory shard as the cart sees it: fences asked for until they are accepted, and the ledger followed for ever.
 *
 * The decisions are the domain's (cart/cart.h); a link only carries them: it asks for the fence that is in proposal, with back-off, translates ledger
 * entries, and hands positions to the shelf. A ledger of another lineage, or one that ends before our position, stops the link with a message until an
 * operator reconciles; other links go on. Who wants to act when the link is usable, or to answer when the ledger is applied up to
 * a sequence, waits here.
 * The ledger is followed once the first fence is accepted: it tells inventory how far we have stored the ledger, and from then on inventory keeps what comes
 * after that whole. What is stored is acknowledged about once a second, so that inventory may drop what nobody needs.
 * Threads: the loop's. */
#ifndef FLASHSALE_CART_LINK_H
#define FLASHSALE_CART_LINK_H

#include "cart/cart.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "rpc/client.h"

struct cart_service;
struct link;

struct link *link_new(struct cart_service *service, uint32_t shard);
void link_open(struct link *link);  /* follows from the first fence on */
void link_close(struct link *link); /* follows no more, asks for no more fences; what is on the wire comes back */
void link_free(struct link *link);  /* closed, and nothing on the wire */

void link_fence(struct link *link); /* ask for the fence in proposal */
void link_acknowledge(struct link *link); /* tells inventory what is stored, if that is news and the last time is a second ago */

/* Comes back once: the condition holds, or its link stopped; or never, if link_forget came first. */
struct link_waiter {
	struct link_waiter *previous, *next;
	uint64_t sequence; /* 0: usable; else: the ledger is applied up to it */
	void (*ready)(struct link_waiter *waiter);
};
void link_wait(struct link *link, struct link_waiter *waiter); /* ready() may run inside it */
void link_forget(struct link *link, struct link_waiter *waiter);
void link_look(struct link *link); /* the domain has moved: whose condition holds? */

const char *link_stopped(const struct link *link); /* why; NULL: it goes on */

#endif
