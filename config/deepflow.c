/* Options of the DeepFlow agent (configuration of an agent group up to version 6.5, and the agent's own file) that do
 * nothing here, each with the reason. An option that a room declares wins over its line here; where a level is named,
 * all that lies below it is meant. */
#include "internal.h"

#include <strings.h>

#define SERVER "tapscope has no server that it reports to"
#define LIVE "live capture has options of its own for it: capture.ring_memory, capture.source, workers"
#define PROCESS "process tags are not built yet in this version"
#define KUBERNETES "Kubernetes tags are not built yet in this version"
#define EBPF "eBPF is not built yet in this version"
#define BROKER "tapscope does not forward packets to other systems"
#define QUEUE "tapscope has no queue of that kind; its rings are sized by options of its own"
#define METRICS "tapscope makes records; metrics by the second or minute are not built yet in this version"
#define INGEST "tapscope takes in no data from other agents"
#define WATCH                                                                                                          \
	"tapscope reserves its memory and threads at start and does not limit the host; max_cpus limits what capture " \
	"takes"
#define LOG "tapscope writes its log to standard error"
#define NETFLOW "sFlow and NetFlow are not received"
#define PLUGIN "plugins are not loaded"
#define DISSECT "this part of the dissectors is not built yet in this version"
#define CONTENT "protocols are found by content on every flow; no verdict is kept by port"
#define GO_AGENT "it belonged to DeepFlow's earlier agent and does nothing in its present one either"
#define LATER                                                                                                          \
	"it is of the layout of DeepFlow 6.6 and later, of which only some names are read; those before it "           \
	"(tap_mode, static_config, ...) are"

#define S "static_config."

