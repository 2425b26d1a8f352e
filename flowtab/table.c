#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* How a table is reserved and given back, and what it may take. */

/* Of the limits for all shards, what one gets. */
static uint32_t limit_of(uint32_t limit)
{
	return limit / SHARDS;
}

/* Of the flows with a second tier, how many may have the third: in most nothing ever goes wrong. */
static uint32_t troubles_of(uint32_t tcp)
{
	return tcp / 8 + 1;
}

/* Where all flows come through a tunnel, a table that is a quarter full has them all. */
static uint32_t tunnels_of(uint32_t flows)
{
	return (flows + 3) / 4;
}

/* Half full at most: then one bucket in seventy overflows, and a search hardly ever needs a line that nobody fetched.
 */
static uint64_t buckets_of(uint64_t flows)
{
	return flows * 2 / BUCKET_ENTRIES + 2;
}

/* What shards of these settings can use at most. */
static uint64_t memory_of(const struct flowtab_settings *s, uint64_t shards)
{
	uint64_t flows = shards * limit_of(s->max_flows);
	return flows * (sizeof(struct flow) + sizeof(struct flow_link)) + buckets_of(flows) * sizeof(struct bucket) +
	       (s->duplicates ? flows * sizeof(struct flow_copies) : 0) +
	       shards * limit_of(s->max_tcp) * (sizeof(struct tcp) + sizeof(struct tcp_rest)) +
	       shards * troubles_of(limit_of(s->max_tcp)) * sizeof(struct tcp_trouble) +
	       shards * limit_of(s->max_segments) * sizeof(struct segment) +
	       shards * tunnels_of(limit_of(s->max_flows)) * sizeof(struct flow_tunnel);
}

uint64_t flowtab_memory_max(const struct flowtab_settings *settings)
{
	return memory_of(settings, SHARDS);
}

static void set_timeouts(struct flowtab *t, const struct flowtab_settings *s)
{
	const int64_t timeout_ns[FLOW_STATES] = {
	    [FLOW_OPENING_1] = s->opening_timeout_ns,
	    [FLOW_OPENING_2] = s->opening_timeout_ns,
	    [FLOW_QUEUE_LACK] = s->opening_timeout_ns,
	    [FLOW_ESTABLISHED] = s->established_timeout_ns,
	    [FLOW_CLOSING_1] = s->others_timeout_ns,
	    [FLOW_CLOSING_2] = s->others_timeout_ns,
	    [FLOW_RESET_OPENING_1] = s->opening_rst_timeout_ns,
	    [FLOW_RESET_OPENING_2] = s->opening_rst_timeout_ns,
	    [FLOW_RESET_QUEUE_LACK] = s->opening_rst_timeout_ns,
	    [FLOW_RESET] = s->closing_rst_timeout_ns,
	    [FLOW_RESET_CLOSING] = s->closing_rst_timeout_ns,
	    [FLOW_EXCEPTION] = s->others_timeout_ns,
	    [FLOW_DATAGRAM_ONEWAY] = s->udp_oneway_timeout_ns,
	    [FLOW_DATAGRAM] = s->udp_timeout_ns,
	    [FLOW_ICMP] = s->icmp_timeout_ns,
	    [FLOW_LINGER] = s->linger_ns,
	};
	memcpy(t->timeout_ns, timeout_ns, sizeof timeout_ns);
}

static bool are_sane(const struct flowtab_settings *s)
{
	const int64_t timeouts[] = {s->established_timeout_ns, s->opening_timeout_ns, s->opening_rst_timeout_ns,
				    s->closing_rst_timeout_ns, s->others_timeout_ns,  s->udp_timeout_ns,
				    s->udp_oneway_timeout_ns,  s->icmp_timeout_ns};
	for (unsigned i = 0; i < array_size(timeouts); i++)
		if (timeouts[i] <= 0 || timeouts[i] > TIME_MAX / 2)
			return false;
	return s->linger_ns >= 0 && s->linger_ns <= TIME_MAX / 2 && s->report_interval_ns >= 0 &&
	       s->report_interval_ns <= TIME_MAX / 2;
}

