#include "duplicate.h"

#include "duplicate_table.h"
#include "hash.h"

#include <stdlib.h>

/* Two tables, both reserved at start, both with an order of eviction of their own in each shard: groups, by face, that
 * live for the window; and talks, by flow, that keep what a flow has shown of its paths and live until their room is
 * needed. A packet that is no copy costs a look into both, one new group, and mostly the end of an old one. */

enum { IP_TCP = 6, IP_UDP = 17 };

#define SAME_PATH_NS (10 * NS_PER_MS) /* what 12 MB of buffer hold at 10 Gbit/s: both sights wait in one queue */
#define EARLY_NS NS_PER_MS            /* Linux's tail loss probe waits 2 ms, its retransmission timer 5 ms or more */
#define PATHS 4                       /* of a direction of a flow; a fifth takes the place of one of them */
#define SENDINGS_MAX 31
#define SIGHTS_MAX 7
#define LESSONS 64     /* paths that a shard knows */
#define STREAK_KNOWN 4 /* packets in a row that were seen several times */
#define STREAK_MAX 16
#define STREAK_LOSS 8 /* what one that was seen once takes away: a mirror may lose some */
#define SINGLE_GAIN 8 /* packets that were seen several times for one that was seen once */
#define SINGLE_MAX 15
#define EXPIRE_MAX 4 /* groups looked at for each packet */
#define EVICT_TRIES 8

/* What one direction of a flow has shown on one path. */
struct shown {
	uint16_t mark;           /* of the path; 0: free */
	uint8_t times : 3;       /* m, where it was certain; 0: not known */
	uint8_t fell_short : 1;  /* the last packet was seen fewer times */
	uint8_t alone : 1;       /* the last packet was seen on no other path */
	uint8_t accompanied : 1; /* the last packet was seen on another path, too */
	uint8_t single : 4;      /* grows with packets that were seen once, shrinks with the others */
};
_Static_assert(sizeof(struct shown) == 4, "four of them in 16 bytes");

enum talk_flag {
	TALK_TOUCHED = 1,
	TALK_TCP = 2,
	TALK_SPOKE_0 = 4, /* << direction */
};

struct talk {
	struct node node;
	uint16_t passed[2]; /* packets that were new, by direction */
	uint16_t last_id[2];
	uint16_t spoke[2]; /* when, in units of TALK_TIME_SHIFT */
	uint8_t flags;
	uint8_t life;    /* counts the uses of this entry, for groups that outlived theirs */
	uint8_t replace; /* which path gives way next; 2 bits a direction */
	uint8_t same_id; /* 1 << direction: its last two packets had one identification */
	struct shown path[2][PATHS];
};
_Static_assert(sizeof(struct talk) == 64, "a cache line");
#define TALK_TIME_SHIFT 22 /* 4.2 ms */
#define VISIBLE 238        /* 1 s: a direction that was not heard for longer may not be seen any more */

/* The sights of one face. */
struct group {
	struct node node;
	int64_t latest_ns; /* first sight of the last sending */
	uint32_t talk;
	uint16_t own_passed, other_passed; /* talk.passed, just after the last sending */
	uint16_t nic;                      /* of that sight */
	uint8_t seen[PATHS]; /* by place in talk.path: the sending it is at << 3 | sights of it; 0: none */
	uint8_t life : 7;    /* of the talk */
	uint8_t moved : 1;   /* its last sending is later than its place in the order of eviction says */
	uint8_t sendings : 5;
	uint8_t direction : 1;
	uint8_t spread : 1;  /* sendings that are too far apart for sights of one */
	uint8_t settled : 1; /* if it is seen no more it teaches nothing */
};
_Static_assert(sizeof(struct group) == 40, "what most memory is for");

/* What a shard has seen of a path. */
struct lesson {
	uint16_t mark;
	uint8_t streak, least; /* least: the fewest sights of a packet since the streak began */
};

struct duplicate_shard {
	struct part groups, talks;
	struct lesson lesson[LESSONS];
};