const struct deepflow_option deepflow_options[] = {
    /* identity and group */
    {"vtap_group_id", "agent groups are not built yet in this version"},
    {"vtap_group_lcuuid", "agent groups are not built yet in this version"},
    {"vtap-group-id-request", "agent groups are not built yet in this version"},
    {"controller-ips", SERVER},
    {"controller-port", SERVER},
    {"controller-tls-port", SERVER},
    {"controller-cert-file-prefix", SERVER},
    {"agent-unique-identifier", SERVER},
    {"kubernetes-cluster-id", KUBERNETES},
    {"kubernetes-cluster-name", KUBERNETES},
    {"override-os-hostname", "records carry no host name"},
    {"async-worker-thread-number", SERVER},
    {"pid-file", "the service manager knows the process"},
    {"cgroups-disabled", "tapscope makes no cgroup"},
    {"log-file", LOG},

    /* limits */
    {"max_millicpus", WATCH},
    {"sys_free_memory_limit", WATCH},
    {"system_load_circuit_breaker_threshold", WATCH},
    {"system_load_circuit_breaker_recover", WATCH},
    {"system_load_circuit_breaker_metric", WATCH},
    {"process_threshold", "tapscope is one process"},
    {"max_collect_pps", "packets are not sampled; what does not fit is counted"},
    {"max_npb_bps", BROKER},
    {"max_tx_bandwidth", BROKER},
    {"bandwidth_probe_interval", BROKER},
    {"log_threshold", SERVER},
    {"log_level", LOG},
    {"log_file_size", LOG},
    {"log_retention", LOG},

    /* capture */
    {"capture_socket_type", "capture.source chooses; AF_PACKET rings are always of version 3"},
    {"if_mac_source", "tags of virtual machines are not built yet in this version"},
    {"vm_xml_path", "tags of virtual machines are not built yet in this version"},

    /* towards the server */
    {"sync_interval", SERVER},
    {"platform_sync_interval", SERVER},
    {"stats_interval", SERVER},
    {"max_escape_seconds", SERVER},
    {"mtu", SERVER},
    {"output_vlan", SERVER},
    {"nat_ip_enabled", SERVER},
    {"proxy_controller_port", SERVER},
    {"proxy_controller_ip", SERVER},
    {"analyzer_port", SERVER},
    {"analyzer_ip", SERVER},
    {"collector_socket_type", "records leave through the outputs named on the command line"},
    {"compressor_socket_type", SERVER},
    {"platform_enabled", SERVER},
    {"rsyslog_enabled", SERVER},
    {"ntp_enabled", SERVER},
    {"domains", SERVER},
    {"pod_cluster_internal_ip", SERVER},

    /* dissectors */
    {"http_log_proxy_client", DISSECT},
    {"http_log_x_request_id", DISSECT},
    {"http_log_trace_id", DISSECT},
    {"http_log_span_id", DISSECT},
    {"l7_log_packet_size", "messages are read whole, whatever their length"},

    /* what is made */
    {"l4_log_collect_nps_threshold", "records are not sampled"},
    {"l7_log_collect_nps_threshold", "records are not sampled"},
    {"l4_log_tap_types", "records are made for every observation point"},
    {"l4_log_ignore_tap_sides", "records are made for every observation point"},
    {"l7_log_ignore_tap_sides", "records are made for every observation point"},
    {"l7_log_store_tap_types", "records are made for every observation point"},
    {"collector_enabled", "making records is what tapscope does"},
    {"inactive_server_port_enabled", METRICS},
    {"inactive_ip_enabled", METRICS},
    {"vtap_flow_1s_enabled", METRICS},
    {"l4_performance_enabled", "TCP performance is always measured"},
    {"l7_metrics_enabled", "requests are always measured; l7-protocol-enabled chooses protocols"},
    {"external_agent_http_proxy_enabled", INGEST},
    {"external_agent_http_proxy_port", INGEST},
    {"prometheus_http_api_addresses", INGEST},
    {"npb_socket_type", BROKER},
    {"npb_vlan_mode", BROKER},
    {"npb_dedup_enabled", BROKER},
    {"wasm_plugins", PLUGIN},
    {"so_plugins", PLUGIN},

    /* the advanced part: Kubernetes, debugging, AF_PACKET, mirrors */
    {S "kubernetes-namespace", KUBERNETES},
    {S "kubernetes-api-list-limit", KUBERNETES},
    {S "kubernetes-api-list-interval", KUBERNETES},
    {S "kubernetes-resources", KUBERNETES},
    {S "kubernetes-poller-type", KUBERNETES},
    {S "ingress-flavour", KUBERNETES},
    {S "proxy-controller-port", SERVER},
    {S "analyzer-ip", SERVER},
    {S "analyzer-port", SERVER},
    {S "log-level", LOG},
    {S "log-file", LOG},
    {S "profiler", GO_AGENT},
    {S "debug-listen-port", GO_AGENT},
    {S "enable-debug-stats", GO_AGENT},
    {S "afpacket-blocks-enabled", LIVE},
    {S "afpacket-blocks", LIVE},
    {S "analyzer-raw-packet-block-size", LIVE},
    {S "batched-buffer-size-limit", QUEUE},
    {S "mirror-traffic-pcp", "tap.types says which traffic is of what type, by priority, VLAN, tunnel or NIC"},
    {S "cloud-gateway-traffic", "tap.types says which traffic is of what type, by priority, VLAN, tunnel or NIC"},
    {S "enable-qos-bypass", SERVER},
    {S "multiple-sockets-to-ingester", SERVER},
    {S "fast-path-map-size", BROKER},
    {S "fast-path-disabled", BROKER},
    {S "first-path-level", BROKER},
    {S "forward-capacity", BROKER},
    {S "local-dispatcher-count", LIVE},
    {S "packet-fanout-mode", LIVE},
    {S "dispatcher-queue", LIVE},
    {S "tap-interface-bond-groups", "the NICs of a bond are captured each by itself, or through the bond's own NIC"},
    {S "bpf-disabled", "capture.source: pcap does without eBPF"},
    {S "libpcap-enabled", LIVE},
    {S "ovs-dpdk-enable",
     "capture.source: dpdk, with devices, rings and ports by name in src-interfaces (source/dpdk.h)"},
    {S "dpdk-enabled", "capture.source: dpdk, with devices, rings and ports by name in src-interfaces (source/dpdk.h)"},
    {S "dpdk-pmd-core-id",
     "capture.source: dpdk, with devices, rings and ports by name in src-interfaces (source/dpdk.h)"},
    {S "dpdk-ring-port",
     "capture.source: dpdk, with devices, rings and ports by name in src-interfaces (source/dpdk.h)"},
    {S "vhost-socket-path",
     "capture.source: dpdk, with devices, rings and ports by name in src-interfaces (source/dpdk.h)"},
    {S "tap-mac-script", "tags of virtual machines are not built yet in this version"},

    /* queues and tables */
    {S "flow-queue-size", QUEUE},
    {S "quadruple-queue-size", QUEUE},
    {S "collector-sender-queue-size", QUEUE},
    {S "collector-sender-queue-count", QUEUE},
    {S "toa-sender-queue-size", QUEUE},
    {S "toa-lru-cache-size", "TCP options with addresses are not read"},
    {S "flow-sender-queue-size", QUEUE},
    {S "flow-sender-queue-count", QUEUE},
    {S "analyzer-queue-size", QUEUE},
    {S "ebpf-collector-queue-size", QUEUE},
    {S "packet-sequence-block-size", "TCP headers are not recorded packet by packet"},
    {S "packet-sequence-queue-size", "TCP headers are not recorded packet by packet"},
    {S "packet-sequence-queue-count", "TCP headers are not recorded packet by packet"},
    {S "packet-sequence-flag", "TCP headers are not recorded packet by packet"},
    {S "second-flow-extra-delay-second", METRICS},
    {S "packet-delay", "in replay the clock is that of the capture"},
    {S "l7-log-session-aggr-timeout", "static_config.rrt-tcp-timeout says how long a request waits for its response"},
    {S "l7-log-session-slot-capacity", "requests that wait are limited by flow"},
    {S "triple", "tapscope has no table of that kind"},
    {S "pcap", "packets of a flow are not kept yet in this version"},
    {S "flow.flow-slots-size", "the size of the flow table follows from max_memory"},
    {S "flow.flow-count-limit", "the size of the flow table follows from max_memory"},
    {S "flow.flow-aggr-queue-size", QUEUE},
    {S "flow.memory-pool-size", "the size of the flow table follows from max_memory"},
    {S "flow.flush-interval", "records leave when they are complete"},
    {S "flow.ignore-tor-mac", "flows are told apart by addresses and ports, never by MAC addresses"},
    {S "flow.ignore-l2-end", "flows are told apart by addresses and ports, never by MAC addresses"},
    {S "flow.ignore-idc-vlan", "VLANs tell flows apart only where flow isolation says so"},

    /* tunnels, packet broker, NetFlow */
    {S "npb-port", BROKER},
    {S "vxlan-flags", BROKER},
    {S "ignore-overlay-vlan", BROKER},
    {S "decap-erspan", "decap_type opens ERSPAN like any other tunnel"},
    {S "trim-tunnel-types", "decap_type opens these tunnels; their outer headers are kept in the record"},
    {S "xflow-collector", NETFLOW},
    {S "grpc-buffer-size", SERVER},

    /* dissectors and their traffic */
    {S "wasm-plugins", PLUGIN},
    {S "so-plugins", PLUGIN},
    {S "rrt-udp-timeout", "a response that comes within the time a request waits is measured, however late"},
    {S "l7-protocol-inference-max-fail-count", CONTENT},
    {S "l7-protocol-inference-ttl", CONTENT},
    {S "l7-log-blacklist", DISSECT},
    {S "l7-protocol-advanced-features", DISSECT},
    {S "oracle-parse-config", "Oracle is not built yet in this version"},
    {S "consistent-timestamp-in-l7-metrics", METRICS},
    {S "packet-segmentation-reassembly", "TCP streams are always reassembled"},
    {S "server-ports", "content and handshake tell the server; no list of ports is needed"},

    /* data of others, eBPF, processes */
    {S "external-agent-http-proxy-compressed", INGEST},
    {S "external-profile-integration-disabled", INGEST},
    {S "external-trace-integration-disabled", INGEST},
    {S "external-metric-integration-disabled", INGEST},
    {S "external-log-integration-disabled", INGEST},
    {S "prometheus-extra-config", INGEST},
    {S "ebpf", EBPF},
    {S "os-proc-sync-enabled", PROCESS},
    {S "os-proc-sync-tagged-only", PROCESS},
    {S "os-proc-root", PROCESS},
    {S "os-proc-socket-sync-interval", PROCESS},
    {S "os-proc-socket-min-lifetime", PROCESS},
    {S "os-proc-regex", PROCESS},
    {S "os-app-tag-exec", PROCESS},
    {S "os-app-tag-exec-user", PROCESS},

    /* the process itself */
    {S "standalone-data-file-size", "files are written as large as they become; --output names the directory"},
    {S "standalone-data-file-dir", "the directory of the output is given on the command line (--output)"},
    {S "guard-interval", WATCH},
    {S "memory-trim-disabled", WATCH},
    {S "check-core-file-disabled", WATCH},
    {S "cpu-affinity", "workers are not pinned in replay"},
    {S "process-scheduling-priority", "the service manager sets priorities"},
    {S "ntp-max-interval", SERVER},
    {S "ntp-min-interval", SERVER},
    {S "feature-flags", "tapscope has no hidden features"},

    /* the layout of later versions */
    {"global", LATER},
    {"inputs", LATER},
    {"processors", LATER},
    {"outputs", LATER},
    {"plugins", LATER},
    {"dev", LATER},
    {NULL, NULL},
};

