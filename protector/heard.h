/* protector/heard.h - a ban as another protector tells of it.
 *
 * Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_HEARD_H
#define FLASHSALE_PROTECTOR_HEARD_H

#include "protector/detection.h"

/* *ret points to the message's texts and to *detection; its owner is the caller's to set. False: it is none that this program can regard, as one of a newer
 * protector may be. A detector that is not known is left out: such a ban counts, and no lift reaches it before its own protector ends it. */
bool ban_from_message(const Protector__Ban *message, struct ban *ret, struct detection *detection);

#endif
