/* rpc/tool_lines.h - what a tool writes for programs: a JSON object a line, to a file that is synced, or to stdout.
 *
 * The last line is {"kind":"end","rows":N,"digest":"..."}: how many lines were before it, and SHA-256 of their bytes, ends of lines included
 * (`head -n -1 FILE | sha256sum`). A file without it is not complete; until it is, its name ends in .unfinished. Threads: any one. */
#ifndef FLASHSALE_RPC_TOOL_LINES_H
#define FLASHSALE_RPC_TOOL_LINES_H

#include <jansson.h>

#include "base/error.h"

struct tool_lines;

/* path NULL: stdout. A file that is there already is left as it is. */
struct tool_lines *tool_lines_open(const char *path, struct error *error);
/* Writes the object, and gives it back. NULL (out of memory, or text that is no UTF-8) is kept as an error. */
void tool_lines_put(struct tool_lines *lines, json_t *object);
/* The last line, the sync, the name. False: the error is the first that happened. */
bool tool_lines_close(struct tool_lines *lines, struct error *error);
void tool_lines_drop(struct tool_lines *lines); /* it came to nothing */

/* For objects: bytes as hexadecimal text, empty: null; text of bytes that may be anything. */
json_t *tool_hex(const void *bytes, size_t size);
json_t *tool_text(const void *text, size_t size);

#endif
