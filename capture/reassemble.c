#include "reassemble.h"

#include "hash.h"
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define HEADER_ROOM 512 /* unfragmentable part; what is longer is given up as malformed */
#define DATA_MAX 65535
#define BLOCKS (65536 / 8) /* fragments start at multiples of 8 bytes, and all but the last end there */

enum cause { CAUSE_NONE, CAUSE_EXPIRED, CAUSE_EVICTED, CAUSE_OVERLAP, CAUSE_MALFORMED, CAUSE_CUT };

/* Compared and hashed as bytes: no padding. */
struct datagram_key {
	uint8_t source[16], target[16];
	uint32_t id, domain;
	uint16_t tap;
	uint8_t ip_version, protocol; /* protocol: 0 for IPv6, where fragments need not agree on it (RFC 8200 §4.5) */
};
_Static_assert(sizeof(struct datagram_key) == 44, "no padding");

struct datagram {
	struct datagram_key key;
	uint32_t next;         /* in its bucket */
	uint32_t newer, older; /* in the order of their first fragments */
	uint32_t bucket;
	int64_t first_ns;
	uint32_t end;        /* bytes of data; 0 until the last fragment has come */
	uint32_t high;       /* end of what has come */
	uint32_t blocks;     /* bits set in seen */
	uint32_t header_len; /* 0 until the first fragment has come */
	uint32_t frames, wire_len, l3_len, flags;
	enum cause given_up; /* nothing is held; what still comes shares its lot */
	uint64_t seen[BLOCKS / 64];
	uint8_t header[HEADER_ROOM]; /* at its end, so that the data follows */
	uint8_t data[DATA_MAX + 1];
};

struct reassemble {
	struct reassemble_settings settings;
	struct reassemble_counters counters;
	uint64_t seed;
	struct pool pool;
	struct quota quota;
	uint32_t count; /* in the list */
	uint32_t oldest, newest;
	uint32_t done; /* what the last call gave away; its memory is free at the next */
	uint32_t bucket_mask;
	uint32_t *buckets;
};

const struct option reassemble_options[] = {
    {
	.name = "fragment_datagrams",
	.type = OPTION_UINT,
	.offset = offsetof(struct reassemble_settings, datagrams),
	.initial = "1024",
	.min = 1,
	.max = 65536,
	.unit = "datagrams",
	.meaning = "IP datagrams that wait for fragments, at most. Each may take up to 66 KiB; the oldest makes room "
		   "for a new one.",
    },
    {
	.name = "fragment_timeout",
	.type = OPTION_DURATION,
	.offset = offsetof(struct reassemble_settings, timeout_ns),
	.initial = "30s",
	.min = (uint64_t)NS_PER_S,
	.max = (uint64_t)(120 * NS_PER_S),
	.unit = "s",
	.meaning = "How long an IP datagram waits for its missing fragments, from the first one that was seen.",
    },
    {.name = NULL},
};

int reassemble_new(struct reassemble **ret_r, const struct reassemble_settings *settings)
{
	struct reassemble *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->settings = *settings;
	r->settings.datagrams = max_of(min_of(settings->datagrams, UINT64_C(65536)), UINT64_C(1));
	r->quota.limit = (uint32_t)r->settings.datagrams + 1; /* one that was given away */
	uint32_t bucket_count = 16;
	while (bucket_count < r->quota.limit * 2)
		bucket_count *= 2;
	r->bucket_mask = bucket_count - 1;
	r->buckets = malloc(bucket_count * sizeof *r->buckets);
	size_t object_size = (sizeof(struct datagram) + 63) / 64 * 64;
	if (!r->buckets || pool_init(&r->pool, object_size, offsetof(struct datagram, next), r->quota.limit) < 0) {
		free(r->buckets);
		free(r);
		return -ENOMEM;
	}
	memset(r->buckets, 0xff, bucket_count * sizeof *r->buckets);
	r->oldest = r->newest = r->done = POOL_NONE;
	/* Only bounds what a sender who picks colliding keys can cost; nothing depends on it. */
	if (getrandom(&r->seed, sizeof r->seed, GRND_NONBLOCK) != sizeof r->seed)
		r->seed = (uint64_t)(uintptr_t)r;
	*ret_r = r;
	return 0;
}

struct reassemble *reassemble_free(struct reassemble *r)
{
	if (r) {
		pool_fini(&r->pool);
		free(r->buckets);
		free(r);
	}
	return NULL;
}

const struct reassemble_counters *reassemble_counters(const struct reassemble *r)
{
	return &r->counters;
}

static struct datagram *datagram_at(const struct reassemble *r, uint32_t index)
{
	return pool_at(&r->pool, index);
}

static void count(struct reassemble *r, enum cause cause, uint32_t frames)
{
	uint64_t *const counter[] = {
	    [CAUSE_NONE] = &r->counters.frames_duplicate,      [CAUSE_EXPIRED] = &r->counters.frames_expired,
	    [CAUSE_EVICTED] = &r->counters.frames_evicted,     [CAUSE_OVERLAP] = &r->counters.frames_overlap,
	    [CAUSE_MALFORMED] = &r->counters.frames_malformed, [CAUSE_CUT] = &r->counters.frames_cut,
	};
	*counter[cause] += frames;
}

