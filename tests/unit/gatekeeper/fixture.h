/* What the transcoder's tests share: the shapes and routes of the real contracts, and one request's arena. */
#ifndef FLASHSALE_TESTS_GATEKEEPER_FIXTURE_H
#define FLASHSALE_TESTS_GATEKEEPER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/arena.h"
#include "gatekeeper/edge/json_read.h"
#include "gatekeeper/edge/json_write.h"
#include "gatekeeper/edge/routes.h"

struct fixture {
	struct shapes *shapes;
	struct routes *routes;
	struct arena arena;
	struct text text;
	struct rpc_status status;
	struct problem problem;
	struct route_match match;
	uint64_t seen;
};

static struct fixture fixture;

static inline int fixture_setup(void **state)
{
	struct error error;

	fixture.shapes = shapes_new(&error);
	if (!fixture.shapes)
		fail_msg("%s", error.text);
	fixture.routes = routes_new(fixture.shapes, &error);
	if (!fixture.routes)
		fail_msg("%s", error.text);
	arena_init(&fixture.arena, 4096, 1024 * 1024);
	text_init(&fixture.text, 64 * 1024);
	return 0;
}

static inline int fixture_teardown(void **state)
{
	text_release(&fixture.text);
	arena_release(&fixture.arena);
	routes_free(fixture.routes);
	shapes_free(fixture.shapes);
	return 0;
}

static inline int fixture_clear(void **state)
{
	arena_clear(&fixture.arena);
	text_clear(&fixture.text);
	return 0;
}

/* Reads a text of exact length (so that a step past its end is seen by the sanitizer). NULL: fixture.status says why. */
static inline ProtobufCMessage *read_bytes(
	const ProtobufCMessageDescriptor *type, enum json_surface surface, const char *json, size_t length)
{
	ProtobufCMessage *message = arena_alloc(&fixture.arena, type->sizeof_message);
	char *copy = test_malloc(length ? length : 1);
	bool fine;

	memcpy(copy, json, length);
	protobuf_c_message_init(type, message);
	memset(&fixture.status, 0, sizeof(fixture.status));
	fixture.seen = 0;
	fine = json_read(shapes_of(fixture.shapes, type), surface, copy, length, &fixture.arena, message,
		&fixture.seen, &fixture.status);
	test_free(copy);
	return fine ? message : NULL;
}

static inline void *read_text(
	const ProtobufCMessageDescriptor *type, enum json_surface surface, const char *json)
{
	return read_bytes(type, surface, json, strlen(json));
}

static inline const char *write_text(enum json_surface surface, const void *message)
{
	const ProtobufCMessage *base = message;

	text_clear(&fixture.text);
	assert_true(json_write(&fixture.text, shapes_of(fixture.shapes, base->descriptor), surface, base));
	return fixture.text.data;
}

#endif
