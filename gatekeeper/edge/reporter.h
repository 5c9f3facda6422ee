/* gatekeeper/edge/reporter.h - tells the protectors of every answered request, in batches, beside the way of a request.
 *
 * Events come from the door's thread over a ring (events.h) and from the loop. Of several protectors one keeps count of an address and one of an account, by hash among
 * those that listen; so an event goes to one or two. What waits for each is bounded; what has no room, or nobody to listen, is dropped and counted, and the next
 * message says how many.
 * Threads: reporter_door_* on the door's one thread, everything else on the loop, reporter_new and reporter_free before and after both. */
#ifndef FLASHSALE_EDGE_REPORTER_H
#define FLASHSALE_EDGE_REPORTER_H

#include "gatekeeper/edge/events.h"
#include "rpc/client.h"

#define REPORTER_TARGETS_MAX 16 /* protectors; of more the first by id */
#define REPORTER_PERIOD_MS 20	/* how long events gather */

struct reporter;
struct reporter *reporter_new(struct rpc_loop *loop);
void reporter_free(struct reporter *reporter);
void reporter_open(struct reporter *reporter, struct rpc_pool *protectors);
void reporter_close(struct reporter *reporter);

/* On the door's thread: the place of an event, NULL: there is none (and it was counted); then put what was filled. */
struct event *reporter_door_place(struct reporter *reporter);
void reporter_door_put(struct reporter *reporter);
/* On the loop: copied. */
void reporter_put(struct reporter *reporter, const struct event *event);

#endif
