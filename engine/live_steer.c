#include "live.h"

/* The kernel has to open what decode opens, or it would find another five-tuple. */
int live_steer(const struct engine_settings *settings, struct source_options *o, struct error *e)
{
	struct decode d;
	int r = decode_init(&d, &settings->decode, 0, 0, e);
	if (r)
		return r;
	_Static_assert(sizeof o->vxlan_ports == sizeof d.vxlan_port, "as many ports as decode knows");
	o->queues = (unsigned)settings->workers;
	o->decap_type = settings->decode.decap_type;
	o->vxlan_port_count = d.vxlan_port_count;
	memcpy(o->vxlan_ports, d.vxlan_port, sizeof o->vxlan_ports);
	return 0;
}
