/* rpc/tool_store.h - the tools that every program with a store has. For tool.c only. */
#ifndef FLASHSALE_RPC_TOOL_STORE_H
#define FLASHSALE_RPC_TOOL_STORE_H

#include "rpc/tool.h"

extern const struct service_tool tool_backup, tool_restore;

#endif
