/* protector/tool_lists.h - `flashsale-protector import FILE` and `flashsale-protector export`: lists of bans into and out of a protector that runs. */
#ifndef FLASHSALE_PROTECTOR_TOOL_LISTS_H
#define FLASHSALE_PROTECTOR_TOOL_LISTS_H

#include "rpc/tool.h"

extern const struct service_tool tool_import, tool_ban_export;

#endif
