/* discovery/resolver.h - names to addresses over c-ares, again and again, without blocking the thread that asks.
 *
 * A round asks for all names at once; what is known of a name is what its last good answer said, for ever: no answer, an error and "no such name" change nothing.
 * Addresses are IPv4's where a name has any, else IPv6's (a pod with both is one pod), sorted, each once. /etc/hosts and resolv.conf count, read anew for each round.
 * Threads: all of it belongs to one. Bounds: RESOLVER_NAMES_MAX names, RESOLVER_ADDRESSES_MAX addresses a name; the rest is cut. */
#ifndef FLASHSALE_DISCOVERY_RESOLVER_H
#define FLASHSALE_DISCOVERY_RESOLVER_H

#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#define RESOLVER_NAMES_MAX 256
#define RESOLVER_ADDRESSES_MAX 256
#define RESOLVER_NAME_MAX 253
#define RESOLVER_FDS_MAX 16
#define RESOLVED_TEXT_MAX (INET6_ADDRSTRLEN + 2) /* "192.0.2.1", "[2001:db8::1]" */

struct resolved {
	char text[RESOLVED_TEXT_MAX];
};

struct resolver;
struct resolver *resolver_new(const char *servers); /* "127.0.0.1:5300,...", for tests; NULL: as resolv.conf says */
void resolver_free(struct resolver *resolver);

/* Names that are not asked for any more are forgotten. A round that is under way goes on, up to RESOLVER_ROUND_MS_MAX, and no other begins meanwhile. */
#define RESOLVER_ROUND_MS_MAX 15000
void resolver_ask(struct resolver *resolver, const char *const *names, size_t count);

/* What to poll for, how long at most, and what to do then; true: some name's addresses have changed. */
size_t resolver_fds(struct resolver *resolver, struct pollfd fds[RESOLVER_FDS_MAX]);
int resolver_timeout_ms(struct resolver *resolver, int max_ms);
bool resolver_run(struct resolver *resolver, const struct pollfd *fds, size_t count);

/* NULL: nothing is known of it yet. */
const struct resolved *resolver_addresses(const struct resolver *resolver, const char *name, size_t *ret_count);

#endif
