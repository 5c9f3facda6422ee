/* What gatekeepers tell, and what the detectors know of it. */
#include "base/memory.h"
#include "protector/watching.h"

PROTECTOR_METHOD(report_traffic, ReportTraffic)
{
	struct protector *protector = container_of(service, struct protector, methods);
	const Protector__ReportTrafficResponse response = PROTECTOR__REPORT_TRAFFIC_RESPONSE__INIT;

	if (request)
		stream_take(protector->watching->stream, request);
	else
		answer(&response, call);
}
