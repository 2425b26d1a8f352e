#include "dissect_harness.h"
#include "transform.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIELDS = REQUEST_FIELD_COUNT + RECORD_ATTRIBUTES, TURNS = 4, CANARY = 0xa5, NOTES = 64 };

/* A region whose end cannot be read beyond. */
struct guard {
	uint8_t *base, *end;
};

/* A message's request or response. */
struct half {
	bool begun, ended, cut, nested;
	enum dissect_side side;
	uint64_t from, to, gap;
	struct buffer field[FIELDS];
	bool has[FIELDS];
};

struct exchange {
	struct message message;
	const struct dissector *by;
	struct half half[2]; /* enum message_kind */
	uint64_t id;
	bool unpaired;
	struct exchange *next;
};

/* What a dissector remembers; the one used last in front. */
struct note {
	uint64_t key;
	struct buffer data;
};

struct stream {
	uint8_t *bytes;    /* not consumed yet; DISSECT_BUFFER_MAX of room */
	size_t len, fresh; /* how many; of them, since the last time they were offered */
	uint64_t offset;   /* of the first of them */
	uint64_t skip;
	bool touched, is_inner, closed;
	unsigned order; /* when its first byte came */
	struct guard guard;
};

struct harness {
	struct dissect dissect;
	const struct dissector *dissector; /* NULL: not recognised yet */
	struct dissect_settings settings;
	bool off, midstream, lossy, pairing_lost;
	unsigned order;
	struct stream outer[2], inner[2];
	struct stream *now; /* whose bytes are being parsed */
	size_t now_len;
	struct guard state;
	struct exchange *first, **last;
	struct buffer events;
	struct note note[NOTES];
	unsigned notes;
	struct guard recalled; /* the note that was recalled last */
};

static __attribute__((noreturn)) print_format(1, 2) void broken(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("dissector breaks its contract: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	abort();
}

static void *must(void *p)
{
	if (!p) {
		perror("dissect_harness");
		abort();
	}
	return p;
}

/* Kept for the next run: there are hundreds of thousands of them. */
static struct guard spare_guards[8];

static struct guard guard_new(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size = (size + page - 1) / page * page;
	for (unsigned i = 0; i < array_size(spare_guards); i++) {
		struct guard g = spare_guards[i];
		if (g.base && (size_t)(g.end - g.base) == size) {
			spare_guards[i] = (struct guard){0};
			return g;
		}
	}
	uint8_t *base =
	    mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED || mprotect(base + size, page, PROT_NONE) < 0)
		must(NULL);
	return (struct guard){base, base + size};
}

static void guard_free(struct guard *g)
{
	for (unsigned i = 0; g->base && i < array_size(spare_guards); i++) {
		if (!spare_guards[i].base) {
			spare_guards[i] = *g;
			return;
		}
	}
	if (g->base)
		munmap(g->base, (size_t)(g->end - g->base) + (size_t)sysconf(_SC_PAGESIZE));
}

static const uint8_t *guard_place(struct guard *g, const void *data, size_t len)
{
	if (len)
		memcpy(g->end - len, data, len);
	return g->end - len;
}

/* ---- what the dissector calls ---- */

static struct harness *harness_of(struct dissect *d)
{
	return container_of(d, struct harness, dissect);
}

static uint64_t offset_of(const struct harness *h, size_t at)
{
	if (at > h->now_len)
		broken("offset %zu beyond the %zu bytes given", at, h->now_len);
	return h->now->offset + at;
}

static bool is_open(const struct half *f)
{
	return f->begun && !f->ended && !f->cut;
}

static struct exchange *find_pending(struct harness *h, uint64_t id)
{
	if (h->pairing_lost || h->dissector->pairing == PAIR_NONE)
		return NULL;
	for (struct exchange *x = h->first; x; x = x->next)
		if (x->half[MESSAGE_REQUEST].begun && !x->half[MESSAGE_RESPONSE].begun && !x->unpaired &&
		    (h->dissector->pairing == PAIR_IN_ORDER || x->id == id))
			return x;
	return NULL;
}

static struct exchange *exchange_new(struct harness *h, uint64_t id)
{
	struct exchange *x = must(calloc(1, sizeof *x));
	x->id = id;
	x->by = h->dissector;
	*h->last = x;
	h->last = &x->next;
	return x;
}

