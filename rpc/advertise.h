/* rpc/advertise.h - what others are told to reach this process at: --advertise, or what it listens on. For rpc/service.c.
 * Pure; texts are malloc'd. */
#ifndef FLASHSALE_RPC_ADVERTISE_H
#define FLASHSALE_RPC_ADVERTISE_H

#include <stdbool.h>

#include "base/error.h"

/* `advertise`: HOST, HOST:PORT, an IPv6 address bare or in brackets; NULL: as `listen`, which then may not mean every address. */
bool advertise_check(const char *advertise, const char *listen, struct error *error);

/* "host:port" of checked ones; `port` is the one listened on, used unless `advertise` has one. */
char *advertise_address(const char *advertise, const char *listen, int port);

/* The same for another port of this process: what `admin` says, its host replaced when that means every address. */
char *advertise_admin(const char *address, const char *admin, int port);

#endif
