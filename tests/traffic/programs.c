/* tests/traffic/programs.c - programs that buy: the ranges are in docs/protector.md. */
#include "base/memory.h"
#include "tests/traffic/town.h"

static void wait(struct town *town, struct actor *program)
{
	const int64_t gap_us = program->gap_us;

	if (program->jitter == JITTER_CROWD) {
		program->next_us += random_wait(&town->random, gap_us);
	} else {
		const int64_t spread_us = gap_us * program->jitter / 100;

		program->next_us += gap_us + draw(town, -spread_us, spread_us);
	}
	if (program->next_us >= program->leave_us)
		program->next_us = ACTOR_GONE;
}

static void hammer(struct town *town, struct actor *program)
{
	if (program->pool)
		program->address = program->pool[draw(town, 0, program->pool_count - 1)];
	town_ask(town, program, draw_percent(town, program->looks) ? TRAFFIC_READ : TRAFFIC_BUY, true);
	wait(town, program);
}

/* A new account for each request. */
static void spray(struct town *town, struct actor *program)
{
	town_name(town, program);
	program->units = 0;
	town_ask(town, program, TRAFFIC_BUY, true);
	town_tell(town, "spray", false, program);
	wait(town, program);
}

static int64_t gap_of(int64_t thousandths_a_second)
{
	return SECOND_US * 1000 / thousandths_a_second;
}

/* From some time around the opening, for some seconds; at so many thousandths of a request a second. */
static struct actor *add_program(struct town *town, const struct address *address, bool named, int64_t pace,
	int64_t first_us, int64_t seconds)
{
	struct actor *program = town_add(town, hammer, first_us);

	if (named)
		town_name(town, program);
	program->address = *address;
	program->gap_us = gap_of(pace);
	program->leave_us = first_us + seconds * SECOND_US;
	return program;
}

static int64_t some_time(struct town *town)
{
	return town->open_us + draw(town, -15000, 10000) * 1000;
}

/* An account that asks 60 to 800 times a second; some without an account, at the public reads or refused. Timed, closed loop, or like a crowd (only with an account). */
static void add_rate_bots(struct town *town)
{
	for (int64_t left = draw(town, 5, 15); left; left--) {
		const struct address address = town_address(town);
		const bool named = draw_percent(town, 80);
		struct actor *bot = add_program(town, &address, named,
			draw(town, named ? 60000 : 100000, 800000), some_time(town), draw(town, 6, 12));

		bot->jitter = named && draw_percent(town, 30) ? JITTER_CROWD : (uint32_t)draw(town, 0, 60);
		bot->looks = draw_percent(town, 50) ? 0 : (uint32_t)draw(town, 0, 100);
		town_tell(town, named ? "rate" : "rate-nameless", false, bot);
	}
}

/* Such accounts, named ones, where people are too. */
static void add_hidden_bots(struct town *town)
{
	for (int64_t left = draw(town, 0, 4); left; left--) {
		struct actor *bot = add_program(town, left % 2 ? &town->carrier : &town->office, true,
			draw(town, 60000, 800000), some_time(town), draw(town, 6, 12));

		bot->jitter = draw_percent(town, 30) ? JITTER_CROWD : (uint32_t)draw(town, 0, 60);
		bot->among_people = true;
		town_tell(town, "rate-hidden", false, bot);
	}
}

/* Accounts behind one address, of one pace each farm; they begin within a second. */
struct farm {
	const char *kind;
	const struct address *where; /* NULL: at an address of its own */
	int64_t accounts, pace_low, pace_high, seconds;
};

static void add_farm(struct town *town, const struct farm *farm)
{
	const struct address address = farm->where ? *farm->where : town_address(town);
	const int64_t pace = draw(town, farm->pace_low, farm->pace_high), first_us = some_time(town);
	const uint32_t jitter = (uint32_t)draw(town, 0, 50),
		       looks = draw_percent(town, 50) ? 0 : (uint32_t)draw(town, 0, 20);

	for (int64_t left = farm->accounts; left; left--) {
		struct actor *bot = add_program(
			town, &address, true, pace, first_us + draw(town, 0, 1000) * 1000, farm->seconds);

		bot->jitter = jitter;
		bot->looks = looks;
		bot->among_people = farm->where != NULL;
		town_tell(town, farm->kind, false, bot);
	}
}

/* One account from many addresses. */
static void add_distributed_bots(struct town *town)
{
	for (int64_t left = draw(town, 2, 6); left; left--) {
		const struct address address = town_address(town);
		struct actor *bot = add_program(
			town, &address, true, draw(town, 4000, 100000), some_time(town), draw(town, 10, 25));

		bot->pool_count = (unsigned)draw(town, 20, 500);
		bot->pool = NEW_ARRAY(bot->pool_count, struct address);
		for (unsigned i = 0; i < bot->pool_count; i++)
			bot->pool[i] = town_address(town);
		bot->jitter = draw_percent(town, 50) ? JITTER_CROWD : (uint32_t)draw(town, 0, 60);
		bot->looks = (uint32_t)draw(town, 0, 20);
		town_tell(town, "distributed", false, bot);
	}
}

static void add_slow_bots(struct town *town)
{
	for (int64_t left = draw(town, 10, 30); left; left--) {
		const struct address address = town_address(town);
		struct actor *bot =
			add_program(town, &address, true, draw(town, 200, 8000), some_time(town), 30);

		bot->jitter = (uint32_t)draw(town, 0, 50);
		bot->looks = draw_percent(town, 50) ? 0 : (uint32_t)draw(town, 0, 50);
		town_tell(town, "slow", false, bot);
	}
}

static void add_sprayers(struct town *town)
{
	for (int64_t left = draw(town, 0, 2); left; left--) {
		const struct address address = town_address(town);
		struct actor *bot = add_program(
			town, &address, false, draw(town, 50000, 300000), some_time(town), draw(town, 6, 12));

		bot->step = spray;
		bot->jitter = draw_percent(town, 50) ? JITTER_CROWD : (uint32_t)draw(town, 0, 60);
	}
}

/* Nameless readers over many connections: nobody can tell them from a crowd by one address's timing. */
static void add_scrapers(struct town *town)
{
	for (int64_t left = draw(town, 0, 2); left; left--) {
		const struct address address = town_address(town);
		struct actor *bot = add_program(town, &address, false, draw(town, 100000, 500000),
			some_time(town), draw(town, 6, 12));

		bot->jitter = JITTER_CROWD;
		bot->looks = 100;
		town_tell(town, "scraper", false, bot);
	}
}

void town_add_programs(struct town *town)
{
	add_rate_bots(town);
	add_hidden_bots(town);
	for (int64_t farms = draw(town, 1, 3); farms; farms--)
		add_farm(town,
			&(struct farm){"farm", NULL, draw(town, 20, 400), 2000, 20000, draw(town, 6, 10)});
	for (int64_t farms = draw(town, 0, 2); farms; farms--)
		add_farm(town, &(struct farm){"slow-farm", NULL, draw(town, 20, 300), 200, 2000, 30});
	if (draw_percent(town, 50)) /* up to twice as many as there are people */
		add_farm(town, &(struct farm){"farm-in-office", &town->office,
				       draw(town, (town->office_people + 1) / 2, 2 * town->office_people),
				       2000, 20000, draw(town, 6, 10)});
	if (draw_percent(town, 50))
		add_farm(town, &(struct farm){"farm-in-carrier", &town->carrier, draw(town, 20, 400), 2000,
				       20000, draw(town, 6, 10)});
	add_distributed_bots(town);
	add_slow_bots(town);
	add_sprayers(town);
	add_scrapers(town);
}
