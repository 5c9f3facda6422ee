/* base/text.h - a growing text with a mandatory maximum; JSON's and UTF-8's rules for what strangers send.
 *
 * data is never NULL and always terminated (content may hold zero bytes too). An append that would pass `max`
 * adds nothing, returns false and sets `overflowed`; from then on every append is refused until the clear, so a
 * writer may ignore each result, look once at the end, and never finds a text with a hole. Memory comes from
 * malloc by doubling (true lack of it ends the process, base/memory.h), or is the caller's (text_init_fixed).
 * Threads: belongs to one. */
#ifndef FLASHSALE_BASE_TEXT_H
#define FLASHSALE_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	char *data;
	size_t length;
	size_t capacity; /* bytes at data, the terminator's included; 0: nothing allocated yet */
	size_t max;	 /* greatest length */
	bool overflowed;
	bool fixed; /* data is the caller's */
};

void text_init(struct text *text, size_t max); /* allocates nothing yet */
/* Storage of at least 1 byte that the caller keeps; never allocates; max is size - 1. */
void text_init_fixed(struct text *text, char *storage, size_t size);
void text_clear(struct text *text); /* empty again; memory is kept */
void text_release(struct text *text);
/* The content, to be freed by the caller; the text is empty after. Not for fixed ones. ret_length may be NULL. */
char *text_detach(struct text *text, size_t *ret_length);

bool text_append(struct text *text, const void *data, size_t size);
bool text_append_string(struct text *text, const char *string);
bool text_append_char(struct text *text, char c);
bool text_append_int(struct text *text, int64_t value);
bool text_appendf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool text_append_vf(struct text *text, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

/* As a JSON string with its quotes. Quote, backslash, control characters (DEL, C1 and the line separators
 * U+2028/9 too: terminals and old parsers act on them) are escaped; each maximal part of ill-formed UTF-8 becomes
 * U+FFFD. */
bool text_append_json_string(struct text *text, const char *data, size_t size);

/* The same, cut between characters so that it takes at most `room` bytes (at least 2) with its quotes; *ret_cut
 * (may be NULL) tells. False only as for text_append. */
bool text_append_json_string_cut(
	struct text *text, const char *data, size_t size, size_t room, bool *ret_cut);

/* Bytes that lie elsewhere, not terminated: a name with its length. */
struct span {
	const char *text;
	size_t length;
};

static inline struct span span_of(const char *text)
{
	return (struct span){text, strlen(text)};
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *data, size_t size);

#endif
