/* tool_audit.c - `flashsale-inventory audit STORE`: the ledger played again line by line, and the books of every SKU counted three ways. */
#include <stdio.h>
#include <string.h>

#include "inventory/audit.h"
#include "inventory/replay.h"
#include "inventory/tools.h"

struct audit_settings {
	int64_t findings_max;
};

static const struct config_setting audit_table[] = {
	{"findings-max", CONFIG_INT, offsetof(struct audit_settings, findings_max), "1000", false, 1,
		1000000000, "lines about what does not agree; the rest is counted"},
};

struct printing {
	int64_t left;
};

static void print_finding(void *context, const char *line)
{
	struct printing *printing = context;

	if (printing->left-- > 0)
		printf("REFUTED %s\n", line);
}

static void print_item(const struct audit_item *item)
{
	const struct stock_count *row = &item->row, *holds = &item->holds, *ledger = &item->ledger;

	printf("%s %s: row %lld = %lld available + %lld held + %lld sold; holds %lld held + %lld sold; "
	       "ledger %lld = %lld available + %lld held + %lld sold%s%s\n",
		item->consistent ? "agree  " : "REFUTED", item->sku, (long long)row->stock,
		(long long)row->available, (long long)row->held, (long long)row->sold, (long long)holds->held,
		(long long)holds->sold, (long long)ledger->stock, (long long)ledger->available,
		(long long)ledger->held, (long long)ledger->sold, item->finding[0] ? ": " : "",
		item->finding);
}

/* LMDB's error, or 0 with what was found to be wrong in *ret_wrong. */
static int print_items(struct store *store, uint64_t *ret_wrong)
{
	struct audit audit;
	int rc = audit_run(store, NULL, NULL, &audit);

	if (rc)
		return rc;
	for (size_t i = 0; i < audit.count; i++) {
		print_item(&audit.items[i]);
		*ret_wrong += !audit.items[i].consistent;
	}
	if (audit.finding[0]) {
		printf("REFUTED %s\n", audit.finding);
		++*ret_wrong;
	}
	audit_release(&audit);
	return 0;
}

static int conclude(const struct tool_call *call, const struct replay_result *result, uint64_t wrong)
{
	printf("%s: %llu entries up to %llu, %llu holds, %llu orders, %llu SKUs: %llu findings\n",
		wrong ? "REFUTED" : "PROVED", (unsigned long long)result->entries,
		(unsigned long long)result->head, (unsigned long long)result->holds,
		(unsigned long long)result->orders, (unsigned long long)result->goods,
		(unsigned long long)wrong);
	return wrong ? TOOL_NO : TOOL_FINE;
}

static int audit(const struct tool_call *call, struct store *store)
{
	const struct audit_settings *own = call->own;
	struct printing printing = {own->findings_max};
	struct replay_result result;
	uint64_t wrong;
	int rc = replay_run(store, print_finding, &printing, &result);

	if (rc)
		return tool_end(call, TOOL_CANNOT, "reading the store: %s", mdb_strerror(rc));
	wrong = result.findings;
	if (printing.left < 0)
		printf("REFUTED %lld more\n", (long long)-printing.left);
	rc = print_items(store, &wrong);
	/* A row that can't be read has been named by the replay; the three counts can't be made without it. */
	if (rc && !(rc == MDB_CORRUPTED && wrong))
		return tool_end(call, TOOL_CANNOT, "counting the stock: %s", mdb_strerror(rc));
	return conclude(call, &result, wrong);
}

static int run_audit(const struct tool_call *call)
{
	const char *directory = call->path ? call->path : call->common->store;
	struct store *store;
	int code;

	if (!directory)
		return tool_end(
			call, TOOL_CANNOT, "name the store or the backup: flashsale-inventory audit STORE");
	store = tool_open_reading(call, directory);
	if (!store)
		return TOOL_CANNOT;
	setvbuf(stdout, NULL, _IOLBF, 0); /* what is found before a page that can't be read is seen */
	code = audit(call, store);
	store_close(store);
	return code;
}

const struct service_tool tool_audit = {.name = "audit",
	.purpose = "prove or refute a store or a backup line by line, also while the service runs",
	.path = "STORE",
	.settings = audit_table,
	.settings_count = 1,
	.settings_bytes = sizeof(struct audit_settings),
	.run = run_audit};

/* ---- for a restore ---- */

static void keep_first(void *context, const char *line)
{
	struct error *error = context;

	if (!error->text[0])
		error_set(error, "%s; `flashsale-inventory audit` tells all", line);
}

int inventory_verify_store(struct store *backup, struct error *error)
{
	struct replay_result result;
	int rc;

	error->text[0] = '\0';
	rc = replay_run(backup, keep_first, error, &result);
	if (rc) {
		error_set(error, "reading it: %s", mdb_strerror(rc));
		return TOOL_CANNOT;
	}
	return result.findings ? TOOL_NO : TOOL_FINE;
}
