/* gatekeeper/edge/ban_sources.h - watches every protector: each has bans of its own, and each is a source of the ban list.
 *
 * Which there are says discovery. One that is no longer named is not watched any more, but what it told last stays: bans bite with their protector down, until they end
 * or its place is needed for another.
 * Threads: opened, fed and closed on the loop; the questions from any; new and free before and after the pool. */
#ifndef FLASHSALE_EDGE_BAN_SOURCES_H
#define FLASHSALE_EDGE_BAN_SOURCES_H

#include "gatekeeper/edge/ban_list.h"
#include "rpc/follower.h"

struct ban_sources;
struct ban_sources *ban_sources_new(struct ban_list *list);
void ban_sources_free(struct ban_sources *sources);
void ban_sources_open(struct ban_sources *sources, struct rpc_pool *protectors);
void ban_sources_close(struct ban_sources *sources);

bool ban_sources_synced(struct ban_sources *sources); /* the bans of some protector were there as a whole once */
/* CLOCK_MONOTONIC of the last message of that protector which was silent longest; 0: never heard. */
int64_t ban_sources_heard_ns(struct ban_sources *sources);

#endif
