/* gatekeeper/edge/shapes.h - how each message of the contracts looks in JSON.
 *
 * protobuf-c's descriptors know names, types and offsets; the embedded descriptor set knows JSON names, our options and the comments. A
 * shape brings the two together: one struct json_shape a message type, its fields parallel to the type's. The set is read once with
 * protobuf-c; the messages are those that methods of the five services reach from their input or output.
 * Everything is made by shapes_new() and only read afterwards: any thread. Shapes live until shapes_free(). */
#ifndef FLASHSALE_EDGE_SHAPES_H
#define FLASHSALE_EDGE_SHAPES_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flashsale/options/v1/options.pb-c.h"
#include "google/api/http.pb-c.h"

/* The compatible paths, and those that begin with /v1/. */
enum json_surface { JSON_COMPATIBLE, JSON_V1 };

enum shape_kind {
	SHAPE_BOOL,
	SHAPE_INT32,
	SHAPE_UINT32,
	SHAPE_INT64, /* shown as a number */
	SHAPE_UINT64,
	SHAPE_MONEY, /* int64 of micro-units, shown as a plain decimal */
	SHAPE_FLOAT,
	SHAPE_DOUBLE,
	SHAPE_STRING,
	SHAPE_BYTES, /* base64 */
	SHAPE_ENUM,  /* by its full name */
	SHAPE_NULL,  /* google.protobuf.NullValue */
	SHAPE_TIMESTAMP,
	SHAPE_DURATION,
	SHAPE_LIMIT, /* flashsale.common.v1.Limit: a number, 0 without limit */
	SHAPE_MESSAGE,
};

#define SHAPE_FIELDS_MAX 64 /* of one message: what a set of bits holds */

struct json_field {
	const ProtobufCFieldDescriptor *field;
	const char *name;   /* in JSON */
	const char *member; /* "\"name\":", as it is written */
	uint16_t name_length, proto_name_length, member_length;
	enum shape_kind kind;
	bool repeated, oneof, required;
	Options__Surface surface;
	const struct json_shape
		*message;    /* of SHAPE_MESSAGE, SHAPE_TIMESTAMP, SHAPE_DURATION and SHAPE_LIMIT */
	const char *comment; /* "" without one */
};

struct json_shape {
	const ProtobufCMessageDescriptor *type;
	const struct json_field *fields; /* type->n_fields of them, in the type's order */
	unsigned field_count;		 /* at most SHAPE_FIELDS_MAX */
	uint64_t required;		 /* bit i: fields[i] */
	const char *comment;
};

struct shape_method {
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMethodDescriptor *method;
	const struct json_shape *input, *output;
	bool streaming; /* either way: no REST */
	Options__Access access;
	const char *shard_key;		   /* name of a field of the input, or "" */
	Options__Round round;		   /* without it */
	const Google__Api__HttpRule *http; /* NULL: no routes */
	const char *comment;
};

struct shapes;

/* Of all five services. NULL and *error if the contracts are not as they must be (a number too large, an extension that does not parse). */
struct shapes *shapes_new(struct error *error);
void shapes_free(struct shapes *shapes);

/* All methods, service by service, in the order of the files. */
const struct shape_method *shapes_methods(const struct shapes *shapes, size_t *ret_count);
/* NULL if no method of the services reaches the type. */
const struct json_shape *shapes_of(const struct shapes *shapes, const ProtobufCMessageDescriptor *type);
/* "" if the contracts say nothing about it: a value's comment. */
const char *shapes_enum_comment(const struct shapes *shapes, const ProtobufCEnumDescriptor *type, int value);

/* By the name in the proto file; NULL if there is none. */
const struct json_field *json_shape_field(const struct json_shape *shape, const char *proto_name);
/* By JSON name or proto name, among those of the surface; NULL if there is none. `guess` is looked at first: most users send the members in
 * the contract's order. NULL: no guess. */
const struct json_field *json_shape_find(const struct json_shape *shape, enum json_surface surface,
	const char *name, size_t length, const struct json_field *guess);

/* The member of the field's oneof, another than it, that the message has; NULL: none. */
const struct json_field *json_shape_rival(
	const struct json_shape *shape, const struct json_field *field, const ProtobufCMessage *message);

static inline bool json_field_shown(const struct json_field *field, enum json_surface surface)
{
	return field->surface == OPTIONS__SURFACE__SURFACE_UNSPECIFIED ||
	       field->surface == (surface == JSON_V1 ? OPTIONS__SURFACE__SURFACE_V1
						     : OPTIONS__SURFACE__SURFACE_COMPATIBLE);
}

/* Where the field's value stands in a message (for a repeated one: the pointer to its elements). */
static inline void *json_field_value(const struct json_field *field, const ProtobufCMessage *message)
{
	return (char *)(uintptr_t)message + field->field->offset;
}

/* Whether the value is the field's: the members of a oneof share one place, which belongs to the chosen one, or to none. */
static inline bool json_field_chosen(const struct json_field *field, const ProtobufCMessage *message)
{
	const void *chosen = (const char *)message + field->field->quantifier_offset;

	return !field->oneof || *(const int *)chosen == (int)field->field->id;
}

#endif
