#include "ndjson.h"

#include <errno.h>

/* Every put_… writes at p and returns where to go on. What is not text has a known largest size, and NDJSON_ROOM_MIN is
 * checked once for all of it; texts draw on `spare`, the room beyond that. */

#define NAME_MAX_LEN 64   /* of a NAME or the name of a tunnel type; all are constants of the program */
#define VECTOR_OVERRUN 16 /* texts are stored 16 bytes at a time, so bytes behind one may be written early */

static const char digit_pairs[200] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
				     "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
				     "8081828384858687888990919293949596979899";
static const char hex_digits[16] = "0123456789abcdef";

static inline char *put_pair(char *p, unsigned v)
{
	memcpy(p, digit_pairs + 2 * v, 2);
	return p + 2;
}

static inline char *put_u64(char *p, uint64_t v)
{
	if (v < 100) {
		if (v < 10) {
			*p = (char)('0' + v);
			return p + 1;
		}
		return put_pair(p, (unsigned)v);
	}
	char digits[24];
	unsigned at = 20;
	while (v >= 100) {
		at -= 2;
		put_pair(digits + at, (unsigned)(v % 100));
		v /= 100;
	}
	if (v < 10)
		digits[--at] = (char)('0' + v);
	else
		put_pair(digits + (at -= 2), (unsigned)v);
	unsigned n = 20 - at;
	memcpy(p, digits + at, n);
	return p + n;
}

static inline char *put_i64(char *p, int64_t v)
{
	uint64_t magnitude = (uint64_t)v;
	if (v < 0) {
		*p++ = '-';
		magnitude = -magnitude;
	}
	return put_u64(p, magnitude);
}

static inline char *put_id(char *p, uint64_t v)
{
	for (int i = 15; i >= 0; i--, v >>= 4)
		p[i] = hex_digits[v & 15];
	return p + 16;
}

static inline char *put_bool(char *p, bool v)
{
	memcpy(p, v ? "true" : "false", 5);
	return p + (v ? 4 : 5);
}

static inline char *put_name(char *p, const char *name)
{
	size_t len = strlen(name);
	if (unlikely(len > NAME_MAX_LEN))
		len = NAME_MAX_LEN;
	memcpy(p, name, len);
	return p + len;
}

/* The civil date of a day since 1970-01-01 (proleptic Gregorian): counted in eras of 400 years that start on 1 March.
 */
static inline char *put_date(char *p, int64_t day)
{
	uint64_t z = (uint64_t)(day + 719468); /* an int64_t of nanoseconds starts in 1677: never negative */
	unsigned era = (unsigned)(z / 146097), day_of_era = (unsigned)(z % 146097);
	unsigned year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month = (5 * day_of_year + 2) / 153; /* 0: March */
	unsigned year = year_of_era + era * 400 + (month >= 10);
	p = put_pair(put_pair(p, year / 100), year % 100);
	*p++ = '-';
	p = put_pair(p, month < 10 ? month + 3 : month - 9);
	*p++ = '-';
	return put_pair(p, day_of_year - (153 * month + 2) / 5 + 1);
}

static inline char *put_time(char *p, int64_t time_ns)
{
	int64_t second = time_ns / NS_PER_S, ns = time_ns % NS_PER_S;
	if (ns < 0) {
		ns += NS_PER_S;
		second--;
	}
	int64_t day = second / 86400, in_day = second % 86400;
	if (in_day < 0) {
		in_day += 86400;
		day--;
	}
	unsigned s = (unsigned)in_day, fraction = (unsigned)ns;
	p = put_date(p, day);
	*p++ = 'T';
	p = put_pair(p, s / 3600);
	*p++ = ':';
	p = put_pair(p, s / 60 % 60);
	*p++ = ':';
	p = put_pair(p, s % 60);
	*p++ = '.';
	unsigned high = fraction / 10000, low = fraction % 10000; /* 5 and 4 digits */
	*p++ = (char)('0' + high / 10000);
	high %= 10000;
	p = put_pair(put_pair(p, high / 100), high % 100);
	p = put_pair(put_pair(p, low / 100), low % 100);
	*p++ = 'Z';
	return p;
}

