/* http2.c - HTTP/2 (RFC 9113), named only: recognised by the client's connection preface, or what HTTP becomes after
 * h2c. */
#include "dissect.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static enum dissect_verdict http2_probe(struct dissect_probe *p)
{
	size_t n = min_of(p->len, sizeof preface - 1);
	if (memcmp(p->data, preface, n))
		return DISSECT_NOT_MINE;
	if (n < sizeof preface - 1)
		return DISSECT_UNSURE;
	p->ret_side = SIDE_CLIENT;
	return DISSECT_CERTAIN;
}

static uint64_t http2_parse(struct dissect *d maybe_unused, const uint8_t *data maybe_unused, size_t len maybe_unused)
{
	return DISSECT_ALL;
}

static void http2_gap(struct dissect *d, uint64_t missing maybe_unused)
{
	dissect_keep(d);
}

const struct dissector dissector_http2 = {
    .name = "http2",
    .title = "HTTP2",
    .ports = "",
    .pairing = PAIR_NONE,
    .tcp = true,
    .probe = http2_probe,
    .parse = http2_parse,
    .gap = http2_gap,
};
