/* hurdle.c - a slowed or challenged client before its attempt; see buy.h and ladder.h. */
#include <string.h>

#include "gatekeeper/edge/buy.h"

static bool slowed(struct work *work, const struct ladder_client *client, struct problem *ret)
{
	int64_t wait_ms;

	if (ladder_pass(work->edge->ladder, client, work->arrived_ns, &wait_ms))
		return true;
	problem_from_reason(ret, COMMON__REASON__REASON_SLOWED, "ban %.63s", client->ban->ban_id);
	ret->retry_after_ms = wait_ms;
	return false;
}

static bool challenged(
	struct work *work, const struct ladder_client *client, int64_t wall_ms, struct problem *ret)
{
	char text[CHALLENGE_TEXT_MAX];
	const char *why;

	if (ladder_solved(work->edge->ladder, client, work->request->in.solution, wall_ms, &why))
		return true;
	problem_from_reason(
		ret, COMMON__REASON__REASON_CHALLENGE_REQUIRED, "ban %.63s; %s", client->ban->ban_id, why);
	ladder_challenge(work->edge->ladder, client, wall_ms, text);
	ret->challenge = arena_text(&work->request->arena, text, strlen(text));
	if (!ret->challenge)
		problem_from_reason(
			ret, COMMON__REASON__REASON_OVERLOADED, "the request needs too much memory");
	return false;
}

bool hurdle_pass(struct work *work, const struct purchase *purchase, const struct ban_verdict *ban,
	int64_t wall_ms, struct problem *ret)
{
	const struct ladder_client client = {
		.ban = ban,
		.user_id = purchase->user_id,
		.address = purchase->has_address ? &purchase->address : NULL,
	};

	switch (ban->effect) {
	case BAN_SLOW:
		return slowed(work, &client, ret);
	case BAN_CHALLENGE:
		return challenged(work, &client, wall_ms, ret);
	default:
		return true;
	}
}
