/* websocket.c - WebSocket (RFC 6455), named only: what HTTP becomes after its upgrade. Frames alone prove nothing. */
#include "dissect.h"

static enum dissect_verdict websocket_probe(struct dissect_probe *p maybe_unused)
{
	return DISSECT_NOT_MINE;
}

static uint64_t websocket_parse(struct dissect *d maybe_unused, const uint8_t *data maybe_unused,
				size_t len maybe_unused)
{
	return DISSECT_ALL;
}

static void websocket_gap(struct dissect *d, uint64_t missing maybe_unused)
{
	dissect_keep(d);
}

const struct dissector dissector_websocket = {
    .name = "websocket",
    .title = "WebSocket",
    .ports = "",
    .pairing = PAIR_NONE,
    .tcp = true,
    .probe = websocket_probe,
    .parse = websocket_parse,
    .gap = websocket_gap,
};