static struct message *begin(struct dissect *d, enum message_kind kind, uint64_t id, size_t at)
{
	struct harness *h = harness_of(d);
	struct exchange *x = NULL;
	if (h->dissector->pairing == PAIR_NONE)
		broken("a message, although it only names its protocol");
	if (kind == MESSAGE_REQUEST) {
		for (x = h->first; x; x = x->next)
			if (is_open(&x->half[kind]) && x->half[kind].side == d->side &&
			    !x->half[kind].nested == !h->now->is_inner)
				broken("a request begins within a request");
	} else if (id != DISSECT_PUSH) {
		x = find_pending(h, id);
	}
	if (!x)
		x = exchange_new(h, id);
	if (kind == MESSAGE_RESPONSE && id == DISSECT_PUSH)
		x->unpaired = true;
	struct half *f = &x->half[kind];
	f->begun = true;
	f->side = d->side;
	f->nested = h->now->is_inner;
	f->from = offset_of(h, at);
	return &x->message;
}

static struct exchange *check_message(struct harness *h, struct message *m)
{
	for (struct exchange *x = h->first; x; x = x->next)
		if (&x->message == m)
			return x;
	broken("a message that does not exist");
}

static void end(struct dissect *d, struct message *m, enum message_kind kind, size_t at)
{
	struct harness *h = harness_of(d);
	struct half *f = &check_message(h, m)->half[kind];
	if (!is_open(f))
		broken("ends a message that is not under way");
	if (f->side != d->side)
		broken("ends a message of the other side");
	f->ended = true;
	f->to = offset_of(h, at);
	if (f->to < f->from)
		broken("ends a message before it begins");
}

static void call_put_text(struct dissect *d, struct message *m, unsigned field, const void *data, size_t len)
{
	struct harness *h = harness_of(d);
	struct exchange *x = check_message(h, m);
	const struct half *request = &x->half[MESSAGE_REQUEST];
	struct half *f = &x->half[request->begun && request->side == d->side ? MESSAGE_REQUEST : MESSAGE_RESPONSE];
	unsigned index = field;
	if (field & 0x80) {
		index = field & 0x7f;
		for (unsigned i = 0; i <= index; i++)
			if (!h->dissector->attributes || !h->dissector->attributes[i].name)
				broken("an attribute that is not in its table");
		index += REQUEST_FIELD_COUNT;
	} else if (field >= REQUEST_FIELD_COUNT || request_fields[field].kind != FIELD_TEXT) {
		broken("field %u is no text", field);
	}
	f->has[index] = true;
	f->field[index].len = 0;
	if (buffer_put(&f->field[index], data, min_of((uint64_t)len, h->settings.text_max)) < 0)
		must(NULL);
}

static struct message *call_pending(struct dissect *d, uint64_t id)
{
	struct exchange *x = find_pending(harness_of(d), id);
	return x ? &x->message : NULL;
}

static void call_unpaired(struct dissect *d, struct message *m)
{
	if (m)
		check_message(harness_of(d), m)->unpaired = true;
}

static int call_transform(struct dissect *d, unsigned kind, const void *data, size_t len, const uint8_t **ret_data,
			  size_t *ret_len)
{
	/* made once: it is large, and runs are many */
	static struct transforms *transforms;
	(void)d;
	if (!transforms && transforms_new(&transforms) < 0)
		must(NULL);
	return transforms_run(transforms, kind, data, len, ret_data, ret_len);
}

static void drop_note(struct harness *h, unsigned i)
{
	buffer_free(&h->note[i].data);
	h->notes--;
	memmove(h->note + i, h->note + i + 1, (h->notes - i) * sizeof h->note[0]);
}

static void drop_notes(struct harness *h)
{
	while (h->notes)
		drop_note(h, h->notes - 1);
}

/* What was recalled before is no longer to be used. */
static void poison_recalled(struct harness *h)
{
	if (h->recalled.base)
		memset(h->recalled.base, CANARY, (size_t)(h->recalled.end - h->recalled.base));
}

/* Moves the note to the front. */
static bool find_note(struct harness *h, uint64_t key)
{
	for (unsigned i = 0; i < h->notes; i++) {
		struct note n = h->note[i];
		if (n.key != key)
			continue;
		memmove(h->note + 1, h->note, i * sizeof n);
		h->note[0] = n;
		return true;
	}
	return false;
}