static inline char *put_octet(char *p, unsigned v)
{
	if (v >= 100) {
		*p++ = (char)('0' + v / 100);
		return put_pair(p, v % 100);
	}
	if (v >= 10)
		return put_pair(p, v);
	*p = (char)('0' + v);
	return p + 1;
}

static inline char *put_ipv4(char *p, const uint8_t *at)
{
	p = put_octet(p, at[0]);
	*p++ = '.';
	p = put_octet(p, at[1]);
	*p++ = '.';
	p = put_octet(p, at[2]);
	*p++ = '.';
	return put_octet(p, at[3]);
}

static inline char *put_group(char *p, unsigned v)
{
	if (v >= 0x1000)
		*p++ = hex_digits[v >> 12];
	if (v >= 0x100)
		*p++ = hex_digits[v >> 8 & 15];
	if (v >= 0x10)
		*p++ = hex_digits[v >> 4 & 15];
	*p++ = hex_digits[v & 15];
	return p;
}

/* RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::" (4.2); IPv4-mapped addresses
 * end in dotted form (5). */
static char *put_ipv6(char *p, const uint8_t *at)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (!memcmp(at, mapped, sizeof mapped)) {
		memcpy(p, "::ffff:", 7);
		return put_ipv4(p + 7, at + 12);
	}
	unsigned group[8], run_at = 8, run_len = 1;
	for (unsigned i = 0, len = 0; i < 8; i++) {
		group[i] = load_be16(at + 2 * i);
		len = group[i] ? 0 : len + 1;
		if (len > run_len) {
			run_len = len;
			run_at = i + 1 - len;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		if (i == run_at) {
			memcpy(p, "::", 2);
			p += 2;
			i += run_len - 1;
			continue;
		}
		if (i && i != run_at + run_len)
			*p++ = ':';
		p = put_group(p, group[i]);
	}
	return p;
}

static inline char *put_address(char *p, unsigned version, const uint8_t *at)
{
	return likely(version == 4) ? put_ipv4(p, at) : put_ipv6(p, at);
}

static inline char *put_mac(char *p, const uint8_t *mac)
{
	for (unsigned i = 0; i < 6; i++, p += 3) {
		p[0] = hex_digits[mac[i] >> 4];
		p[1] = hex_digits[mac[i] & 15];
		p[2] = ':';
	}
	return p - 1;
}

static inline char *put_flags(char *p, uint8_t flags)
{
	static const char letters[8] = "FSRPAUEC"; /* bit 0 first */
	for (unsigned i = 0; i < 8; i++) {
		*p = letters[i];
		p += flags >> i & 1;
	}
	return p;
}

static inline char *put_vlans(char *p, const struct vlan_list *v)
{
	*p++ = '[';
	for (unsigned i = 0; i < v->count && i < PACKET_VLANS; i++) {
		if (i)
			*p++ = ',';
		p = put_u64(p, v->id[i]);
	}
	*p++ = ']';
	return p;
}

#define PUT_LITERAL(p, literal) (memcpy(p, literal, sizeof(literal) - 1), (p) + sizeof(literal) - 1)

