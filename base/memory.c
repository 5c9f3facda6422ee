/* base/memory.c - allocation that succeeds or ends the process; see memory.h. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Says so without asking for memory. */
static _Noreturn void memory_gone(void)
{
	static const char message[] = "out of memory: the process ends here\n";

	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	abort();
}

static void *memory_checked(void *memory)
{
	if (!memory)
		memory_gone();
	return memory;
}

void *memory_new(size_t size)
{
	return memory_new_array(1, size);
}

/* At least one byte, so that NULL always means "none". */
void *memory_new_array(size_t count, size_t size)
{
	return memory_checked(count && size ? calloc(count, size) : calloc(1, 1));
}

void *memory_resize(void *old, size_t count, size_t size)
{
	return memory_checked(count && size ? reallocarray(old, count, size) : realloc(old, 1));
}

/* Whole large pages, so that what is cut off on both sides is all that is too much. */
static size_t memory_large_size(size_t size)
{
	size_t whole = (size + MEMORY_LARGE_BYTES - 1) & ~(MEMORY_LARGE_BYTES - 1);

	if (whole < size || whole > SIZE_MAX - MEMORY_LARGE_BYTES)
		memory_gone();
	return whole;
}

void *memory_new_large(size_t size)
{
	size_t whole, before;
	char *memory;

	if (size < MEMORY_LARGE_BYTES)
		return memory_new(size);
	whole = memory_large_size(size);
	memory = mmap(
		NULL, whole + MEMORY_LARGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		memory_gone();
	before = -(uintptr_t)memory & (MEMORY_LARGE_BYTES - 1);
	if (before)
		munmap(memory, before);
	if (before < MEMORY_LARGE_BYTES)
		munmap(memory + before + whole, MEMORY_LARGE_BYTES - before);
	madvise(memory + before, whole, MADV_HUGEPAGE); /* a wish */
	return memory + before;
}

void memory_free_large(void *memory, size_t size)
{
	if (memory && size >= MEMORY_LARGE_BYTES)
		munmap(memory, memory_large_size(size));
	else
		free(memory);
}

char *memory_copy_text(const char *text)
{
	return memory_checked(strdup(text));
}

char *memory_format(const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		memory_gone();
	return text;
}
