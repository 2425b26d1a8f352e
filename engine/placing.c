/* Where a record's flow was seen and whose its ends are: the flow's first packet and the view of the moment, put into
 * the record. */
#include "worker.h"

static void fill_input(const struct worker *w, const struct flow *f, struct place_input *in, struct flow_origin *origin)
{
	const struct flow_key *k = &f->key;
	unsigned client = f->client;
	size_t len = k->ip_version == 4 ? 4 : 16;
	flow_origin(w->table, f, origin);
	*in = (struct place_input){
	    .nic = origin->nic,
	    .has_mac = origin->has_mac,
	    .vlan_count = origin->vlan_count,
	    .vlan = origin->vlan,
	    .tunnel_count = origin->tunnel_count,
	    .tunnel = origin->tunnel,
	    .start_ns = f->start_ns,
	};
	memcpy(in->client_mac, origin->mac[client], 6);
	memcpy(in->server_mac, origin->mac[!client], 6);
	in->client.version = in->server.version = k->ip_version;
	memcpy(in->client.at, k->address[client], len);
	memcpy(in->server.at, k->address[!client], len);
}

#define SET_TEXT(kind, r, field, value)                                                                                \
	do {                                                                                                           \
		if ((value).at)                                                                                        \
			kind##_record_set(r, field, value);                                                            \
	} while (0)

void worker_place_flow(const struct worker *w, const struct flow *f, struct flow_record *r)
{
	struct flow_origin origin;
	struct place_input in;
	struct place_result p;
	flow_record_set(r, tap_mode, place_tap_mode(view_place(w->view)));
	fill_input(w, f, &in, &origin);
	place_flow(w->view, &in, &p);
	if (p.tap_side)
		flow_record_set(r, tap_side, ((struct text){p.tap_side, (uint32_t)strlen(p.tap_side)}));
	SET_TEXT(flow, r, nic, p.nic);
	SET_TEXT(flow, r, tap_type, p.tap_type);
	SET_TEXT(flow, r, client_pod, p.client.pod);
	SET_TEXT(flow, r, client_pod_ns, p.client.pod_ns);
	SET_TEXT(flow, r, client_workload, p.client.workload);
	SET_TEXT(flow, r, server_pod, p.server.pod);
	SET_TEXT(flow, r, server_pod_ns, p.server.pod_ns);
	SET_TEXT(flow, r, server_workload, p.server.workload);
}

void worker_place_request(const struct worker *w, const struct flow *f, struct request_record *r)
{
	struct flow_origin origin;
	struct place_input in;
	struct place_result p;
	fill_input(w, f, &in, &origin);
	place_flow(w->view, &in, &p);
	SET_TEXT(request, r, client_pod, p.client.pod);
	SET_TEXT(request, r, client_pod_ns, p.client.pod_ns);
	SET_TEXT(request, r, client_workload, p.client.workload);
	SET_TEXT(request, r, server_pod, p.server.pod);
	SET_TEXT(request, r, server_pod_ns, p.server.pod_ns);
	SET_TEXT(request, r, server_workload, p.server.workload);
}
