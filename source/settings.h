/* settings.h - how live sources are opened: the options. */
#ifndef TS_SOURCE_SETTINGS_H
#define TS_SOURCE_SETTINGS_H

#include "option.h"
#include "source.h"

enum promiscuous { PROMISCUOUS_AUTO /* in tap modes 1 and 2 */, PROMISCUOUS_ON, PROMISCUOUS_OFF };

struct source_settings {
	unsigned kind;        /* enum source_kind */
	char *filter;         /* libpcap's language */
	uint64_t snaplen;     /* 0: whole frames */
	unsigned promiscuous; /* enum promiscuous */
	uint64_t ring_bytes;  /* of each queue */
	int64_t block_ns;
	bool nic_clock;
};
extern const struct option source_option_table[];

#endif