struct duplicates {
	int64_t window_ns;
	uint64_t key[4];
	struct table groups, talks;
	struct duplicate_counters counters;
	unsigned shard_count, shards_used;
	struct duplicate_shard *shards;
	uint16_t shard_at[SHARDS]; /* place in shards */
};
#define SHARD_NONE UINT16_MAX

static const char *const enabled_names[] = {"auto", "on", "off", NULL};

const struct option duplicate_options[] = {
    {
	.name = "dedup.enabled",
	.type = OPTION_ENUM,
	.offset = offsetof(struct duplicate_settings, enabled),
	.initial = "auto",
	.choices = enabled_names,
	.meaning = "Whether packets that mirrors show several times are counted once: at several NICs, before and "
		   "behind a router, with and without tag or tunnel, or twice at one place. Flow records say how "
		   "many copies there were, and how much later they were seen elsewhere. auto: in live capture, not "
		   "in replay.",
    },
    {
	.name = "dedup.window",
	.type = OPTION_DURATION,
	.offset = offsetof(struct duplicate_settings, window_ns),
	.initial = "100",
	.min = 1000000,
	.max = 1000000000,
	.unit = "ms",
	.meaning = "How much later a copy may be seen than the packet itself. More than the way between two places "
		   "of observation takes, less than the 200 ms after which senders repeat what was lost.",
    },
    {
	.name = "static_config.analyzer-dedup-disabled",
	.type = OPTION_BOOL,
	.offset = offsetof(struct duplicate_settings, disabled),
	.initial = "false",
	.meaning = "DeepFlow's switch: true removes no duplicates, whatever dedup.enabled says.",
    },
    {.name = NULL},
};

bool duplicates_wanted(const struct duplicate_settings *s, bool live)
{
	return !s->disabled && (s->enabled == DEDUP_ON || (s->enabled == DEDUP_AUTO && live));
}

/* ---- memory ---- */

void duplicates_share_memory(struct duplicate_settings *s, uint64_t bytes)
{
	/* A flow has some packets in the window; what it has shown is kept for much longer. A bucket takes up to eight
	 * bytes. */
	s->max_groups = (uint32_t)min_of(bytes * 6 / 10 / (sizeof(struct group) + 8), UINT64_C(1) << 30);
	s->max_talks = (uint32_t)min_of(bytes * 4 / 10 / (sizeof(struct talk) + 8), UINT64_C(1) << 30);
	s->max_groups = max_of(s->max_groups, (uint32_t)SHARDS * 2);
	s->max_talks = max_of(s->max_talks, (uint32_t)SHARDS * 2);
}

int duplicates_new(struct duplicates **ret_d, const struct duplicate_settings *settings, unsigned shards, uint64_t seed)
{
	uint32_t groups = settings->max_groups / SHARDS, talks = settings->max_talks / SHARDS;
	if (!shards || shards > SHARDS || !groups || !talks || settings->window_ns <= 0)
		return -EINVAL;
	struct duplicates *d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	d->window_ns = settings->window_ns;
	for (unsigned i = 0; i < array_size(d->key); i++)
		d->key[i] = hash64(&i, sizeof i, seed) | 1;
	memset(d->shard_at, 0xff, sizeof d->shard_at);
	d->shard_count = shards;
	d->shards = calloc(shards, sizeof *d->shards);
	int r = d->shards ? 0 : -ENOMEM;
	r = r ? r : table_init(&d->groups, sizeof(struct group), shards * groups);
	r = r ? r : table_init(&d->talks, sizeof(struct talk), shards * talks);
	if (r) {
		duplicates_free(d);
		return r;
	}
	for (unsigned i = 0; i < shards; i++) {
		d->shards[i].groups = (struct part){.quota.limit = groups, .oldest = POOL_NONE, .newest = POOL_NONE};
		d->shards[i].talks = (struct part){.quota.limit = talks, .oldest = POOL_NONE, .newest = POOL_NONE};
	}
	*ret_d = d;
	return 0;
}