static void call_forget(struct dissect *d, uint64_t key)
{
	struct harness *h = harness_of(d);
	poison_recalled(h);
	if (find_note(h, key))
		drop_note(h, 0);
}

static int call_remember(struct dissect *d, uint64_t key, const void *data, size_t len)
{
	struct harness *h = harness_of(d);
	struct note n = {.key = key};
	if (len > DISSECT_NOTE_MAX)
		broken("a note of %zu bytes", len);
	if (buffer_put(&n.data, data, len) < 0)
		must(NULL);
	call_forget(d, key);
	if (h->notes == NOTES)
		drop_note(h, NOTES - 1);
	memmove(h->note + 1, h->note, h->notes * sizeof n);
	h->note[0] = n;
	h->notes++;
	return 0;
}

static bool call_recall(struct dissect *d, uint64_t key, const void **ret_data, size_t *ret_len)
{
	struct harness *h = harness_of(d);
	if (!h->recalled.base)
		h->recalled = guard_new(DISSECT_NOTE_MAX);
	poison_recalled(h);
	if (!find_note(h, key))
		return false;
	const struct buffer *note = &h->note[0].data;
	*ret_data = memcpy(h->recalled.end - (note->len + 15) / 16 * 16, note->at, note->len);
	*ret_len = note->len;
	return true;
}

static bool take(struct harness *h, struct stream *s, const uint8_t *data, size_t len,
		 void (*offer)(struct harness *h, struct stream *s));

static void mark_cut(struct harness *h, enum dissect_side side, bool all)
{
	for (struct exchange *x = h->first; x; x = x->next)
		for (unsigned k = 0; k < 2; k++)
			if (is_open(&x->half[k]) && (all || x->half[k].side == side)) {
				x->half[k].cut = true;
				x->half[k].to = (x->half[k].nested ? h->inner : h->outer)[x->half[k].side].offset;
			}
}

/* As the engine does it: what was seen whole is not looked at again, after a loss the probes go on. */
static void give_up(struct harness *h, bool reprobe)
{
	mark_cut(h, SIDE_CLIENT, true);
	h->pairing_lost = true;
	h->off = !reprobe;
	h->dissector = NULL;
	for (unsigned i = 0; i < 2; i++) {
		h->outer[i].offset += h->outer[i].len;
		h->outer[i].len = h->inner[i].len = 0;
		h->outer[i].skip = h->inner[i].skip = 0;
	}
	if (!reprobe)
		buffer_printf(&h->events, "gives up\n");
	h->midstream = true;
}

static void adopt(struct harness *h, const struct dissector *d, const char *how)
{
	if (d->state_size > DISSECT_STATE_MAX)
		broken("its state is larger than DISSECT_STATE_MAX");
	size_t size = (d->state_size + 15u) / 16 * 16;
	drop_notes(h);
	memset(h->state.end - size, 0, size);
	memset(h->state.end - size - 64, CANARY, 64);
	h->dissect.state = h->state.end - size;
	h->dissector = d;
	buffer_printf(&h->events, "%s %s\n", how, d->name);
}

static void enter(struct harness *h, enum dissect_side side, struct stream *s, size_t len)
{
	h->dissect.side = side;
	h->dissect.midstream = h->midstream;
	h->dissect.become = NULL;
	h->dissect.failed = h->dissect.keep = false;
	h->now = s;
	h->now_len = len;
}

static void check_state(const struct harness *h)
{
	const uint8_t *p = h->dissect.state;
	for (unsigned i = 1; i <= 64; i++)
		if (p[-(int)i] != CANARY)
			broken("writes in front of its state");
}

static void consume(struct stream *s, uint64_t n)
{
	if (n > s->len) {
		s->skip = n == DISSECT_ALL ? DISSECT_ALL : n - s->len;
		n = s->len;
	}
	s->offset += n;
	s->len -= n;
	memmove(s->bytes, s->bytes + n, s->len);
}

static void offer_inner(struct harness *h, struct stream *s)
{
	struct stream *back = h->now;
	size_t back_len = h->now_len;
	h->now = s;
	h->now_len = s->len;
	consume(s, h->dissector->nested(&h->dissect, guard_place(&s->guard, s->bytes, s->len), s->len));
	h->now = back;
	h->now_len = back_len;
}

