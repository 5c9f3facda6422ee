/* protector/settings_change.h - a change of one part of the detectors' settings: a detector, or the ladder (DETECTOR_NONE).
 *
 * A change has an id (UUIDv7). Of two changes of one part the greater id counts, at every protector, in memory and in the store; an id that is made here is greater than all that
 * were heard. Whoever has a change tells the others of it (WatchDetectors), and so one that was away gets it from any. What was never changed is the standard everywhere and is
 * not told.
 * Threads: the store's part on the writer's, the rest on the loop. */
#ifndef FLASHSALE_PROTECTOR_SETTINGS_CHANGE_H
#define FLASHSALE_PROTECTOR_SETTINGS_CHANGE_H

#include "protector/settings_store.h"
#include "protector/watching.h"

/* As detectors and their ladder are shown; NULL: the arena is at its cap. */
Protector__Detector *message_detector(
	struct arena *arena, const struct detector_settings *settings, enum detector detector);
Protector__Ladder *message_ladder(struct arena *arena, const struct detector_settings *settings);
/* One that can't be is 0, which no setting may be. */
int64_t message_duration_us(const Google__Protobuf__Duration *duration);

/* Puts a stored change in effect and shows it to the peers, unless a later one is in effect. */
void settings_take_effect(struct protector *protector, const struct settings_change *change);
/* Shows all that was changed; at the start, before there are calls. */
void settings_show_all(struct protector *protector);

/* What a peer says: *ret is `now` with its part changed. False: it says nothing new, or nothing that this program can do. */
bool settings_from_message(
	const Protector__DetectorChange *message, const struct watching *now, struct settings_change *ret);

#endif
