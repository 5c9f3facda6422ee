/* discovery/consul.h - Consul as a source: a blocking query a watched service, our own registration kept up, all over one libcurl multi handle in one thread.
 *
 * It starts and works on whether Consul is there or not: until the first answer nothing is known of a service, and what was once known stays
 * (discovery/consul_watch.h has the rules). Which Consul, and how, is read from the environment (discovery/consul_options.h). A watched service is asked for until the
 * end, also when its last watch went: programs watch few. Deregistering waits up to CONSUL_WITHDRAW_MS.
 * Threads: `discovery` does everything; watch, unwatch, register and deregister come from any other and only hand over under a mutex. */
#ifndef FLASHSALE_DISCOVERY_CONSUL_H
#define FLASHSALE_DISCOVERY_CONSUL_H

#include "discovery/consul_options.h"
#include "discovery/discovery.h"

#define CONSUL_WITHDRAW_MS 1500

/* Takes what is in the options over, also when it fails. */
struct discovery *discovery_consul_new(struct consul_options *options, struct error *error);

/* From the environment of the process; prefix NULL: "flashsale". */
struct discovery *discovery_consul_new_standard(const char *prefix, struct error *error);

#endif