static char *put_tunnels(char *p, const struct tunnel_list *v)
{
	*p++ = '[';
	for (unsigned i = 0; i < v->count && i < PACKET_TUNNELS; i++) {
		const struct tunnel *t = &v->at[i];
		unsigned type = t->type < TUNNEL_TYPES ? t->type : TUNNEL_NONE;
		if (i)
			*p++ = ',';
		p = PUT_LITERAL(p, "{\"type\":\"");
		p = put_name(p, tunnel_type_names[type]);
		*p++ = '"';
		/* GRE has an id only where it carries a key; a key of 0 cannot be told from none */
		bool has_id = type == TUNNEL_VXLAN || type == TUNNEL_GENEVE || type == TUNNEL_NVGRE ||
			      type == TUNNEL_ERSPAN_II || type == TUNNEL_ERSPAN_III || type == TUNNEL_GTPU ||
			      (type == TUNNEL_GRE && t->id);
		if (has_id) {
			p = PUT_LITERAL(p, ",\"id\":");
			p = put_u64(p, t->id);
		}
		p = PUT_LITERAL(p, ",\"source\":\"");
		p = put_address(p, t->ip_version, t->source);
		p = PUT_LITERAL(p, "\",\"target\":\"");
		p = put_address(p, t->ip_version, t->target);
		p = PUT_LITERAL(p, "\"}");
	}
	*p++ = ']';
	return p;
}

/* The characters at *s that cannot be copied as they are, up to the next one that can. NULL: no room. */
static char *put_special(char *p, const uint8_t **s, const uint8_t *end, size_t *spare)
{
	static const char short_escapes[32] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	const uint8_t *at = *s;
	for (; at < end; at++) {
		uint8_t c = *at;
		char out[6] = "\\u00";
		size_t in_len = 1, out_len;
		if (c >= 0x80) {
			in_len = utf8_sequence(at, (size_t)(end - at));
			out_len = in_len;
			memcpy(out, at, in_len);
			if (!in_len) {
				in_len = 1;
				out_len = 3;
				memcpy(out, "\xef\xbf\xbd", 3);
			}
		} else if (c == '"' || c == '\\') {
			out[1] = (char)c;
			out_len = 2;
		} else if (c >= 0x20) {
			break;
		} else if (short_escapes[c]) {
			out[1] = short_escapes[c];
			out_len = 2;
		} else {
			out[4] = hex_digits[c >> 4];
			out[5] = hex_digits[c & 15];
			out_len = 6;
		}
		if (out_len - in_len > *spare)
			return NULL;
		*spare -= out_len - in_len;
		memcpy(p, out, out_len);
		p += out_len;
		at += in_len - 1;
	}
	*s = at;
	return p;
}

typedef int8_t bytes16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

/* Index of the first byte that cannot be copied as it is; 16 where there is none. */
static inline size_t first_special(bytes16 v)
{
	words2 special = (words2)((v < 0x20) | (v == '"') | (v == '\\')); /* signed: also the bytes from 0x80 */
	if (special[0])
		return (size_t)__builtin_ctzll(special[0]) / 8;
	if (special[1])
		return 8 + (size_t)__builtin_ctzll(special[1]) / 8;
	return 16;
}

/* The last 1 to 15 bytes of a text, without reading behind it; zeros follow. */
static inline bytes16 load_tail(const uint8_t *s, size_t n)
{
	words2 v = {0, 0};
	if (n >= 8) {
		v[0] = load_le64(s);
		v[1] = n > 8 ? load_le64(s + n - 8) >> (8 * (16 - n)) : 0;
	} else if (n >= 4) {
		v[0] = load_le32(s) | (uint64_t)load_le32(s + n - 4) << (8 * (n - 4));
	} else {
		v[0] = s[0] | (uint64_t)s[n / 2] << (8 * (n / 2)) | (uint64_t)s[n - 1] << (8 * (n - 1));
	}
	return (bytes16)v;
}

/* NULL: no room. */
static inline char *put_text(char *p, struct text t, size_t *spare)
{
	const uint8_t *s = (const uint8_t *)t.at, *end = s + t.len;
	if (unlikely(t.len > *spare))
		return NULL;
	*spare -= t.len;
	while (s < end) {
		size_t left = (size_t)(end - s), whole = min_of(left, (size_t)16);
		bytes16 v;
		if (left >= 16)
			memcpy(&v, s, 16);
		else
			v = load_tail(s, left);
		memcpy(p, &v, 16);
		size_t n = min_of(first_special(v), whole);
		p += n;
		s += n;
		if (unlikely(n < whole)) {
			p = put_special(p, &s, end, spare);
			if (!p)
				return NULL;
		}
	}
	return p;
}

