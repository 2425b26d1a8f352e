#include "doctor.h"
#include "nics.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct nic_look {
	const struct doctor *d;
	const struct nic *nic;
	int fd;
};

/* An ethtool request to the NIC. */
static bool ask(const struct nic_look *l, void *request)
{
	struct ifreq r = {.ifr_data = request};
	memcpy(r.ifr_name, l->nic->name, sizeof r.ifr_name);
	return ioctl(l->fd, SIOCETHTOOL, &r) == 0;
}

static bool flag(const struct nic_look *l, uint32_t command)
{
	struct ethtool_value v = {.cmd = command};
	return ask(l, &v) && v.data;
}

/* What merges frames before they are seen: sizes and times are then not those of the wire. */
static void look_at_offloads(const struct nic_look *l)
{
	char mend[128];
	bool gro = flag(l, ETHTOOL_GGRO);
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	bool lro = ask(l, &flags) && (flags.data & ETH_FLAG_LRO);
	if (lro) {
		snprintf(mend, sizeof mend, "ethtool -K %s lro off", l->nic->name);
		doctor_tell(l->d, FINDING_NOTE, l->nic->name, mend,
			    "LRO is on: segments are merged by the NIC, their number and times are lost");
	}
	if (gro && !l->nic->loopback) {
		snprintf(mend, sizeof mend, "ethtool -K %s gro off", l->nic->name);
		doctor_tell(l->d, FINDING_NOTE, l->nic->name, mend,
			    "GRO is on: received segments may be seen merged, packet counts then differ from the wire");
	}
}

static void look_at_rings(const struct nic_look *l)
{
	char mend[128];
	struct ethtool_ringparam r = {.cmd = ETHTOOL_GRINGPARAM};
	if (ask(l, &r) && r.rx_pending < r.rx_max_pending) {
		snprintf(mend, sizeof mend, "ethtool -G %s rx %u", l->nic->name, r.rx_max_pending);
		doctor_tell(l->d, FINDING_NOTE, l->nic->name, mend, "receive ring has %u of %u slots", r.rx_pending,
			    r.rx_max_pending);
	}
}

/* A Toeplitz key whose 16-bit pieces are equal hashes both directions alike. */
static void look_at_hash(const struct nic_look *l)
{
	struct ethtool_rxfh head = {.cmd = ETHTOOL_GRSSH};
	if (!ask(l, &head) || !head.key_size || head.key_size > 256)
		return;
	size_t table = head.indir_size * sizeof(uint32_t);
	struct ethtool_rxfh *full = calloc(1, sizeof *full + table + head.key_size);
	if (!full)
		return;
	full->cmd = ETHTOOL_GRSSH;
	full->indir_size = head.indir_size;
	full->key_size = head.key_size;
	if (ask(l, full)) {
		const uint8_t *key = (const uint8_t *)full->rss_config + table;
		bool symmetric = true;
		for (unsigned i = 2; i < head.key_size && symmetric; i++)
			symmetric = key[i] == key[i - 2];
		char mend[200];
		snprintf(mend, sizeof mend, "ethtool -X %s hkey 6d:5a:6d:5a:… (the two bytes repeated)", l->nic->name);
		doctor_tell(l->d, symmetric ? FINDING_GOOD : FINDING_NOTE, l->nic->name, symmetric ? NULL : mend,
			    symmetric
				? "RSS is symmetric"
				: "RSS is not symmetric: it does not matter to af_packet (eBPF spreads flows); with "
				  "af_xdp and dpdk packets are handed over between workers");
	}
	free(full);
}

static void look_at_stamps(const struct nic_look *l)
{
	struct ethtool_ts_info t = {.cmd = ETHTOOL_GET_TS_INFO};
	if (ask(l, &t) && (t.so_timestamping & SOF_TIMESTAMPING_RX_HARDWARE))
		doctor_tell(l->d, FINDING_GOOD, l->nic->name, NULL, "has hardware time stamps");
}

static uint64_t statistic(const char *nic, const char *name)
{
	char path[128], line[64] = "0";
	snprintf(path, sizeof path, "/sys/class/net/%s/statistics/%s", nic, name);
	FILE *f = fopen(path, "re");
	if (f) {
		if (!fgets(line, sizeof line, f))
			line[0] = '\0';
		fclose(f);
	}
	return strtoull(line, NULL, 10);
}

static void look_at_drops(const struct nic_look *l)
{
	static const char *const names[] = {"rx_missed_errors", "rx_fifo_errors", "rx_over_errors", "rx_crc_errors"};
	uint64_t packets = statistic(l->nic->name, "rx_packets");
	for (unsigned i = 0; i < array_size(names); i++) {
		uint64_t n = statistic(l->nic->name, names[i]);
		if (n)
			doctor_tell(l->d, FINDING_NOTE, l->nic->name,
				    i == 3 ? "look at cable, transceiver and switch port"
					   : "enlarge the receive ring, spread interrupts, or use capture.source: dpdk",
				    "%s: %" PRIu64 " beside %" PRIu64 " received, since it came up", names[i], n,
				    packets);
	}
}

static void look_at(const struct doctor *d, const struct nic *nic)
{
	struct nic_look l = {.d = d, .nic = nic, .fd = -1};
	char mend[160];
	if (!nic->up) {
		snprintf(mend, sizeof mend, "ip link set %s up", nic->name);
		doctor_tell(d, FINDING_NOTE, nic->name, mend, "is down");
	} else if (!nic->running) {
		doctor_tell(d, FINDING_NOTE, nic->name, "look at cable and switch port", "has no carrier");
	} else {
		doctor_tell(d, FINDING_GOOD, nic->name, NULL, "up, %s", nic_why_text(nic->why));
	}
	if (nic->netns_descriptor >= 0)
		return; /* ethtool and sysfs are those of our own namespace */
	l.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (l.fd < 0)
		return;
	look_at_offloads(&l);
	look_at_rings(&l);
	look_at_hash(&l);
	look_at_stamps(&l);
	look_at_drops(&l);
	close(l.fd);
}

bool doctor_nics(const struct doctor *d, const struct setup *setup)
{
	struct place *place;
	struct nics *nics = NULL;
	struct error e;
	const struct nic_change *changes;
	struct timespec now;
	unsigned picked = 0;
	if (setup->source.kind == SOURCE_DPDK)
		return true; /* its devices are not the kernel's */
	int r = place_open(&place, &setup->place, &e);
	if (r == 0 && (r = nics_open(&nics, place, &e)) < 0)
		place_close(place);
	if (r < 0) {
		doctor_tell(d, FINDING_FAULT, "NICs", NULL, "%s", e.text);
		return false;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	nics_poll(nics, now.tv_sec * NS_PER_S, &changes);
	for (const struct nic *n = nics_next(nics, NULL); n; n = nics_next(nics, n)) {
		if (!nic_is_picked(n))
			continue;
		look_at(d, n);
		picked++;
	}
	if (!picked)
		doctor_tell(d, FINDING_FAULT, "NICs",
			    "'tapscope interfaces' tells why; set tap_interface_regex, or -i NIC", "none is picked");
	nics_close(nics);
	place_close(place);
	return picked > 0;
}
