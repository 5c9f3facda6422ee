/* flashsale-echo: the service behind /bench/echo. It has the machinery of every service and does nothing with it. */
#include "flashsale/bench/v1/echo.pb-c.h"
#include "rpc/service.h"

static void batch_echo(Bench__EchoService_Service *service, const Bench__BatchEchoRequest *request,
	Bench__BatchEchoResponse_Closure closure, void *call)
{
	Bench__BatchEchoResponse response = BENCH__BATCH_ECHO_RESPONSE__INIT;
	Bench__BatchEchoResponse *answer =
		arena_copy(rpc_arena(call), &response, sizeof(response)); /* sent after this returned */

	if (!answer) {
		rpc_fail(call, &(struct rpc_status){.code = RPC_RESOURCE_EXHAUSTED});
		return;
	}
	answer->n_items = request->n_items;
	answer->items = request->items;
	closure(answer, call);
}

static bool start(struct service *service, struct error *error)
{
	static Bench__EchoService_Service echo = {
		.base = {.descriptor = &bench__echo_service__descriptor,
			.invoke = protobuf_c_service_invoke_internal},
		.batch_echo = batch_echo,
	};

	rpc_serve(service->server, &echo.base);
	service_set_serving(service, true);
	return true;
}

int main(int argc, char **argv)
{
	static const struct service_definition definition = {
		.name = "echo",
		.purpose = "gives back what it gets, for the bench",
		.listen = "127.0.0.1:8085",
		.admin = "127.0.0.1:8095",
		.sharded = true,
		.settings_bytes = sizeof(struct service_settings),
		.start = start,
	};

	return service_run(&definition, argc, argv);
}
