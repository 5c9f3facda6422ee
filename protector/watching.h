/* protector/watching.h - the protector's part that watches traffic: stream, recorder, detectors and their settings, and what they decide.
 *
 * Threads: the loop; start and stop on the main thread, before the port is open and after the calls have ended. */
#ifndef FLASHSALE_PROTECTOR_WATCHING_H
#define FLASHSALE_PROTECTOR_WATCHING_H

#include "protector/decisions.h"
#include "protector/stream.h"

struct watching {
	struct stream *stream; /* the loop's; NULL: it ends */
	struct decisions *decisions;
	struct detector_settings settings; /* in force and stored; the loop's */
	struct id changes[DETECTORS];	   /* what they come from (protector/settings_change.h) */
};

bool watching_start(struct protector *protector, struct error *error); /* sets protector->watching */
void watching_stop(struct protector
		*protector); /* nothing is decided, nor given to the writer, any more; not from the loop */
void watching_release(struct protector *protector); /* after the loop's last task */

/* On the loop: in effect from the next event on. The settings were checked. */
void watching_configure(struct protector *protector, const struct detector_settings *settings);

#endif
