/* gatekeeper/edge/events.h - what happened to requests, from the door's thread to the loop: a ring between one writer and one reader.
 *
 * The writer never waits: an event that finds the ring full is dropped and counted. Fixed memory. Threads: put on one, take on another; no lock. */
#ifndef FLASHSALE_EDGE_EVENTS_H
#define FLASHSALE_EDGE_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_USER_MAX 64

/* One answered request; the fields of protector.TrafficEvent. */
struct event {
	int64_t time_us;
	uint8_t address[16]; /* the first `address_size` count: 0, 4 or 16 */
	uint8_t address_size;
	uint8_t kind, reason;
	bool counts_address, counts_account; /* of the copy for one protector */
	char user_id[EVENT_USER_MAX + 1];
};

#define EVENTS_ROOM 16384 /* a power of two: a quarter of a second at the greatest rate ever seen */

struct events {
	struct event *slots;
	_Atomic uint32_t head;	  /* the writer's: how many were put */
	_Atomic uint32_t tail;	  /* the reader's: how many were taken */
	_Atomic uint64_t dropped; /* since events_dropped() was asked */
	_Atomic bool awake;	  /* the reader looks again by itself */
};

void events_init(struct events *events);
void events_release(struct events *events);

/* The place of the next one, to be filled before events_put; NULL: full, and counted. */
static inline struct event *events_place(struct events *events)
{
	const uint32_t head = atomic_load_explicit(&events->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&events->tail, memory_order_acquire) < EVENTS_ROOM)
		return &events->slots[head & (EVENTS_ROOM - 1)];
	atomic_fetch_add_explicit(&events->dropped, 1, memory_order_relaxed);
	return NULL;
}

/* True: the reader sleeps and is to be woken, once. */
static inline bool events_put(struct events *events)
{
	/* In one order with the reader's going to sleep: one of both sees the other. */
	atomic_store(&events->head, atomic_load_explicit(&events->head, memory_order_relaxed) + 1);
	return !atomic_load(&events->awake) && !atomic_exchange(&events->awake, true);
}

/* The oldest, to be copied before events_take; NULL: none. */
static inline const struct event *events_first(struct events *events)
{
	const uint32_t tail = atomic_load_explicit(&events->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&events->head, memory_order_acquire))
		return NULL;
	return &events->slots[tail & (EVENTS_ROOM - 1)];
}

static inline void events_take(struct events *events)
{
	atomic_store_explicit(&events->tail, atomic_load_explicit(&events->tail, memory_order_relaxed) + 1,
		memory_order_release);
}

/* The reader will not look by itself any more. False: something has come meanwhile, it is still awake. */
bool events_sleep(struct events *events);
uint64_t events_dropped(struct events *events); /* how many since it was last asked */

#endif
