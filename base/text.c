/* base/text.c - see text.h. */
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define TEXT_FIRST_BYTES 256

static char text_nothing[1]; /* what an empty text shows; never written */

void text_init(struct text *text, size_t max)
{
	assert(max > 0 && max < SIZE_MAX / 2);
	*text = (struct text){.data = text_nothing, .max = max};
}

void text_init_fixed(struct text *text, char *storage, size_t size)
{
	assert(size > 0);
	*text = (struct text){.data = storage, .capacity = size, .max = size - 1, .fixed = true};
	storage[0] = '\0';
}

static void text_cut(struct text *text, size_t length)
{
	assert(length <= text->length);
	text->length = length;
	if (text->capacity)
		text->data[length] = '\0';
}

void text_clear(struct text *text)
{
	text_cut(text, 0);
	text->overflowed = false;
}

void text_release(struct text *text)
{
	if (text->capacity && !text->fixed)
		free(text->data);
	text_init(text, text->max ? text->max : 1);
}

char *text_detach(struct text *text, size_t *ret_length)
{
	char *data = text->capacity ? text->data : memory_copy_text("");

	assert(!text->fixed);
	if (ret_length)
		*ret_length = text->length;
	text_init(text, text->max);
	return data;
}

/* Room for `more` bytes and the terminator, or the sticky refusal. */
static bool text_reserve(struct text *text, size_t more)
{
	size_t capacity = text->capacity > TEXT_FIRST_BYTES ? text->capacity : TEXT_FIRST_BYTES;

	if (text->overflowed || more > text->max - text->length) {
		text->overflowed = true;
		return false;
	}
	if (text->length + more < text->capacity)
		return true;
	assert(!text->fixed); /* its max is its capacity */
	while (capacity <= text->length + more)
		capacity *= 2;
	if (capacity > text->max + 1)
		capacity = text->max + 1;
	text->data = memory_resize(text->capacity ? text->data : NULL, capacity, 1);
	text->capacity = capacity;
	text->data[text->length] = '\0';
	return true;
}

bool text_append(struct text *text, const void *data, size_t size)
{
	if (!text_reserve(text, size))
		return false;
	if (size) {
		memcpy(text->data + text->length, data, size);
		text->length += size;
		text->data[text->length] = '\0';
	}
	return true;
}

bool text_append_string(struct text *text, const char *string)
{
	return text_append(text, string, strlen(string));
}

bool text_append_char(struct text *text, char c)
{
	return text_append(text, &c, 1);
}

bool text_append_int(struct text *text, int64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do
		digits[--at] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		digits[--at] = '-';
	return text_append(text, digits + at, sizeof(digits) - at);
}

bool text_append_vf(struct text *text, const char *format, va_list arguments)
{
	va_list again;
	size_t room = text->capacity ? text->capacity - text->length : 0;
	int length;

	if (text->overflowed)
		return false;
	va_copy(again, arguments);
	length = vsnprintf(room ? text->data + text->length : NULL, room, format, again);
	va_end(again);
	assert(length >= 0);
	if ((size_t)length >= room) {
		text_cut(text, text->length); /* the part that was written goes */
		if (!text_reserve(text, (size_t)length))
			return false;
		if (length)
			vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
	}
	text->length += (size_t)length;
	return true;
}

bool text_appendf(struct text *text, const char *format, ...)
{
	va_list arguments;
	bool fits;

	va_start(arguments, format);
	fits = text_append_vf(text, format, arguments);
	va_end(arguments);
	return fits;
}

/* One character at data[0], of at most `size` (1 or more) bytes. Well-formed: its length and code point.
 * Ill-formed: the length of the maximal part that could have begun a character (1 at least); *ret_code is -1. */
static size_t utf8_next(const unsigned char *data, size_t size, int32_t *ret_code)
{
	unsigned char first = data[0], low = 0x80, high = 0xbf;
	size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	int32_t code = first & (0xff >> (length + 1));

	*ret_code = -1;
	if (first < 0x80) {
		*ret_code = first;
		return 1;
	}
	if (first < 0xc2 || first > 0xf4)
		return 1;
	if (first == 0xe0)
		low = 0xa0; /* shorter forms exist */
	else if (first == 0xed)
		high = 0x9f; /* surrogates */
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f; /* above U+10FFFF */
	for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf) {
		if (i == size || data[i] < low || data[i] > high)
			return i;
		code = code << 6 | (data[i] & 0x3f);
	}
	*ret_code = code;
	return length;
}

/* How many bytes from here on are ASCII for sure, in steps of eight: most texts are nothing else. */
static size_t utf8_plain(const char *data, size_t size)
{
	size_t at = 0;
	uint64_t word;

	for (; size - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, data + at, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	return at;
}

bool utf8_valid(const char *data, size_t size)
{
	for (size_t at = utf8_plain(data, size); at < size;) {
		int32_t code;

		at += utf8_next((const unsigned char *)data + at, size - at, &code);
		if (code < 0)
			return false;
	}
	return true;
}

/* How the character is written inside a JSON string; NULL: as it is. */
static const char *json_escape(int32_t code, char escape[8])
{
	static const char digits[] = "0123456789abcdef";

	switch (code) {
	case -1:
		return "\xef\xbf\xbd"; /* U+FFFD */
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	}
	if (code >= 0x20 && !(code >= 0x7f && code <= 0x9f) && code != 0x2028 && code != 0x2029)
		return NULL;
	memcpy(escape, "\\u", 2);
	for (int i = 0; i < 4; i++)
		escape[2 + i] = digits[code >> (12 - 4 * i) & 15];
	escape[6] = '\0';
	return escape;
}

static bool json_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* The characters without quotes, while they fit in `room` and in the text; returns how many bytes of data were
 * written out. */
static size_t json_append_characters(struct text *text, const char *data, size_t size, size_t room)
{
	size_t at = 0;

	while (at < size) {
		size_t run = 0, length;
		const char *escaped;
		char escape[8];
		int32_t code;

		while (at + run < size && run < room && json_plain((unsigned char)data[at + run]))
			run++;
		if (run) {
			if (!text_append(text, data + at, run))
				return at;
			at += run;
			room -= run;
			continue;
		}
		length = utf8_next((const unsigned char *)data + at, size - at, &code);
		escaped = json_escape(code, escape);
		run = escaped ? strlen(escaped) : length;
		if (run > room || !text_append(text, escaped ? escaped : data + at, run))
			return at;
		at += length;
		room -= run;
	}
	return at;
}

bool text_append_json_string_cut(struct text *text, const char *data, size_t size, size_t room, bool *ret_cut)
{
	size_t start = text->length, done;

	assert(room >= 2);
	text_append_char(text, '"');
	done = json_append_characters(text, data, size, room - 2);
	text_append_char(text, '"');
	if (text->overflowed) {
		text_cut(text, start);
		return false;
	}
	if (ret_cut)
		*ret_cut = done < size;
	return true;
}

bool text_append_json_string(struct text *text, const char *data, size_t size)
{
	return text_append_json_string_cut(text, data, size, SIZE_MAX, NULL);
}