/* Out of its bucket and the list; its memory is still taken. */
static void unlink_datagram(struct reassemble *r, uint32_t index)
{
	struct datagram *g = datagram_at(r, index);
	uint32_t *at = &r->buckets[g->bucket];
	while (*at != index)
		at = &datagram_at(r, *at)->next;
	*at = g->next;
	*(g->older == POOL_NONE ? &r->oldest : &datagram_at(r, g->older)->newer) = g->newer;
	*(g->newer == POOL_NONE ? &r->newest : &datagram_at(r, g->newer)->older) = g->older;
	r->count--;
}

/* Its frames leave under `cause`. The entry stays, so that the frames still to come are known. */
static void give_up(struct reassemble *r, struct datagram *g, enum cause cause)
{
	count(r, cause, g->frames);
	r->counters.frames_held -= g->frames;
	g->frames = 0;
	g->given_up = cause;
}

static void drop(struct reassemble *r, uint32_t index, enum cause cause)
{
	give_up(r, datagram_at(r, index), cause);
	unlink_datagram(r, index);
	pool_give(&r->pool, &r->quota, index);
}

static bool is_old(const struct reassemble *r, const struct datagram *g, int64_t now_ns)
{
	return now_ns >= g->first_ns && (uint64_t)now_ns - (uint64_t)g->first_ns >= (uint64_t)r->settings.timeout_ns;
}

void reassemble_tick(struct reassemble *r, int64_t now_ns)
{
	while (r->oldest != POOL_NONE && is_old(r, datagram_at(r, r->oldest), now_ns))
		drop(r, r->oldest, CAUSE_EXPIRED);
}

void reassemble_finish(struct reassemble *r)
{
	while (r->oldest != POOL_NONE)
		drop(r, r->oldest, CAUSE_EXPIRED);
}

/* The datagram of this key, an old one that is still under way or a new one. */
static struct datagram *find(struct reassemble *r, const struct datagram_key *key, int64_t now_ns)
{
	uint32_t bucket = (uint32_t)hash64(key, sizeof *key, r->seed) & r->bucket_mask;
	for (uint32_t i = r->buckets[bucket]; i != POOL_NONE; i = datagram_at(r, i)->next) {
		struct datagram *g = datagram_at(r, i);
		if (memcmp(&g->key, key, sizeof *key))
			continue;
		/* the list is in order of arrival, so a clock that stepped back hides old ones from the tick */
		if (!is_old(r, g, now_ns) && (g->first_ns <= now_ns || (uint64_t)g->first_ns - (uint64_t)now_ns <
									   (uint64_t)r->settings.timeout_ns))
			return g;
		drop(r, i, CAUSE_EXPIRED);
		break;
	}
	if (r->count >= r->settings.datagrams)
		drop(r, r->oldest, CAUSE_EVICTED);
	uint32_t index = pool_take(&r->pool, &r->quota);
	struct datagram *g = datagram_at(r, index);
	memset(g, 0, offsetof(struct datagram, header));
	g->key = *key;
	g->first_ns = now_ns;
	g->bucket = bucket;
	g->next = r->buckets[bucket];
	r->buckets[bucket] = index;
	g->newer = POOL_NONE;
	g->older = r->newest;
	*(r->newest == POOL_NONE ? &r->oldest : &datagram_at(r, r->newest)->newer) = index;
	r->newest = index;
	r->count++;
	return g;
}

static uint32_t blocks_seen(const struct datagram *g, uint32_t from, uint32_t to)
{
	uint32_t n = 0;
	while (from < to) {
		uint64_t word = g->seen[from / 64] >> (from % 64);
		uint32_t here = min_of(64 - from % 64, to - from);
		if (here < 64)
			word &= (UINT64_C(1) << here) - 1;
		n += (uint32_t)__builtin_popcountll(word);
		from += here;
	}
	return n;
}

static void mark_blocks(struct datagram *g, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t here = min_of(64 - from % 64, to - from);
		uint64_t bits = here < 64 ? (UINT64_C(1) << here) - 1 : ~UINT64_C(0);
		g->seen[from / 64] |= bits << (from % 64);
		from += here;
	}
}

/* Copies the bytes that have not been seen. */
static void fill_holes(struct datagram *g, const uint8_t *data, uint32_t offset, uint32_t len)
{
	for (uint32_t at = 0; at < len; at += 8) {
		uint32_t block = (offset + at) / 8;
		if (!(g->seen[block / 64] >> (block % 64) & 1))
			memcpy(g->data + offset + at, data + at, min_of(8U, len - at));
	}
}

static bool is_malformed(const struct decode_fragment *f)
{
	return !f->data_len || (f->more && f->data_len % 8) || f->data_len > DATA_MAX ||
	       f->offset > DATA_MAX - f->data_len || f->header_len > HEADER_ROOM ||
	       f->header_len < (f->ip_version == 4 ? 20 : 48) ||
	       (f->ip_version == 6 && f->next_header_at >= f->header_len - 8);
}