struct duplicates *duplicates_free(struct duplicates *d)
{
	if (!d)
		return NULL;
	table_fini(&d->groups);
	table_fini(&d->talks);
	free(d->shards);
	free(d);
	return NULL;
}

const struct duplicate_counters *duplicates_counters(const struct duplicates *d)
{
	return &d->counters;
}

uint64_t duplicates_memory(const struct duplicates *d)
{
	return table_memory(&d->groups) + table_memory(&d->talks);
}

/* The place in shards of a virtual shard. */
static inline uint32_t shard_of(struct duplicates *d, uint8_t id)
{
	/* more shards than were announced share the last place: wrong numbers rather than wrong memory */
	if (unlikely(d->shard_at[id] == SHARD_NONE))
		d->shard_at[id] = (uint16_t)(d->shards_used < d->shard_count ? d->shards_used++ : d->shard_count - 1);
	return d->shard_at[id];
}

static inline struct group *group_at(const struct duplicates *d, uint32_t index)
{
	return (struct group *)table_at(&d->groups, sizeof(struct group), index);
}

static inline struct talk *talk_at(const struct duplicates *d, uint32_t index)
{
	return (struct talk *)table_at(&d->talks, sizeof(struct talk), index);
}

/* ---- hashes ---- */

static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 x = (unsigned __int128)a * b;
	return (uint64_t)x ^ (uint64_t)(x >> 64);
}

/* What is found out about a packet before its turn. */
struct look {
	uint64_t flow, face;
	uint32_t shard; /* its place in shards */
	uint16_t mark;
};

static inline uint64_t hash_flow(const struct duplicates *d, const struct flow_key *k)
{
	uint64_t w[sizeof *k / 8];
	memcpy(w, k, sizeof w);
	uint64_t x = fold(w[0] ^ w[2] << 32 ^ d->key[0], w[4] ^ d->key[1]);
	if (unlikely(k->ip_version != 4)) {
		x = fold(x ^ w[0], w[1] ^ d->key[2]);
		x = fold(x ^ w[2], w[3] ^ d->key[3]);
	}
	return fold(x ^ w[5], d->key[2]);
}

#define ODD_1 UINT64_C(0x9e3779b97f4a7c15)
#define ODD_2 UINT64_C(0xbf58476d1ce4e5b9)
#define ODD_3 UINT64_C(0x94d049bb133111eb)

static uint64_t hash_tags(const struct packet *p, uint64_t x)
{
	for (unsigned i = 0; i < p->vlan_count; i++)
		x = fold(x ^ (p->vlan[i] & 0xfffU), ODD_3);
	for (unsigned i = 0; i < p->tunnel_count; i++) {
		const struct tunnel *t = &p->tunnel[i];
		uint64_t w[4];
		memcpy(w, t->source, sizeof t->source);
		memcpy(w + 2, t->target, sizeof t->target);
		x = fold(x ^ t->id ^ (uint64_t)t->type << 32, ODD_3);
		x = fold(x ^ w[0], ODD_2 ^ w[2]);
		x = fold(x ^ w[1], ODD_1 ^ w[3]);
	}
	return fold(x, ODD_2 ^ (uint64_t)p->vlan_count << 8 ^ p->tunnel_count);
}

/* Not seeded: that two paths look alike must not depend on the run. */
static inline uint16_t hash_path(const struct packet *p)
{
	_Static_assert(offsetof(struct packet, mac_source) == offsetof(struct packet, mac_target) + 6,
		       "the addresses lie side by side");
	const char *macs = (const char *)p + offsetof(struct packet, mac_target);
	uint64_t first, second = 0;
	memcpy(&first, macs, 8);
	memcpy(&second, macs + 8, 4);
	if (unlikely(!(p->flags & PACKET_HAS_MAC)))
		first = second = 0;
	uint64_t x = fold(first ^ ODD_1, (second | (uint64_t)p->nic << 32 | (uint64_t)p->ttl << 48) ^ ODD_2);
	if (unlikely(p->vlan_count | p->tunnel_count))
		x = hash_tags(p, x);
	uint16_t mark = (uint16_t)(x >> 24);
	return mark ? mark : 1;
}

