#include "red.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define SLOTS (2 * RED_SERIES) /* of the hash table; a power of two */
#define OTHERS 32              /* protocols */
#define SWEEP_NS (60 * NS_PER_S)

const char *const red_status_names[RED_STATUSES] = {"ok", "client_error", "server_error", "timeout", "unknown"};
const int64_t red_bounds_ns[RED_BUCKETS] = {
    500 * NS_PER_US, NS_PER_MS,       5 * NS_PER_MS,   10 * NS_PER_MS, 25 * NS_PER_MS, 50 * NS_PER_MS,
    100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,       5 * NS_PER_S,   10 * NS_PER_S,
};

struct note {
	struct ip_address server_ip;
	uint16_t server_port;
	uint8_t status;
	bool session;
	const char *protocol; /* of the registry: a constant, with NUL */
	int64_t duration_ns, end_ns;
};

struct red {
	struct sink sink;
	pthread_mutex_t lock; /* the export thread against readers */
	unsigned used;
	int64_t swept_ns;
	struct red_series old[SLOTS];    /* sweep()'s */
	struct red_series series[SLOTS]; /* open addressing; free where there is no protocol */
	struct red_series other[OTHERS];
};

static enum red_status status_of(const struct request_record *r)
{
	for (unsigned i = 0; request_record_has(r, response_status) && i < RED_STATUSES; i++)
		if (text_is(r->response_status, red_status_names[i]))
			return (enum red_status)i;
	return RED_UNKNOWN;
}

static int encode_request(const struct sink *s maybe_unused, const struct request_record *r, char *out, size_t room)
{
	struct note n = {.status = (uint8_t)status_of(r),
			 .session = request_record_has(r, duration_ns),
			 .protocol = r->l7_protocol.at,
			 .server_port = r->server_port > UINT16_MAX ? 0 : (uint16_t)r->server_port};
	if (room < sizeof n)
		return -ENOBUFS;
	if (!request_record_has(r, l7_protocol) || !request_record_has(r, server_ip))
		return 0;
	n.server_ip = r->server_ip;
	n.end_ns = request_record_has(r, end_time) ? r->end_time : 0;
	n.duration_ns = n.session ? max_of(r->duration_ns, INT64_C(0)) : 0;
	memcpy(out, &n, sizeof n);
	return sizeof n;
}

static int encode_flow(const struct sink *s maybe_unused, const struct flow_record *r maybe_unused,
		       char *out maybe_unused, size_t room maybe_unused)
{
	return 0;
}

static bool same_server(const struct red_series *s, const struct note *n)
{
	return s->protocol == n->protocol && s->server_port == n->server_port &&
	       s->server_ip.version == n->server_ip.version &&
	       !memcmp(s->server_ip.at, n->server_ip.at, n->server_ip.version == 4 ? 4 : 16);
}

static void add_series(struct red_series *to, const struct red_series *from)
{
	for (unsigned i = 0; i < RED_STATUSES; i++)
		to->requests[i] += from->requests[i];
	for (unsigned i = 0; i <= RED_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	to->sessions += from->sessions;
	to->sum_ns += from->sum_ns;
}

static struct red_series *other_of(struct red *r, const char *protocol)
{
	unsigned i = 0;
	while (i < OTHERS - 1 && r->other[i].protocol && r->other[i].protocol != protocol)
		i++;
	if (!r->other[i].protocol)
		r->other[i].protocol = i < OTHERS - 1 ? protocol : "_other_";
	return &r->other[i];
}

static uint64_t slot_of(const struct ip_address *ip, uint16_t port, const char *protocol)
{
	struct {
		uint8_t ip[16];
		const char *protocol;
		uint64_t port;
	} of = {.protocol = protocol, .port = port};
	memcpy(of.ip, ip->at, ip->version == 4 ? 4 : 16);
	return hash64(&of, sizeof of, 0) % SLOTS;
}

/* Series that were silent for long move to `_other_`; the others stay. Costs as much as the table is large, and comes
 * at most once in SWEEP_NS. */
static void sweep(struct red *r, int64_t now_ns)
{
	if (now_ns >= r->swept_ns && now_ns < r->swept_ns + SWEEP_NS)
		return;
	r->swept_ns = now_ns;
	memcpy(r->old, r->series, sizeof r->old);
	memset(r->series, 0, sizeof r->series);
	r->used = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		const struct red_series *s = &r->old[i];
		if (!s->protocol)
			continue;
		if (s->last_ns < now_ns - RED_IDLE_NS) {
			add_series(other_of(r, s->protocol), s);
			continue;
		}
		uint64_t at = slot_of(&s->server_ip, s->server_port, s->protocol);
		while (r->series[at].protocol)
			at = (at + 1) % SLOTS;
		r->series[at] = *s;
		r->used++;
	}
}

/* The server's series; NULL: it has none, and there is no room for one. At most half of the slots are in use. */
static struct red_series *find(struct red *r, const struct note *n)
{
	for (unsigned attempt = 0; attempt < 2; attempt++) {
		uint64_t at = slot_of(&n->server_ip, n->server_port, n->protocol);
		while (r->series[at].protocol && !same_server(&r->series[at], n))
			at = (at + 1) % SLOTS;
		struct red_series *s = &r->series[at];
		if (s->protocol)
			return s;
		if (r->used < RED_SERIES) {
			r->used++;
			*s = (struct red_series){.server_ip = n->server_ip,
						 .server_port = n->server_port,
						 .protocol = n->protocol,
						 .last_ns = n->end_ns};
			return s;
		}
		sweep(r, n->end_ns);
	}
	return NULL;
}

static int sink_write(struct sink *s, enum record_kind kind maybe_unused, const char *data, size_t len maybe_unused)
{
	struct red *r = container_of(s, struct red, sink);
	struct note n;
	memcpy(&n, data, sizeof n);
	pthread_mutex_lock(&r->lock);
	struct red_series *series = find(r, &n);
	if (!series)
		series = other_of(r, n.protocol);
	series->requests[n.status]++;
	series->last_ns = max_of(series->last_ns, n.end_ns);
	if (n.session) {
		unsigned b = 0;
		while (b < RED_BUCKETS && n.duration_ns > red_bounds_ns[b])
			b++;
		series->buckets[b]++;
		series->sessions++;
		series->sum_ns += n.duration_ns;
	}
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static int sink_flush(struct sink *s maybe_unused, struct error *e maybe_unused)
{
	return 0;
}

static void sink_free(struct sink *s)
{
	struct red *r = container_of(s, struct red, sink);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct sink_ops ops = {
    .name = "red",
    .encode_flow = encode_flow,
    .encode_request = encode_request,
    .write = sink_write,
    .flush = sink_flush,
    .free = sink_free,
};

int red_new(struct sink **ret_sink)
{
	struct red *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->sink.ops = &ops;
	pthread_mutex_init(&r->lock, NULL);
	*ret_sink = &r->sink;
	return 0;
}

unsigned red_read(struct sink *s, struct red_series *ret, unsigned max)
{
	struct red *r = container_of(s, struct red, sink);
	unsigned n = 0;
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < SLOTS && n < max; i++)
		if (r->series[i].protocol)
			ret[n++] = r->series[i];
	for (unsigned i = 0; i < OTHERS && n < max; i++)
		if (r->other[i].protocol)
			ret[n++] = r->other[i];
	pthread_mutex_unlock(&r->lock);
	return n;
}
