/* base/writer.h - one thread owns a store: many commands, one transaction, one durable commit, then the answers.
 *
 * The thread takes all that is queued (at most group_max items), begins a transaction, asks for the time once, runs tick (expiry), applies each
 * command in the order of submission, runs finish (what is written once a group), commits with fsync, then calls each done() in the same order. While one group commits the next gathers; a lone command leaves at once. No answer
 * may leave before done(): refusals and reads that went through the writer included.
 *  - A command says no inside its own answer and returns 0; only the store fails a group. Then everything is aborted, rollback() restores
 *    the domain's memory, and each command hears WRITER_FAILED: a definite no.
 *  - MDB_MAP_FULL: the group runs again without the commands marked `grows`; those hear WRITER_FULL, also a definite no. (LMDB
 *    reports a full map from the commit too, before it writes anything: the same.) If it is full even so, all hear WRITER_FULL.
 *  - A failed commit means unknown: nothing is answered, fatal() is called and must end the process.
 * Threads: submit from any; apply, tick, rollback, committed and done run on the writer's thread, which owns the domain (now_ms too). done() is short and does no I/O. */
#ifndef FLASHSALE_BASE_WRITER_H
#define FLASHSALE_BASE_WRITER_H

#include "base/store.h"

enum writer_result { WRITER_COMMITTED, WRITER_FULL, WRITER_FAILED };

struct command {
	struct command *next;
	/* 0, or LMDB's error code. Called again with the same command if the group is run again. */
	int (*apply)(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms);
	void (*done)(struct command *command, enum writer_result result);
	uint32_t items;  /* what it counts towards group_max; at least 1 */
	bool grows;      /* needs room: left out when the store is full */
};

struct writer_options {
	struct store *store;
	void *domain;
	uint32_t group_max;  /* items a transaction */
	uint32_t queue_max;  /* items that wait; past it submit refuses */
	int64_t (*now_ms)(void *domain);                                               /* once a group */
	/* Before the commands, in the same transaction; bounded work. *ret_next_ms: when it wants to run again at the latest (now_ms: at once,
	 * there is more). May be NULL. A group with no command commits only if tick changed something (*ret_changed). */
	int (*tick)(void *domain, MDB_txn *txn, int64_t now_ms, int64_t *ret_next_ms, bool *ret_changed);
	/* After the commands, in the same transaction: rows that are written once a group. May be NULL. Not called when the group is empty and tick
	 * changed nothing. */
	int (*finish)(void *domain, MDB_txn *txn, int64_t now_ms);
	void (*rollback)(void *domain);      /* may be NULL */
	void (*committed)(void *domain);     /* after the commit, before the done()s; may be NULL */
	void (*fatal)(void *context, const char *why); /* does not return */
	void *fatal_context;
	const char *name;                    /* of the thread; at most 15 characters */
};

struct writer;
struct writer *writer_new(const struct writer_options *options); /* starts the thread, signals blocked */
void writer_free(struct writer *writer);                         /* applies what is queued, then ends; not from its thread */
bool writer_submit(struct writer *writer, struct command *command); /* false: full or ending; nothing was kept, done() never comes */
void writer_wake(struct writer *writer);                         /* run tick soon: tests moved the clock */
uint32_t writer_queued(const struct writer *writer);             /* items waiting: a hint */

#endif
