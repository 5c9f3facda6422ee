/* base/trace.h - W3C trace context: reading a traceparent, and the trace id alone, which is what travels with an item of a batch and stands in log lines.
 *
 * Version 00; a later version may be longer, and what is known of it is read as version 00. Pure: any thread. */
#ifndef FLASHSALE_BASE_TRACE_H
#define FLASHSALE_BASE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACEPARENT_LENGTH 55 /* "00-", trace id, "-", parent id, "-", flags */
#define TRACE_ID_BYTES 16
#define TRACE_ID_OFFSET 3      /* in a traceparent */
#define TRACE_ID_LENGTH 32     /* as text: lower-case hex */

/* Whether it is one, by every rule: no upper case, no id of zeros. *ret_id may be NULL. */
bool trace_parse(const char *text, size_t length, uint8_t ret_id[TRACE_ID_BYTES]);

/* The id as text; "" unless `size` is TRACE_ID_BYTES. Buffer of TRACE_ID_LENGTH + 1. */
const char *trace_id_format(const uint8_t *id, size_t size, char *buffer);

#endif
