/* base/memory.h - memory that is there or the process is not.
 *
 * These never return NULL: a machine without memory for our own fixed needs ends the process with a message (the supervisor starts it
 * again). What a stranger's request can make large comes from an arena with a cap instead (base/arena.h). Any thread. */
#ifndef FLASHSALE_BASE_MEMORY_H
#define FLASHSALE_BASE_MEMORY_H

#include <stddef.h>

void *memory_new(size_t size);                      /* zeroed; free() */
void *memory_new_array(size_t count, size_t size);  /* zeroed; overflow is checked; free() */
void *memory_resize(void *old, size_t count, size_t size);
char *memory_copy_text(const char *text);
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define NEW(type) ((type *)memory_new(sizeof(type)))
#define NEW_ARRAY(count, type) ((type *)memory_new_array((count), sizeof(type)))

/* The containing struct of an embedded member. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

#endif
