/* rpc/admin.h - the admin port of a service over libmicrohttpd: /metrics (Prometheus text), /healthz (200 when serving, else 503), /livez.
 * Threads: microhttpd's own, one; `healthy` is called on it. */
#ifndef FLASHSALE_RPC_ADMIN_H
#define FLASHSALE_RPC_ADMIN_H

#include <stdbool.h>

#include "base/error.h"

struct admin;
struct admin *admin_new(const char *address, bool (*healthy)(void *context), void *context, struct error *error);
int admin_port(const struct admin *admin); /* the one it got, when the address asked for port 0 */
void admin_free(struct admin *admin);

#endif
