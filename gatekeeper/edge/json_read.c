#include "gatekeeper/edge/json_read.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "gatekeeper/edge/json_set.h"
#include "gatekeeper/edge/json_yajl.h"
#include "rpc/reason.h"

/* An object that is being read. */
struct frame {
	const struct json_shape *shape;
	ProtobufCMessage *message;
	const struct json_field *field; /* whose value comes next; NULL: it is ignored */
	bool list;			/* inside the field's list */
	size_t room;			/* elements that the list's memory holds */
	uint64_t named, seen;		/* fields: named at all, and given a value */
};

struct reader {
	enum json_surface surface;
	struct arena *arena;
	struct frame frames[JSON_DEPTH_MAX];
	unsigned frame_count;
	unsigned depth;	  /* objects and lists that are open */
	unsigned ignored; /* of these, inside a value that nobody wants */
	uint64_t seen;	  /* of the outermost object, at its end */
	struct rpc_status *status;
};

enum { STOP, GO }; /* what yajl's callbacks return */

static void append_part(
	char *path, size_t size, const char *name, size_t name_length, bool list, size_t index)
{
	size_t length = strlen(path);

	snprintf(path + length, size - length, "%s%.*s", length ? "." : "", (int)name_length, name);
	length = strlen(path);
	if (list)
		snprintf(path + length, size - length, "[%zu]", index);
}

static size_t *list_count(const struct frame *frame)
{
	return (size_t *)(void *)((char *)frame->message + frame->field->field->quantifier_offset);
}

/* Where the reader stands, by JSON names, followed by `last` if there is one. */
static void write_path(
	const struct reader *reader, char *path, size_t size, const char *last, size_t last_length)
{
	path[0] = '\0';
	for (unsigned i = 0; i < reader->frame_count; i++) {
		const struct frame *frame = &reader->frames[i];
		bool open = frame->list;

		if (!frame->field)
			continue;
		/* A list's element that is an object was counted when it began. */
		append_part(path, size, frame->field->name, frame->field->name_length, open,
			open ? *list_count(frame) - (i + 1 < reader->frame_count) : 0);
	}
	if (last)
		append_part(path, size, last, last_length, false, 0);
}

static int refuse_at(
	struct reader *reader, const char *last, size_t last_length, const char *what, const char *detail)
{
	rpc_status_set_reason(reader->status, COMMON__REASON__REASON_INVALID, "%s%s", what, detail);
	write_path(reader, reader->status->field, sizeof(reader->status->field), last, last_length);
	return STOP;
}

static int refuse(struct reader *reader, const char *what, const char *detail)
{
	return refuse_at(reader, NULL, 0, what, detail);
}

static int out_of_memory(struct reader *reader)
{
	rpc_status_set_reason(
		reader->status, COMMON__REASON__REASON_OVERLOADED, "the request takes too much memory");
	return STOP;
}

/* From what json_set_... returned. */
static int judge(struct reader *reader, const char *expected)
{
	if (!expected)
		return GO;
	return expected == JSON_NO_MEMORY ? out_of_memory(reader) : refuse(reader, "expected ", expected);
}

static struct frame *top(struct reader *reader)
{
	return &reader->frames[reader->frame_count - 1];
}

/* A value that is to be passed over: one of an unknown member, or deeper inside of such. */
static bool is_ignored(struct reader *reader)
{
	return reader->ignored || (reader->frame_count && !top(reader)->field);
}

/* Makes room for one more element; NULL when the arena is full. */
static void *list_slot(struct reader *reader, struct frame *frame)
{
	size_t size = json_slot_size(frame->field), count = *list_count(frame);
	char **elements = json_field_value(frame->field, frame->message);

	if (count == frame->room) {
		size_t room = frame->room ? frame->room * 2 : 4;
		char *grown = arena_alloc(reader->arena, room * size);

		if (!grown)
			return NULL;
		if (count)
			memcpy(grown, *elements, count * size);
		*elements = grown;
		frame->room = room;
	}
	return *elements + count * size;
}

/* The place of the value that comes, or NULL (then it is refused). */
static void *open_slot(struct reader *reader)
{
	struct frame *frame = top(reader);
	const struct json_field *field = frame->field, *rival;
	void *slot;

	if (frame->list) {
		if (*list_count(frame) == JSON_ITEMS_MAX) {
			refuse(reader, "the list has too many items", "");
			return NULL;
		}
		slot = list_slot(reader, frame);
		if (!slot)
			out_of_memory(reader);
		return slot;
	}
	if (field->repeated) {
		refuse(reader, "expected a list", "");
		return NULL;
	}
	rival = json_shape_rival(frame->shape, field, frame->message);
	if (rival) {
		refuse(reader, "can't be given together with ", rival->name);
		return NULL;
	}
	return json_field_value(field, frame->message);
}

