#include "trace_context.h"

bool trace_is_b3_id(struct text value, uint32_t digits_max)
{
	return value.len && value.len <= digits_max && text_is_hex(value) && !text_is_zeros(value);
}

bool trace_parse_w3c(struct text value, struct trace_ids *ret)
{
	/* later versions may be longer, behind another '-' */
	if (value.len < 55 || value.at[2] != '-' || value.at[35] != '-' || value.at[52] != '-')
		return false;
	struct text version = text_make(value.at, 2), flags = text_make(value.at + 53, 2);
	struct text trace = text_make(value.at + 3, 32), span = text_make(value.at + 36, 16);
	bool longer = value.len > 55;
	if (!text_is_hex(version) || !text_is_hex(flags) || text_is_lower(version, "ff"))
		return false;
	if (longer && (text_is_zeros(version) || value.at[55] != '-'))
		return false;
	if (!trace_is_b3_id(trace, 32) || !trace_is_b3_id(span, 16))
		return false;
	*ret = (struct trace_ids){trace, span};
	return true;
}

bool trace_parse_sw8(struct text value, char scratch[TRACE_SCRATCH], struct trace_ids *ret)
{
	struct text sampled = text_split(&value, '-');
	struct text trace = text_split(&value, '-');
	struct text segment = text_split(&value, '-');
	struct text span = text_split(&value, '-');
	uint64_t number;
	if (!text_decimal(sampled, 1, &number) || !text_decimal(span, INT32_MAX, &number))
		return false;
	enum { HALF = TRACE_SCRATCH / 2 };
	int trace_len = text_base64(trace, (uint8_t *)scratch, HALF);
	char *out = scratch + HALF;
	/* room for '-' and the digits of an int */
	int segment_len = text_base64(segment, (uint8_t *)out, HALF - 12);
	if (trace_len <= 0 || segment_len <= 0 || span.len > 10)
		return false;
	out[segment_len] = '-';
	memcpy(out + segment_len + 1, span.at, span.len);
	*ret = (struct trace_ids){text_make(scratch, (size_t)trace_len),
				  text_make(out, (size_t)segment_len + 1 + span.len)};
	return true;
}

bool trace_parse_b3(struct text value, struct trace_ids *ret)
{
	struct text trace = text_split(&value, '-');
	struct text span = text_split(&value, '-');
	if ((trace.len != 16 && trace.len != 32) || span.len != 16)
		return false;
	if (!trace_is_b3_id(trace, 32) || !trace_is_b3_id(span, 16))
		return false;
	*ret = (struct trace_ids){trace, span};
	return true;
}

/* Up to the next colon, however it is written. */
static struct text split_colon(struct text *t)
{
	for (uint32_t i = 0; i < t->len; i++) {
		uint32_t width = t->at[i] == ':' ? 1 : 0;
		if (!width && t->len - i >= 3 && text_equal_lower(t->at + i, "%3a", 3))
			width = 3;
		if (width) {
			struct text piece = text_make(t->at, i);
			*t = text_make(t->at + i + width, t->len - i - width);
			return piece;
		}
	}
	struct text piece = *t;
	*t = (struct text){0};
	return piece;
}

bool trace_parse_uber(struct text value, struct trace_ids *ret)
{
	struct text trace = split_colon(&value);
	struct text span = split_colon(&value);
	split_colon(&value);
	bool complete = value.at != NULL;
	if (!complete || !trace_is_b3_id(trace, 32) || !trace_is_b3_id(span, 16))
		return false;
	*ret = (struct trace_ids){trace, span};
	return true;
}
