#include "tests/traffic/town.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define START_US INT64_C(1795000000000000)
#define OPEN_US (START_US + 20 * SECOND_US)
#define END_US (START_US + 60 * SECOND_US)

int64_t draw(struct town *town, int64_t low, int64_t high)
{
	return random_between(&town->random, low, high);
}

bool draw_percent(struct town *town, uint32_t percent)
{
	return random_chance(&town->random, percent * 10000);
}

static double draw_fraction(struct town *town)
{
	return ((double)(random_next(&town->random) >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
}

int64_t draw_spread(struct town *town, double median, double sigma)
{
	const double normal =
		sqrt(-2 * log(draw_fraction(town))) * cos(2 * 3.14159265358979323846 * draw_fraction(town));

	return (int64_t)(median * exp(sigma * normal)) + 1;
}

unsigned town_scaled(const struct town *town, unsigned count)
{
	const unsigned scaled = count * town->scale / 100;

	return scaled ? scaled : 1;
}

/* Every fourth has IPv6. */
struct address town_address(struct town *town)
{
	struct address address;
	char text[ADDRESS_TEXT_MAX];
	const uint32_t number = ++town->next_address;
	bool good;

	if (number % 4 == 0)
		snprintf(text, sizeof(text), "2001:db8:%x:%x::%x", number >> 16, number & 0xffff,
			number % 7 + 1);
	else
		snprintf(text, sizeof(text), "%u.%u.%u.%u", 20 + (number >> 24), number >> 16 & 255,
			number >> 8 & 255, number & 255);
	good = address_parse(text, strlen(text), &address);
	assert(good);
	return address;
}

void town_name(struct town *town, struct actor *actor)
{
	snprintf(actor->name, sizeof(actor->name), "user%07u", ++town->next_name);
}

void town_tell(struct town *town, const char *kind, bool honest, const struct actor *actor)
{
	char text[ADDRESS_TEXT_MAX];

	fprintf(town->truth, "%s\t%s\t%s\t%s\n", kind, honest ? "good" : "bad", actor->name,
		actor->pool || actor->among_people ? "" : address_format(&actor->address, text));
	for (unsigned i = 0; i < actor->other_count; i++)
		fprintf(town->truth, "%s\t%s\t%s\t%s\n", kind, honest ? "good" : "bad", actor->name,
			address_format(&actor->others[i], text));
}

/* ---- who is next ---- */

static bool before(const struct actor *a, const struct actor *b)
{
	return a->next_us != b->next_us ? a->next_us < b->next_us : a->number < b->number;
}

static void swap(struct actor **a, struct actor **b)
{
	struct actor *kept = *a;

	*a = *b;
	*b = kept;
}

static void sift_up(struct town *town, size_t at)
{
	for (; at && before(town->heap[at], town->heap[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&town->heap[at], &town->heap[(at - 1) / 2]);
}

static void sift_down(struct town *town, size_t at)
{
	for (size_t child; (child = 2 * at + 1) < town->count; at = child) {
		if (child + 1 < town->count && before(town->heap[child + 1], town->heap[child]))
			child++;
		if (!before(town->heap[child], town->heap[at]))
			return;
		swap(&town->heap[child], &town->heap[at]);
	}
}

struct actor *town_add(struct town *town, actor_step *step, int64_t first_us)
{
	struct actor *actor = NEW(struct actor);

	if (town->count == town->room) {
		town->room = town->room ? 2 * town->room : 1024;
		town->heap = memory_resize(town->heap, town->room, sizeof(*town->heap));
	}
	actor->next_us = first_us;
	actor->number = town->actors++;
	actor->step = step;
	town->heap[town->count] = actor;
	sift_up(town, town->count++);
	return actor;
}

static void town_run(struct town *town)
{
	while (town->count) {
		struct actor *actor = town->heap[0];
		const int64_t now_us = actor->next_us;

		if (now_us < town->end_us) {
			actor->step(town, actor);
			assert(actor->next_us > now_us);
		} else {
			actor->next_us = ACTOR_GONE;
		}
		if (actor->next_us == ACTOR_GONE) {
			town->heap[0] = town->heap[--town->count];
			free(actor->pool);
			free(actor);
		}
		if (town->count)
			sift_down(town, 0);
	}
	free(town->heap);
}

/* ---- what comes of a request ---- */

static bool throttled(struct town *town, int64_t now_us)
{
	if (now_us / SECOND_US != town->second) {
		town->second = now_us / SECOND_US;
		town->second_count = 0;
	}
	return ++town->second_count > town->throttle;
}

static Common__Reason outcome(struct town *town, struct actor *actor, enum traffic_kind kind, bool named)
{
	if (kind == TRAFFIC_READ || kind == TRAFFIC_OTHER)
		return COMMON__REASON__REASON_UNSPECIFIED;
	if (!named)
		return COMMON__REASON__REASON_UNAUTHENTICATED;
	if (kind == TRAFFIC_CHANGE)
		return actor->units ? COMMON__REASON__REASON_UNSPECIFIED : COMMON__REASON__REASON_NOT_FOUND;
	if (actor->next_us < town->open_us)
		return COMMON__REASON__REASON_NOT_OPEN;
	if (throttled(town, actor->next_us))
		return COMMON__REASON__REASON_THROTTLED;
	if (actor->units >= town->limit)
		return COMMON__REASON__REASON_LIMIT_REACHED;
	if (!town->stock)
		return COMMON__REASON__REASON_SOLD_OUT;
	town->stock--;
	actor->units++;
	return COMMON__REASON__REASON_UNSPECIFIED;
}

Common__Reason town_ask(struct town *town, struct actor *actor, enum traffic_kind kind, bool with_name)
{
	const bool named = with_name && actor->name[0];
	struct traffic traffic = {.time_us = actor->next_us,
		.counts_address = true,
		.counts_account = named,
		.kind = kind,
		.reason = outcome(town, actor, kind, named),
		.address = actor->address,
		.has_address = true,
		.user_id = span_of(named ? actor->name : "")};

	town->events++;
	recording_write(town->out, &traffic);
	return traffic.reason;
}

static void live(struct town *town)
{
	town->stock = (uint32_t)draw(town, 200, 8000);
	town->limit = (uint32_t)draw(town, 1, 3);
	town->throttle = draw_percent(town, 50) ? UINT32_MAX : (uint32_t)draw(town, 1000, 6000);
	town_add_people(town);
	town_add_programs(town);
	town_run(town);
}

bool town_draw(uint64_t seed, unsigned scale, const char *out, const char *truth, uint64_t *ret_events,
	struct error *error)
{
	struct town town = {.start_us = START_US, .open_us = OPEN_US, .end_us = END_US, .scale = scale};
	bool good;

	town.truth = fopen(truth, "w");
	if (!town.truth)
		return error_set(error, "%s can't be written: %s", truth, strerror(errno));
	town.out = recording_create(out, error);
	if (!town.out) {
		fclose(town.truth);
		return false;
	}
	random_seed(&town.random, seed);
	live(&town);
	good = recording_finish(town.out, error);
	if (fclose(town.truth) && good)
		good = error_set(error, "%s can't be written: %s", truth, strerror(errno));
	if (good && ret_events)
		*ret_events = town.events;
	return good;
}
