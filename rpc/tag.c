#include "rpc/tag.h"

#include <assert.h>

#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
const char *__tsan_default_options(void);

/* What an uninstrumented library (gRPC, LMDB, microhttpd) does under locks of its own would be reported as races. */
const char *__tsan_default_options(void)
{
	return "ignore_noninstrumented_modules=1";
}
#else
static inline void __tsan_acquire(void *address)
{
}

static inline void __tsan_release(void *address)
{
}
#endif

void rpc_tag_init(struct rpc_tag *tag, void (*done)(struct rpc_tag *tag, bool ok))
{
	tag->magic = RPC_TAG_MAGIC;
	tag->done = done;
}

bool rpc_tag_flying(const struct rpc_tag *tag)
{
	return tag->magic == RPC_TAG_FLYING;
}

void *rpc_tag_depart(struct rpc_tag *tag)
{
	assert(tag->magic == RPC_TAG_MAGIC && tag->done);
	tag->magic = RPC_TAG_FLYING;
	__tsan_release(tag);
	return tag;
}

void rpc_tag_return(struct rpc_tag *tag)
{
	assert(tag->magic == RPC_TAG_FLYING);
	tag->magic = RPC_TAG_MAGIC;
}

void rpc_tag_arrive(void *pointer, bool ok)
{
	struct rpc_tag *tag = pointer;

	__tsan_acquire(tag);
	assert(tag->magic == RPC_TAG_FLYING);
	tag->magic = RPC_TAG_MAGIC;
	tag->done(tag, ok);
}

bool rpc_batch_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
	if (grpc_call_start_batch(call, ops, count, rpc_tag_depart(tag), NULL) == GRPC_CALL_OK)
		return true;
	rpc_tag_return(tag);
	return false;
}
