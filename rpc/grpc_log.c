#include "rpc/grpc_log.h"

#include <grpc/support/log.h>

#include "base/log.h"

static void take(gpr_log_func_args *line)
{
	if (line->severity == GPR_LOG_SEVERITY_ERROR)
		LOG_LIMITED(LOG_WARN, "gRPC", LOG_TEXT("says", line->message), LOG_TEXT("file", line->file),
			LOG_INT("line", line->line));
}

void grpc_log_redirect(void)
{
	gpr_set_log_function(take);
}
