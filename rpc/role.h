/* rpc/role.h - who a process is to another: a role, by the names in its certificate.
 *
 * A certificate made out to the DNS name `cart.flashsale.internal` is a cart's: its bearer may call what carts may, and is believed to be one by who calls
 * it. One name says both, because gRPC checks only DNS names of servers. A certificate with several such names has all these roles; one without any
 * is valid and may ask for health and reflection, nothing else. Pure: any thread. */
#ifndef FLASHSALE_RPC_ROLE_H
#define FLASHSALE_RPC_ROLE_H

#include <stddef.h>
#include <stdint.h>

#define ROLE_DOMAIN ".flashsale.internal"
#define ROLE_NAME_MAX 64 /* of "cart.flashsale.internal", terminated */

enum role {
	ROLE_INVENTORY = 1 << 0,
	ROLE_CART = 1 << 1,
	ROLE_POLICY = 1 << 2,
	ROLE_PROTECTOR = 1 << 3,
	ROLE_GATEKEEPER = 1 << 4,
	ROLE_OPERATOR = 1 << 5, /* people and their tools: may call everything */
};
#define ROLE_ANY UINT32_MAX /* of what every bearer of a certificate may */

/* The role of a DNS name; 0: none of ours. */
uint32_t role_of(const char *name, size_t size);
/* "cart, operator", for people; cut at the end of the room. */
void role_list(uint32_t roles, char *text, size_t room);
/* "cart" gives "cart.flashsale.internal". */
void role_certificate_name(const char *service, char name[ROLE_NAME_MAX]);

#endif
