/* kafka_walk.c - reads a body by its layout (kafka_api.h). */
#include "kafka_api.h"

enum { VARINT_BYTES_MAX = 5 };

struct walk {
	const uint8_t *at, *end;
	uint64_t beyond; /* bytes of the body behind `end` */
	struct kafka_fields *fields;
	unsigned version;
	bool flexible;
	bool over, wrong, stop; /* over: the bytes at hand have ended */
	uint32_t count;         /* elements of the array at hand */
};

/* The next n bytes, or NULL. */
static const uint8_t *take(struct walk *w, uint64_t n)
{
	uint64_t left = (uint64_t)(w->end - w->at);
	if (w->over || w->wrong)
		return NULL;
	if (n > left) {
		w->over = true;
		w->wrong = n > left + w->beyond;
		return NULL;
	}
	const uint8_t *p = w->at;
	w->at += n;
	return p;
}

static uint32_t take_varint(struct walk *w)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		const uint8_t *p = take(w, 1);
		if (!p)
			return 0;
		value |= (uint64_t)(*p & 0x7f) << (7 * i);
		if (!(*p & 0x80)) {
			w->wrong |= value > UINT32_MAX;
			return (uint32_t)value;
		}
	}
	w->wrong = true;
	return 0;
}

/* A length or count of `bytes` bytes, or as a varint; null: 0 and *ret_null. */
static uint32_t take_length(struct walk *w, unsigned bytes, bool *ret_null)
{
	*ret_null = false;
	if (w->flexible) {
		uint32_t n = take_varint(w);
		*ret_null = n == 0;
		return n ? n - 1 : 0;
	}
	const uint8_t *p = take(w, bytes);
	if (!p)
		return 0;
	int32_t n = bytes == 2 ? (int16_t)load_be16(p) : (int32_t)load_be32(p);
	*ret_null = n < 0;
	w->wrong |= n < -1;
	return n > 0 ? (uint32_t)n : 0;
}

static struct text take_string(struct walk *w, unsigned bytes)
{
	bool null;
	uint32_t n = take_length(w, bytes, &null);
	const uint8_t *p = take(w, n);
	return p && !null ? text_make(p, n) : (struct text){0};
}

/* What is at hand of a string of bytes. */
static struct text take_records(struct walk *w)
{
	bool null;
	uint32_t n = take_length(w, 4, &null);
	if (w->over || w->wrong || null)
		return (struct text){0};
	struct text seen = text_make(w->at, min_of((uint64_t)n, (uint64_t)(w->end - w->at)));
	take(w, n);
	return w->wrong ? (struct text){0} : seen;
}

static void take_tags(struct walk *w)
{
	uint32_t count = take_varint(w);
	while (count-- && !w->over && !w->wrong) {
		take_varint(w);
		take(w, take_varint(w));
	}
}

static void see(struct text *first, struct text t)
{
	if (!first->at && t.at && t.len)
		*first = t;
}

static void see_topic(struct walk *w)
{
	if (!w->over && !w->wrong && !w->fields->topics)
		w->fields->topics = w->count;
}

static void take_field(struct walk *w, char kind)
{
	struct kafka_fields *f = w->fields;
	const uint8_t *p;
	switch (kind) {
	case '1':
	case '2':
	case '4':
	case '8':
		take(w, (unsigned)(kind - '0'));
		break;
	case 'U':
		take(w, 16);
		break;
	case 'S':
		take_string(w, 2);
		break;
	case 'B':
		take_string(w, 4);
		break;
	case 'T':
		see(&f->topic, take_string(w, 2));
		see_topic(w);
		break;
	case 'I':
		p = take(w, 16);
		if (p && !f->topic_id)
			f->topic_id = p;
		see_topic(w);
		break;
	case 'G':
		see(&f->group, take_string(w, 2));
		break;
	case 'K':
		see(&f->key, take_string(w, 2));
		break;
	case 'M': {
		struct text t = take_string(w, 2);
		if (f->error)
			see(&f->message, t);
		break;
	}
	case 'R': {
		struct text t = take_records(w);
		see(&f->records, t);
		break;
	}
	case 'P':
		p = take(w, 4);
		if (p && !f->has_partition) {
			f->has_partition = true;
			f->partition = (int32_t)load_be32(p);
		}
		break;
	case 'C':
		p = take(w, 2);
		f->acks = p ? (int16_t)load_be16(p) : f->acks;
		break;
	case 'E':
		p = take(w, 2);
		if (p) {
			f->has_error = true;
			if (!f->error)
				f->error = (int16_t)load_be16(p);
		}
		break;
	default:
		w->stop = true;
		break;
	}
}

/* Behind the end of the group of which p is the inside. */
static const char *skip_group(const char *p)
{
	unsigned depth = 1;
	for (; *p; p++) {
		depth += *p == '[' || *p == '(' || *p == '<';
		depth -= *p == ']' || *p == ')' || *p == '>';
		if (!depth)
			return p + 1;
	}
	return p;
}

/* "3+:" or "2-5:"; *pp is left behind it. */
static bool guard_holds(const char **pp, unsigned version)
{
	const char *p = *pp;
	unsigned low = 0, high = 0;
	while (ascii_is_digit((uint8_t)*p))
		low = low * 10 + (unsigned)(*p++ - '0');
	if (*p == '-')
		for (p++; ascii_is_digit((uint8_t)*p); p++)
			high = high * 10 + (unsigned)(*p - '0');
	else
		high = UINT32_MAX, p++;
	*pp = p + 1;
	return version >= low && version <= high;
}

/* The fields from p to the end of their group; behind it. */
static const char *walk_fields(struct walk *w, const char *p)
{
	while (*p && *p != ']' && *p != ')' && *p != '>') {
		if (w->over || w->wrong || w->stop)
			return p;
		char kind = *p++;
		if (kind == '<') {
			p = guard_holds(&p, w->version) ? walk_fields(w, p) : skip_group(p);
		} else if (kind == '[' || kind == '(') {
			bool null;
			const char *inside = p;
			uint32_t back = w->count, count = take_length(w, 4, &null);
			if (count > (uint64_t)(w->end - w->at) + w->beyond) /* an element has a byte at least */
				w->wrong = true;
			for (uint32_t i = 0; i < count && !w->over && !w->wrong && !w->stop; i++) {
				w->count = count;
				walk_fields(w, inside);
				if (kind == '[' && w->flexible && !w->stop)
					take_tags(w);
			}
			w->count = back;
			p = skip_group(inside);
		} else {
			take_field(w, kind);
		}
	}
	return *p ? p + 1 : p;
}

enum kafka_walked kafka_walk(const char *layout, unsigned version, bool flexible, bool tags, const uint8_t *data,
			     size_t len, uint64_t beyond, struct kafka_fields *ret)
{
	struct walk w = {
	    .at = data,
	    .end = data + len,
	    .beyond = beyond,
	    .fields = ret,
	    .version = version,
	    .flexible = flexible,
	};
	*ret = (struct kafka_fields){.acks = -1};
	if (tags)
		take_tags(&w);
	walk_fields(&w, layout);
	if (flexible && !w.stop)
		take_tags(&w);
	if (w.wrong)
		return KAFKA_WALKED_WRONG;
	if (w.over || w.stop)
		return KAFKA_WALKED_PART;
	return w.at == w.end && !beyond ? KAFKA_WALKED_ALL : KAFKA_WALKED_WRONG;
}
