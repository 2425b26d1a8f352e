/* trace_context.h - trace and span identifiers as the headers of tracing systems carry them.
 *
 * For every protocol that carries such headers. A value that is not well-formed gives false and nothing else. */
#ifndef TS_DISSECT_TRACE_CONTEXT_H
#define TS_DISSECT_TRACE_CONTEXT_H

#include "text_tools.h"

/* Where a message has headers of several systems, the one with the highest rank counts. */
enum trace_rank { TRACE_NONE, TRACE_UBER, TRACE_B3_MULTI, TRACE_B3, TRACE_SW8, TRACE_W3C };

/* Borrowed from the value, or from scratch. span_id may be absent. */
struct trace_ids {
	struct text trace_id, span_id;
};

#define TRACE_SCRATCH 512

/* traceparent (W3C Trace Context): 00-<32 hex>-<16 hex>-<2 hex>. */
bool trace_parse_w3c(struct text value, struct trace_ids *ret);
/* sw8 (SkyWalking): sample-trace-segment-span-…, the ids in Base64. span_id is "SEGMENT-SPAN", which names the parent
 * span as SkyWalking does. */
bool trace_parse_sw8(struct text value, char scratch[TRACE_SCRATCH], struct trace_ids *ret);
/* b3 in one header: trace-span[-sampled[-parent]]. */
bool trace_parse_b3(struct text value, struct trace_ids *ret);
/* uber-trace-id (Jaeger): trace:span:parent:flags, the colons plain or as %3A. */
bool trace_parse_uber(struct text value, struct trace_ids *ret);
/* X-B3-TraceId (at most 32 digits) or X-B3-SpanId (at most 16). */
bool trace_is_b3_id(struct text value, uint32_t digits_max);

#endif
