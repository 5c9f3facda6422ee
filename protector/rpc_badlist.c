/* protector/rpc_badlist.c - the compatible surface's view of the bans: an account or an address is bad or not.
 *
 * Bad means that a ban in force denies it, an operator's or a detector's; shadow bans do not count. The allow list is not looked at: what was put
 * on the list is shown on the list, though an allowed address is let in all the same. */
#include "base/memory.h"
#include "protector/protector.h"

#define LIST_MAX 10000

static struct ban bad(const struct protector *protector, const struct ban_subject *subject)
{
	return (struct ban){.subject = *subject,
		.origin = BAN_BY_OPERATOR,
		.effect = BAN_DENIES,
		.create_ms = clock_wall_ms(protector->clock),
		.expire_ms = BANS_NEVER,
		.reason = "on the list of bad clients",
		.evidence = ""};
}

static const struct complaint false_flag = {
	"is_bad", "can only be true; who is not bad any more is removed from the list"};

/* The next one on the list; NULL: no more. */
static const struct ban_subject *next_bad(const struct protector *protector, enum ban_kind kind,
	const struct ban_subject *after, int64_t now_ms)
{
	const struct ban_subject *subject = bans_next_subject(protector->bans, kind, after);

	while (subject && !bans_lists_itself(protector->bans, subject, now_ms))
		subject = bans_next_subject(protector->bans, kind, subject);
	return subject;
}

/* All of them, at most LIST_MAX; NULL: the arena is at its cap. */
static const struct ban_subject **list_bad(const struct protector *protector, struct arena *arena,
	enum ban_kind kind, size_t *ret_count, protobuf_c_boolean *ret_more)
{
	const struct ban_subject **list = ARENA_ARRAY(arena, LIST_MAX, const struct ban_subject *);
	int64_t now_ms = clock_wall_ms(protector->clock);
	const struct ban_subject *subject = next_bad(protector, kind, NULL, now_ms);

	for (*ret_count = 0; list && subject && *ret_count < LIST_MAX; ++*ret_count) {
		list[*ret_count] = subject;
		subject = next_bad(protector, kind, subject, now_ms);
	}
	*ret_more = subject != NULL;
	return list;
}

/* ---- accounts ---- */

static void set_account(Protector__BadAccount *account, const struct ban_subject *subject, bool is_bad)
{
	protector__bad_account__init(account);
	account->user_id = (char *)(uintptr_t)subject->user_id;
	account->is_bad = is_bad;
}

struct add_account {
	struct ban_change change;
	Protector__AddBadAccountResponse_Closure answer;
};

static void add_account_settled(struct ban_change *change)
{
	struct add_account *add = container_of(change, struct add_account, change);
	Protector__AddBadAccountResponse response = PROTECTOR__ADD_BAD_ACCOUNT_RESPONSE__INIT;
	Protector__BadAccount account;

	set_account(&account, &change->ban.subject, true);
	response.account = &account;
	add->answer(&response, change->change.call);
}

PROTECTOR_METHOD(add_bad_account, AddBadAccount)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct add_account *add = ARENA_NEW(rpc_arena(call), struct add_account);
	struct ban_subject subject;
	struct complaint complaint = subject_from_user("user_id", request->user_id, &subject);

	if (!complaint.field && request->flag_case != PROTECTOR__ADD_BAD_ACCOUNT_REQUEST__FLAG__NOT_SET &&
		!request->is_bad)
		complaint = false_flag;
	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	if (!add) {
		protector_fail_too_large(call);
		return;
	}
	add->change.ban = bad(protector, &subject);
	add->change.settled = add_account_settled;
	add->answer = answer;
	protector_ban(protector, call, &add->change);
}

PROTECTOR_METHOD(list_bad_accounts, ListBadAccounts)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__ListBadAccountsResponse response = PROTECTOR__LIST_BAD_ACCOUNTS_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	const struct ban_subject **list =
		list_bad(protector, arena, BAN_OF_ACCOUNT, &response.n_accounts, &response.truncated);
	Protector__BadAccount *accounts = ARENA_ARRAY(arena, response.n_accounts, Protector__BadAccount);

	response.accounts = ARENA_ARRAY(arena, response.n_accounts, Protector__BadAccount *);
	if (arena_exhausted(arena)) {
		protector_fail_too_large(call);
		return;
	}
	for (size_t i = 0; i < response.n_accounts; i++) {
		set_account(&accounts[i], list[i], true);
		response.accounts[i] = &accounts[i];
	}
	answer(&response, call);
}

PROTECTOR_METHOD(get_bad_account, GetBadAccount)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetBadAccountResponse response = PROTECTOR__GET_BAD_ACCOUNT_RESPONSE__INIT;
	Protector__BadAccount account;
	struct ban_subject subject;
	struct complaint complaint = subject_from_user("user_id", request->user_id, &subject);

	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	set_account(
		&account, &subject, bans_lists(protector->bans, &subject, clock_wall_ms(protector->clock)));
	response.account = &account;
	answer(&response, call);
}

struct remove_account {
	struct lift_change change;
	Protector__RemoveBadAccountResponse_Closure answer;
};

