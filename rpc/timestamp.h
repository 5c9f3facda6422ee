/* rpc/timestamp.h - google.protobuf.Timestamp and the milliseconds since 1970 that the code uses. What is finer than a millisecond is cut off.
 * Pure: any thread. */
#ifndef FLASHSALE_RPC_TIMESTAMP_H
#define FLASHSALE_RPC_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "google/protobuf/timestamp.pb-c.h"

/* The years 1 to 9999, as the type's comment demands. */
#define TIMESTAMP_SECONDS_MIN (-62135596800LL)
#define TIMESTAMP_SECONDS_MAX 253402300799LL

static inline void timestamp_set(Google__Protobuf__Timestamp *timestamp, int64_t ms)
{
	google__protobuf__timestamp__init(timestamp);
	timestamp->seconds = ms / 1000 - (ms % 1000 < 0);
	timestamp->nanos = (int32_t)((ms - timestamp->seconds * 1000) * 1000000);
}

/* NULL: the arena is at its cap. */
static inline Google__Protobuf__Timestamp *timestamp_new(struct arena *arena, int64_t ms)
{
	Google__Protobuf__Timestamp *timestamp = ARENA_NEW(arena, Google__Protobuf__Timestamp);

	if (timestamp)
		timestamp_set(timestamp, ms);
	return timestamp;
}

/* False: not a time that the type allows. */
static inline bool timestamp_get(const Google__Protobuf__Timestamp *timestamp, int64_t *ret_ms)
{
	if (timestamp->seconds < TIMESTAMP_SECONDS_MIN || timestamp->seconds > TIMESTAMP_SECONDS_MAX ||
		timestamp->nanos < 0 || timestamp->nanos > 999999999)
		return false;
	*ret_ms = timestamp->seconds * 1000 + timestamp->nanos / 1000000;
	return true;
}

#endif
