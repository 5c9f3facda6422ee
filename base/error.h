/* base/error.h - why something failed, in words that tell a person what to do.
 *
 * A function that can fail for a reason worth reading returns false (or NULL) and fills a struct error of its caller's; on success
 * the error is not touched. The text names the thing (file, field, key, value) and is always terminated, cut at its size.
 * Threads: an error belongs to the one who declared it. */
#ifndef FLASHSALE_BASE_ERROR_H
#define FLASHSALE_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

struct error {
	char text[512];
};

/* Writes the text and returns false, so that `return error_set(error, ...)` reads well. A NULL error is allowed. */
bool error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the text that is already there; returns false. */
bool error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
