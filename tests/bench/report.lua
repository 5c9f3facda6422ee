-- Prints the figures of a run as one line of JSON, for bench.py.
function done(summary, latency, requests)
	local errors = summary.errors
	print(string.format(
		'{"requests":%d,"rate":%.1f,"p50_ms":%.3f,"p99_ms":%.3f,"not_2xx":%d,"socket_errors":%d}',
		summary.requests, summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000,
		errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
