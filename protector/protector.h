/* protector/protector.h - the protector service: what its RPC files share.
 *
 * The bans in memory, the watch board and the maker of ids belong to the loop's thread; every method runs there, and none of those that read what
 * is in force touches the store. The store belongs to the writer's thread: a change is committed by it, then takes effect on the loop, then is answered
 * (rpc/change.h). Bans that are over are in the store only, and the loop reads them there. The writer's tick removes bans that have ended, some at a time; the
 * loop hears of it after the commit. Nobody waits for that: every look at a ban compares its end with the clock. Before the port is open, protector_start fills
 * the bans and the board from the store on the main thread. */
#ifndef FLASHSALE_PROTECTOR_PROTECTOR_H
#define FLASHSALE_PROTECTOR_PROTECTOR_H

#include "base/writer.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "protector/bans.h"
#include "protector/history.h"
#include "protector/messages.h"
#include "protector/peers_remove.h"
#include "rpc/change.h"
#include "rpc/service.h"
#include "rpc/watch.h"

struct protector_settings {
	struct service_settings common;
	char *allow;	  /* --allow 127.0.0.0/8,::1/128 */
	int64_t bans_max; /* --bans-max */
	int64_t history_retention_ms, address_retention_ms, history_max; /* protector/history.h */
	char *record;	  /* --record FILE; NULL: nothing is recorded */
	int64_t record_max; /* --record-max */
};

struct protector {
	Protector__ProtectorService_Service
		methods; /* what rpc_serve gets, and the methods are called with */
	const struct protector_settings *settings;
	const struct clock_source *clock;
	struct rpc_loop *loop;
	struct store *store;	/* the writer's */
	struct history history; /* the writer's; what reads takes it as const */
	struct writer *writer;
	struct ended_bans *ended; /* the writer's: removed by the tick of this group; NULL: none */
	struct bans *bans;
	struct watch_board *board;
	struct watch_board *settings_board; /* what was changed of the detectors' settings */
	struct id_generator ids;
	int64_t exempt_ms; /* how long a lifted client is left alone */
	void (*exempted)(struct protector *protector, const struct ban *exemption); /* tells the detectors; NULL: there are none */
	struct watching *watching;
	struct peers *peers; /* the other protectors */
};

/* The hooks of service_definition. */
bool protector_check(const void *settings, struct error *error);
bool protector_start(struct service *service, struct error *error);
void protector_stop(struct service *service);
void protector_release(struct service *service);

/* protector.c: bans.h's changes, shown to the watchers too. Loop only, or before it has calls. */
void protector_put(struct protector *protector, const struct ban *ban);
void protector_remove(struct protector *protector, const struct id *id);

/* ended.c: the removal of ended bans, and later of what is known of them; fit writer_options. */
void protector_register_history(void); /* its metric */
int protector_tick(void *domain, MDB_txn *txn, int64_t now_ms, int64_t *ret_next_ms, bool *ret_changed);
void protector_rollback(void *domain);
void protector_committed(void *domain);

/* changes.c: a change of bans in the name of a call. Embed it in a struct from the call's arena, fill what is named, submit; settled() runs on the
 * loop when the change is in effect, and ends the call. */
struct ban_change { /* bans somebody: fill `ban` (without the id, which it gets; its texts must live as long as the call) and `settled` */
	struct change change;
	struct protector *protector;
	struct ban ban;
	void (*settled)(struct ban_change *change);
};
void protector_ban(struct protector *protector, struct rpc_call *call, struct ban_change *change);

struct bans_change { /* bans many, all or none: fill `bans` (without their ids), `count` and `settled` */
	struct change change;
	struct protector *protector;
	struct ban *bans;
	size_t count;
	void (*settled)(struct bans_change *change);
};
void protector_ban_many(struct protector *protector, struct rpc_call *call, struct bans_change *change);

/* Whether one more of that subject and origin has room beside `new` others that are not stored yet. */
bool protector_has_room(const struct protector *protector, const struct ban *ban, size_t new);

struct remove_change { /* takes one away by its id, wherever it is: fill `was`, a copy in the call's arena, and `settled` */
	struct change change;
	struct peers_removal removal; /* of a peer's */
	struct protector *protector;
	const struct ban *was;
	struct ban exemption; /* what remains of a detector's; its effect 0: nothing */
	bool found;	      /* it was still there, and ended then: */
	int64_t end_ms;
	void (*settled)(struct remove_change *change);
};
void protector_take_away(struct protector *protector, struct rpc_call *call, struct remove_change *change);

struct lift_change { /* lifts all bans of a subject, peers' first; an allowance and exemptions stay: fill `subject` and `settled` */
	struct change change;
	struct peers_removal removal; /* of peers' */
	struct protector *protector;
	struct ban_subject subject;
	struct ban exemption; /* as above */
	struct id ids[BAN_ORIGINS];
	size_t count;
	void (*settled)(struct lift_change *change);
};
void protector_lift(struct protector *protector, struct rpc_call *call, struct lift_change *change);

