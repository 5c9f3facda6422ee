/* base/error.c - the text of an error; see error.h. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, const char *format, ...)
{
	va_list arguments;

	if (!error)
		return false;
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return false;
}

bool error_prefix(struct error *error, const char *format, ...)
{
	char old[sizeof(error->text)];
	va_list arguments;
	size_t used;

	if (!error)
		return false;
	memcpy(old, error->text, sizeof(old));
	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	used = strlen(error->text);
	snprintf(error->text + used, sizeof(error->text) - used, ": %s", old);
	return false;
}
