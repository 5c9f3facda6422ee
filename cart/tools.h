/* cart/tools.h - what flashsale-cart can do besides serving (rpc/tool.h). */
#ifndef FLASHSALE_CART_TOOLS_H
#define FLASHSALE_CART_TOOLS_H

#include "rpc/tool.h"

extern const struct service_tool tool_reconcile, tool_cart_export, tool_cart_reshard;

#endif
