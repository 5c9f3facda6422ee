#include "rpc/survey.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/pack.h"
#include "rpc/unary.h"

struct survey_run;

struct survey_call {
	struct rpc_unary unary;
	struct survey_run *run;
	struct rpc_survey_entry *entry;
	bool flying;
};

struct survey_run {
	struct rpc_pool_user user;
	struct rpc_task end;
	struct rpc_pool *pool;
	struct rpc_survey *survey;
	size_t room, open, called;
	struct survey_call calls[RPC_SURVEY_CALLS_MAX];
};

static void finish(struct survey_run *run)
{
	struct rpc_survey *survey = run->survey;

	rpc_pool_leave(run->pool, &run->user);
	free(run);
	survey->done(survey);
}

static void end_run(struct rpc_task *task)
{
	finish(container_of(task, struct survey_run, end));
}

static void answered(struct rpc_unary *unary)
{
	struct survey_call *call = container_of(unary, struct survey_call, unary);
	struct survey_run *run = call->run;

	if (unary->status.code == RPC_OK)
		call->entry->answer =
			rpc_unary_answer(unary, run->survey->method->output, run->survey->arena);
	call->entry->status = unary->status;
	call->flying = false;
	rpc_unary_release(unary);
	if (--run->open == 0)
		finish(run);
}

static void ask(struct survey_run *run, struct rpc_channel *channel, struct rpc_survey_entry *entry)
{
	const struct rpc_survey *survey = run->survey;
	struct survey_call *call;
	grpc_slice path;

	if (run->called == RPC_SURVEY_CALLS_MAX) {
		rpc_status_set(&entry->status, RPC_RESOURCE_EXHAUSTED, "", "too many instances to ask");
		return;
	}
	call = &run->calls[run->called++];
	call->run = run;
	call->entry = entry;
	call->unary.done = answered;
	path = rpc_path(survey->service, survey->method);
	call->flying = rpc_unary_start(
		&call->unary, channel, path, pack_message(survey->input), survey->deadline_ns, survey->trace);
	grpc_slice_unref(path);
	if (call->flying)
		run->open++;
	else
		rpc_status_set(&entry->status, RPC_INTERNAL, "", "the call was refused at its start");
}

static void visit(void *context, struct rpc_channel *channel)
{
	struct survey_run *run = context;
	struct rpc_survey *survey = run->survey;
	struct rpc_survey_entry *entry;

	if (survey->count == run->room)
		return;
	entry = &survey->entries[survey->count++];
	entry->id = arena_text(survey->arena, channel->id, strlen(channel->id));
	entry->address = arena_text(survey->arena, channel->address, strlen(channel->address));
	entry->connected = channel->state == GRPC_CHANNEL_READY;
	if (!entry->id || !entry->address)
		survey->count--;
	else if (entry->connected)
		ask(run, channel, entry);
	else
		rpc_status_set(&entry->status, RPC_UNAVAILABLE, "",
			channel->state == GRPC_CHANNEL_TRANSIENT_FAILURE ? "it can't be connected to"
									 : "it is being connected to");
}

static void pool_changed(struct rpc_pool_user *user)
{
}

static void pool_closed(struct rpc_pool_user *user)
{
	struct survey_run *run = container_of(user, struct survey_run, user);

	for (size_t i = 0; i < run->called; i++)
		if (run->calls[i].flying)
			rpc_unary_cancel(&run->calls[i].unary, true);
}

void rpc_survey_start(struct rpc_pool *pool, struct rpc_survey *survey)
{
	struct survey_run *run = NEW(struct survey_run);

	assert(rpc_on_loop(rpc_pool_loop(pool)) && survey->done && survey->arena);
	run->pool = pool;
	run->survey = survey;
	run->room = rpc_pool_count(pool);
	run->end.run = end_run;
	run->user.changed = pool_changed;
	run->user.closed = pool_closed;
	rpc_pool_join(pool, &run->user);
	survey->count = 0;
	survey->entries = ARENA_ARRAY(survey->arena, run->room, struct rpc_survey_entry);
	if (survey->entries)
		rpc_pool_each(pool, visit, run);
	if (!run->open)
		rpc_at_turn_end(rpc_pool_loop(pool), &run->end);
}
