/* Apart from the table, so that a program which only looks reasons up is not linked with the server. */
#include <stdarg.h>
#include <stdio.h>

#include "rpc/reason.h"
#include "rpc/server.h"

void rpc_fail_reason(struct rpc_call *call, Common__Reason value, const char *format, ...)
{
	struct rpc_status status;
	char message[sizeof(status.message)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	rpc_status_set_reason(&status, value, "%s", message);
	rpc_fail(call, &status);
}