/* What every JSON reader takes as an integer of 64 bits. */
static bool is_plain_integer(struct text t)
{
	uint32_t sign = t.len && t.at[0] == '-', digits = t.len - sign;
	if (digits < 1 || digits > 18 || (t.at[sign] == '0' && digits > 1))
		return false;
	for (uint32_t i = sign; i < t.len; i++)
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
	return true;
}

/* `"name":value` and a comma between; NULL: no room. */
static char *put_attributes(char *p, const struct attribute_list *list, size_t *spare)
{
	*p++ = '{';
	bool first = true;
	for (unsigned i = 0; i < list->count && i < RECORD_ATTRIBUTES; i++) {
		const struct attribute *a = &list->at[i];
		if (!a->value.at)
			continue;
		if (*spare < 6)
			return NULL;
		*spare -= 6; /* comma, colon, four quotes */
		if (!first)
			*p++ = ',';
		first = false;
		*p++ = '"';
		p = put_text(p, (struct text){a->name, (uint32_t)strlen(a->name)}, spare);
		if (!p)
			return NULL;
		bool quoted = !a->number || !is_plain_integer(a->value);
		*p++ = '"';
		*p++ = ':';
		if (quoted)
			*p++ = '"';
		p = put_text(p, a->value, spare);
		if (!p)
			return NULL;
		if (quoted)
			*p++ = '"';
	}
	*p++ = '}';
	return p;
}

/* One piece of code for each line of the tables. A key is a literal of known length: a move or two. if_absent: what
 * stands in for a text with at == NULL. */
static const struct text absent = {NULL, 0};
#define EMIT_VALUE(key, expression) (p = PUT_LITERAL(p, ",\"" key "\":"), p = (expression))
#define EMIT_STRING(key, expression) (p = PUT_LITERAL(p, ",\"" key "\":\""), p = (expression), *p++ = '"')
#define EMIT_U64(key, value, if_absent) EMIT_VALUE(key, put_u64(p, value));
#define EMIT_I64(key, value, if_absent) EMIT_VALUE(key, put_i64(p, value));
#define EMIT_NS(key, value, if_absent) EMIT_VALUE(key, put_i64(p, value));
#define EMIT_TIME(key, value, if_absent) EMIT_STRING(key, put_time(p, value));
#define EMIT_ID(key, value, if_absent) EMIT_STRING(key, put_id(p, value));
#define EMIT_BOOL(key, value, if_absent) EMIT_VALUE(key, put_bool(p, value));
#define EMIT_NAME(key, value, if_absent) EMIT_STRING(key, put_name(p, value));
#define EMIT_IP(key, value, if_absent) EMIT_STRING(key, put_address(p, (value).version, (value).at));
#define EMIT_MAC(key, value, if_absent) EMIT_STRING(key, put_mac(p, value));
#define EMIT_VLANS(key, value, if_absent) EMIT_VALUE(key, put_vlans(p, &(value)));
#define EMIT_TUNNELS(key, value, if_absent) EMIT_VALUE(key, put_tunnels(p, &(value)));
#define EMIT_FLAGS(key, value, if_absent) EMIT_STRING(key, put_flags(p, value));
#define EMIT_TEXT(key, value, if_absent)                                                                               \
	struct text t = (value).at ? (value) : (if_absent);                                                            \
	if (t.at) {                                                                                                    \
		p = PUT_LITERAL(p, ",\"" key "\":\"");                                                                 \
		p = put_text(p, t, &spare);                                                                            \
		if (unlikely(!p))                                                                                      \
			return -ENOBUFS;                                                                               \
		*p++ = '"';                                                                                            \
	}
#define EMIT_ATTRIBUTES(key, value, if_absent)                                                                         \
	p = PUT_LITERAL(p, ",\"" key "\":");                                                                           \
	p = put_attributes(p, &(value), &spare);                                                                       \
	if (unlikely(!p))                                                                                              \
		return -ENOBUFS;

