/* tests/simulation/archives.h - operators who archive sales: they close goods, export them until that succeeds, archive with the digest that they got (or an
 * older or a wrong one), and open the goods again. One at a time for each shard of inventory. */
#ifndef FLASHSALE_TESTS_SIMULATION_ARCHIVES_H
#define FLASHSALE_TESTS_SIMULATION_ARCHIVES_H

#include "world.h"

void archives_begin(void);
void archives_end(void);
bool archives_keep_closed(uint32_t sku); /* its sale is about to be archived: other operators leave it */

#endif
