#include "protector/mix.h"

#include <assert.h>
#include <string.h>

#include "protector/gaps.h"

#define MS_US 1000
#define DEPTH_MAX 24 /* so that 64 << depth stays a number: a thousand million accounts */

static bool sampled(uint64_t account, unsigned depth)
{
	return !depth || account >> (64 - depth) == 0;
}

static uint16_t tag_of(uint64_t account)
{
	return (uint16_t)account;
}

static struct member *find(struct mix *mix, uint64_t account)
{
	const uint16_t tag = tag_of(account);

	for (size_t i = 0; i < mix->count; i++)
		if (mix->tags[i] == tag && mix->members[i].hash == account)
			return &mix->members[i];
	return NULL;
}

/* Keeps those that were seen of late and belong to the sample. */
static void sweep(struct mix *mix, int64_t oldest_us)
{
	uint8_t kept = 0;

	for (size_t i = 0; i < mix->count; i++) {
		if (mix->members[i].seen_us < oldest_us || !sampled(mix->members[i].hash, mix->depth))
			continue;
		mix->members[kept] = mix->members[i];
		mix->tags[kept++] = mix->tags[i];
	}
	mix->count = kept;
}

/* Who is gone goes first, then the sample becomes smaller by half, until there is room. */
static bool make_room(struct mix *mix, int64_t oldest_us)
{
	sweep(mix, oldest_us);
	while (mix->count == MIX_MEMBERS && mix->depth < DEPTH_MAX) {
		mix->depth++;
		sweep(mix, oldest_us);
	}
	return mix->count < MIX_MEMBERS;
}

static struct member *join(struct mix *mix, uint64_t account, int64_t now_us, int64_t keep_us)
{
	struct member *member;

	if (mix->count == MIX_MEMBERS && (!make_room(mix, now_us - keep_us) || !sampled(account, mix->depth)))
		return NULL;
	mix->tags[mix->count] = tag_of(account);
	member = &mix->members[mix->count++];
	*member = (struct member){.hash = account};
	return member;
}

static uint32_t variation(const struct member *member)
{
	return variation_of(member->attempts - 1u, member->gap_sum, member->gap_squares);
}

static bool like_a_program(const struct member *member)
{
	if (member->seen_us - member->since_us < MIX_STEADY_US)
		return false;
	if (member->attempts >= MIX_FAST_ATTEMPTS || member->requests >= MIX_FAST_REQUESTS)
		return true;
	return member->attempts >= MIX_EVEN_ATTEMPTS && member->last_us - member->first_us >= MIX_STEADY_US &&
	       variation(member) <= MIX_EVEN_VARIATION;
}

static bool like_a_person(const struct member *member)
{
	return member->attempts < MIX_PERSON_ATTEMPTS ||
	       (member->attempts < MIX_FAST_ATTEMPTS && variation(member) > MIX_UNEVEN_VARIATION);
}

static void begin_span(struct member *member, int64_t now_us)
{
	member->since_us = now_us;
	member->attempts = member->requests = 0;
	member->gap_sum = 0;
	member->gap_squares = 0;
}

static void count_attempt(struct member *member, int64_t now_us)
{
	if (member->attempts++ == 0) {
		member->first_us = now_us;
	} else {
		const uint32_t gap = (uint32_t)((now_us - member->last_us) / MS_US);

		member->gap_sum += gap;
		member->gap_squares += (uint64_t)gap * gap;
	}
	member->last_us = now_us;
}

void member_add(struct member *member, bool attempt, int64_t now_us)
{
	if (!member->since_us)
		member->since_us = now_us;
	if (now_us - member->since_us >= MIX_SPAN_US) {
		member->program = like_a_program(member);
		member->person = !member->program && like_a_person(member);
		begin_span(member, now_us);
	}
	member->seen_us = now_us;
	if (member->requests < UINT16_MAX)
		member->requests++;
	if (!attempt)
		member->looked = true;
	else if (member->attempts < UINT16_MAX)
		count_attempt(member, now_us);
	if (!member->program)
		member->program = like_a_program(member);
}

const struct member *mix_add(struct mix *mix, uint64_t account, bool attempt, int64_t now_us, int64_t keep_us)
{
	struct member *member;

	mix->last_us = now_us;
	if (!sampled(account, mix->depth))
		return NULL;
	member = find(mix, account);
	if (!member)
		member = join(mix, account, now_us, keep_us);
	if (member)
		member_add(member, attempt, now_us);
	return member;
}

void mix_shrink(struct mix *mix, int64_t now_us, int64_t keep_us)
{
	if (!mix->depth)
		return;
	sweep(mix, now_us - keep_us);
	if (mix->count < MIX_MEMBERS / 8)
		mix->depth--;
}

/* Who is quiet for so long is a person too. */
static bool counts_as_person(const struct member *member, int64_t now_us)
{
	if (member->program)
		return false;
	return member->person || (now_us - member->since_us >= MIX_SPAN_US && like_a_person(member));
}

struct mix_view mix_look(const struct mix *mix, int64_t now_us, int64_t window_us, int64_t keep_us)
{
	struct mix_view view = {0};

	for (size_t i = 0; i < mix->count; i++) {
		const struct member *member = &mix->members[i];

		if (member->seen_us < now_us - keep_us)
			continue;
		view.persons += counts_as_person(member, now_us);
		if (member->seen_us < now_us - window_us)
			continue;
		view.sampled++;
		view.programs += member->program;
		view.never_looked += !member->looked;
	}
	view.accounts = view.sampled << mix->depth;
	return view;
}
