/* rpc/access.h - who may call what, where services know one another by certificates.
 *
 * A service declares one table with its methods; a row gives a method to roles. An operator may call everything, and what has no row nobody else may. The names are
 * checked at start: one that the service does not have stops it. */
#ifndef FLASHSALE_RPC_ACCESS_H
#define FLASHSALE_RPC_ACCESS_H

#include "rpc/role.h"

struct rpc_access {
	const char *method; /* "CreateHold"; NULL ends the table */
	uint32_t roles;
};

#endif
