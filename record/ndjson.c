#include "ndjson.h"

#include "put.h"

#include <errno.h>

/* What is not text has a known largest size, and NDJSON_ROOM_MIN is checked once for all of it; texts draw on `spare`,
 * the room beyond that. */

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

static char *put_tunnels(char *p, const struct tunnel_list *v)
{
	*p++ = '[';
	for (unsigned i = 0; i < v->count && i < PACKET_TUNNELS; i++) {
		const struct tunnel *t = &v->at[i];
		unsigned type = t->type < TUNNEL_TYPES ? t->type : TUNNEL_NONE;
		if (i)
			*p++ = ',';
		p = PUT_LITERAL(p, "{\"type\":\"");
		const char *name = tunnel_type_names[type];
		p = put_name(p, (struct text){name, (uint32_t)strlen(name)});
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
			out[4] = (char)('0' + (c >> 4));
			out[5] = "0123456789abcdef"[c & 15];
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

/* Index of the first byte that cannot be copied as it is; 16 where there is none. */
static inline size_t first_special(bytes16 v)
{
	words2 special = (words2)(((signed16)v < 0x20) | (v == '"') | (v == '\\')); /* signed: also those from 0x80 */
	if (likely(!(special[0] | special[1])))
		return 16;
	return special[0] ? (size_t)__builtin_ctzll(special[0]) / 8 : 8 + (size_t)__builtin_ctzll(special[1]) / 8;
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

/* A text with something special in its first 16 bytes. NULL: no room. */
static char *put_text_slowly(char *p, const uint8_t *s, const uint8_t *end, size_t *spare)
{
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
		if (n < whole) {
			p = put_special(p, &s, end, spare);
			if (!p)
				return NULL;
		}
	}
	return p;
}

/* NULL: no room. */
static __attribute__((noinline)) char *put_text(char *p, struct text t, size_t *spare)
{
	const uint8_t *s = (const uint8_t *)t.at, *end = s + t.len;
	bytes16 v;
	if (unlikely(t.len > *spare))
		return NULL;
	*spare -= t.len;
	if (t.len < 16) {
		if (!t.len)
			return p;
		v = load_tail(s, t.len);
		memcpy(p, &v, 16);
		if (likely(first_special(v) >= t.len))
			return p + t.len;
		return put_text_slowly(p, s, end, spare);
	}
	for (; end - s >= 16; s += 16, p += 16) {
		memcpy(&v, s, 16);
		memcpy(p, &v, 16);
		if (unlikely(first_special(v) < 16))
			return put_text_slowly(p, s, end, spare);
	}
	if (s == end)
		return p;
	size_t left = (size_t)(end - s);
	memcpy(&v, end - 16, 16); /* what is behind s again, and what stands before it, which had nothing special */
	memcpy(p + left - 16, &v, 16);
	if (unlikely(first_special(v) < 16))
		return put_text_slowly(p, s, end, spare);
	return p + left;
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

/* One piece of code for each line of the tables. */
#define EMIT_VALUE(key, expression) (p = PUT_LITERAL(p, ",\"" key "\":"), p = (expression))
#define EMIT_STRING(key, expression) (p = PUT_LITERAL(p, ",\"" key "\":\""), p = (expression), *p++ = '"')
#define EMIT_U64(key, value) EMIT_VALUE(key, put_u64(p, value));
#define EMIT_I64(key, value) EMIT_VALUE(key, put_i64(p, value));
#define EMIT_NS(key, value) EMIT_VALUE(key, put_i64(p, value));
#define EMIT_TIME(key, value) EMIT_STRING(key, put_time(p, value));
#define EMIT_ID(key, value) EMIT_STRING(key, put_id(p, value));
#define EMIT_BOOL(key, value) EMIT_VALUE(key, put_bool(p, value));
#define EMIT_NAME(key, value) EMIT_STRING(key, put_name(p, value));
#define EMIT_IP(key, value) EMIT_STRING(key, put_address(p, (value).version, (value).at));
#define EMIT_MAC(key, value) EMIT_STRING(key, put_mac(p, value));
#define EMIT_VLANS(key, value) EMIT_VALUE(key, put_vlans(p, &(value)));
#define EMIT_TUNNELS(key, value) EMIT_VALUE(key, put_tunnels(p, &(value)));
#define EMIT_FLAGS(key, value) EMIT_STRING(key, put_flags(p, value));
#define EMIT_TEXT(key, value)                                                                                          \
	if ((value).at) {                                                                                              \
		p = PUT_LITERAL(p, ",\"" key "\":\"");                                                                 \
		p = put_text(p, value, &spare);                                                                        \
		if (unlikely(!p))                                                                                      \
			return -ENOBUFS;                                                                               \
		*p++ = '"';                                                                                            \
	}
#define EMIT_ATTRIBUTES(key, value)                                                                                    \
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
#define LARGEST_TEXT (COMMUNITY_ID_LEN + 2)
#define LARGEST_IP (IP_TEXT_MAX + 2)
#define LARGEST_MAC 19
#define LARGEST_VLANS (6 * PACKET_VLANS + 2)
#define LARGEST_TUNNELS (PACKET_TUNNELS * (NAME_MAX_LEN + 10 + 2 * IP_TEXT_MAX + 48) + 2)
#define LARGEST_FLAGS 10
#define LARGEST_ATTRIBUTES 2
#define ADD_LARGEST(kind, name, unit, meaning) +sizeof(",\"" #name "\":") + LARGEST_##kind
#define FRAME_LARGEST (sizeof("{\"record\":\"request\"}\n") + PUT_OVERRUN)
_Static_assert(FRAME_LARGEST FLOW_FIELDS(ADD_LARGEST) <= NDJSON_ROOM_MIN, "NDJSON_ROOM_MIN is too small");
_Static_assert(FRAME_LARGEST REQUEST_FIELDS(ADD_LARGEST) <= NDJSON_ROOM_MIN, "NDJSON_ROOM_MIN is too small");

/* The field, where the flow's protocol has such an id. */
static char *put_community_id(char *p, const struct flow_record *r)
{
	int number = flow_record_has(r, protocol) ? community_id_number(r->protocol) : -1;
	if (number < 0 || !flow_record_has(r, client_ip) || !flow_record_has(r, server_ip) ||
	    r->client_ip.version != r->server_ip.version)
		return p;
	p = PUT_LITERAL(p, ",\"community_id\":\"");
	community_id_v1(&r->client_ip, flow_record_has(r, client_port) ? (uint16_t)r->client_port : 0, &r->server_ip,
			flow_record_has(r, server_port) ? (uint16_t)r->server_port : 0, (uint8_t)number, p);
	p += COMMUNITY_ID_LEN;
	*p++ = '"';
	return p;
}

#define EMIT_FLOW(kind, name, unit, meaning)                                                                           \
	if (likely(present[FLOW_##name / 64] >> FLOW_##name % 64 & 1)) {                                               \
		if (FLOW_##name == FLOW_community_id && !r->community_id.at)                                           \
			p = put_community_id(p, r);                                                                    \
		else                                                                                                   \
			EMIT_##kind(#name, r->name)                                                                    \
	}
#define EMIT_REQUEST(kind, name, unit, meaning)                                                                        \
	if (likely(present >> REQUEST_##name & 1)) {                                                                   \
		EMIT_##kind(#name, r->name)                                                                            \
	}

int ndjson_flow(const struct flow_record *r, char *out, size_t room)
{
	if (unlikely(room < NDJSON_ROOM_MIN))
		return -ENOBUFS;
	const uint64_t present[2] = {r->present[0], r->present[1]}; /* which no store to out can change */
	size_t spare = room - NDJSON_ROOM_MIN;
	char *p = PUT_LITERAL(out, "{\"record\":\"flow\"");
	FLOW_FIELDS(EMIT_FLOW)
	p = PUT_LITERAL(p, "}\n");
	return (int)(p - out);
}

int ndjson_request(const struct request_record *r, char *out, size_t room)
{
	if (unlikely(room < NDJSON_ROOM_MIN))
		return -ENOBUFS;
	const uint64_t present = r->present;
	size_t spare = room - NDJSON_ROOM_MIN;
	char *p = PUT_LITERAL(out, "{\"record\":\"request\"");
	REQUEST_FIELDS(EMIT_REQUEST)
	p = PUT_LITERAL(p, "}\n");
	return (int)(p - out);
}

size_t ip_print(const struct ip_address *ip, char ret_text[IP_TEXT_MAX])
{
	char text[IP_TEXT_MAX + PUT_OVERRUN];
	size_t len = (size_t)(put_address(text, ip->version, ip->at) - text);
	memcpy(ret_text, text, len);
	return len;
}

size_t time_print(int64_t time_ns, char ret_text[TIME_TEXT_LEN])
{
	char text[TIME_TEXT_LEN + PUT_OVERRUN];
	size_t len = (size_t)(put_time(text, time_ns) - text);
	memcpy(ret_text, text, len);
	return len;
}
