#include "protector/protector.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "protector/peers.h"
#include "protector/settings_change.h"
#include "protector/shelf.h"
#include "protector/watching.h"

#define GROUP_MAX 256
#define QUEUE_MAX 16384
#define WATCH_ITEMS_MAX 512
#define WATCH_REMOVED_MAX 65536
#define SETTINGS_MAX 64
#define MESSAGE_BYTES_MAX 8192
#define EXEMPT_MS (60 * 60 * 1000)

#define BANS_OF(origin) \
	{ \
		.kind = METRIC_GAUGE, .name = "flashsale_protector_bans", \
		.help = "Bans and entries of the allow list, by who said so.", \
		.labels = "origin=\"" origin "\"" \
	}
static struct metric metric_bans[BAN_ORIGINS] = {
	[BAN_BY_OPERATOR] = BANS_OF("operator"),
	[BAN_BY_DETECTOR] = BANS_OF("detector"),
	[BAN_BY_SETTING] = BANS_OF("setting"),
	[BAN_BY_LIFTING] = BANS_OF("lifting"),
};

static int64_t now_ms(void *domain)
{
	const struct protector *protector = domain;

	return clock_wall_ms(protector->clock);
}

/* The next entry of a list with commas, spaces around it cut off; NULL: no more. */
static char *next_entry(char **list)
{
	char *entry = strsep(list, ",");
	size_t length;

	if (!entry)
		return NULL;
	entry += strspn(entry, " \t");
	length = strcspn(entry, " \t");
	if (!entry[length + strspn(entry + length, " \t")])
		entry[length] = '\0';
	return entry;
}

bool protector_check(const void *settings, struct error *error)
{
	const struct protector_settings *protector = settings;
	char *copy = memory_copy_text(protector->allow), *list = copy, *entry;
	struct address address;
	bool good = true;

	while (good && *protector->allow && (entry = next_entry(&list))) {
		good = address_parse_range(entry, strlen(entry), &address);
		if (!good)
			error_set(error,
				"--allow: '%s' is no address or range; expected such as 127.0.0.0/8,::1/128",
				entry);
	}
	free(copy);
	return good;
}

static void show(struct protector *protector, const struct ban *ban)
{
	char key[ID_TEXT_LENGTH + 1];
	const Protector__Ban *message;
	struct arena arena;

	arena_init(&arena, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX);
	message = message_ban(&arena, ban);
	assert(message);
	watch_board_put(protector->board, id_format(&ban->id, key), &message->base);
	arena_release(&arena);
}

static void hide(struct protector *protector, const struct id *id)
{
	char key[ID_TEXT_LENGTH + 1];

	watch_board_remove(protector->board, id_format(id, key));
}

void protector_put(struct protector *protector, const struct ban *ban)
{
	struct id replaced;

	if (bans_put(protector->bans, ban, &replaced)) /* of the same origin */
		hide(protector, &replaced);
	else
		metric_add(&metric_bans[ban->origin], 1);
	show(protector, ban);
	if (ban->effect == BAN_EXEMPTS && protector->exempted)
		protector->exempted(protector, ban);
}

void protector_remove(struct protector *protector, const struct id *id)
{
	const struct ban *ban = bans_get(protector->bans, id);

	if (!ban || ban->owner != BANS_OWN)
		return;
	metric_add(&metric_bans[ban->origin], -1);
	bans_remove(protector->bans, id, BANS_OWN);
	hide(protector, id);
}

/* The allow list of the settings: in memory only, so that the setting says what counts. */
static void put_allowed(struct protector *protector)
{
	char *copy = memory_copy_text(protector->settings->allow), *list = copy, *entry;
	struct ban ban = {.origin = BAN_BY_SETTING,
		.effect = BAN_ALLOWS,
		.create_ms = now_ms(protector),
		.expire_ms = BANS_NEVER,
		.reason = "--allow",
		.evidence = ""};
	struct address address;
	struct id replaced;

	while (*protector->settings->allow && (entry = next_entry(&list))) {
		bool parsed = address_parse_range(entry, strlen(entry), &address);

		assert(parsed); /* protector_check saw it */
		subject_address(&ban.subject, &address);
		ban.id = id_next(&protector->ids);
		bans_put(protector->bans, &ban, &replaced);
	}
	free(copy);
}