static inline bool is_opening(const struct packet *p)
{
	return p->key.protocol == IP_TCP && p->tcp_flags & TCP_SYN;
}

/* What is lost of it is sent again. */
static inline bool is_consuming(const struct packet *p)
{
	return p->key.protocol == IP_TCP && (p->payload_len || p->tcp_flags & (TCP_SYN | TCP_FIN));
}

static inline void look_at(struct duplicates *d, const struct packet *p, struct look *l)
{
	uint64_t flow = hash_flow(d, &p->key);
	l->flow = flow;
	l->mark = hash_path(p);
	l->shard = shard_of(d, p->shard);
	uint64_t what =
	    (uint64_t)p->ip_id << 48 | (uint64_t)p->tcp_flags << 40 | (uint64_t)p->direction << 32 | p->payload_len;
	if (likely(p->key.protocol == IP_TCP)) {
		uint64_t x = fold(flow ^ what, (p->seq | (uint64_t)p->ack << 32) ^ d->key[1]);
		if (likely(!(p->tcp_flags & TCP_SYN)))
			x ^= p->l4_rest ^ p->window * ODD_1;
		l->face = fold(x, d->key[3]);
		return;
	}
	uint32_t len = min_of(p->payload_captured, p->payload_len);
	uint64_t x = fold(flow ^ what, p->l4_rest ^ d->key[1]);
	x = fold(x ^ p->icmp_type ^ (uint64_t)p->icmp_code << 8, d->key[3]);
	l->face = len ? hash64(p->payload, len, x) : x;
}

/* ---- what flows and shards know of paths ---- */

static void learn(struct duplicate_shard *s, uint16_t mark, unsigned sights)
{
	struct lesson *l = &s->lesson[mark % LESSONS];
	if (l->mark != mark)
		*l = (struct lesson){.mark = mark, .least = SIGHTS_MAX};
	if (sights > 1) {
		l->streak += l->streak < STREAK_MAX;
		l->least = (uint8_t)min_of((unsigned)l->least, sights);
	} else if (l->streak > STREAK_LOSS) {
		l->streak -= STREAK_LOSS;
	} else {
		l->streak = 0;
		l->least = SIGHTS_MAX;
	}
}

/* How often a path shows each sending of a direction of a flow; 0: not known. */
static unsigned times_of(const struct duplicate_shard *s, const struct shown *h)
{
	if (h->times > 1)
		return h->times;
	if (h->single)
		return 1;
	const struct lesson *l = &s->lesson[h->mark % LESSONS];
	if (l->mark != h->mark)
		return 0;
	return l->streak >= STREAK_KNOWN ? l->least : !l->streak;
}

/* How often a path has shown a packet that left the window. 0: that says nothing, it was sent several times. */
static unsigned sights_of(const struct talk *t, const struct group *g, unsigned i)
{
	unsigned sending = g->seen[i] >> 3, sights = g->seen[i] & 7;
	if (sending == 1)
		return sights;
	if (t->flags & TALK_TCP || g->spread)
		return 0;
	return min_of((sending - 1) * max_of((unsigned)t->path[g->direction][i].times, 1U) + sights,
		      (unsigned)SIGHTS_MAX);
}

static void teach(struct duplicate_shard *s, struct shown *h, unsigned sights)
{
	if (sights < h->times) {
		if (h->fell_short)
			h->times = sights > 1 ? sights & 7 : 0;
		h->fell_short = !h->fell_short;
	} else {
		h->fell_short = 0;
	}
	if (sights == 1) {
		h->single = (uint8_t)min_of(h->single + SINGLE_GAIN, SINGLE_MAX) & 15;
		learn(s, h->mark, 1);
		return;
	}
	h->single = (h->single - !!h->single) & 15;
	if (!h->single)
		learn(s, h->mark, sights);
}

