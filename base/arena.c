/* base/arena.c - blocks and a cap; see arena.h.
 *
 * A piece that fits in no ordinary block gets a block of its own behind the newest one, so the room left in the
 * newest is not lost. Under AddressSanitizer all that is not handed out is poisoned: a write past a piece or a
 * use after the clear is reported. */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define HIDE(from, size) ASAN_POISON_MEMORY_REGION(from, size)
#define SHOW(from, size) ASAN_UNPOISON_MEMORY_REGION(from, size)
/* Between two pieces, so that running over the end of one does not land in the next. */
#define GAP ARENA_ALIGN
#else
#define HIDE(from, size) ((void)(from), (void)(size))
#define SHOW(from, size) ((void)(from), (void)(size))
#define GAP 0
#endif

#define ARENA_ALIGN 16

struct arena_block {
	struct arena_block *older;
	size_t size; /* of data */
	alignas(ARENA_ALIGN) char data[];
};

static void *arena_pb_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void arena_pb_free(void *arena, void *memory)
{
	(void)arena;
	(void)memory;
}

void arena_init(struct arena *arena, size_t block_bytes, size_t bytes_max)
{
	assert(block_bytes > sizeof(struct arena_block));
	assert(bytes_max >= block_bytes);
	*arena = (struct arena){
		.block_bytes = block_bytes,
		.bytes_max = bytes_max,
		.allocator = {.alloc = arena_pb_alloc, .free = arena_pb_free, .allocator_data = arena},
	};
}

static void arena_block_free(struct arena *arena, struct arena_block *block)
{
	size_t bytes = sizeof(*block) + block->size;

	assert(arena->bytes_used >= bytes);
	arena->bytes_used -= bytes;
	SHOW(block->data, block->size);
	free(block);
}

static void arena_use_block(struct arena *arena, struct arena_block *block)
{
	arena->next = block ? block->data : NULL;
	arena->end = block ? block->data + block->size : NULL;
	if (block)
		HIDE(block->data, block->size);
}

/* Frees all blocks but, with `keep`, the oldest of ordinary size: what many idle arenas keep must be small. */
static void arena_free_blocks(struct arena *arena, bool keep)
{
	struct arena_block *kept = NULL, *older;

	for (struct arena_block *block = arena->blocks; block; block = older) {
		struct arena_block *freed = block;

		older = block->older;
		if (keep && sizeof(*block) + block->size == arena->block_bytes) {
			freed = kept;
			kept = block;
		}
		if (freed)
			arena_block_free(arena, freed);
	}
	if (kept)
		kept->older = NULL;
	arena->blocks = kept;
	arena->exhausted = false;
	arena_use_block(arena, kept);
}

void arena_clear(struct arena *arena)
{
	arena_free_blocks(arena, true);
}

void arena_release(struct arena *arena)
{
	arena_free_blocks(arena, false);
	assert(arena->bytes_used == 0);
}

bool arena_exhausted(const struct arena *arena)
{
	return arena->exhausted;
}

static void *arena_refuse(struct arena *arena)
{
	arena->exhausted = true;
	return NULL;
}

/* A block with room for `size` bytes at least, counted but not linked; NULL at the cap. */
static struct arena_block *arena_block_new(struct arena *arena, size_t size)
{
	size_t left = arena->bytes_max - arena->bytes_used;
	size_t bytes = arena->block_bytes;
	struct arena_block *block;

	if (left < sizeof(*block) || size > left - sizeof(*block))
		return arena_refuse(arena);
	if (bytes < sizeof(*block) + size)
		bytes = sizeof(*block) + size;
	else if (bytes > left)
		bytes = left;
	block = malloc(bytes);
	if (!block)
		return arena_refuse(arena);
	block->older = NULL;
	block->size = bytes - sizeof(*block);
	arena->bytes_used += bytes;
	assert(arena->bytes_used <= arena->bytes_max);
	return block;
}

static void *arena_take(struct arena *arena, size_t size, size_t step)
{
	char *piece = arena->next;

	arena->next += step;
	SHOW(piece, size);
	return piece;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block;
	size_t step;

	if (size > arena->bytes_max)
		return arena_refuse(arena);
	step = (size + GAP + !size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (arena->next && (size_t)(arena->end - arena->next) >= step)
		return arena_take(arena, size, step);
	block = arena_block_new(arena, step);
	if (!block)
		return NULL;
	if (arena->blocks && sizeof(*block) + step > arena->block_bytes) {
		block->older = arena->blocks->older;
		arena->blocks->older = block;
		HIDE(block->data + size, block->size - size);
		return block->data;
	}
	block->older = arena->blocks;
	arena->blocks = block;
	arena_use_block(arena, block);
	return arena_take(arena, size, step);
}

void *arena_zero(struct arena *arena, size_t size)
{
	void *piece = arena_alloc(arena, size);

	return piece ? memset(piece, 0, size) : NULL;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return arena_refuse(arena);
	return arena_zero(arena, bytes);
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
	void *piece = arena_alloc(arena, size);

	if (piece && size)
		memcpy(piece, data, size);
	return piece;
}

char *arena_text(struct arena *arena, const char *text, size_t length)
{
	char *piece = length == SIZE_MAX ? arena_refuse(arena) : arena_alloc(arena, length + 1);

	if (!piece)
		return NULL;
	if (length)
		memcpy(piece, text, length);
	piece[length] = '\0';
	return piece;
}

char *arena_format(struct arena *arena, const char *format, ...)
{
	va_list arguments;
	char *piece;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return arena_refuse(arena);
	piece = arena_alloc(arena, (size_t)length + 1);
	if (!piece)
		return NULL;
	va_start(arguments, format);
	vsnprintf(piece, (size_t)length + 1, format, arguments);
	va_end(arguments);
	return piece;
}