void protector_fail_too_large(struct rpc_call *call);
void protector_refuse(struct rpc_call *call, const struct complaint *complaint);

/* The methods; each gets `service`, `request`, the closure `answer` and `call`. */
#define PROTECTOR_METHOD(name, Type) \
	void protector_##name(Protector__ProtectorService_Service *service, \
		const Protector__##Type##Request *request, Protector__##Type##Response_Closure answer, \
		void *call)
/* rpc_validate.c */
void protector_register_checks(void); /* its counters */
PROTECTOR_METHOD(validate_client, ValidateClient);
PROTECTOR_METHOD(batch_validate_clients, BatchValidateClients);
/* rpc_bans.c */
PROTECTOR_METHOD(create_ban, CreateBan);
PROTECTOR_METHOD(batch_create_bans, BatchCreateBans);
PROTECTOR_METHOD(get_ban, GetBan);
PROTECTOR_METHOD(delete_ban, DeleteBan);
PROTECTOR_METHOD(watch_bans, WatchBans);
/* What bans and allowances share: the entry if it is in force, ours or heard of, else NULL and the call is over, or goes on elsewhere; its removal; the arguments of a page. */
struct elsewhere;
const struct ban *rpc_find_ban(struct protector *protector, struct rpc_call *call, bool allowance,
	const struct elsewhere *wanted);
bool rpc_start_removal(struct protector *protector, struct rpc_call *call, const struct ban *ban,
	struct remove_change *change);
void rpc_ban_gone(struct rpc_call *call, const struct ban *was);
bool rpc_read_page(struct rpc_call *call, uint32_t page_size, const char *page_token, size_t *ret_max,
	struct id *ret_at);
bool rpc_read_ban_id(struct rpc_call *call, const char *field, const char *text, struct id *ret);
/* rpc_history.c */
PROTECTOR_METHOD(list_bans, ListBans);
/* One that is over, of this protector; *ret NULL: no memory. RPC_NOT_FOUND, or another code and the call is over. */
enum rpc_code rpc_find_ended(
	struct protector *protector, struct rpc_call *call, const struct id *id, Protector__Ban **ret);
/* rpc_elsewhere.c */
struct elsewhere { /* one entry that is not known here, and how the others are asked for it */
	const char *method;
	const ProtobufCMessage *question; /* the request, with `own`; packed at once */
	const char *what, *id;		  /* "ban"; the request's id */
	const char *absent;		  /* how "there is no ban ID" ends */
	bool own;			  /* the call is such a question: nobody else is asked */
	bool removes;			  /* the method takes it away */
	ProtobufCClosure answer;	  /* the method's */
};
/* Ends the call: with the answer of who has it; NOT_FOUND when nobody has; DEPENDENCY_DOWN when somebody could not be asked. */
void rpc_ask_elsewhere(struct protector *protector, struct rpc_call *call, const struct elsewhere *wanted);
/* Adds to a page of bans that are over those of the others, in order, and ends the call. `page` lives in the call's arena, with room for `max`. */
void rpc_list_elsewhere(struct protector *protector, struct rpc_call *call,
	const Protector__ListBansRequest *request, Protector__ListBansResponse *page, size_t max,
	Protector__ListBansResponse_Closure answer);
/* rpc_allowlist.c */
PROTECTOR_METHOD(create_allowance, CreateAllowance);
PROTECTOR_METHOD(get_allowance, GetAllowance);
PROTECTOR_METHOD(list_allowances, ListAllowances);
PROTECTOR_METHOD(delete_allowance, DeleteAllowance);
/* rpc_traffic.c */
PROTECTOR_METHOD(report_traffic, ReportTraffic);
/* rpc_detectors.c */
PROTECTOR_METHOD(list_detectors, ListDetectors);
PROTECTOR_METHOD(get_detector, GetDetector);
PROTECTOR_METHOD(update_detector, UpdateDetector);
PROTECTOR_METHOD(get_ladder, GetLadder);
PROTECTOR_METHOD(update_ladder, UpdateLadder);
PROTECTOR_METHOD(watch_detectors, WatchDetectors);
/* rpc_top.c */
PROTECTOR_METHOD(list_top_clients, ListTopClients);
/* rpc_badlist.c */
PROTECTOR_METHOD(add_bad_account, AddBadAccount);
PROTECTOR_METHOD(list_bad_accounts, ListBadAccounts);
PROTECTOR_METHOD(get_bad_account, GetBadAccount);
PROTECTOR_METHOD(remove_bad_account, RemoveBadAccount);
PROTECTOR_METHOD(add_bad_address, AddBadAddress);
PROTECTOR_METHOD(list_bad_addresses, ListBadAddresses);
PROTECTOR_METHOD(get_bad_address, GetBadAddress);
PROTECTOR_METHOD(remove_bad_address, RemoveBadAddress);

#endif