/* NULL: it was forgotten, no room. */
static struct talk *group_talk(const struct duplicates *d, const struct group *g)
{
	struct talk *t = talk_at(d, g->talk);
	return likely(t->life == g->life) ? t : NULL;
}

/* A group's time is over: what it has shown is final. */
static void conclude(struct duplicates *d, struct duplicate_shard *s, const struct group *g)
{
	unsigned paths = 0;
	for (unsigned i = 0; i < PATHS; i++)
		paths += !!g->seen[i];
	struct talk *t = group_talk(d, g);
	if (unlikely(!t))
		return;
	for (unsigned i = 0; i < PATHS; i++) {
		if (!g->seen[i])
			continue;
		struct shown *h = &t->path[g->direction][i];
		h->alone = paths == 1;
		h->accompanied = paths > 1;
		unsigned sights = sights_of(t, g, i);
		if (sights)
			teach(s, h, sights);
	}
}

/* ---- groups ---- */

static inline uint64_t distance(int64_t a, int64_t b)
{
	return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

/* Whether a time lies outside the window around another. */
static inline bool is_over(const struct duplicates *d, int64_t now_ns, int64_t then_ns)
{
	uint64_t window = (uint64_t)d->window_ns;
	return (uint64_t)now_ns - (uint64_t)then_ns + window > 2 * window;
}

/* Lets go what is over. */
static inline void expire(struct duplicates *d, struct duplicate_shard *s, int64_t now_ns)
{
	struct part *part = &s->groups;
	for (unsigned i = 0; i < EXPIRE_MAX && part->oldest != POOL_NONE; i++) {
		struct group *g = group_at(d, part->oldest);
		if (is_over(d, now_ns, g->latest_ns)) {
			if (!g->settled && now_ns > g->latest_ns)
				conclude(d, s, g);
			table_drop_oldest(&d->groups, sizeof(struct group), part);
		} else if (unlikely(g->moved)) {
			g->moved = 0;
			part_append(&d->groups, sizeof(struct group), part,
				    part_pop(&d->groups, sizeof(struct group), part));
		} else {
			return;
		}
	}
}

/* ---- talks ---- */

static void talk_evict(struct duplicates *d, struct duplicate_shard *s)
{
	struct talk *t = talk_at(d, s->talks.oldest);
	for (unsigned i = 0; i < EVICT_TRIES && t->flags & TALK_TOUCHED; i++) {
		t->flags &= (uint8_t)~TALK_TOUCHED;
		part_append(&d->talks, sizeof(struct talk), &s->talks,
			    part_pop(&d->talks, sizeof(struct talk), &s->talks));
		t = talk_at(d, s->talks.oldest);
	}
	t->life = (t->life + 1) & 127;
	table_drop_oldest(&d->talks, sizeof(struct talk), &s->talks);
	publish_add(d->counters.flows_forgotten, 1);
}

static inline uint32_t talk_get(struct duplicates *d, struct duplicate_shard *s, const struct packet *p, uint64_t hash)
{
	uint32_t index = table_find(&d->talks, sizeof(struct talk), hash);
	if (likely(index != POOL_NONE))
		return index;
	if (s->talks.quota.used == s->talks.quota.limit)
		talk_evict(d, s);
	index = table_add(&d->talks, sizeof(struct talk), &s->talks, hash);
	struct talk *t = talk_at(d, index);
	*t = (struct talk){.node = t->node, .life = t->life, .flags = p->key.protocol == IP_TCP ? TALK_TCP : 0};
	return index;
}

/* The path's place in the talk. */
static inline unsigned talk_path(struct talk *t, unsigned direction, uint16_t mark)
{
	struct shown *h = t->path[direction];
	for (unsigned i = 0; i < PATHS; i++) {
		if (likely(h[i].mark == mark))
			return i;
		if (!h[i].mark) {
			h[i].mark = mark;
			return i;
		}
	}
	unsigned shift = direction * 2, i = t->replace >> shift & 3;
	t->replace = (uint8_t)((t->replace & ~(3U << shift)) | ((i + 1) & 3) << shift) & 15;
	h[i] = (struct shown){.mark = mark};
	return i;
}

static inline uint16_t talk_time(int64_t ns)
{
	return (uint16_t)(ns >> TALK_TIME_SHIFT);
}

/* Whether the other direction of the flow is seen at all. */
static bool talk_visible(const struct talk *t, unsigned direction, int64_t now_ns)
{
	return t->flags & TALK_SPOKE_0 << direction && (uint16_t)(talk_time(now_ns) - t->spoke[direction]) <= VISIBLE;
}

static inline void talk_note_id(struct talk *t, unsigned direction, uint16_t id)
{
	if (!id)
		return;
	unsigned same = t->last_id[direction] == id;
	t->same_id = (uint8_t)((t->same_id & ~(1U << direction)) | same << direction);
	t->last_id[direction] = id;
}

/* ---- the decision ---- */

/* What is at hand for one packet. */
struct sight {
	const struct packet *p;
	struct duplicate_shard *s;
	struct talk *t;
	uint32_t talk;   /* its index */
	unsigned place;  /* of the path, in t->path and g->seen */
	struct shown *h; /* of the path */
	unsigned direction;
	bool known_id;  /* the sender changes its identifications, so this one names one sending */
	bool consuming; /* is_consuming() */
};

/* Rule 1. Also a group's begin: the packet is the first of a sending. */
static bool is_certain(const struct sight *x, const struct group *g, uint64_t age_ns)
{
	const struct talk *t = x->t;
	if ((x->known_id && !x->consuming) || is_opening(x->p))
		return true;
	if (!x->consuming || age_ns > EARLY_NS || g->other_passed != t->passed[!x->direction])
		return false;
	return g->own_passed == t->passed[x->direction] || talk_visible(t, !x->direction, x->p->ts_ns);
}

/* Makes room for one more sending: those that every path has shown are forgotten. A path that lags behind by more than
 * can be counted is taken to have lost some. */
static void group_shift(struct group *g)
{
	unsigned least = g->sendings;
	for (unsigned i = 0; i < PATHS; i++)
		if (g->seen[i])
			least = min_of(least, (unsigned)g->seen[i] >> 3);
	unsigned by = max_of(least, 2U) - 1;
	for (unsigned i = 0; i < PATHS; i++)
		if (g->seen[i])
			g->seen[i] = (uint8_t)(g->seen[i] >> 3 > by ? g->seen[i] - (by << 3) : 1 << 3 | 1);
	g->sendings = (g->sendings - by) & SENDINGS_MAX;
}

/* The last sending is the one at hand. */
static inline void group_stamp(const struct sight *x, struct group *g)
{
	g->latest_ns = x->p->ts_ns;
	g->own_passed = ++x->t->passed[x->direction];
	g->other_passed = x->t->passed[!x->direction];
	g->nic = x->p->nic;
}

/* One more sending. The packet goes on. */
static void group_renew(const struct sight *x, struct group *g)
{
	if (g->sendings == SENDINGS_MAX)
		group_shift(g);
	g->sendings = (g->sendings + 1) & SENDINGS_MAX;
	g->seen[x->place] = (uint8_t)(g->sendings << 3 | 1);
	g->moved = 1;
	group_stamp(x, g);
}

/* Whether a packet shall teach something if it is seen no more: the first two of a direction, and every eighth. */
static inline bool is_lesson(const struct sight *x)
{
	unsigned passed = x->t->passed[x->direction];
	return passed < 2 || !(passed & 7);
}

static inline void group_begin(struct duplicates *d, const struct sight *x, uint64_t face)
{
	struct part *part = &x->s->groups;
	if (unlikely(part->quota.used == part->quota.limit)) {
		table_drop_oldest(&d->groups, sizeof(struct group), part);
		publish_add(d->counters.forgotten, 1);
	}
	struct group *g = group_at(d, table_add(&d->groups, sizeof(struct group), part, face));
	bool settled = !x->h->times && !is_lesson(x);
	group_stamp(x, g);
	g->talk = x->talk;
	memset(g->seen, 0, sizeof g->seen);
	g->seen[x->place] = 1 << 3 | 1;
	g->life = x->t->life & 127;
	g->moved = g->spread = 0;
	g->sendings = 1;
	g->direction = x->direction & 1;
	g->settled = settled;
}

/* One that is over, but not gone yet, begins again in its place. */
static void group_again(struct duplicates *d, const struct sight *x, struct group *g)
{
	if (!g->settled && x->p->ts_ns > g->latest_ns)
		conclude(d, x->s, g);
	memset(g->seen, 0, sizeof g->seen);
	g->sendings = 0;
	g->spread = g->settled = 0;
	g->talk = x->talk;
	g->life = x->t->life & 127;
	group_renew(x, g);
}

/* Rule 2, and what a first sight on another path shows. */
static bool is_copy_of_other_path(const struct sight *x, struct group *g, bool certain, struct duplicate_sight *ret)
{
	unsigned paths = 0, other = 0;
	for (unsigned i = 0; i < PATHS; i++) {
		if (g->seen[i]) {
			other = i;
			paths++;
		}
	}
	struct shown *first = &x->t->path[x->direction][other];
	if (!certain && !x->known_id && paths == 1 && first->alone && !x->h->accompanied) {
		/* two routes: neither shows the other's packets */
		if (g->sendings == SENDINGS_MAX)
			group_shift(g);
		g->seen[other] = (uint8_t)((g->sendings + 1) << 3 | 1);
		return false;
	}
	if (certain && paths == 1) {
		first->alone = x->h->alone = 0;
		first->accompanied = x->h->accompanied = 1;
	}
	g->seen[x->place] = 1 << 3 | 1;
	ret->verdict = DUPLICATE_OTHER_PATH;
	if (g->sendings == 1)
		ret->delay_ns = (int64_t)distance(x->p->ts_ns, g->latest_ns);
	return true;
}

/* Rule 3. */
static bool is_copy_of_same_path(const struct sight *x, struct group *g, bool certain, uint64_t age_ns,
				 struct duplicate_sight *ret)
{
	unsigned sending = g->seen[x->place] >> 3, sights = g->seen[x->place] & 7;
	unsigned times = times_of(x->s, x->h);
	bool last = sending == g->sendings, same;
	if (last && age_ns > SAME_PATH_NS && !(x->known_id && !x->consuming)) {
		same = false;
		g->spread = 1;
	} else if (last && certain) {
		same = true;
		if (sights < SIGHTS_MAX && x->h->times <= sights)
			x->h->times = (sights + 1) & 7;
	} else {
		same = sights < times || (last && !times && x->known_id);
	}
	if (same) {
		g->seen[x->place] = (uint8_t)(sending << 3 | min_of(sights + 1, (unsigned)SIGHTS_MAX));
		ret->verdict = DUPLICATE_SAME_PATH;
		return true;
	}
	if (last)
		return false;
	g->seen[x->place] = (uint8_t)((sending + 1) << 3 | 1);
	ret->verdict = DUPLICATE_OTHER_PATH;
	if (sending + 1 == g->sendings)
		ret->delay_ns = (int64_t)distance(x->p->ts_ns, g->latest_ns);
	return true;
}

/* A face that is known. */
static __attribute__((noinline)) void decide_again(struct duplicates *d, struct sight *x, struct group *g,
						   bool fragment, struct duplicate_sight *ret)
{
	const struct talk *t = x->t;
	uint64_t age_ns = distance(x->p->ts_ns, g->latest_ns);
	if (unlikely(is_over(d, x->p->ts_ns, g->latest_ns) || group_talk(d, g) != t)) {
		group_again(d, x, g);
		return;
	}
	g->settled = 0;
	x->consuming = is_consuming(x->p);
	x->known_id = fragment || (x->p->ip_id && !(t->same_id >> x->direction & 1));
	bool certain = is_certain(x, g, age_ns);
	uint16_t nic = g->nic;
	bool copy = g->seen[x->place] ? is_copy_of_same_path(x, g, certain, age_ns, ret)
				      : is_copy_of_other_path(x, g, certain, ret);
	if (!copy) {
		group_renew(x, g);
		return;
	}
	ret->nic = nic;
	if (ret->verdict == DUPLICATE_OTHER_PATH)
		publish_add(d->counters.other_path, 1);
	else
		publish_add(d->counters.same_path, 1);
}

static inline void decide(struct duplicates *d, const struct packet *p, const struct look *l, bool fragment,
			  struct duplicate_sight *ret)
{
	struct sight x = {.p = p, .s = &d->shards[l->shard], .direction = p->direction & 1};
	int64_t now_ns = p->ts_ns;
	expire(d, x.s, now_ns);
	x.talk = talk_get(d, x.s, p, l->flow);
	struct talk *t = x.t = talk_at(d, x.talk);
	x.place = talk_path(t, x.direction, l->mark);
	x.h = &t->path[x.direction][x.place];
	t->spoke[x.direction] = talk_time(now_ns);
	t->flags |= (uint8_t)(TALK_TOUCHED | TALK_SPOKE_0 << x.direction);
	*ret = (struct duplicate_sight){.verdict = DUPLICATE_NEW, .nic = p->nic, .delay_ns = -1};
	uint32_t index = table_find(&d->groups, sizeof(struct group), l->face);
	if (likely(index == POOL_NONE)) {
		talk_note_id(t, x.direction, p->ip_id);
		group_begin(d, &x, l->face);
	} else {
		decide_again(d, &x, group_at(d, index), fragment, ret);
	}
}

void duplicates_check(struct duplicates *d, const struct packet *const *packets, unsigned count,
		      struct duplicate_sight *ret_sights)
{
	struct look look[DUPLICATES_BURST];
	for (unsigned i = 0; i < count; i++) {
		look_at(d, packets[i], &look[i]);
		__builtin_prefetch(table_head(&d->talks, look[i].flow), 1);
		__builtin_prefetch(table_head(&d->groups, look[i].face), 1);
		uint32_t oldest = d->shards[look[i].shard].groups.oldest;
		if (oldest != POOL_NONE)
			__builtin_prefetch(group_at(d, oldest), 1);
	}
	for (unsigned i = 0; i < count; i++) {
		table_prefetch_first(&d->talks, sizeof(struct talk), look[i].flow);
		table_prefetch_first(&d->groups, sizeof(struct group), look[i].face);
		uint32_t oldest = d->shards[look[i].shard].groups.oldest;
		if (oldest == POOL_NONE)
			continue;
		const struct group *g = group_at(d, oldest);
		__builtin_prefetch(table_head(&d->groups, g->node.hash), 1);
		if (!g->settled)
			__builtin_prefetch(talk_at(d, g->talk), 1);
	}
	for (unsigned i = 0; i < count; i++)
		decide(d, packets[i], &look[i], false, &ret_sights[i]);
	publish_add(d->counters.packets, count);
}

void duplicates_fragment(struct duplicates *d, const struct packet *p, const struct decode_fragment *f,
			 struct duplicate_sight *ret_sight)
{
	/* An identification names one datagram, and offset and length one fragment of it. */
	struct look l = {.flow = hash_flow(d, &p->key), .shard = shard_of(d, p->shard), .mark = hash_path(p)};
	uint64_t what = (uint64_t)f->id << 32 | f->offset << 1 | f->more;
	l.face = fold(what ^ d->key[0], l.flow ^ d->key[1] ^ f->data_len);
	l.face = fold(l.face ^ p->direction, d->key[2]);
	decide(d, p, &l, true, ret_sight);
	publish_add(d->counters.packets, 1);
}
