/* kafka_records.c - headers of records, in a record batch of format 2 (the formats before it have no headers).
 *
 * Only the beginning of a batch is looked at, and of a compressed one only the beginning is decompressed: producers put
 * trace context into each record, so that the first ones have it. */
#include "cursor.h"
#include "kafka_api.h"
#include "trace_context.h"

#include <errno.h>

enum {
	BATCH_HEADER = 61,
	BATCH_MAGIC = 16,
	BATCH_ATTRIBUTES = 21,
	BATCH_COUNT = 57,
	FORMAT = 2,
	RECORDS_MAX = 16, /* that are looked at */
	HEADERS_MAX = 64,
	COMPRESSED_MAX = 16 * 1024,
};

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_SNAPPY, COMPRESSION_LZ4, COMPRESSION_ZSTD };

/* A signed varint; 0 and c->bad where there is none. */
static int64_t take_varint(struct cursor *c)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte = cursor_u8(c);
		value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		if (!(byte & 0x80))
			return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
	}
	c->bad = true;
	return 0;
}

/* -1 and anything below it: null. */
static struct text take_text(struct cursor *c)
{
	int64_t n = take_varint(c);
	if (n < 0)
		return (struct text){0};
	if ((uint64_t)n > cursor_left(c))
		c->bad = true;
	return c->bad ? (struct text){0} : text_make(cursor_take(c, (size_t)n), (size_t)n);
}

struct trace {
	unsigned rank;
	struct trace_ids ids;
	char scratch[TRACE_SCRATCH];
};

static void see_header(struct trace *t, struct text name, struct text value)
{
	struct trace_ids ids = {0};
	unsigned rank = TRACE_NONE;
	if (text_is_lower(name, "traceparent") && trace_parse_w3c(value, &ids))
		rank = TRACE_W3C;
	else if (text_is_lower(name, "sw8") && t->rank < TRACE_SW8 && trace_parse_sw8(value, t->scratch, &ids))
		rank = TRACE_SW8;
	else if (text_is_lower(name, "b3") && trace_parse_b3(value, &ids))
		rank = TRACE_B3;
	else if (text_is_lower(name, "uber-trace-id") && trace_parse_uber(value, &ids))
		rank = TRACE_UBER;
	else if (text_is_lower(name, "x-b3-traceid") && trace_is_b3_id(value, 32)) {
		ids = (struct trace_ids){value, t->rank == TRACE_B3_MULTI ? t->ids.span_id : (struct text){0}};
		rank = TRACE_B3_MULTI;
	} else if (text_is_lower(name, "x-b3-spanid") && trace_is_b3_id(value, 16)) {
		ids = (struct trace_ids){t->rank == TRACE_B3_MULTI ? t->ids.trace_id : (struct text){0}, value};
		rank = TRACE_B3_MULTI;
	}
	if (rank > t->rank || (rank && rank == t->rank && rank == TRACE_B3_MULTI)) {
		t->rank = rank;
		t->ids = ids;
	}
}

/* The headers of one record. False: it is not all there. */
static bool see_record(struct trace *t, struct cursor *c)
{
	take_varint(c); /* length */
	cursor_skip(c, 1);
	take_varint(c); /* time */
	take_varint(c); /* offset */
	take_text(c);
	take_text(c);
	int64_t headers = take_varint(c);
	for (int64_t i = 0; i < headers && i < HEADERS_MAX && !c->bad; i++) {
		struct text name = take_text(c), value = take_text(c);
		if (!c->bad && name.at && value.at)
			see_header(t, name, value);
	}
	return !c->bad && headers >= 0 && headers <= HEADERS_MAX;
}

/* Snappy as its Java library frames it: a head of 16 bytes, then blocks of known length, of which the first will do. */
static int unpack_snappy(struct dissect *d, struct text t, const uint8_t **ret_data, size_t *ret_len)
{
	static const char magic[] = "\x82SNAPPY";
	if (t.len > 20 && !memcmp(t.at, magic, 8)) {
		uint32_t block = load_be32(t.at + 16);
		if (block > t.len - 20)
			return 1;
		t = text_make(t.at + 20, block);
	}
	return dissect_transform(d, TRANSFORM_SNAPPY | TRANSFORM_HEAD, t.at, t.len, ret_data, ret_len);
}

static int unpack(struct dissect *d, unsigned compression, struct text t, bool whole, const uint8_t **ret_data,
		  size_t *ret_len)
{
	static const uint8_t kinds[] = {
	    [COMPRESSION_GZIP] = TRANSFORM_GZIP,
	    [COMPRESSION_LZ4] = TRANSFORM_LZ4_FRAME,
	    [COMPRESSION_ZSTD] = TRANSFORM_ZSTD,
	};
	*ret_len = 0;
	if (compression == COMPRESSION_SNAPPY)
		return whole || (t.len > 8 && t.at[0] == '\x82') ? unpack_snappy(d, t, ret_data, ret_len) : -ENOTSUP;
	if (compression > COMPRESSION_ZSTD)
		return -ENOTSUP;
	t.len = min_of(t.len, (uint32_t)COMPRESSED_MAX);
	return dissect_transform(d, kinds[compression] | TRANSFORM_HEAD, t.at, t.len, ret_data, ret_len);
}

void kafka_put_trace(struct dissect *d, struct message *m, struct text records)
{
	const uint8_t *p = (const uint8_t *)records.at;
	if (!m || records.len < BATCH_HEADER || p[BATCH_MAGIC] != FORMAT)
		return;
	uint32_t length = load_be32(p + 8);
	if (length < BATCH_HEADER - 12)
		return;
	bool whole = length + 12 <= records.len;
	const uint8_t *data = p + BATCH_HEADER;
	size_t len = (whole ? length + 12 : records.len) - BATCH_HEADER;
	unsigned compression = p[BATCH_ATTRIBUTES + 1] & 7;
	uint32_t count = load_be32(p + BATCH_COUNT);
	if (compression != COMPRESSION_NONE && unpack(d, compression, text_make(data, len), whole, &data, &len) < 0)
		return;
	struct trace t = {.rank = TRACE_NONE};
	struct cursor c = cursor_make(data, len);
	for (uint32_t i = 0; i < count && i < RECORDS_MAX && !t.rank; i++)
		if (!see_record(&t, &c))
			break;
	if (!t.rank)
		return;
	message_put_text(d, m, REQUEST_trace_id, t.ids.trace_id);
	if (t.ids.span_id.len)
		message_put_text(d, m, REQUEST_span_id, t.ids.span_id);
}
