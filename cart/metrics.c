/* cart/metrics.c - what the cart counts, copied from the domain's counters now and then. */
#include "base/metrics.h"
#include "cart/service.h"

#define COUNTER(variable, metric_name, metric_labels, text) \
	static struct metric variable = { \
		.kind = METRIC_COUNTER, .name = metric_name, .labels = metric_labels, .help = text}
#define GAUGE(variable, metric_name, text) \
	static struct metric variable = {.kind = METRIC_GAUGE, .name = metric_name, .help = text}

COUNTER(granted, "flashsale_cart_outcomes_total", "outcome=\"granted\"", "Adds by what they came to.");
COUNTER(repeated, "flashsale_cart_outcomes_total", "outcome=\"repeated\"", "Adds by what they came to.");
COUNTER(refused, "flashsale_cart_outcomes_total", "outcome=\"refused\"", "Adds by what they came to.");
COUNTER(unknown, "flashsale_cart_outcomes_total", "outcome=\"unknown\"", "Adds by what they came to.");
COUNTER(adopted, "flashsale_cart_adopted_total", NULL, "Holds found in the ledger without an answer.");
COUNTER(vanished, "flashsale_cart_vanished_total", NULL, "Adds that a fence showed never to have happened.");
COUNTER(anomalies, "flashsale_cart_anomalies_total", NULL,
	"Contradictions of answers and ledger; should stay 0.");
COUNTER(written, "flashsale_cart_store_batches_total", "result=\"written\"", "Batches for the store.");
COUNTER(put_off, "flashsale_cart_store_batches_total", "result=\"refused\"", "Batches for the store.");
#define ORDERS(variable, change) \
	COUNTER(variable, "flashsale_cart_orders_total", "change=\"" change "\"", "Changes of orders.")
ORDERS(bound, "bound");
ORDERS(not_bound, "refused");
ORDERS(paid, "paid");
ORDERS(expired, "expired");
ORDERS(cancelled, "cancelled");
ORDERS(refunded, "refunded");
COUNTER(orders_adopted, "flashsale_cart_orders_adopted_total", NULL, "Orders found in the ledger.");
COUNTER(orders_anomalies, "flashsale_cart_orders_anomalies_total", NULL,
	"Contradictions about orders; should stay 0.");
GAUGE(orders_known, "flashsale_cart_orders", "Orders in memory, ended ones included.");
GAUGE(orders_wishing, "flashsale_cart_orders_undecided",
	"Orders that inventory is to be asked about until the outcome is known.");
GAUGE(holds, "flashsale_cart_holds", "Holds in memory, ended ones included.");
GAUGE(persons, "flashsale_cart_persons", "Persons with holds or adds under way.");
GAUGE(attempts, "flashsale_cart_attempts", "Adds under way, or granted and not in the ledger yet.");
GAUGE(waiting, "flashsale_cart_store_waiting_bytes", "Changes that wait for the store.");
GAUGE(usable, "flashsale_cart_links_usable", "Links to inventory that commands may use.");
GAUGE(stopped, "flashsale_cart_links_stopped", "Links to inventory that an operator must reconcile.");

void cart_metrics_register(void)
{
	struct metric *const all[] = {&granted, &repeated, &refused, &unknown, &adopted, &vanished,
		&anomalies, &written, &put_off, &holds, &persons, &attempts, &waiting, &usable, &stopped,
		&bound, &not_bound, &paid, &expired, &cancelled, &refunded, &orders_adopted,
		&orders_anomalies, &orders_known, &orders_wishing};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		metrics_register(all[i]);
}

static void update_orders(const struct orders *orders)
{
	metric_set(&bound, (int64_t)orders->counters.bound);
	metric_set(&not_bound, (int64_t)orders->counters.refused);
	metric_set(&paid, (int64_t)orders->counters.paid);
	metric_set(&expired, (int64_t)orders->counters.expired);
	metric_set(&cancelled, (int64_t)orders->counters.cancelled);
	metric_set(&refunded, (int64_t)orders->counters.refunded);
	metric_set(&orders_adopted, (int64_t)orders->counters.adopted);
	metric_set(&orders_anomalies, (int64_t)orders->counters.anomalies);
	metric_set(&orders_known, (int64_t)orders->by_id.count);
	metric_set(&orders_wishing, (int64_t)orders->wishing);
}

void cart_metrics_update(const struct cart_service *service)
{
	const struct cart_counters *counters = &service->cart->counters;
	struct shelf_counts shelf = shelf_count(service->shelf);
	int64_t links_usable = 0, links_stopped = 0;

	for (uint32_t shard = 0; shard < service->inventory_shards; shard++) {
		links_usable += service->cart->links[shard].usable;
		links_stopped += service->cart->links[shard].stopped;
	}
	metric_set(&granted, (int64_t)counters->granted);
	metric_set(&repeated, (int64_t)counters->repeated);
	metric_set(&refused, (int64_t)counters->refused);
	metric_set(&unknown, (int64_t)counters->unknown);
	metric_set(&adopted, (int64_t)counters->adopted);
	metric_set(&vanished, (int64_t)counters->vanished);
	metric_set(&anomalies, (int64_t)counters->anomalies);
	metric_set(&written, (int64_t)shelf.written);
	metric_set(&put_off, (int64_t)shelf.refused);
	metric_set(&holds, (int64_t)service->cart->lines.by_id.count);
	metric_set(&persons, (int64_t)service->cart->lines.persons.count);
	metric_set(&attempts, (int64_t)service->cart->attempts.count);
	metric_set(&waiting, (int64_t)shelf.waiting_bytes);
	update_orders(service->orders);
	metric_set(&usable, links_usable);
	metric_set(&stopped, links_stopped);
}