/* The value stands in its place: make it count. */
static void close_slot(struct frame *frame)
{
	if (frame->list) {
		++*list_count(frame);
		return;
	}
	frame->seen |= UINT64_C(1) << (frame->field - frame->shape->fields);
	if (frame->field->oneof)
		*(int *)(void *)((char *)frame->message + frame->field->field->quantifier_offset) =
			(int)frame->field->field->id;
}

static int stored(struct reader *reader, const char *expected)
{
	if (!expected)
		close_slot(top(reader));
	return judge(reader, expected);
}

/* True if a scalar has to be stored; else *ret_result is what to answer yajl. */
static bool want_scalar(struct reader *reader, int *ret_result)
{
	*ret_result = GO;
	if (is_ignored(reader))
		return false;
	if (reader->frame_count)
		return true;
	*ret_result = refuse(reader, "the body must be a JSON object", "");
	return false;
}

static int on_null(void *context)
{
	struct reader *reader = context;
	struct frame *frame;
	int result;
	void *slot;

	if (!want_scalar(reader, &result))
		return result;
	frame = top(reader);
	if (!frame->list && frame->field->kind != SHAPE_NULL)
		return GO; /* absent */
	slot = open_slot(reader);
	if (!slot)
		return STOP;
	if (frame->field->kind != SHAPE_NULL)
		return judge(reader, json_expected(frame->field));
	*(int *)slot = 0;
	return stored(reader, NULL);
}

static int on_bool(void *context, int value)
{
	struct reader *reader = context;
	int result;
	void *slot;

	if (!want_scalar(reader, &result))
		return result;
	slot = open_slot(reader);
	return slot ? stored(reader, json_set_bool(top(reader)->field, slot, value != 0)) : STOP;
}

static int on_number(void *context, const char *data, size_t length)
{
	struct reader *reader = context;
	int result;
	void *slot;

	if (!want_scalar(reader, &result))
		return result;
	slot = open_slot(reader);
	return slot ? stored(reader, json_set_number(top(reader)->field, slot, reader->arena, data, length))
		    : STOP;
}

static int on_string(void *context, const unsigned char *bytes, size_t length)
{
	struct reader *reader = context;
	const char *data = (const char *)bytes;
	int result;
	void *slot;

	if (!want_scalar(reader, &result)) {
		if (result == GO && !utf8_valid(data, length))
			return refuse(reader, "the body is not valid UTF-8", "");
		return result;
	}
	slot = open_slot(reader);
	return slot ? stored(reader, json_set_string(top(reader)->field, slot, reader->arena, data, length))
		    : STOP;
}

/* Opens an object or a list; false: too deep. */
static bool descend(struct reader *reader)
{
	if (reader->depth == JSON_DEPTH_MAX) {
		refuse(reader, "the body is nested too deeply", "");
		return false;
	}
	reader->depth++;
	if (is_ignored(reader))
		reader->ignored++;
	return true;
}

/* The object that a field of the topmost frame takes. */
static ProtobufCMessage *open_message(struct reader *reader)
{
	const struct json_field *field = top(reader)->field;
	ProtobufCMessage *message;
	void *slot = open_slot(reader);

	if (!slot)
		return NULL;
	if (field->kind != SHAPE_MESSAGE) {
		refuse(reader, "expected ", json_expected(field));
		return NULL;
	}
	message = json_message_new(field->message, reader->arena);
	if (!message) {
		out_of_memory(reader);
		return NULL;
	}
	*(ProtobufCMessage **)slot = message;
	close_slot(top(reader));
	return message;
}

static int on_map_start(void *context)
{
	struct reader *reader = context;
	struct frame *frame;
	ProtobufCMessage *message;

	if (!descend(reader))
		return STOP;
	if (reader->ignored)
		return GO;
	if (reader->depth > 1) {
		const struct json_shape *shape = top(reader)->field->message;

		message = open_message(reader);
		if (!message)
			return STOP;
		reader->frames[reader->frame_count] = (struct frame){.shape = shape, .message = message};
	}
	frame = &reader->frames[reader->frame_count++];
	assert(frame->message && reader->frame_count <= JSON_DEPTH_MAX);
	return GO;
}