static int call_feed(struct dissect *d, const void *data, size_t len)
{
	struct harness *h = harness_of(d);
	if (!h->dissector->nested)
		broken("feeds a nested stream without nested()");
	if (h->now->is_inner)
		broken("feeds a nested stream from within one");
	return take(h, &h->inner[d->side], data, len, offer_inner) ? 0 : -E2BIG;
}

static void call_lost(struct dissect *d, size_t at)
{
	struct harness *h = harness_of(d);
	offset_of(h, at);
	h->pairing_lost = true;
}

static struct message *begin_request(struct dissect *d, uint64_t id, size_t at)
{
	return begin(d, MESSAGE_REQUEST, id, at);
}

static struct message *begin_response(struct dissect *d, uint64_t id, size_t at)
{
	return begin(d, MESSAGE_RESPONSE, id, at);
}

static void end_request(struct dissect *d, struct message *m, size_t at)
{
	end(d, m, MESSAGE_REQUEST, at);
}

static void end_response(struct dissect *d, struct message *m, size_t at)
{
	end(d, m, MESSAGE_RESPONSE, at);
}

static const struct dissect_calls calls = {
    .begin = {begin_request, begin_response},
    .end = {end_request, end_response},
    .put_text = call_put_text,
    .pending = call_pending,
    .unpaired = call_unpaired,
    .transform = call_transform,
    .feed = call_feed,
    .remember = call_remember,
    .recall = call_recall,
    .forget = call_forget,
    .lost = call_lost,
};

/* ---- driving it ---- */

static enum dissect_side side_of(const struct harness *h, const struct stream *s)
{
	return s == &h->outer[SIDE_SERVER] || s == &h->inner[SIDE_SERVER] ? SIDE_SERVER : SIDE_CLIENT;
}

/* Where there are none, there is nothing to point at. */
static const uint8_t *bytes_at_guard(struct stream *s)
{
	return s->len ? guard_place(&s->guard, s->bytes, s->len) : NULL;
}

static void offer(struct harness *h, struct stream *s)
{
	for (unsigned turns = 0; turns < TURNS; turns++) {
		enter(h, side_of(h, s), s, s->len);
		uint64_t n = h->dissector->parse(&h->dissect, bytes_at_guard(s), s->len);
		check_state(h);
		consume(s, n);
		if (h->dissect.failed) {
			give_up(h, h->midstream || h->lossy);
			return;
		}
		if (!h->dissect.become)
			return;
		h->outer[0].skip = h->outer[1].skip = 0;
		adopt(h, h->dissect.become, "becomes");
		if (!s->len)
			return;
	}
}

/* Hands bytes on, as far as they are not skipped, in pieces that the buffer has room for. False: it is full. */
static bool take(struct harness *h, struct stream *s, const uint8_t *data, size_t len,
		 void (*offer_to)(struct harness *h, struct stream *s))
{
	while (len && !h->off && !h->dissect.failed) {
		if (s->skip) {
			size_t n = min_of(s->skip, (uint64_t)len);
			s->skip -= s->skip == DISSECT_ALL ? 0 : n;
			s->offset += n;
			data += n;
			len -= n;
			if (!s->skip)
				offer_to(h, s);
			continue;
		}
		size_t n = min_of(len, DISSECT_BUFFER_MAX - s->len);
		if (!n)
			return false;
		memcpy(s->bytes + s->len, data, n);
		s->fresh = n;
		s->len += n;
		data += n;
		len -= n;
		if (!s->touched) {
			s->touched = true;
			s->order = h->order++;
		}
		offer_to(h, s);
	}
	return true;
}

static enum dissect_verdict ask(const struct dissector *d, struct guard *g, const void *data, size_t len,
				bool midstream, enum dissect_side *ret_side)
{
	struct dissect_probe p = {
	    .data = guard_place(g, data, len),
	    .len = len,
	    .midstream = midstream,
	    .side = SIDE_UNKNOWN,
	    .ret_side = SIDE_UNKNOWN,
	};
	enum dissect_verdict v = d->probe(&p);
	if (v == DISSECT_CERTAIN && p.ret_side == SIDE_UNKNOWN && !midstream)
		broken("is certain, but not of whose bytes it saw");
	*ret_side = p.ret_side;
	return v;
}