/* Protocols that DeepFlow's lists may name. */
static const char *const deepflow_protocols[] = {
    "HTTP",  "HTTP2",      "gRPC",   "ProtobufRPC", "SofaRPC",     "FastCGI",   "bRPC",  "Tars", "SomeIP", "Dubbo",
    "MySQL", "PostgreSQL", "Oracle", "Redis",       "MongoDB",     "Memcached", "Kafka", "MQTT", "AMQP",   "OpenWire",
    "NATS",  "Pulsar",     "ZMTP",   "RocketMQ",    "WebSphereMQ", "DNS",       "TLS",   "Ping", "Custom", NULL,
};

const char *deepflow_reason(const char *name)
{
	for (const struct deepflow_option *d = deepflow_options; d->name; d++) {
		size_t len = strlen(d->name);
		if (!strncmp(d->name, name, len) && (!name[len] || name[len] == '.'))
			return d->reason;
	}
	return NULL;
}

const char *deepflow_item_reason(const char *name, const char *item)
{
	if (strncmp(name, S "l7-protocol-", sizeof(S "l7-protocol-") - 1) != 0)
		return NULL;
	for (size_t i = 0; deepflow_protocols[i]; i++)
		if (!strcasecmp(deepflow_protocols[i], item))
			return "the protocol is not built yet in this version";
	return NULL;
}
