/* gatekeeper/edge/fleet.h - how many gatekeepers there are, for what they share: as discovery says, this one included. Those that are critical do not
 * count. What discovery last said stays while it is away. Threads: the number, any; the rest, whoever owns the edge. */
#ifndef FLASHSALE_EDGE_FLEET_H
#define FLASHSALE_EDGE_FLEET_H

#include <stddef.h>
#include <stdint.h>

#include "discovery/discovery.h"

struct fleet;
/* `self`: the address by which discovery may know this one; NULL: it is taken for one of those that are listed. Not kept. One a process. */
struct fleet *fleet_new(struct discovery *discovery, const char *self);
void fleet_free(struct fleet *fleet); /* before discovery goes; NULL is fine */

uint32_t fleet_size(const struct fleet *fleet); /* at least 1 */

uint32_t fleet_count(const struct instances *list, const char *self); /* pure */

#endif
