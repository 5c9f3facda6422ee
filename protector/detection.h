/* protector/detection.h - what a detector said with a ban: kept with it, so that it can be explained as long as it is known.
 *
 * In the store and on the wire a detector stands by its name: one that this program does not know reads as none. Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_DETECTION_H
#define FLASHSALE_PROTECTOR_DETECTION_H

#include "base/arena.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "protector/detectors.h"

struct detection {
	enum detector detector; /* never DETECTOR_NONE */
	enum ban_effect step;	/* what it is, or would be without shadow */
	uint32_t repetition;
	struct evidence evidence;
};

/* The record of a store: explicit big-endian. The detector's name is apart. */
#define DETECTION_BYTES 69
void detection_pack(const struct detection *detection, uint8_t to[DETECTION_BYTES]);
bool detection_unpack(const uint8_t *from, size_t size, struct detection *ret); /* all but `detector` */

/* Sets of detectors are bits, 1 << detector; as text their names with commas, "operator" for DETECTOR_NONE, which stands for what persons said. Names that are not known are
 * left out. */
const char *detector_name(enum detector detector);
#define DETECTOR_BIT(detector) (1u << (detector))
#define DETECTOR_LIST_MAX 255
size_t detector_list_format(uint32_t set, char text[DETECTOR_LIST_MAX + 1]); /* its length */
uint32_t detector_list_parse(const char *text, size_t length);

/* NULL: the arena is at its cap. */
Protector__Detection *message_detection(struct arena *arena, const struct detection *detection);

/* A ban as it was decided; its texts and its detection are in the arena. False: no memory. The id is left as it is. */
bool ban_from_decision(struct arena *arena, const struct decision *decision, struct ban *ret);

#endif
