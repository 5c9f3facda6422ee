/* discovery/consul_json.h - what Consul says of a service's instances, read as a stranger's text; what we tell it about ourselves.
 *
 * An answer is bounded in bytes, nodes and instances before memory is spent on it. It is taken or refused as a whole: what is not the array that Consul
 * documents is refused, and so is one with entries of which none is usable. A single entry that is no good (no port, a bad address, a shard that can't be)
 * is left out, counted and explained. Where entries differ in their count of shards, the count that most of them have stands (of equals the one whose first id
 * comes first): one instance that was registered wrongly must not take its service away.
 * Health is the worst of an entry's checks; maintenance is critical. Pure: any thread. */
#ifndef FLASHSALE_DISCOVERY_CONSUL_JSON_H
#define FLASHSALE_DISCOVERY_CONSUL_JSON_H

#include "discovery/instances.h"

#define CONSUL_ANSWER_BYTES_MAX (4 << 20)
#define CONSUL_ANSWER_NODES_MAX 150000

/* An array as of /v1/health/service/NAME. NULL with an error: refused. *ret_left_out entries were no good, the first for *why. */
struct instances *consul_json_read(const char *json, size_t size, int64_t wall_ms, size_t *ret_left_out, struct error *why, struct error *error);

/* The body of /v1/agent/service/register; malloc'd. NULL: the address is not host:port. */
char *consul_json_registration(const struct registration *self, const char *name);

/* Whether an answer of /v1/agent/service/ID shows the service where we said it is, and as we said. */
bool consul_json_is_ours(const char *json, size_t size, const struct registration *self, const char *name);

#endif
