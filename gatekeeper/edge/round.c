/* round.c - calls of a service with several shards that no key places: until one of them knows what is meant, or all of them, put together.
 *
 * Shards are asked one after the other, within the request's deadline. A shard that does not answer ends the round: what it has can't be told, and a list
 * without it would be no list. Where pages are shown, each is of one shard, whose number stands before its own token: "1.SKU7". */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "gatekeeper/edge/edge_internal.h"

#define DIGITS_MAX 4

static char **text_field(ProtobufCMessage *message, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	return field ? (char **)(void *)((char *)message + field->offset) : NULL;
}

/* Pages are shown one by one, so each can be of one shard. */
static bool shows_pages(const struct work *work)
{
	return !work->route->response_body && text_field(work->message, "page_token");
}

static bool read_token(struct round *round, struct work *work, struct problem *problem)
{
	char **token = text_field(work->message, "page_token");
	unsigned long shard;
	size_t digits;

	if (!token || !(*token)[0])
		return true;
	digits = strspn(*token, "0123456789");
	shard = strtoul(*token, NULL, 10);
	if (!digits || digits > DIGITS_MAX || (*token)[digits] != '.' || shard >= round->shards) {
		problem_from_reason(problem, COMMON__REASON__REASON_INVALID,
			"pageToken: expected the nextPageToken of the page before");
		strcpy(problem->field, "pageToken");
		return false;
	}
	round->first = (uint32_t)shard;
	*token += digits + 1;
	return true;
}

static uint32_t shards_of(const struct work *work)
{
	const struct edge_options *options = &work->edge->options;

	if (work->facts->service == EDGE_CART)
		return options->cart_shards;
	return work->facts->service == EDGE_INVENTORY ? options->inventory_shards : 1;
}

bool round_begin(struct round *round, struct work *work, struct rpc_request *request, struct problem *problem)
{
	const char *key = route_shard_key(work->route, work->message);
	const Options__Round kind = work->route->method->round;

	round->shards = shards_of(work);
	request->shard = RPC_ANY_SHARD;
	if (key)
		round->first = hash_shard(key, round->shards);
	if (kind == OPTIONS__ROUND__ROUND_UNSPECIFIED || (key && kind == OPTIONS__ROUND__ROUND_ALL) ||
		round->shards == 1) {
		round->shards = 1;
		if (key)
			request->shard = (int32_t)round->first;
		return true;
	}
	if (shows_pages(work) && !read_token(round, work, problem))
		return false;
	request->shard = (int32_t)round->first;
	return true;
}

/* ---- one that knows it ---- */

static bool knows_nothing(const struct rpc_status *status)
{
	const struct rpc_reason *reason = rpc_reason_by_name(status->reason);

	return reason && (reason->value == COMMON__REASON__REASON_NOT_FOUND ||
				 reason->value == COMMON__REASON__REASON_WRONG_SHARD);
}

static bool find_on(struct round *round, struct rpc_request *request)
{
	if (!knows_nothing(&request->status))
		return false;
	if (round->asked == 0)
		round->status = request->status;
	if (++round->asked == round->shards) {
		request->status = round->status;
		return false;
	}
	request->shard = (int32_t)((round->first + round->asked) % round->shards);
	return true;
}

/* ---- all of them ---- */

/* Lists one after the other; "consistent" only if all are; the rest as the last one says. False: the arena is full. */
static bool add_to(ProtobufCMessage *whole, ProtobufCMessage *part, struct arena *arena)
{
	const ProtobufCMessageDescriptor *type = part->descriptor;

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		void *ours = (char *)whole + field->offset, *theirs = (char *)part + field->offset;
		size_t *our_count = (size_t *)(void *)((char *)whole + field->quantifier_offset);
		size_t *their_count = (size_t *)(void *)((char *)part + field->quantifier_offset);
		ProtobufCMessage **joined;

		if (field->type == PROTOBUF_C_TYPE_BOOL && field->label != PROTOBUF_C_LABEL_REPEATED)
			*(protobuf_c_boolean *)theirs &= *(protobuf_c_boolean *)ours;
		if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label != PROTOBUF_C_LABEL_REPEATED)
			continue;
		joined = ARENA_ARRAY(arena, *our_count + *their_count + 1, ProtobufCMessage *);
		if (!joined)
			return false;
		if (*our_count)
			memcpy(joined, *(void **)ours, *our_count * sizeof(joined[0]));
		if (*their_count)
			memcpy(joined + *our_count, *(void **)theirs, *their_count * sizeof(joined[0]));
		*(ProtobufCMessage ***)theirs = joined;
		*their_count += *our_count;
	}
	return true;
}

/* What is left out of one shard's list is left out of the whole. */
static void note_more(ProtobufCMessage *whole, ProtobufCMessage *part)
{
	char **ours = text_field(whole, "next_page_token"), **theirs = text_field(part, "next_page_token");

	if (ours && (*ours)[0])
		*theirs = *ours;
}

static bool fail_full(struct rpc_request *request)
{
	request->output = NULL;
	rpc_status_set_reason(&request->status, COMMON__REASON__REASON_OVERLOADED,
		"the answer needs more memory than a request may have");
	return false;
}

static bool join_on(struct round *round, struct work *work, struct rpc_request *request)
{
	char **token = text_field(work->message, "page_token");

	if (round->whole && !add_to(round->whole, request->output, request->arena))
		return fail_full(request);
	if (round->whole)
		note_more(round->whole, request->output);
	round->whole = request->output;
	if (++round->asked == round->shards)
		return false;
	if (token)
		*token = (char *)protobuf_c_empty_string;
	request->shard = (int32_t)round->asked;
	return true;
}

/* The token of the page after this one: of the same shard, or of the next. */
static bool page_on(const struct round *round, struct rpc_request *request)
{
	char **token = text_field(request->output, "next_page_token");
	uint32_t shard;

	if (!token)
		return false;
	shard = (*token)[0] ? round->first : round->first + 1;
	if (shard < round->shards)
		*token = arena_format(request->arena, "%u.%s", shard, *token);
	return *token ? false : fail_full(request);
}

bool round_goes_on(struct round *round, struct work *work, struct rpc_request *request)
{
	if (round->shards == 1)
		return false;
	if (work->route->method->round == OPTIONS__ROUND__ROUND_FIND)
		return find_on(round, request);
	if (!request->output)
		return false;
	return shows_pages(work) ? page_on(round, request) : join_on(round, work, request);
}
