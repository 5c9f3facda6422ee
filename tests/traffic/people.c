/* tests/traffic/people.c - honest people: at home, on the move, in an office, behind a carrier's translation. */
#include <string.h>

#include "tests/traffic/town.h"

/* Who moves has another address from then on: from home to the street, from one cell to the next. */
static void move(struct town *town, struct actor *person)
{
	if (!person->other_count || person->next_us < person->moves_us)
		return;
	person->address = person->others[draw(town, 0, person->other_count - 1)];
	person->moves_us = person->next_us + draw(town, 10, 30) * SECOND_US;
}

/* A look at the page, now and then, or by the page's own timer. */
static void look(struct town *town, struct actor *person)
{
	move(town, person);
	for (unsigned i = 0; i < person->page_requests; i++)
		town_ask(town, person, TRAFFIC_READ, !person->anonymous_looks);
	if (person->poll_us)
		person->next_us += person->poll_us + draw(town, -person->poll_us / 50, person->poll_us / 50);
	else
		person->next_us += 300000 + draw_spread(town, 4e6, 0.8);
}

static void linger(struct town *town, struct actor *person)
{
	look(town, person);
	if (person->next_us >= person->leave_us)
		person->next_us = ACTOR_GONE;
}

static void then_linger(struct town *town, struct actor *person)
{
	person->step = linger;
	person->next_us += draw_spread(town, 3e6, 0.7);
	person->leave_us = person->next_us + draw(town, 0, 10) * SECOND_US;
}

/* After the yes: to the cart, to the payment. */
static void order(struct town *town, struct actor *person)
{
	town_ask(town, person, TRAFFIC_CHANGE, true);
	if (++person->orders == 2)
		then_linger(town, person);
	else
		person->next_us += draw_spread(town, 5e6, 0.7);
}

/* Presses the button; as fast as they can at first, some. */
static void press(struct town *town, struct actor *person)
{
	const Common__Reason reason = town_ask(town, person, TRAFFIC_BUY, true);

	if (reason == COMMON__REASON__REASON_UNSPECIFIED) {
		person->step = order;
		person->next_us += draw_spread(town, 4e6, 0.6);
	} else if (++person->tries >= person->tries_max) {
		then_linger(town, person);
	} else if (person->mash) {
		person->mash--;
		person->next_us += draw_spread(town, (double)person->gap_us, 0.18);
	} else {
		person->next_us += 150000 + draw_spread(town, person->patience_us, 0.7);
	}
}

static void browse(struct town *town, struct actor *person)
{
	look(town, person);
	if (person->next_us >= person->buy_us) {
		person->next_us = person->buy_us;
		person->step = press;
	}
}

static struct actor *add_person(struct town *town, const struct address *address)
{
	const int64_t arrive_us =
		town->start_us + draw(town, 0, town->open_us - town->start_us - 3 * SECOND_US);
	/* most press at the opening, some a little before it, some come late */
	const int64_t buy_us = draw_percent(town, 80)
				       ? town->open_us + draw_spread(town, 700000, 0.7) - 400000
				       : town->open_us + draw(town, 0, 20) * SECOND_US;
	const bool only_press = draw_percent(town, 10); /* comes for nothing else */
	struct actor *person = town_add(town, only_press ? press : browse, only_press ? buy_us : arrive_us);

	town_name(town, person);
	person->address = *address;
	person->buy_us = buy_us;
	person->patience_us = (double)draw(town, 500000, 3000000);
	person->tries_max = (unsigned)draw(town, 3, 30);
	person->poll_us = draw_percent(town, 30) ? draw(town, 500000, 3000000) : 0;
	person->page_requests = !person->poll_us && draw_percent(town, 10) ? (unsigned)draw(town, 2, 25) : 1;
	person->mash = draw_percent(town, 20) ? (unsigned)draw(town, 3, 18) : 0;
	person->gap_us = draw(town, 140000, 350000);
	person->anonymous_looks = draw_percent(town, 15);
	return person;
}

static void add_homes(struct town *town)
{
	const unsigned homes = town_scaled(town, (unsigned)draw(town, 500, 2500));

	for (unsigned i = 0; i < homes; i++) {
		const struct address address = town_address(town);
		const int64_t people = draw_percent(town, 20) ? draw(town, 2, 5) : 1;

		for (int64_t j = 0; j < people; j++)
			town_tell(town, "home", true, add_person(town, &address));
	}
}

static void add_movers(struct town *town)
{
	const unsigned movers = town_scaled(town, (unsigned)draw(town, 50, 300));

	for (unsigned i = 0; i < movers; i++) {
		const struct address address = town_address(town);
		struct actor *person = add_person(town, &address);

		person->other_count = (unsigned)draw(town, 1, 3);
		for (unsigned j = 0; j < person->other_count; j++)
			person->others[j] = town_address(town);
		person->moves_us = town->start_us + draw(town, 1, 40) * SECOND_US;
		town_tell(town, "mobile", true, person);
	}
}

static struct address add_crowd(struct town *town, const char *kind, unsigned people)
{
	const struct address address = town_address(town);

	for (unsigned i = 0; i < people; i++)
		town_tell(town, kind, true, add_person(town, &address));
	return address;
}

void town_add_people(struct town *town)
{
	add_homes(town);
	add_movers(town);
	for (int64_t offices = draw(town, 1, 4); offices; offices--)
		add_crowd(town, "office", town_scaled(town, (unsigned)draw(town, 20, 400)));
	town->office_people = town_scaled(town, (unsigned)draw(town, 30, 300));
	town->office = add_crowd(town, "office-shared", town->office_people);
	town->carrier = add_crowd(town, "carrier", town_scaled(town, 10000));
}
