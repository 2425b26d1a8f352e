#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const tap_names[] = {"one", "file", "interface", NULL};
static const char *protocol_names[65];
static char protocol_default[1024];

static int live_check_cpus(const char *text, struct error *e)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || n > 1023)
		return error_set(e, -EINVAL, "'%s' is no number of a CPU", text);
	return 0;
}

static const struct option replay_options[] = {
    {"workers", NULL, OPTION_UINT, offsetof(struct engine_settings, workers), "1", 1, 64, "threads", NULL, NULL,
     "Threads that own flows. 1 runs everything on one thread, without queues. The records are the same for any "
     "number."},
    {"ring_slots", NULL, OPTION_UINT, offsetof(struct engine_settings, ring_slots), "4096", 2, 1 << 20, "packets", NULL,
     NULL,
     "Length of the packet queue to each worker, rounded up to a power of two, and less where all queues would take "
     "more "
     "than a sixteenth of max_memory; unused with one worker."},
    {"max_memory", NULL, OPTION_BYTES, offsetof(struct engine_settings, max_memory), "768", 4 << 20, UINT64_C(1) << 40,
     "MiB", NULL, NULL,
     "Memory for flows, streams and requests. Reserved at start, touched as it is used; never exceeded: when it is "
     "used "
     "up, the flows that would end soonest leave early, and their records say so."},
    {"hash_seed", NULL, OPTION_UINT, offsetof(struct engine_settings, hash_seed), "0", 0, UINT64_MAX, NULL, NULL, NULL,
     "Seed of the flow table's hash; 0 takes a random one. It moves entries in memory and changes no record."},
    {"replay.observation_point", NULL, OPTION_ENUM, offsetof(struct engine_settings, tap), "one", 0, 0, NULL, tap_names,
     NULL,
     "What counts as one place of capture in replay: one (all files and interfaces together: two directions recorded "
     "in "
     "two files are one flow), file, or interface (of a pcapng). Flow records then carry tap_port."},
    {"replay.stall_max", NULL, OPTION_UINT, offsetof(struct engine_settings, stall_us), "0", 0, 10000, "us", NULL, NULL,
     "For tests of order: each worker stops now and then, at random, for up to this long."},
    {"live.merge_window", NULL, OPTION_DURATION, offsetof(struct engine_settings, live.window_ns), "0.02", 0,
     UINT64_C(1000000000), "s", NULL, NULL,
     "Live capture puts the frames of all queues and NICs into the order of their times; a frame waits at most this "
     "long for an older one from elsewhere."},
    {"live.handover_memory", NULL, OPTION_BYTES, offsetof(struct engine_settings, live.handover_bytes), "4", 1 << 20,
     1 << 30, "MiB", NULL, NULL,
     "Ring from each worker to each other, for packets that the NIC or kernel gave to the wrong one; rounded up to a "
     "power of two. Touched as it is used."},
    {"live.record_memory", NULL, OPTION_BYTES, offsetof(struct engine_settings, live.record_bytes), "16", 1 << 20,
     1 << 30, "MiB", NULL, NULL,
     "Ring of records from each worker to the outputs; rounded up to a power of two. When an output is too slow for "
     "it, records are lost and counted; packets never wait."},
    {"max_cpus", NULL, OPTION_UINT, offsetof(struct engine_settings, live.max_cpus), "0", 0, 1024, "CPUs", NULL, NULL,
     "CPU time that live capture may take, all threads together; 0: no limit. What is too much for it is shed, see "
     "live.shed_lag."},
    {"thread_threshold", NULL, OPTION_UINT, offsetof(struct engine_settings, live.max_threads), "500", 3, 10000,
     "threads", NULL, NULL,
     "Live capture starts no more threads than this; it needs one for each worker, and four besides."},
    {"live.worker_cpus", NULL, OPTION_STRINGS, offsetof(struct engine_settings, live.worker_cpus), "", 0, 1023, NULL,
     NULL, NULL, "CPUs that workers are bound to, in turn: [2, 3]. Empty: the kernel chooses.", live_check_cpus},
    {"live.shed_lag", NULL, OPTION_DURATION, offsetof(struct engine_settings, live.shed_lag_ns), "0.5", 0,
     UINT64_C(60000000000), "s", NULL, NULL,
     "When a worker is this far behind the clock, when frames are dropped, or max_cpus is exceeded, load is shed, step "
     "by step: long texts and compressed contents of requests, then requests altogether, then a growing share of new "
     "flows. Established flows stay. 0: nothing is shed."},
    {0},
};

static const char *const obfuscate_names[] = {"HTTP", "MySQL", "Redis", "Kafka", NULL};

