/* tests/simulation/inventory_command.h - a call as inventory's writer gets it. */
#ifndef FLASHSALE_TESTS_SIMULATION_INVENTORY_COMMAND_H
#define FLASHSALE_TESTS_SIMULATION_INVENTORY_COMMAND_H

#include "base/writer.h"
#include "inventory/books.h"
#include "wire.h"

struct node;

struct node_command {
	struct node_command *previous, *next;
	struct command command;
	struct wire_call *call;
	struct node *node;
	struct sender sender;
	struct fence_answer fenced;
	struct archive_request sale;
	enum writer_result result;
};

/* On the writer's thread, as inventory's rpc_holds.c, rpc_goods.c and rpc_ledger.c do it; the answers are left in the call. */
int inventory_apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms);

#endif
