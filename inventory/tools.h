/* inventory/tools.h - what flashsale-inventory can do besides serving (rpc/tool.h). */
#ifndef FLASHSALE_INVENTORY_TOOLS_H
#define FLASHSALE_INVENTORY_TOOLS_H

#include "rpc/tool.h"

extern const struct service_tool tool_audit, tool_export, tool_reshard;

/* For a restore: proves the backup, silently. */
int inventory_verify_store(struct store *backup, struct error *error);

#endif
