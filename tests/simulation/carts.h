/* tests/simulation/carts.h - cart's shards: the real domain on its real store, stepped; processes that crash, pause and are succeeded.
 *
 * What the service's files do between the domain and the wire (cart/link.c, sending.c, rpc_items.c, rpc_changes.c) is repeated here in small, step for
 * step; the domain, the shelf with its writer, the records, the reading of ledger entries, and all files about orders are the real ones. */
#ifndef FLASHSALE_TESTS_SIMULATION_CARTS_H
#define FLASHSALE_TESTS_SIMULATION_CARTS_H

#include "shop.h"

void carts_begin(void);
void carts_end(void);

void carts_ask(const struct shop_request *request); /* on its way to the cart of this user */
const char *carts_unquiet(void);                    /* why it is not quiet yet; NULL: it is */
void carts_check(void);                             /* quiet: each cart against the model */
void carts_reconcile(void);                         /* an operator's way after a restore: empty stores, filled from the ledgers */

#endif
