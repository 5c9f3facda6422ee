/* base/arena.h - memory of one call, given back in one place.
 *
 * An arena hands out aligned pieces from blocks and frees nothing until it is cleared or released. It has a hard cap in bytes: past it
 * every allocation returns NULL, and arena_exhausted() stays true until the clear; so a small hostile message that unpacks to a
 * large one ends in a refusal and not in the machine's memory. The first block of ordinary size is kept over clears, so a call that
 * fits in it asks malloc for nothing.
 * Threads: none of its own; it belongs to one call, and passes from thread to thread with it. */
#ifndef FLASHSALE_BASE_ARENA_H
#define FLASHSALE_BASE_ARENA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <protobuf-c/protobuf-c.h>

struct arena_block;
struct arena {
	struct arena_block *blocks;    /* newest first, but a piece's own block goes behind the newest */
	char *next, *end;              /* free part of the newest block */
	size_t block_bytes;            /* size of an ordinary block */
	size_t bytes_max;              /* cap over all blocks */
	size_t bytes_used;             /* over all blocks, bookkeeping included */
	bool exhausted;
	ProtobufCAllocator allocator;  /* draws from this arena: for protobuf-c's unpack; its free does nothing */
};

void arena_init(struct arena *arena, size_t block_bytes, size_t bytes_max); /* allocates nothing yet; the struct must not move after it */
void arena_clear(struct arena *arena);   /* everything handed out is gone; one block of ordinary size stays */
void arena_release(struct arena *arena);
bool arena_exhausted(const struct arena *arena);

/* All of these return NULL at the cap. arena_alloc's memory is not zeroed; the others' is. Aligned to 16. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zero(struct arena *arena, size_t size);
void *arena_array(struct arena *arena, size_t count, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
char *arena_text(struct arena *arena, const char *text, size_t length); /* terminated copy */
char *arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(arena, type) ((type *)arena_zero((arena), sizeof(type)))
#define ARENA_ARRAY(arena, count, type) ((type *)arena_array((arena), (count), sizeof(type)))

#endif