static void remove_account_settled(struct lift_change *change)
{
	struct remove_account *remove = container_of(change, struct remove_account, change);
	Protector__RemoveBadAccountResponse response = PROTECTOR__REMOVE_BAD_ACCOUNT_RESPONSE__INIT;
	Protector__BadAccount account;

	set_account(&account, &change->subject, false);
	response.account = &account;
	remove->answer(&response, change->change.call);
}

PROTECTOR_METHOD(remove_bad_account, RemoveBadAccount)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct remove_account *remove = ARENA_NEW(rpc_arena(call), struct remove_account);
	struct complaint complaint;

	if (!remove) {
		protector_fail_too_large(call);
		return;
	}
	complaint = subject_from_user("user_id", request->user_id, &remove->change.subject);
	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	remove->change.settled = remove_account_settled;
	remove->answer = answer;
	protector_lift(protector, call, &remove->change);
}

/* ---- addresses ---- */

static void set_address(Protector__BadAddress *address, const struct ban_subject *subject,
	char text[ADDRESS_TEXT_MAX], bool is_bad)
{
	protector__bad_address__init(address);
	address->client_ip = address_format(&subject->address, text);
	address->is_bad = is_bad;
}

struct add_address {
	struct ban_change change;
	Protector__AddBadAddressResponse_Closure answer;
};

static void add_address_settled(struct ban_change *change)
{
	struct add_address *add = container_of(change, struct add_address, change);
	Protector__AddBadAddressResponse response = PROTECTOR__ADD_BAD_ADDRESS_RESPONSE__INIT;
	Protector__BadAddress address;
	char text[ADDRESS_TEXT_MAX];

	set_address(&address, &change->ban.subject, text, true);
	response.address = &address;
	add->answer(&response, change->change.call);
}

PROTECTOR_METHOD(add_bad_address, AddBadAddress)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct add_address *add = ARENA_NEW(rpc_arena(call), struct add_address);
	struct ban_subject subject;
	struct complaint complaint = subject_from_range("client_ip", request->client_ip, &subject);

	if (!complaint.field && request->flag_case != PROTECTOR__ADD_BAD_ADDRESS_REQUEST__FLAG__NOT_SET &&
		!request->is_bad)
		complaint = false_flag;
	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	if (!add) {
		protector_fail_too_large(call);
		return;
	}
	add->change.ban = bad(protector, &subject);
	add->change.settled = add_address_settled;
	add->answer = answer;
	protector_ban(protector, call, &add->change);
}

PROTECTOR_METHOD(list_bad_addresses, ListBadAddresses)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__ListBadAddressesResponse response = PROTECTOR__LIST_BAD_ADDRESSES_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	const struct ban_subject **list =
		list_bad(protector, arena, BAN_OF_ADDRESS, &response.n_addresses, &response.truncated);
	Protector__BadAddress *addresses = ARENA_ARRAY(arena, response.n_addresses, Protector__BadAddress);
	char *texts = arena_array(arena, response.n_addresses, ADDRESS_TEXT_MAX);

	response.addresses = ARENA_ARRAY(arena, response.n_addresses, Protector__BadAddress *);
	if (arena_exhausted(arena)) {
		protector_fail_too_large(call);
		return;
	}
	for (size_t i = 0; i < response.n_addresses; i++) {
		set_address(&addresses[i], list[i], texts + i * ADDRESS_TEXT_MAX, true);
		response.addresses[i] = &addresses[i];
	}
	answer(&response, call);
}

PROTECTOR_METHOD(get_bad_address, GetBadAddress)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetBadAddressResponse response = PROTECTOR__GET_BAD_ADDRESS_RESPONSE__INIT;
	Protector__BadAddress address;
	char text[ADDRESS_TEXT_MAX];
	struct ban_subject subject;
	struct complaint complaint = subject_from_range("client_ip", request->client_ip, &subject);

	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	set_address(&address, &subject, text,
		bans_lists(protector->bans, &subject, clock_wall_ms(protector->clock)));
	response.address = &address;
	answer(&response, call);
}

struct remove_address {
	struct lift_change change;
	Protector__RemoveBadAddressResponse_Closure answer;
};

/* A range that covers the address may still be on the list: then it is bad as before. */
static void remove_address_settled(struct lift_change *change)
{
	struct remove_address *remove = container_of(change, struct remove_address, change);
	Protector__RemoveBadAddressResponse response = PROTECTOR__REMOVE_BAD_ADDRESS_RESPONSE__INIT;
	const struct protector *protector = change->protector;
	Protector__BadAddress address;
	char text[ADDRESS_TEXT_MAX];

	set_address(&address, &change->subject, text,
		bans_lists(protector->bans, &change->subject, clock_wall_ms(protector->clock)));
	response.address = &address;
	remove->answer(&response, change->change.call);
}

PROTECTOR_METHOD(remove_bad_address, RemoveBadAddress)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct remove_address *remove = ARENA_NEW(rpc_arena(call), struct remove_address);
	struct complaint complaint;

	if (!remove) {
		protector_fail_too_large(call);
		return;
	}
	complaint = subject_from_range("client_ip", request->client_ip, &remove->change.subject);
	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	remove->change.settled = remove_address_settled;
	remove->answer = answer;
	protector_lift(protector, call, &remove->change);
}
