/* gatekeeper/edge/json_values.h - single values between JSON's text and protobuf's numbers, exact in both directions.
 * For the files of the transcoder only. Pure: any thread. */
#ifndef FLASHSALE_EDGE_JSON_VALUES_H
#define FLASHSALE_EDGE_JSON_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define MONEY_DECIMALS 6

enum decimal_result {
	DECIMAL_OK,
	DECIMAL_MALFORMED, /* not a number as JSON writes it */
	DECIMAL_FRACTION,  /* more decimals than there is room for */
	DECIMAL_TOO_LARGE, /* outside of 64 bits */
};

/* The number times ten to the power of `decimals`, as sign and magnitude; -0 is 0. */
enum decimal_result decimal_read(
	const char *data, size_t length, unsigned decimals, bool *ret_negative, uint64_t *ret_magnitude);

/* RFC 3339 with 0 to 9 decimals and Z or an offset, years 0001 to 9999. */
bool timestamp_read(const char *data, size_t length, int64_t *ret_seconds, int32_t *ret_nanos);
/* "3.5s", at most 10,000 years either way. */
bool duration_read(const char *data, size_t length, int64_t *ret_seconds, int32_t *ret_nanos);
/* Either alphabet, with or without padding. `out` has room for length / 4 * 3 + 3 bytes. */
bool base64_read(const char *data, size_t length, uint8_t *out, size_t *ret_size);
/* A JSON number that a double can hold; too large a one is refused. */
bool double_read(const char *data, size_t length, double *ret);

void money_write(struct text *text, int64_t micros);
/* A time out of RFC 3339's years, or bad nanos, is written as the nearest one that fits. */
void timestamp_write(struct text *text, int64_t seconds, int32_t nanos);
void duration_write(struct text *text, int64_t seconds, int32_t nanos);
void base64_write(struct text *text, const uint8_t *data, size_t size);
/* The shortest digits that read back as the same number, always with a decimal point or an exponent; not a number becomes null. */
void double_write(struct text *text, double value);

#endif