/* The first fragment's headers, as those of the whole packet but for its length. */
static void keep_header(struct datagram *g, const struct decode_fragment *f)
{
	g->header_len = f->ip_version == 4 ? f->header_len : f->header_len - 8;
	uint8_t *h = g->header + HEADER_ROOM - g->header_len;
	memcpy(h, f->ip, g->header_len);
	if (f->ip_version == 4)
		h[6] = h[7] = 0;
	else
		h[f->next_header_at] = f->protocol;
}

/* Writes the length; false where it is more than an IP packet can have. */
static bool finish_header(struct datagram *g)
{
	uint8_t *h = g->header + HEADER_ROOM - g->header_len;
	uint32_t len = g->header_len + g->end, at = 2;
	if (g->key.ip_version == 6) {
		len -= 40;
		at = 4;
	}
	h[at] = (uint8_t)(len >> 8);
	h[at + 1] = (uint8_t)len;
	return len <= UINT16_MAX;
}

/* What becomes of a fragment of datagram g: CAUSE_NONE and *ret_new when its data is in place, CAUSE_NONE alone when
 * there is nothing new in it. */
static enum cause place(struct datagram *g, const struct decode_fragment *f, uint32_t frames, bool *ret_new)
{
	uint32_t end = f->offset + f->data_len;
	if (g->given_up)
		return g->given_up;
	if (f->data_captured < f->data_len)
		return CAUSE_CUT;
	/* two ends, data behind the end, or more frames than a packet can count */
	if ((g->end && (f->more ? end > g->end : end != g->end)) || (!f->more && end < g->high) ||
	    g->frames + frames > UINT16_MAX)
		return CAUSE_MALFORMED;
	uint32_t from = f->offset / 8, to = (end + 7) / 8;
	uint32_t seen = blocks_seen(g, from, to);
	if (seen == to - from) {
		bool same = g->key.ip_version == 4 || !memcmp(g->data + f->offset, f->ip + f->header_len, f->data_len);
		return same ? CAUSE_NONE : CAUSE_OVERLAP;
	}
	if (seen && g->key.ip_version == 6)
		return CAUSE_OVERLAP;
	if (seen)
		fill_holes(g, f->ip + f->header_len, f->offset, f->data_len);
	else
		memcpy(g->data + f->offset, f->ip + f->header_len, f->data_len);
	mark_blocks(g, from, to);
	g->blocks += to - from - seen;
	g->high = max_of(g->high, end);
	if (!f->more)
		g->end = end;
	if (!f->offset && !g->header_len)
		keep_header(g, f);
	*ret_new = true;
	return CAUSE_NONE;
}

static int take(struct reassemble *r, const struct decode_fragment *f, struct packet *p, const uint8_t **ret_ip,
		uint32_t *ret_len)
{
	r->counters.frames += p->frames;
	reassemble_tick(r, p->ts_ns);
	if (is_malformed(f)) {
		count(r, CAUSE_MALFORMED, p->frames);
		return 0;
	}
	struct datagram_key key = {
	    .id = f->id,
	    .domain = p->key.domain,
	    .tap = p->key.tap,
	    .ip_version = f->ip_version,
	    .protocol = f->ip_version == 4 ? f->protocol : 0,
	};
	memcpy(key.source, f->source, sizeof key.source);
	memcpy(key.target, f->target, sizeof key.target);
	struct datagram *g = find(r, &key, p->ts_ns);
	bool is_new = false;
	enum cause cause = place(g, f, p->frames, &is_new);
	if (!is_new) {
		if (cause != CAUSE_NONE)
			give_up(r, g, cause);
		count(r, cause, p->frames);
		return 0;
	}
	r->counters.frames_held += p->frames;
	g->frames += p->frames;
	g->wire_len += p->wire_len;
	g->l3_len += p->l3_len;
	g->flags |= p->flags;
	if (!g->end || g->blocks != (g->end + 7) / 8)
		return 0;
	if (!finish_header(g)) {
		give_up(r, g, CAUSE_MALFORMED);
		return 0;
	}
	r->counters.frames_held -= g->frames;
	r->counters.frames_completed += g->frames;
	r->counters.datagrams++;
	p->frames = (uint16_t)g->frames;
	p->wire_len = g->wire_len;
	p->l3_len = g->l3_len;
	p->flags |= g->flags | PACKET_REASSEMBLED;
	*ret_ip = g->header + HEADER_ROOM - g->header_len;
	*ret_len = g->header_len + g->end;
	r->done = pool_index(&r->pool, g);
	unlink_datagram(r, r->done);
	return 1;
}

int reassemble_fragment(struct reassemble *r, const struct decode_fragment *fragment, struct packet *p,
			const uint8_t **ret_ip, uint32_t *ret_len)
{
	/* the fragment may lie in what was given away last: a tunnel in a reassembled packet */
	uint32_t done = r->done;
	r->done = POOL_NONE;
	int complete = take(r, fragment, p, ret_ip, ret_len);
	if (done != POOL_NONE)
		pool_give(&r->pool, &r->quota, done);
	return complete;
}