static void show_all(struct protector *protector)
{
	const struct id first = {{0}};

	for (const struct ban *ban = bans_after(protector->bans, &first); ban;
		ban = bans_after(protector->bans, &ban->id)) {
		show(protector, ban);
		metric_add(&metric_bans[ban->origin], 1);
	}
	watch_board_flush(protector->board);
}

static struct writer *start_writer(struct protector *protector, struct service *service)
{
	struct writer_options options = {.store = service->store,
		.domain = protector,
		.group_max = GROUP_MAX,
		.queue_max = QUEUE_MAX,
		.now_ms = now_ms,
		.tick = protector_tick,
		.rollback = protector_rollback,
		.committed = protector_committed,
		.fatal = service_fatal,
		.fatal_context = service,
		.name = "writer"};

	return writer_new(&options);
}

static bool open_history(struct protector *protector, struct error *error)
{
	const struct history_limits limits = {.retention_ms = protector->settings->history_retention_ms,
		.address_ms = protector->settings->address_retention_ms,
		.rows_max = protector->settings->history_max};

	return history_open(&protector->history, protector->store, &limits, error);
}

bool protector_start(struct service *service, struct error *error)
{
	struct protector *protector = NEW(struct protector);

	protector->methods =
		(Protector__ProtectorService_Service)PROTECTOR__PROTECTOR_SERVICE__INIT(protector_);
	protector->settings = service->settings;
	protector->clock = service->clock;
	protector->loop = service->loop;
	protector->store = service->store;
	protector->bans = bans_new();
	protector->exempt_ms = EXEMPT_MS;
	id_generator_init(&protector->ids, service->clock);
	if (!open_history(protector, error) || !shelf_load(service->store, protector->bans, error)) {
		bans_free(protector->bans);
		free(protector);
		return false;
	}
	put_allowed(protector);
	for (int i = 0; i < BAN_ORIGINS; i++)
		metrics_register(&metric_bans[i]);
	protector_register_history();
	protector_register_checks();
	protector->board = watch_board_new(&protector__watch_bans_response__descriptor, &service->incarnation,
		WATCH_ITEMS_MAX, WATCH_REMOVED_MAX);
	show_all(protector);
	protector->settings_board = watch_board_new(&protector__watch_detectors_response__descriptor,
		&service->incarnation, SETTINGS_MAX, SETTINGS_MAX);
	if (!watching_start(protector, error)) {
		watch_board_free(protector->settings_board);
		watch_board_free(protector->board);
		bans_free(protector->bans);
		free(protector);
		return false;
	}
	settings_show_all(protector);
	watch_board_flush(protector->settings_board);
	protector->writer = start_writer(protector, service);
	protector->peers = peers_new(protector, &service->incarnation);
	peers_open(protector->peers, service->discovery, service->tls);
	service->state = protector;
	log_info("the bans are read", LOG_INT("bans", (int64_t)bans_count(protector->bans, BANS_OWN)));
	rpc_serve(service->server, &protector->methods.base);
	service_set_serving(service, true);
	return true;
}

void protector_stop(struct service *service)
{
	struct protector *protector = service->state;

	watching_stop(protector);
	peers_close(protector->peers);
	writer_free(protector->writer);
}

void protector_release(struct service *service)
{
	struct protector *protector = service->state;

	watching_release(protector);
	peers_free(protector->peers);
	watch_board_free(protector->settings_board);
	watch_board_free(protector->board);
	bans_free(protector->bans);
	free(protector);
}