static int reserve(struct flowtab *t, const struct flowtab_settings *s, unsigned shards)
{
	uint32_t flows = shards * limit_of(s->max_flows);
	t->bucket_count = (uint32_t)buckets_of(flows);
	t->buckets_bytes = (size_t)t->bucket_count * sizeof(struct bucket);
	void *at =
	    mmap(NULL, t->buckets_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return -ENOMEM;
	t->buckets = at;
	madvise(at, t->buckets_bytes, MADV_HUGEPAGE); /* a hint; nothing depends on it */
	int rc = pool_init(&t->flows, sizeof(struct flow), offsetof(struct flow, tcp), flows);
	rc = rc ? rc : pool_init(&t->links, sizeof(struct flow_link), 0, flows);
	rc = rc ? rc : pool_init(&t->copies, sizeof(struct flow_copies), 0, s->duplicates ? flows : 0);
	rc = rc ? rc : pool_init(&t->tcp, sizeof(struct tcp), 0, shards * limit_of(s->max_tcp));
	rc = rc ? rc : pool_init(&t->tcp_rest, sizeof(struct tcp_rest), 0, shards * limit_of(s->max_tcp));
	rc =
	    rc ? rc : pool_init(&t->trouble, sizeof(struct tcp_trouble), 0, shards * troubles_of(limit_of(s->max_tcp)));
	rc = rc ? rc : pool_init(&t->segments, sizeof(struct segment), 0, shards * limit_of(s->max_segments));
	return rc ? rc
		  : pool_init(&t->tunnels, sizeof(struct flow_tunnel), offsetof(struct flow_tunnel, next),
			      shards * tunnels_of(limit_of(s->max_flows)));
}

static int reserve_shards(struct flowtab *t, const struct flowtab_settings *s, unsigned shards, int64_t now_ns)
{
	t->shards = calloc(shards, sizeof *t->shards);
	if (!t->shards)
		return -ENOMEM;
	t->shard_count = shards;
	for (unsigned i = 0; i < shards; i++) {
		struct shard *h = &t->shards[i];
		h->flows.limit = limit_of(s->max_flows);
		h->tcp.limit = limit_of(s->max_tcp);
		h->trouble.limit = troubles_of(h->tcp.limit);
		h->segments.limit = limit_of(s->max_segments);
		h->tunnels.limit = tunnels_of(h->flows.limit);
		for (unsigned class = 0; class < CLASSES; class ++) {
			h->wheel[class] = wheel_new(&t->flows, offsetof(struct flow, timer), TICK_OF(now_ns));
			if (!h->wheel[class])
				return -ENOMEM;
		}
	}
	return 0;
}

int flowtab_new(struct flowtab **ret_table, const struct flowtab_settings *settings, unsigned shards, int64_t now_ns,
		const struct flow_calls *calls, void *ctx)
{
	if (!shards || shards > SHARDS || now_ns < 0 || now_ns > TIME_MAX || !are_sane(settings))
		return -EINVAL;
	struct flowtab *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	t->settings = *settings;
	t->calls = calls;
	t->ctx = ctx;
	t->now_ns = now_ns;
	t->interval_ns = settings->report_interval_ns ? settings->report_interval_ns : 60 * NS_PER_S;
	t->held_max = (uint32_t)min_of(settings->reassembly_flow_bytes / sizeof(struct segment), (uint64_t)1 << 20);
	for (unsigned i = 0; i < SHARDS; i++) {
		t->shard_at[i] = SHARD_NONE;
		t->due[i] = WHEEL_NEVER;
	}
	set_timeouts(t, settings);
	int rc = reserve(t, settings, shards);
	rc = rc ? rc : reserve_shards(t, settings, shards, now_ns);
	if (rc) {
		flowtab_free(t);
		return rc;
	}
	*ret_table = t;
	return 0;
}

struct flowtab *flowtab_free(struct flowtab *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; i < t->shard_count; i++)
		for (unsigned class = 0; class < CLASSES; class ++)
			wheel_free(t->shards[i].wheel[class]);
	free(t->shards);
	pool_fini(&t->flows);
	pool_fini(&t->links);
	pool_fini(&t->copies);
	pool_fini(&t->tcp);
	pool_fini(&t->tcp_rest);
	pool_fini(&t->trouble);
	pool_fini(&t->segments);
	pool_fini(&t->tunnels);
	if (t->buckets)
		munmap(t->buckets, t->buckets_bytes);
	free(t);
	return NULL;
}

const struct flowtab_counters *flowtab_counters(const struct flowtab *t)
{
	return &t->counters;
}

uint64_t flowtab_memory(const struct flowtab *t)
{
	/* Each new entry touches at most one page of the index. */
	uint64_t flows = peek(t->flows.high);
	return flows * sizeof(struct flow) + (uint64_t)peek(t->links.high) * sizeof(struct flow_link) +
	       (uint64_t)peek(t->copies.high) * sizeof(struct flow_copies) +
	       min_of((uint64_t)t->buckets_bytes, flows * 4096) +
	       (uint64_t)peek(t->tcp.high) * (sizeof(struct tcp) + sizeof(struct tcp_rest)) +
	       (uint64_t)peek(t->trouble.high) * sizeof(struct tcp_trouble) +
	       (uint64_t)peek(t->segments.high) * sizeof(struct segment) +
	       (uint64_t)peek(t->tunnels.high) * sizeof(struct flow_tunnel);
}
