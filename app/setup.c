#include "setup.h"

#include "config.h"
#include "usage.h"

#include <inttypes.h>

static void tell_fault(void *ctx maybe_unused, const char *message)
{
	fprintf(stderr, "%s\n", message);
}

static void tell_warning(void *ctx maybe_unused, const char *message)
{
	fprintf(stderr, "warning: %s\n", message);
}

bool setup_assign(struct setup_options *o, const char *assignment)
{
	if (o->count == SETUP_ASSIGNMENTS_MAX)
		return false;
	o->assignments[o->count++] = assignment;
	return true;
}

static int apply(struct setup *s, const struct setup_options *options, const char *command)
{
	struct error e;
	if (config_defaults(s->tables) < 0) {
		fprintf(stderr, "tapscope: no memory for the settings\n");
		return EXIT_INPUT;
	}
	if (options->config) {
		int r = config_load(s->tables, options->config, tell_fault, tell_warning, NULL, &e);
		if (r < 0)
			fprintf(stderr, "tapscope: %s\n", e.text);
		if (r)
			return r < 0 ? EXIT_INPUT : EXIT_DIFFERENT;
	}
	for (unsigned i = 0; i < options->count; i++)
		if (config_set(s->tables, options->assignments[i], &e))
			return usage_fault(command, "%s", e.text);
	return 0;
}

int setup_load(struct setup *s, const struct setup_options *options, const char *command)
{
	*s = (struct setup){0};
	setup_rebase(s);
	int r = apply(s, options, command);
	if (r)
		setup_clear(s);
	return r;
}

void setup_rebase(struct setup *s)
{
	engine_option_tables(&s->settings, s->tables);
	struct option_table *end = s->tables;
	while (end->room)
		end++;
	*end++ = (struct option_table){"source", source_option_table, &s->source};
	*end++ = (struct option_table){"place", place_options, &s->place};
	*end++ = (struct option_table){"api", api_options, &s->api};
	*end = (struct option_table){0};
}

void setup_clear(struct setup *s)
{
	config_clear(s->tables);
}

static void add_term(struct export_ledger *g, const char *name, uint64_t frames)
{
	if (g->count == EXPORT_TERMS_MAX)
		return;
	g->term[g->count].name = name;
	g->term[g->count++].frames = frames;
}

static void add_limit(struct export_ledger *g, const char *name, uint64_t times)
{
	if (g->limit_count == EXPORT_LIMITS_MAX)
		return;
	g->limit[g->limit_count].name = name;
	g->limit[g->limit_count++].times = times;
}

static void add_limits(struct export_ledger *g, const struct engine_counters *c)
{
	const struct flowtab_counters *f = &c->flowtab;
	const struct session_counters *s = &c->sessions;
	add_limit(g, "packets forgotten before their copies, no room", c->duplicates.forgotten);
	add_limit(g, "flows left early, no room", f->flows_evicted);
	add_limit(g, "flows without TCP state, no room", f->tcp_refused);
	add_limit(g, "losses not noted, no room", f->trouble_refused);
	add_limit(g, "segments not kept, no room", f->segments_refused);
	add_limit(g, "flows without requests, no room", s->conns_refused);
	add_limit(g, "messages without record, no room", s->slots_refused);
	add_limit(g, "texts cut, no room", s->texts_refused);
	add_limit(g, "connections given up, no room", s->buffers_refused);
	add_limit(g, "requests beyond outstanding_max", s->outstanding_exceeded);
	add_limit(g, "connections not followed further", s->given_up);
	add_limit(g, "compressed contents not opened, pressure", s->contents_shed);
	add_limit(g, "connections not followed, pressure", s->conns_shed);
	add_limit(g, "pairing lost", s->pairing_lost);
	add_limit(g, "pairing regained", s->pairing_regained);
}

void setup_ledger(const struct engine_counters *c, struct export_ledger *ret_ledger)
{
	const struct ledger *l = &c->ledger;
	const struct reassemble_counters *f = &l->fragments;
	struct export_ledger *g = ret_ledger;
	*g = (struct export_ledger){
	    .frames = l->frames,
	    .bytes = c->bytes,
	    .first_ns = c->first_ns,
	    .last_ns = c->last_ns,
	    .remainder = ledger_remainder(l),
	    .workers = (unsigned)c->workers,
	    .packets = c->packets,
	    .busiest = c->worker_packets_max,
	};
	add_term(g, "on flows", l->flow);
	add_term(g, "after their flow closed", l->late);
	add_term(g, "no memory for a flow", l->no_memory);
	add_term(g, "duplicates", l->duplicates);
	add_term(g, "no room to hand over", l->handover_dropped);
	add_term(g, "left out under pressure", l->shed);
	add_term(g, "rejected by the filter", l->filtered);
	for (unsigned i = 0; i < DECODE_RESULT_COUNT; i++)
		add_term(g, decode_result_names[i], l->decode[i]);
	add_term(g, "fragments: never completed", f->frames_expired);
	add_term(g, "fragments: no room", f->frames_evicted);
	add_term(g, "fragments: overlapping", f->frames_overlap);
	add_term(g, "fragments: malformed", f->frames_malformed);
	add_term(g, "fragments: cut short", f->frames_cut);
	add_term(g, "fragments: seen twice", f->frames_duplicate);
	add_term(g, "fragments: still waiting", f->frames_held);
	add_term(g, "fragments: undecodable", l->fragment_undecodable);
	add_limits(g, c);
}

void setup_live_ledger(const struct live_counters *c, struct export_ledger *ret_ledger)
{
	struct export_ledger *g = ret_ledger;
	setup_ledger(&c->engine, g);
	g->frames = c->source.seen;
	g->remainder = live_remainder(c);
	g->first_ns = g->last_ns = c->now_ns;
	add_term(g, "second sight, not wanted", c->source.unwanted);
	add_term(g, "filtered in the kernel", c->source.filtered);
	add_term(g, "dropped by the kernel", c->source.kernel_dropped);
	add_term(g, "dropped in rings", c->source.ring_dropped);
	add_term(g, "on their way", c->in_flight);
	add_limit(g, "flow records lost, output too slow", c->records_lost[RECORD_FLOW]);
	add_limit(g, "request records lost, output too slow", c->records_lost[RECORD_REQUEST]);
	add_limit(g, "records lost, output failed", c->records_unwritten);
	add_limit(g, "frames later than the merge window", c->reordered);
}

void setup_print_counters(const struct engine_counters *c, FILE *to)
{
	const struct {
		const char *name;
		uint64_t value;
	} counted[] = {
	    {"frames", c->ledger.frames},
	    {"bytes", c->bytes},
	    {"packets", c->packets},
	    {"flows", c->flowtab.flows},
	    {"flows_evicted", c->flowtab.flows_evicted},
	    {"flow_records", c->records[RECORD_FLOW]},
	    {"request_records", c->records[RECORD_REQUEST]},
	    {"memory_touched_bytes", c->memory_touched},
	    {"busiest_worker_packets", c->worker_packets_max},
	};
	fputc('{', to);
	for (unsigned i = 0; i < array_size(counted); i++)
		fprintf(to, "\"%s\":%" PRIu64 ",", counted[i].name, counted[i].value);
	fprintf(to, "\"unaccounted_frames\":%" PRIi64 "}\n", ledger_remainder(&c->ledger));
}
