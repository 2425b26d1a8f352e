#include "internal.h"

const struct text close_type_names[CLOSE_TYPES] = {
    [CLOSE_UNKNOWN] = TEXT("unknown"),
    [CLOSE_TCP_FIN] = TEXT("tcp_fin"),
    [CLOSE_TCP_SERVER_RST] = TEXT("tcp_server_rst"),
    [CLOSE_TIMEOUT] = TEXT("timeout"),
    [CLOSE_FORCED_REPORT] = TEXT("forced_report"),
    [CLOSE_TCP_CLIENT_RST] = TEXT("tcp_client_rst"),
    [CLOSE_CLIENT_SYN_REPEAT] = TEXT("client_syn_repeat"),
    [CLOSE_SERVER_SYNACK_REPEAT] = TEXT("server_synack_repeat"),
    [CLOSE_SERVER_HALF_CLOSE] = TEXT("server_half_close"),
    [CLOSE_CLIENT_HALF_CLOSE] = TEXT("client_half_close"),
    [CLOSE_CLIENT_SOURCE_PORT_REUSE] = TEXT("client_source_port_reuse"),
    [CLOSE_SERVER_RESET] = TEXT("server_reset"),
    [CLOSE_SERVER_QUEUE_LACK] = TEXT("server_queue_lack"),
    [CLOSE_CLIENT_ESTABLISH_RESET] = TEXT("client_establish_reset"),
    [CLOSE_SERVER_ESTABLISH_RESET] = TEXT("server_establish_reset"),
    [CLOSE_TCP_FIN_CLIENT_RST] = TEXT("tcp_fin_client_rst"),
    [CLOSE_END_OF_INPUT] = TEXT("end_of_input"),
    [CLOSE_EVICTED] = TEXT("evicted"),
};

#define AT(field) offsetof(struct flowtab_settings, field)
#define TIMEOUT(name_, also_, field, initial_, min_, meaning_)                                                         \
	{                                                                                                              \
		.name = "static_config.flow." name_, .also = also_, .type = OPTION_DURATION, .offset = AT(field),      \
		.initial = initial_, .min = (min_), .max = 86400 * NS_PER_S, .unit = "s", .meaning = meaning_          \
	}
#define CONNTRACK "processors.flow_log.conntrack.timeouts."

const struct option flowtab_options[] = {
    TIMEOUT("established-timeout", CONNTRACK "established", established_timeout_ns, "300s", NS_PER_MS,
	    "An open TCP connection that is silent for this long has ended."),
    TIMEOUT("opening-timeout", NULL, opening_timeout_ns, "5s", NS_PER_MS,
	    "A TCP connection that is not yet open and silent for this long has ended."),
    TIMEOUT("opening-rst-timeout", CONNTRACK "opening_rst", opening_rst_timeout_ns, "1s", NS_PER_MS,
	    "A TCP connection that was reset before it was open leaves after this much silence."),
    TIMEOUT("closing-rst-timeout", CONNTRACK "closing_rst", closing_rst_timeout_ns, "35s", NS_PER_MS,
	    "A TCP connection that was reset leaves after this much silence."),
    TIMEOUT("others-timeout", CONNTRACK "others", others_timeout_ns, "5s", NS_PER_MS,
	    "A TCP connection in any other state (half closed, or without a sensible beginning) and silent for this "
	    "long has ended."),
    TIMEOUT("udp-timeout", NULL, udp_timeout_ns, "60s", NS_PER_MS,
	    "A flow of UDP, or of an IP protocol without ports, with packets in both directions ends after this much "
	    "silence."),
    TIMEOUT("udp-oneway-timeout", NULL, udp_oneway_timeout_ns, "5s", NS_PER_MS,
	    "A flow of any protocol but TCP with packets in one direction only ends after this much silence."),
    TIMEOUT("icmp-timeout", NULL, icmp_timeout_ns, "60s", NS_PER_MS,
	    "An ICMP flow with packets in both directions ends after this much silence."),
    TIMEOUT("linger", NULL, linger_ns, "2s", 0,
	    "For this long after its end a TCP connection is remembered, so that its late segments begin no new flow."),
    TIMEOUT("report-interval", NULL, report_interval_ns, "60s", 0,
	    "A flow that goes on is reported whenever the clock crosses a multiple of this; 0: only at its end."),
    {.name = "static_config.flow.reassembly-bytes",
     .type = OPTION_BYTES,
     .offset = AT(reassembly_flow_bytes),
     .initial = "512KiB",
     .min = 0,
     .max = 64 << 20,
     .unit = "B",
     .meaning = "Out-of-order bytes held for one direction of a TCP connection, counted in segments of 512 bytes. "
		"When they are used up, what is missing counts as lost."},
    {.name = "static_config.flow.community-id",
     .type = OPTION_BOOL,
     .offset = AT(community_id),
     .initial = "true",
     .meaning = "Flow records carry the Community ID."},
    {.name = NULL},
};