static void offer_or_probe(struct harness *h, struct stream *s)
{
	enum dissect_side side;
	bool unsure = false;
	if (h->dissector) {
		offer(h, s);
		return;
	}
	for (unsigned i = 0; i < dissector_count; i++) {
		enum dissect_verdict v =
		    ask(dissectors[i], &s->guard, s->bytes, s->len, h->midstream || s->offset, &side);
		unsure |= v == DISSECT_UNSURE;
		if (v == DISSECT_CERTAIN) {
			struct stream *other = &h->outer[s == h->outer];
			adopt(h, dissectors[i], "is");
			if (other->len && other->order < s->order)
				offer(h, other);
			if (h->dissector && !h->off)
				offer(h, s);
			return;
		}
	}
	if (unsure)
		return;
	if (s->len > s->fresh) { /* what waited in vain does not hide a message that begins behind it */
		s->offset += s->len - s->fresh;
		memmove(s->bytes, s->bytes + s->len - s->fresh, s->fresh);
		s->len = s->fresh;
		offer_or_probe(h, s);
		return;
	}
	s->offset += s->len;
	s->len = 0;
}

struct harness *harness_new(const struct dissector *d, const struct dissect_settings *settings, bool midstream)
{
	struct harness *h = must(calloc(1, sizeof *h));
	h->settings = *settings;
	if (!h->settings.text_max)
		h->settings.text_max = 4096;
	h->midstream = h->pairing_lost = midstream;
	h->dissect.settings = &h->settings;
	h->dissect.calls = &calls;
	h->last = &h->first;
	h->state = guard_new(DISSECT_STATE_MAX + 256);
	for (unsigned i = 0; i < 2; i++) {
		struct stream *s[2] = {&h->outer[i], &h->inner[i]};
		for (unsigned k = 0; k < 2; k++) {
			s[k]->bytes = must(malloc(DISSECT_BUFFER_MAX));
			s[k]->guard = guard_new(DISSECT_BUFFER_MAX);
			s[k]->is_inner = k;
		}
	}
	if (d) {
		adopt(h, d, "is");
		h->events.len = 0;
	}
	return h;
}

void harness_data(struct harness *h, enum dissect_side side, const void *data, size_t len)
{
	if (h->off || h->outer[side].closed)
		return;
	h->dissect.failed = false;
	if (!take(h, &h->outer[side], data, len, offer_or_probe))
		give_up(h, false);
}

void harness_gap(struct harness *h, enum dissect_side side, uint64_t missing)
{
	struct stream *s = &h->outer[side];
	uint64_t skipped = min_of(s->skip, missing);
	if (h->off || s->closed || !missing)
		return;
	for (struct exchange *x = h->first; x; x = x->next)
		for (unsigned k = 0; k < 2; k++)
			if (is_open(&x->half[k]) && x->half[k].side == side)
				x->half[k].gap += missing;
	h->lossy = true;
	if (skipped) {
		s->offset += skipped;
		s->skip -= s->skip == DISSECT_ALL ? 0 : skipped;
		missing -= skipped;
		if (!s->skip)
			offer(h, s);
		if (!missing || h->off)
			return;
	}
	uint64_t lost = missing + s->len;
	s->len = h->inner[side].len = 0;
	if (!h->dissector) {
		s->offset += lost;
		h->midstream = h->pairing_lost = true;
		return;
	}
	enter(h, side, s, 0);
	if (h->dissector->gap)
		h->dissector->gap(&h->dissect, lost);
	else
		dissect_fail(&h->dissect);
	check_state(h);
	if (!h->dissect.keep || h->dissect.failed) {
		mark_cut(h, side, false);
		h->pairing_lost = true;
	}
	s->offset += lost;
	if (h->dissect.failed)
		give_up(h, true);
}

void harness_close(struct harness *h, enum dissect_side side)
{
	if (h->off || h->outer[side].closed)
		return;
	h->outer[side].closed = true;
	enter(h, side, &h->outer[side], 0);
	if (h->dissector && h->dissector->close)
		h->dissector->close(&h->dissect);
	mark_cut(h, side, false);
}

struct harness *harness_free(struct harness *h)
{
	for (struct exchange *x = h->first, *next; x; x = next) {
		next = x->next;
		for (unsigned k = 0; k < 2; k++)
			for (unsigned i = 0; i < FIELDS; i++)
				buffer_free(&x->half[k].field[i]);
		free(x);
	}
	for (unsigned i = 0; i < 2; i++) {
		free(h->outer[i].bytes);
		free(h->inner[i].bytes);
		guard_free(&h->outer[i].guard);
		guard_free(&h->inner[i].guard);
	}
	guard_free(&h->state);
	buffer_free(&h->events);
	drop_notes(h);
	guard_free(&h->recalled);
	free(h);
	return NULL;
}

