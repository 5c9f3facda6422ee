/* protector/settings_store.h - the detectors' settings in the store: what was changed at run time, beside the standard of the rest.
 *
 * In the store's meta: "detector/NAME" for each that was changed, "ladder" for the durations; a version byte, then big-endian numbers. Functions return 0 or
 * LMDB's error code. Threads: put on the writer's, load at the start. */
#ifndef FLASHSALE_PROTECTOR_SETTINGS_STORE_H
#define FLASHSALE_PROTECTOR_SETTINGS_STORE_H

#include "base/store.h"
#include "protector/detectors.h"

/* One detector's, or the ladder's (DETECTOR_NONE). */
int settings_store_put(
	struct store *store, MDB_txn *txn, const struct detector_settings *settings, enum detector detector);
/* Over the standard. What is stored and can not be any more is said in the log and left out. False: the store can't be read. */
bool settings_store_load(struct store *store, struct detector_settings *settings, struct error *error);

#endif
