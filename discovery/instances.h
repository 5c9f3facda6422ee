/* discovery/instances.h - making the lists that discovery hands out, for its sources.
 *
 * What comes from a file or from a server is untrusted: nothing gets into a list that instance_check did not pass. A list is one piece of
 * memory, texts included. Pure: any thread. */
#ifndef FLASHSALE_DISCOVERY_INSTANCES_H
#define FLASHSALE_DISCOVERY_INSTANCES_H

#include "discovery/discovery.h"

/* Lower-case letters, digits and dashes, a letter first, at most 63: it is a Consul service name and a DNS label as well. */
bool service_name_check(const char *service, struct error *error);

/* "host:port" or "[v6]:port", the port from 1 to 65535. */
bool instance_address_check(const char *address, struct error *error);

/* Every text present, bounded and printable without spaces; shard and shards fit each other. */
bool instance_check(const struct instance *instance, struct error *error);

/* Names, addresses and texts of what is to be registered. */
bool registration_check(const struct registration *registration, struct error *error);

/* Whether both can be of one service: ids differ, both with or both without a shard, the same count of shards. */
bool instance_check_pair(const struct instance *one, const struct instance *other, struct error *error);

/* A sorted copy with one reference and version 0. NULL with an error: too many, or a check failed. */
struct instances *instances_make(const struct instance *items, size_t count, int64_t seen_wall_ms, struct error *error);
bool instances_equal(const struct instances *one, const struct instances *other); /* version and time aside */

#endif