const char *harness_probe(const void *data, size_t len, bool midstream)
{
	static char answer[64];
	struct guard g = guard_new(len);
	strcpy(answer, "none");
	for (unsigned i = 0; i < dissector_count; i++) {
		enum dissect_side side;
		enum dissect_verdict v = ask(dissectors[i], &g, data, len, midstream, &side);
		if (v == DISSECT_CERTAIN) {
			if (strchr(answer, ' '))
				broken("%s and %s are both certain", answer, dissectors[i]->name);
			snprintf(answer, sizeof answer, "%s %s", dissectors[i]->name,
				 side == SIDE_CLIENT   ? "client"
				 : side == SIDE_SERVER ? "server"
						       : "unknown");
		} else if (v == DISSECT_UNSURE && !strcmp(answer, "none")) {
			strcpy(answer, "unsure");
		}
	}
	guard_free(&g);
	return answer;
}

/* ---- printing ---- */

static void print_range(const struct half *f, struct buffer *out)
{
	static const char names[2][2] = {{'c', 'C'}, {'s', 'S'}};
	buffer_printf(out, " %c%lu-%lu%s", names[f->side == SIDE_SERVER][f->nested], f->from, f->to, f->cut ? "~" : "");
}

static void print_value(const char *name, const struct buffer *value, struct buffer *out)
{
	bool plain = value->len > 0;
	for (size_t i = 0; i < value->len; i++)
		plain &= value->at[i] > ' ' && value->at[i] < 0x7f && value->at[i] != '"';
	buffer_printf(out, " %s=%s", name, plain ? "" : "\"");
	for (size_t i = 0; i < value->len; i++) {
		uint8_t c = (uint8_t)value->at[i];
		bool odd = c < ' ' || c == '"' || c == '\\';
		if (!plain && odd)
			buffer_printf(out, "\\x%02x", c);
		else
			buffer_put(out, &c, 1);
	}
	if (!plain)
		buffer_put(out, "\"", 1);
}

static const struct buffer *value_of(const struct exchange *x, unsigned field)
{
	for (int k = MESSAGE_RESPONSE; k >= MESSAGE_REQUEST; k--)
		if (x->half[k].has[field])
			return &x->half[k].field[field];
	return NULL;
}

static void print_fields(const struct exchange *x, struct buffer *out)
{
	static const char *const status[] = {"unknown", "ok", "client_error", "server_error", "timeout"};
	uint64_t gap = x->half[0].gap + x->half[1].gap;
	const struct message *m = &x->message;
	if (gap)
		buffer_printf(out, " gap=%lu", gap);
	for (unsigned i = 0; i < REQUEST_FIELD_COUNT; i++)
		if (value_of(x, i))
			print_value(request_fields[i].name, value_of(x, i), out);
	for (unsigned i = 0; i < RECORD_ATTRIBUTES; i++)
		if (value_of(x, REQUEST_FIELD_COUNT + i))
			print_value(x->by->attributes[i].name, value_of(x, REQUEST_FIELD_COUNT + i), out);
	if (m->has_code)
		buffer_printf(out, " code=%d", m->code);
	if (m->status > STATUS_TIMEOUT)
		broken("status %u", m->status);
	if (m->status)
		buffer_printf(out, " status=%s", status[m->status]);
	if (m->has_affected_rows)
		buffer_printf(out, " affected_rows=%lu", m->affected_rows);
	if (x->unpaired)
		buffer_printf(out, " unpaired");
}

void harness_print(const struct harness *h, bool halves, struct buffer *out)
{
	if (!halves)
		buffer_put(out, h->events.at, h->events.len);
	for (const struct exchange *x = h->first; x; x = x->next) {
		const struct half *request = &x->half[MESSAGE_REQUEST], *response = &x->half[MESSAGE_RESPONSE];
		bool session = request->begun && response->begun;
		if (request->begun)
			buffer_printf(out, session && !halves ? "session" : "request");
		if (request->begun)
			print_range(request, out);
		if (session && halves)
			buffer_printf(out, "\n");
		if (response->begun) {
			if (halves || !session)
				buffer_printf(out, "response");
			print_range(response, out);
		}
		if (!halves)
			print_fields(x, out);
		buffer_printf(out, "\n");
	}
}
