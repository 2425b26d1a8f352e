/* What tap.h says of a flow. */
#include "place_internal.h"
#include "view.h"

static const uint8_t *mac_of(const struct place_input *in, const uint8_t *mac)
{
	return in->has_mac ? mac : NULL;
}

/* An address that tells nothing about where its holder is. */
static bool is_no_place(const struct ip_address *ip, const struct owner_key *key)
{
	if (owner_key_is_common(key))
		return true;
	return ip->version == 4 ? ip->at[0] == 169 && ip->at[1] == 254
				: ip->at[0] == 0xfe && (ip->at[1] & 0xc0) == 0x80;
}

struct near_end {
	struct owner_key key;
	const uint8_t *mac; /* NULL: not known, or nobody's own */
	const struct view_run *address, *hardware;
	const struct view_owner *by_address, *by_mac;
};

static struct near_end look(const struct view *v, const struct place_input *in, const struct view_nic *nic,
			    const struct ip_address *ip, const uint8_t *mac)
{
	uint64_t netns = nic && nic->pod ? nic->pod_netns : 0;
	struct near_end e = {.key = owner_key_ip(ip), .mac = mac_of(in, mac)};
	if (e.mac) {
		const struct owner_key key = owner_key_mac(e.mac);
		if (owner_key_is_common(&key))
			e.mac = NULL;
		else
			e.hardware = view_find(v, &key);
	}
	e.address = view_find(v, &e.key);
	e.by_address = view_owner(v, e.address, netns, e.mac, in->start_ns);
	e.by_mac = view_owner(v, e.hardware, netns, NULL, in->start_ns);
	return e;
}

static struct place_end owner_of(const struct near_end *e, const struct ip_address *ip)
{
	const struct view_owner *o = e->by_address;
	if (!(o && o->configured) && e->by_mac && (e->by_mac->configured || (!o && is_no_place(ip, &e->key))))
		o = e->by_mac;
	return o ? (struct place_end){o->pod, o->pod_ns, o->workload} : (struct place_end){0};
}

enum nearness { ELSEWHERE, BEHIND, HERE };

static bool is_here_by_configuration(const struct view_owner *o)
{
	return o && o->configured && o->here;
}

static enum nearness near_pod(const struct view *v, const struct place_input *in, const struct view_nic *nic,
			      const struct near_end *e, const struct near_end *other)
{
	if (!nic->pod_netns) /* what a pod sends to comes to the host, and the other way round */
		return other->by_mac && other->by_mac->node ? HERE : ELSEWHERE;
	if (view_netns_has(v, e->address, nic->pod_netns, in->start_ns))
		return HERE;
	bool by_mac = !e->by_address && view_netns_has(v, e->hardware, nic->pod_netns, in->start_ns);
	return by_mac ? HERE : ELSEWHERE;
}

/* libvirt's convention: the guest's MAC with fe in front is the tap's. */
static enum nearness near_guest(const struct view_nic *nic, const struct near_end *e)
{
	return e->mac && nic->mac[0] == 0xfe && !memcmp(e->mac + 1, nic->mac + 1, 5) ? HERE : ELSEWHERE;
}

static enum nearness near_node(const struct view *v, const struct place_input *in, const struct near_end *e)
{
	if (view_netns_has(v, e->address, view_own_netns(v), in->start_ns))
		return HERE;
	if (view_pod_has(v, e->address, in->start_ns) || is_here_by_configuration(e->by_address))
		return BEHIND;
	if (view_pod_has(v, e->hardware, in->start_ns) || is_here_by_configuration(e->by_mac))
		return BEHIND;
	return ELSEWHERE;
}

/* Where neither end is known: the one that is reached through this NIC's own MAC. */
static enum nearness near_uplink(const struct view_nic *nic, const struct near_end *e)
{
	return e->mac && nic->has_mac && !nic->bridge && !memcmp(e->mac, nic->mac, 6) ? BEHIND : ELSEWHERE;
}

static bool is_learned(const struct view *v, const struct view_run *run, int64_t at_ns)
{
	return view_pod_has(v, run, at_ns) || view_netns_has(v, run, view_own_netns(v), at_ns);
}

static enum nearness near_mirror(const struct view *v, const struct place_input *in, const struct near_end *e)
{
	if (is_here_by_configuration(e->by_address) || is_learned(v, e->address, in->start_ns))
		return HERE;
	if (is_here_by_configuration(e->by_mac) || is_learned(v, e->hardware, in->start_ns))
		return HERE;
	return ELSEWHERE;
}

static const char *name_side(enum nearness client, enum nearness server)
{
	if (client == server)
		return client == ELSEWHERE ? "rest" : "local";
	if (client > server)
		return client == HERE ? "c" : "c-nd";
	return server == HERE ? "s" : "s-nd";
}

static const char *side(const struct view *v, const struct place_input *in, const struct view_nic *nic,
			const struct near_end *client, const struct near_end *server)
{
	switch (view_place(v)->mode) {
	case TAP_PHYSICAL_MIRROR:
		return "rest";
	case TAP_VIRTUAL_MIRROR:
		return name_side(near_mirror(v, in, client), near_mirror(v, in, server));
	case TAP_LOCAL:
		break;
	}
	if (!nic)
		return NULL;
	if (nic->loopback)
		return "local";
	if (nic->pod)
		return name_side(near_pod(v, in, nic, client, server), near_pod(v, in, nic, server, client));
	if (nic->guest)
		return name_side(near_guest(nic, client), near_guest(nic, server));
	enum nearness c = near_node(v, in, client), s = near_node(v, in, server);
	if (c == ELSEWHERE && s == ELSEWHERE)
		return name_side(near_uplink(nic, client), near_uplink(nic, server));
	return name_side(c, s);
}

void place_flow(const struct view *v, const struct place_input *in, struct place_result *ret_result)
{
	const struct view_nic *nic = view_nic(v, in->nic);
	struct near_end client = look(v, in, nic, &in->client, in->client_mac);
	struct near_end server = look(v, in, nic, &in->server, in->server_mac);
	*ret_result = (struct place_result){
	    .tap_side = side(v, in, nic, &client, &server),
	    .nic = nic ? nic->name : (struct text){0},
	    .tap_type =
		tap_rules_find(view_place(v)->rules, in, nic ? nic->rule_name : 0, nic ? nic->rule : TAP_NO_RULE),
	    .client = owner_of(&client, &in->client),
	    .server = owner_of(&server, &in->server),
	};
}
