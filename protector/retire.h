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

/* One of our own; twice is harmless. replaced_by: the newer word; NULL: a person lifted it. */
void retire(struct retirements *retirements, const struct id *id, const struct id *replaced_by);

#endif
