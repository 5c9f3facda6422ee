#include "gatekeeper/edge/json_yajl.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* yajl looks at no result of its allocator, so it gets one that does not fail: a piece of the stack for what every text needs, and behind it
 * malloc, for texts with many escapes; these are bounded by the body's own length. */
struct scratch {
	char *next, *end;
	_Alignas(16) char space[1536];
};

struct piece {
	_Alignas(16) size_t size;
};

static void *scratch_alloc(void *context, size_t size)
{
	struct scratch *scratch = context;
	size_t whole = (sizeof(struct piece) + size + 15) & ~(size_t)15;
	struct piece *piece;

	if (whole <= (size_t)(scratch->end - scratch->next)) {
		piece = (struct piece *)(void *)scratch->next;
		scratch->next += whole;
	} else {
		piece = memory_new(whole);
	}
	piece->size = size;
	return piece + 1;
}

static void scratch_free(void *context, void *pointer)
{
	struct scratch *scratch = context;

	if (pointer && ((char *)pointer < scratch->space || (char *)pointer >= scratch->end))
		free((struct piece *)pointer - 1);
}

static void *scratch_resize(void *context, void *pointer, size_t size)
{
	void *grown = scratch_alloc(context, size);

	if (pointer) {
		size_t before = ((struct piece *)pointer - 1)->size;

		memcpy(grown, pointer, before < size ? before : size);
		scratch_free(context, pointer);
	}
	return grown;
}

static int hex4(const char *at, const char *end)
{
	int value = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = at[i];
		int digit = c >= '0' && c <= '9'		 ? c - '0'
			    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
								 : -1;

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* Whether every \u escape of a surrogate has its other half: yajl would put a question mark in its place. */
static bool surrogates_fit(const char *data, size_t length)
{
	const char *end = data + length;

	for (const char *at = data; (at = memchr(at, '\\', (size_t)(end - at))) != NULL;) {
		int code = end - at >= 6 && at[1] == 'u' ? hex4(at + 2, end) : -1;

		if (code < 0xd800 || code > 0xdfff) {
			at += end - at < 2 ? 1 : 2;
			continue;
		}
		if (code >= 0xdc00 || end - at < 12 || at[6] != '\\' || at[7] != 'u' ||
			hex4(at + 8, end) < 0xdc00 || hex4(at + 8, end) > 0xdfff)
			return false;
		at += 12;
	}
	return true;
}

enum json_parse_result json_parse(
	const yajl_callbacks *callbacks, void *context, const char *data, size_t length, size_t *ret_at)
{
	struct scratch scratch;
	yajl_alloc_funcs memory = {scratch_alloc, scratch_resize, scratch_free, &scratch};
	yajl_handle handle;
	yajl_status result;

	if (!surrogates_fit(data, length))
		return JSON_SURROGATE;
	scratch.next = scratch.space;
	scratch.end = scratch.space + sizeof(scratch.space);
	handle = yajl_alloc(callbacks, &memory, context);
	yajl_config(handle, yajl_dont_validate_strings, 1);
	result = yajl_parse(handle, (const unsigned char *)data, length);
	*ret_at = yajl_get_bytes_consumed(handle);
	if (result == yajl_status_ok)
		result = yajl_complete_parse(handle);
	yajl_free(handle);
	if (result == yajl_status_ok)
		return JSON_PARSED;
	if (result == yajl_status_client_canceled)
		return JSON_STOPPED;
	return *ret_at >= length ? JSON_TRUNCATED : JSON_BROKEN;
}
