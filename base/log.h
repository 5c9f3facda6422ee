/* base/log.h - one JSON object a line on stderr: RFC 3339 time in UTC with milliseconds, level, service, message, then the fields.
 *
 * A line is one write(2) of at most 4 KiB (longer values are cut), so lines of several threads never mix. The level can be changed at any
 * time. Text is escaped as JSON and bad UTF-8 replaced, so a stranger's string cannot forge a line. Identical lines from one place
 * are bounded: LOG_LIMITED writes at most one a second a place and says how many it left out.
 * Threads: any, no lock. Never call it on the hot path of a request. */
#ifndef FLASHSALE_BASE_LOG_H
#define FLASHSALE_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* A field of a line: make them with the macros below. */
struct log_field {
	const char *name;
	enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_BOOL } kind;
	const char *text;
	int64_t number;
};
#define LOG_TEXT(n, value) ((struct log_field){.name = (n), .kind = LOG_FIELD_TEXT, .text = (value)})
#define LOG_INT(n, value) ((struct log_field){.name = (n), .kind = LOG_FIELD_INT, .number = (value)})
#define LOG_BOOL(n, value) ((struct log_field){.name = (n), .kind = LOG_FIELD_BOOL, .number = (value)})

void log_init(const char *service, const char *instance); /* both must outlive the process's last line */
void log_set_level(enum log_level level);
bool log_level_parse(const char *text, enum log_level *ret);
void log_set_descriptor(int fd); /* tests; 2 by default */
void log_write(enum log_level level, const char *message, const struct log_field *fields, int count);
bool log_enabled(enum log_level level);

#define LOG_AT(level, message, ...)                                                                                  \
	do {                                                                                                         \
		if (log_enabled(level)) {                                                                            \
			const struct log_field log_fields_[] = {{0}, ##__VA_ARGS__};                                 \
			log_write(level, message, log_fields_ + 1, (int)(sizeof(log_fields_) / sizeof(log_fields_[0])) - 1); \
		}                                                                                                    \
	} while (0)
#define log_debug(message, ...) LOG_AT(LOG_DEBUG, message, ##__VA_ARGS__)
#define log_info(message, ...) LOG_AT(LOG_INFO, message, ##__VA_ARGS__)
#define log_warn(message, ...) LOG_AT(LOG_WARN, message, ##__VA_ARGS__)
#define log_error(message, ...) LOG_AT(LOG_ERROR, message, ##__VA_ARGS__)

/* One line a second a place; returns whether to write now, and how many were left out since the last. */
struct log_limit {
	_Atomic int64_t next_ms;
	_Atomic int64_t left_out;
};
bool log_limit_pass(struct log_limit *limit, int64_t *ret_left_out);
#define LOG_LIMITED(level, message, ...)                                                                             \
	do {                                                                                                         \
		static struct log_limit log_limit_;                                                                  \
		int64_t log_left_out_;                                                                               \
		if (log_enabled(level) && log_limit_pass(&log_limit_, &log_left_out_))                                                   \
			LOG_AT(level, message, ##__VA_ARGS__, LOG_INT("left_out", log_left_out_));                   \
	} while (0)

#endif