/* The largest each kind can be, without its key; texts and attributes come on top. */
#define LARGEST_U64 20
#define LARGEST_I64 20
#define LARGEST_NS 20
#define LARGEST_TIME 32
#define LARGEST_ID 18
#define LARGEST_BOOL 5
#define LARGEST_NAME (NAME_MAX_LEN + 2)
#define LARGEST_TEXT 2
#define LARGEST_IP (IP_TEXT_MAX + 2)
#define LARGEST_MAC 19
#define LARGEST_VLANS (6 * PACKET_VLANS + 2)
#define LARGEST_TUNNELS (PACKET_TUNNELS * (NAME_MAX_LEN + 10 + 2 * IP_TEXT_MAX + 48) + 2)
#define LARGEST_FLAGS 10
#define LARGEST_ATTRIBUTES 2
#define ADD_LARGEST(kind, name, unit, meaning) +sizeof(",\"" #name "\":") + LARGEST_##kind
#define FRAME_LARGEST (sizeof("{\"record\":\"request\"}\n") + VECTOR_OVERRUN)
_Static_assert(FRAME_LARGEST FLOW_FIELDS(ADD_LARGEST) <= NDJSON_ROOM_MIN, "NDJSON_ROOM_MIN is too small");
_Static_assert(FRAME_LARGEST REQUEST_FIELDS(ADD_LARGEST) <= NDJSON_ROOM_MIN, "NDJSON_ROOM_MIN is too small");

static struct text flow_community_id(const struct flow_record *r, char id[31])
{
	int number = flow_record_has(r, protocol) ? community_id_number(r->protocol) : -1;
	if (number < 0 || !flow_record_has(r, client_ip) || !flow_record_has(r, server_ip) ||
	    r->client_ip.version != r->server_ip.version)
		return absent;
	community_id_v1(&r->client_ip, flow_record_has(r, client_port) ? (uint16_t)r->client_port : 0, &r->server_ip,
			flow_record_has(r, server_port) ? (uint16_t)r->server_port : 0, (uint8_t)number, id);
	return (struct text){id, 30};
}

#define EMIT_FLOW(kind, name, unit, meaning)                                                                           \
	if (flow_record_has(r, name)) {                                                                                \
		EMIT_##kind(#name, r->name, FLOW_##name == FLOW_community_id ? flow_community_id(r, id) : absent)      \
	}
#define EMIT_REQUEST(kind, name, unit, meaning)                                                                        \
	if (request_record_has(r, name)) {                                                                             \
		EMIT_##kind(#name, r->name, absent)                                                                    \
	}

int ndjson_flow(const struct flow_record *r, char *out, size_t room)
{
	if (unlikely(room < NDJSON_ROOM_MIN))
		return -ENOBUFS;
	size_t spare = room - NDJSON_ROOM_MIN;
	char id[31], *p = PUT_LITERAL(out, "{\"record\":\"flow\"");
	FLOW_FIELDS(EMIT_FLOW)
	p = PUT_LITERAL(p, "}\n");
	return (int)(p - out);
}

int ndjson_request(const struct request_record *r, char *out, size_t room)
{
	if (unlikely(room < NDJSON_ROOM_MIN))
		return -ENOBUFS;
	size_t spare = room - NDJSON_ROOM_MIN;
	char *p = PUT_LITERAL(out, "{\"record\":\"request\"");
	REQUEST_FIELDS(EMIT_REQUEST)
	p = PUT_LITERAL(p, "}\n");
	return (int)(p - out);
}

size_t ip_print(const struct ip_address *ip, char ret_text[IP_TEXT_MAX])
{
	return (size_t)(put_address(ret_text, ip->version, ip->at) - ret_text);
}

size_t time_print(int64_t time_ns, char ret_text[TIME_TEXT_LEN])
{
	return (size_t)(put_time(ret_text, time_ns) - ret_text);
}
