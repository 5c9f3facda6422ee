/* protector/tool_replay.h - `flashsale-protector replay FILE`. */
#ifndef FLASHSALE_PROTECTOR_TOOL_REPLAY_H
#define FLASHSALE_PROTECTOR_TOOL_REPLAY_H

#include "rpc/tool.h"

extern const struct service_tool tool_replay;

#endif
