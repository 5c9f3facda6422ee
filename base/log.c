/* base/log.c - lines of JSON; see log.h. */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* PIPE_BUF: a write of so much to a pipe is never mixed with another's. */
#define LOG_LINE_BYTES 4096
#define LOG_VALUE_BYTES \
	1024 /* of one text with its quotes, so that one long value leaves room for the others */
#define LOG_TAIL ",\"cut\":true}\n"

static const char *const log_level_names[] = {"debug", "info", "warn", "error"};

static const char *log_service = "", *log_instance = "";
static _Atomic int log_level = LOG_INFO;
static _Atomic int log_descriptor = STDERR_FILENO;

void log_init(const char *service, const char *instance)
{
	log_service = service ? service : "";
	log_instance = instance ? instance : "";
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *ret)
{
	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
		if (strcmp(text, log_level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_set_descriptor(int fd)
{
	atomic_store(&log_descriptor, fd);
}

bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

/* What is left of the line when its tail is kept free. */
static size_t log_room(const struct text *line)
{
	return line->max - line->length - (sizeof(LOG_TAIL) - 1);
}

/* The pair whole, its value cut if it must be; false: something was cut or left out. */
static bool log_put_text(struct text *line, const char *name, const char *value)
{
	size_t around =
		strlen(name) * 6 + sizeof(",\"\":null"); /* escaped, a name is six times as long at most */
	bool cut = false;
	size_t room;

	if (around > log_room(line))
		return false;
	if (line->length > 1)
		text_append_char(line, ',');
	text_append_json_string(line, name, strlen(name));
	text_append_char(line, ':');
	room = log_room(line);
	if (value)
		text_append_json_string_cut(line, value, strnlen(value, LOG_LINE_BYTES),
			room < LOG_VALUE_BYTES ? room : LOG_VALUE_BYTES, &cut);
	else
		text_append_string(line, "null");
	return !cut;
}

static bool log_put_number(struct text *line, const struct log_field *field)
{
	if (strlen(field->name) * 6 + 32 > log_room(line))
		return false;
	text_append_char(line, ',');
	text_append_json_string(line, field->name, strlen(field->name));
	text_append_char(line, ':');
	if (field->kind == LOG_FIELD_BOOL)
		return text_append_string(line, field->number ? "true" : "false");
	return text_append_int(line, field->number);
}

static void log_send(const struct text *line)
{
	ssize_t written;

	/* A full pipe that does not block loses the line: a log must not stop a sale. */
	do
		written = write(atomic_load(&log_descriptor), line->data, line->length);
	while (written < 0 && errno == EINTR);
}

void log_write(enum log_level level, const char *message, const struct log_field *fields, int count)
{
	char storage[LOG_LINE_BYTES + 1], time[CLOCK_TEXT_MAX];
	int kept_errno = errno;
	struct text line;
	bool whole;

	text_init_fixed(&line, storage, sizeof(storage));
	text_append_char(&line, '{');
	whole = log_put_text(&line, "time", clock_format_rfc3339(clock_wall_ms(&clock_system), time));
	whole &= log_put_text(&line, "level", log_level_names[level]);
	whole &= log_put_text(&line, "service", log_service);
	if (*log_instance)
		whole &= log_put_text(&line, "instance", log_instance);
	whole &= log_put_text(&line, "message", message);
	for (int i = 0; i < count; i++) {
		const struct log_field *field = &fields[i];

		whole &= field->kind == LOG_FIELD_TEXT ? log_put_text(&line, field->name, field->text)
						       : log_put_number(&line, field);
	}
	text_append_string(&line, whole ? "}\n" : LOG_TAIL);
	assert(!line.overflowed);
	log_send(&line);
	errno = kept_errno;
}

bool log_limit_pass(struct log_limit *limit, int64_t *ret_left_out)
{
	int64_t now_ms = clock_mono_ns() / 1000000;
	int64_t next_ms = atomic_load(&limit->next_ms);

	/* Of several threads that come at once, the one whose exchange succeeds writes. */
	if (now_ms < next_ms || !atomic_compare_exchange_strong(&limit->next_ms, &next_ms, now_ms + 1000)) {
		atomic_fetch_add(&limit->left_out, 1);
		return false;
	}
	*ret_left_out = atomic_exchange(&limit->left_out, 0);
	return true;
}
