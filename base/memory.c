/* base/memory.c - allocation that succeeds or ends the process; see memory.h. */
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
