/* protector/settings_store.h - the detectors' settings in the store: what was changed at run time, beside the standard of the rest.
 *
 * In the store's meta: "detector/NAME" for each that was changed, "ladder" for the durations; a version byte, the change's id (not in version 1), then big-endian numbers.
 * Functions return 0 or LMDB's error code. Threads: put on the writer's, load at the start. */
#ifndef FLASHSALE_PROTECTOR_SETTINGS_STORE_H
#define FLASHSALE_PROTECTOR_SETTINGS_STORE_H

#include "base/store.h"
#include "protector/detectors.h"

struct settings_change {
	enum detector part; /* DETECTOR_NONE: the ladder */
	struct id id;	    /* of two changes of a part the greater counts */
	struct detector_settings settings; /* of which only the part counts */
};

/* Unless a change that counts more is stored: then nothing. */
int settings_store_put(struct store *store, MDB_txn *txn, const struct settings_change *change);
/* Over the standard; `changes` by part, zero: it was never changed, or before changes had ids. What is stored and can not be any more is said in the log and left
 * out. False: the store can't be read. */
bool settings_store_load(
	struct store *store, struct detector_settings *settings, struct id changes[DETECTORS], struct error *error);

#endif