const struct option session_options[] = {
    {"static_config.l7-protocol-enabled", NULL, OPTION_SET, offsetof(struct session_settings, dissectors),
     protocol_default, 0, 0, NULL, protocol_names, NULL, "Application protocols that are looked for."},
    {"static_config.l7-protocol-ports", NULL, OPTION_PORTS, offsetof(struct session_settings, ports), "", 0, 0, NULL,
     protocol_names, NULL,
     "Ports on which a protocol is expected: asked first there. A hint only; content decides. Replaces the protocol's "
     "own list."},
    {"static_config.rrt-tcp-timeout", NULL, OPTION_DURATION, offsetof(struct session_settings, timeout_ns), "120",
     1000000000, UINT64_C(86400000000000), "s", NULL, NULL,
     "How long a request waits for its response; then it leaves with the status timeout."},
    {"l7.outstanding_max", NULL, OPTION_UINT, offsetof(struct session_settings, outstanding_max), "256", 1, 65536,
     "requests", NULL, NULL,
     "Requests of one flow that may wait for a response. One more leaves unpaired; the others keep their responses."},
    {"l7.text_max", NULL, OPTION_BYTES, offsetof(struct session_settings, dissect.text_max), "1024", 16, 16384, "B",
     NULL, NULL,
     "Texts of request records (paths, statements, keys, …) are cut at this length; the record says truncated."},
    {"static_config.l7-protocol-advanced-features.obfuscate-enabled-protocols", NULL, OPTION_SET,
     offsetof(struct session_settings, dissect.obfuscate), "", 0, 0, NULL, obfuscate_names, NULL,
     "Protocols whose values are hidden in records: HTTP query values, literals of SQL statements, keys of Redis, "
     "topics of Kafka."},
    {0},
};

void engine_option_tables(struct engine_settings *s, struct option_table ret_tables[8])
{
	size_t at = 0;
	for (unsigned i = 0; i < dissector_count; i++) {
		protocol_names[i] = dissectors[i]->title;
		at += (size_t)snprintf(protocol_default + at, sizeof protocol_default - at, "%s%s", i ? ", " : "[",
				       dissectors[i]->title);
	}
	snprintf(protocol_default + at, sizeof protocol_default - at, "]");
	struct option_table tables[] = {
	    {"engine", replay_options, s},
	    {"decode", decode_options, &s->decode},
	    {"duplicates", duplicate_options, &s->duplicates},
	    {"reassemble", reassemble_options, &s->reassemble},
	    {"flowtab", flowtab_options, &s->flowtab},
	    {"session", session_options, &s->session},
	    {0},
	};
	memcpy(ret_tables, tables, sizeof tables);
}

/* A fragment's datagram, with its bookkeeping: see capture/reassemble.h. */
#define DATAGRAM_BYTES (66 * 1024)

/* Of max_memory, where duplicates are removed. */
#define DUPLICATES_PART 32
#define FRAGMENTS_PART 16 /* of these */

struct duplicate_settings engine_fragment_duplicates(const struct engine_settings *s, unsigned instances)
{
	struct duplicate_settings of = s->duplicates;
	duplicates_share_memory(&of, s->max_memory / DUPLICATES_PART / FRAGMENTS_PART / instances);
	return of;
}

/* Of the application layer, for each flow that the table may hold: a connection that waits for its next request, folded
 * (see conn.c), and some room for those that are at work, their texts and buffers. */
#define FLOW_L7_BYTES 144

/* What each share is for is used up by different traffic: flows by floods and by many connections, slots and blocks by
 * few that talk much. With the default of 768 MiB a million connections of requests fit. */
void engine_share_memory(struct engine_settings *s, bool live)
{
	uint64_t all = s->max_memory;
	s->duplicates.active = s->flowtab.duplicates = duplicates_wanted(&s->duplicates, live);
	if (s->duplicates.active) {
		uint64_t part = all / DUPLICATES_PART;
		duplicates_share_memory(&s->duplicates, part - part / FRAGMENTS_PART);
		all -= part;
	}
	s->reassemble.datagrams = min_of(s->reassemble.datagrams, max_of(all / 48 / DATAGRAM_BYTES, UINT64_C(2)));
	all -= min_of(all / 8, s->reassemble.datagrams * DATAGRAM_BYTES);

	uint64_t segments = all * 35 / 1000, slots = all * 50 / 1000;
	s->flowtab.max_segments = (uint32_t)max_of(segments / 512, (uint64_t)SHARDS);
	s->session.max_slots = (uint32_t)max_of(slots / sessions_slot_bytes(), (uint64_t)SHARDS);

	/* Any flow may have TCP state and requests. What one costs is asked of the table itself. */
	uint64_t rest = all - segments - slots, flows = 1 << 20;
	struct flowtab_settings probe = s->flowtab;
	probe.max_segments = 0;
	probe.max_flows = probe.max_tcp = (uint32_t)flows;
	uint64_t cost = flowtab_memory_max(&probe) / flows + 1 + FLOW_L7_BYTES;
	flows = max_of(min_of(rest / cost, (uint64_t)1 << 28), (uint64_t)SHARDS);
	s->flowtab.max_flows = s->flowtab.max_tcp = (uint32_t)flows;
	s->session.max_blocks_bytes = flows * FLOW_L7_BYTES;
}
