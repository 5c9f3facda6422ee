/* tests/simulation/tally.h - how often each command had each verdict, and each trouble came, in all runs: what never occurs is not simulated. */
#ifndef FLASHSALE_TESTS_SIMULATION_TALLY_H
#define FLASHSALE_TESTS_SIMULATION_TALLY_H

#include "shop.h"

void tally_inventory(enum wire_kind kind, Common__Reason reason, bool repeated);
void tally_cart(enum shop_kind kind, Common__Reason reason);

void tally_show(void);
/* False, and says which: a command, one of the verdicts that it is known to have, or a trouble never came. For runs that are long enough. */
bool tally_complete(void);

#endif
