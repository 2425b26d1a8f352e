#include "steering.h"

#include "decode.h"

#include <stdlib.h>

static struct decode decoders[64];

void steering_init(struct source_options *options)
{
	char *ports[] = {(char[]){"4789"}, (char[]){"8472"}};
	const struct decode_settings settings = {.decap_type = DECAP_VXLAN_NSH * 2 - 2,
						 .vxlan_ports = {.item = ports, .count = array_size(ports)}};
	for (unsigned q = 0; q < array_size(decoders); q++)
		if (decode_init(&decoders[q], &settings, 1, options->salt, NULL))
			abort();
	options->decap_type = settings.decap_type;
	options->vxlan_port_count = decoders[0].vxlan_port_count;
	memcpy(options->vxlan_ports, decoders[0].vxlan_port, sizeof options->vxlan_ports);
}

enum steering steering_check(unsigned queue, unsigned queues, const struct frame *f)
{
	struct decode *d = &decoders[queue];
	struct packet p;
	switch (decode_frame(d, f, &p)) {
	case DECODE_PACKET:
		return p.shard % queues == queue ? STEERING_PACKET : STEERING_PACKET | STEERING_WRONG;
	case DECODE_FRAGMENT: {
		unsigned long long source[2], target[2];
		memcpy(source, d->fragment.source, sizeof source);
		memcpy(target, d->fragment.target, sizeof target);
		unsigned char shard =
		    shard_of_fragment(&d->shard_keys, source, target, d->fragment.protocol, d->fragment.id);
		return shard % queues == queue ? STEERING_FRAGMENT : STEERING_FRAGMENT | STEERING_WRONG;
	}
	default:
		return STEERING_NONE;
	}
}
