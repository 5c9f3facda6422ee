/* protector/retire.h - ends bans of our own that a person's newer word has overtaken, said to another protector.
 *
 * Nobody waits for it: it is tried until the store has done it. Threads: the loop; free after its last task. */
#ifndef FLASHSALE_PROTECTOR_RETIRE_H
#define FLASHSALE_PROTECTOR_RETIRE_H

#include "protector/protector.h"

struct retirements;
struct retirements *retirements_new(struct protector *protector);
void retirements_end(struct retirements *retirements); /* no more is given to the writer */
void retirements_free(struct retirements *retirements);

void retire(struct retirements *retirements, const struct id *id); /* one of our own; twice is harmless */

#endif