/* A name that the shape does not have. */
static int pass_over(struct reader *reader, const char *name, size_t length)
{
	if (!utf8_valid(name, length))
		return refuse(reader, "a name is not valid UTF-8", "");
	return reader->surface == JSON_V1 && !reader->ignored
		       ? refuse_at(reader, name, length, "no such field", "")
		       : GO;
}

static int on_map_key(void *context, const unsigned char *bytes, size_t length)
{
	struct reader *reader = context;
	const char *name = (const char *)bytes;
	struct frame *frame = top(reader);
	const struct json_field *guess;
	uint64_t bit;

	if (reader->ignored)
		return pass_over(reader, name, length);
	guess = frame->field ? frame->field + 1 : frame->shape->fields;
	if (guess == frame->shape->fields + frame->shape->field_count)
		guess = NULL;
	frame->field = json_shape_find(frame->shape, reader->surface, name, length, guess);
	if (!frame->field)
		return pass_over(reader, name, length);
	bit = UINT64_C(1) << (frame->field - frame->shape->fields);
	if (frame->named & bit)
		return refuse(reader, "given twice", "");
	frame->named |= bit;
	return GO;
}

static int on_map_end(void *context)
{
	struct reader *reader = context;

	reader->depth--;
	if (reader->ignored) {
		reader->ignored--;
		return GO;
	}
	if (reader->frame_count == 1)
		reader->seen = top(reader)->seen;
	reader->frame_count--;
	return GO;
}

static int on_array_start(void *context)
{
	struct reader *reader = context;
	struct frame *frame;

	if (!descend(reader))
		return STOP;
	if (reader->ignored)
		return GO;
	if (!reader->frame_count)
		return refuse(reader, "the body must be a JSON object", "");
	frame = top(reader);
	if (frame->list || !frame->field->repeated)
		return refuse(reader, "expected ", json_expected(frame->field));
	*list_count(frame) = 0;
	frame->room = 0;
	frame->list = true;
	return GO;
}

static int on_array_end(void *context)
{
	struct reader *reader = context;
	struct frame *frame;

	reader->depth--;
	if (reader->ignored) {
		reader->ignored--;
		return GO;
	}
	frame = top(reader);
	frame->list = false;
	frame->seen |= UINT64_C(1) << (frame->field - frame->shape->fields);
	return GO;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_map_start,
	.yajl_map_key = on_map_key,
	.yajl_end_map = on_map_end,
	.yajl_start_array = on_array_start,
	.yajl_end_array = on_array_end,
};

static bool refuse_text(struct rpc_status *status, const char *message)
{
	rpc_status_set_reason(status, COMMON__REASON__REASON_INVALID, "%s", message);
	return false;
}

bool json_read(const struct json_shape *shape, enum json_surface surface, const char *data, size_t length,
	struct arena *arena, ProtobufCMessage *message, uint64_t *ret_seen, struct rpc_status *ret_status)
{
	struct reader reader;
	size_t at;

	reader.surface = surface;
	reader.arena = arena;
	reader.status = ret_status;
	reader.frames[0] = (struct frame){.shape = shape, .message = message};
	reader.frame_count = reader.depth = reader.ignored = 0;
	reader.seen = 0;
	switch (json_parse(&callbacks, &reader, data, length, &at)) {
	case JSON_PARSED:
		*ret_seen = reader.seen;
		return true;
	case JSON_STOPPED:
		return false; /* the callback said why */
	case JSON_SURROGATE:
		return refuse_text(ret_status, "the body has half of a surrogate pair");
	case JSON_TRUNCATED:
		return refuse_text(ret_status, "the body ends before its JSON does");
	case JSON_BROKEN:
		break;
	}
	rpc_status_set_reason(
		ret_status, COMMON__REASON__REASON_INVALID, "the body is not JSON at byte %zu", at);
	return false;
}

bool json_read_text(const struct json_field *field, const char *data, size_t length, struct arena *arena,
	ProtobufCMessage *message, struct rpc_status *ret_status)
{
	const struct json_shape shape = {.type = message->descriptor, .fields = field, .field_count = 1};
	struct reader reader = {.arena = arena, .status = ret_status, .frame_count = 1};
	struct frame *frame = &reader.frames[0];
	void *slot;

	*frame = (struct frame){.shape = &shape, .message = message, .field = field, .list = field->repeated};
	if (field->repeated)
		frame->room = *list_count(frame); /* what is there already is full */
	slot = open_slot(&reader);
	return slot && stored(&reader, json_set_text(field, slot, arena, data, length)) == GO;
}
