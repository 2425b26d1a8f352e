/* dpdk_primary.c - a DPDK application for the live tests, in whose memory the source under test is a guest.
 *
 *     dpdk_primary ring|pdump PREFIX HUGE_FOLDER
 *
 * ring: has the rings mirror0 and mirror1; pdump: has the port net_ring0, which receives what it sends, and lets its
 * packets be copied. Prints "ready", then does what each line on stdin says, and answers with a line of JSON:
 *
 *     wait N    sends N frames, each once there is room
 *     drop N    sends N frames, and counts those for which there is no room
 *     bad N     puts N mbufs into mirror0 that claim more than their buffer holds
 *
 * crc_sum is the sum of the CRC-32 of each frame that was sent, as it would be on the wire. */
#include <inttypes.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pdump.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define POOL 16384
#define RING 4096
#define LONGEST 9000

static struct rte_mempool *pool;
static struct rte_ring *rings[2];
static uint16_t port;
static bool pdump;

static struct result {
	uint64_t sent, refused, crc_sum, bytes;
} result;

static void fail(const char *what)
{
	fprintf(stderr, "dpdk_primary: %s: %s\n", what, rte_strerror(rte_errno));
	exit(3);
}

/* Frame number n as it is on the wire; its length. */
static unsigned make_frame(uint64_t n, uint8_t *to)
{
	static const unsigned lengths[] = {60, 64, 1514, 300, 9000, 1000, 128, 61};
	unsigned len = lengths[n % 8];
	memset(to, (int)(n * 7 + 1), len);
	memcpy(to, (uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}, 12);
	unsigned at = 12;
	if (n % 8 == 3 || n % 8 == 5) { /* one tag; the fifth has another in front of it */
		if (n % 8 == 5) {
			memcpy(to + at, (uint8_t[]){0x88, 0xa8, 0x20, (uint8_t)n}, 4);
			at += 4;
		}
		memcpy(to + at, (uint8_t[]){0x81, 0x00, 0x40, (uint8_t)(n >> 3)}, 4);
		at += 4;
	}
	memcpy(to + at, (uint8_t[]){0x08, 0x00, 0x45, 0x00}, 4);
	memcpy(to + at + 6, &n, sizeof n);
	return len;
}

/* As many mbufs as it takes, none with more than `most` bytes. */
static struct rte_mbuf *chain(const uint8_t *data, unsigned len, unsigned most)
{
	struct rte_mbuf *first = NULL, **end = &first;
	unsigned segments = 0;
	for (unsigned at = 0; at < len; segments++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		if (!m) {
			rte_pktmbuf_free(first);
			return NULL;
		}
		unsigned n = RTE_MIN(len - at, most);
		memcpy(rte_pktmbuf_mtod(m, void *), data + at, n);
		m->data_len = (uint16_t)n;
		at += n;
		*end = m;
		end = &m->next;
	}
	first->pkt_len = len;
	first->nb_segs = (uint16_t)segments;
	return first;
}

/* The frame, its tags taken out into the mbuf as a NIC does; what is long, and some that is not, in pieces. */
static struct rte_mbuf *make_mbuf(uint64_t n, const uint8_t *frame, unsigned len)
{
	if (pdump || (n % 8 != 3 && n % 8 != 5))
		return chain(frame, len, n % 8 == 2 ? 500 : 2000);
	unsigned tags = n % 8 == 5 ? 8 : 4;
	uint8_t bare[LONGEST];
	memcpy(bare, frame, 12);
	memcpy(bare + 12, frame + 12 + tags, len - 12 - tags);
	struct rte_mbuf *m = chain(bare, len - tags, 2000);
	if (m) {
		m->vlan_tci = (uint16_t)(frame[10 + tags] << 8 | frame[11 + tags]);
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		if (tags == 8) {
			m->vlan_tci_outer = (uint16_t)(frame[14] << 8 | frame[15]);
			m->ol_flags |= RTE_MBUF_F_RX_QINQ | RTE_MBUF_F_RX_QINQ_STRIPPED;
		}
	}
	return m;
}

static bool send_one(uint64_t n, struct rte_mbuf *m)
{
	if (!pdump)
		return rte_ring_enqueue(rings[n % 2], m) == 0;
	if (rte_eth_tx_burst(port, 0, &m, 1) != 1)
		return false;
	struct rte_mbuf *back[4];
	unsigned got = rte_eth_rx_burst(port, 0, back, 4);
	rte_pktmbuf_free_bulk(back, got);
	return true;
}

static void send_frames(uint64_t count, bool wait)
{
	static uint64_t n;
	uint8_t frame[LONGEST];
	for (uint64_t end = n + count; n < end; n++) {
		unsigned len = make_frame(n, frame);
		for (;;) {
			struct rte_mbuf *m = make_mbuf(n, frame, len);
			if (m && send_one(n, m)) {
				result.sent++;
				result.bytes += len;
				result.crc_sum += crc32(0, frame, len);
				break;
			}
			rte_pktmbuf_free(m);
			if (!wait) {
				result.refused++;
				break;
			}
			usleep(20);
		}
	}
}

static void send_bad(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		if (!m)
			fail("no mbuf");
		m->data_len = m->pkt_len = 60000;
		result.sent += rte_ring_enqueue(rings[0], m) == 0;
	}
}

static void open_port(void)
{
	struct rte_eth_conf conf = {0};
	if (rte_eth_dev_get_port_by_name("net_ring0", &port) || rte_eth_dev_configure(port, 1, 1, &conf) ||
	    rte_eth_rx_queue_setup(port, 0, 512, 0, NULL, pool) || rte_eth_tx_queue_setup(port, 0, 512, 0, NULL) ||
	    rte_eth_dev_start(port))
		fail("net_ring0");
	if (rte_pdump_init())
		fail("rte_pdump_init");
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	pdump = !strcmp(argv[1], "pdump");
	char prefix[128], folder[256];
	snprintf(prefix, sizeof prefix, "--file-prefix=%s", argv[2]);
	snprintf(folder, sizeof folder, "--huge-dir=%s", argv[3]);
	const char *arguments[] = {argv[0],
				   prefix,
				   folder,
				   "--no-pci",
				   "--no-telemetry",
				   "--lcores=0@0",
				   "--log-level=4",
				   "--base-virtaddr=0x200000000000" /* free under AddressSanitizer, too */,
				   "--vdev=net_ring0",
				   NULL};
	if (rte_eal_init((int)RTE_DIM(arguments) - 1 - !pdump, (char **)arguments) < 0)
		fail("EAL");
	pool = rte_pktmbuf_pool_create("pool", POOL, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	rings[0] = rte_ring_create("mirror0", RING, SOCKET_ID_ANY, RING_F_SC_DEQ | RING_F_SP_ENQ);
	rings[1] = rte_ring_create("mirror1", RING, SOCKET_ID_ANY, RING_F_SC_DEQ | RING_F_SP_ENQ);
	if (!pool || !rings[0] || !rings[1])
		fail("no memory");
	if (pdump)
		open_port();
	puts("ready");
	fflush(stdout);
	char line[64], word[16];
	uint64_t count;
	while (fgets(line, sizeof line, stdin) && sscanf(line, "%15s %" SCNu64, word, &count) == 2) {
		result = (struct result){0};
		if (!strcmp(word, "bad"))
			send_bad(count);
		else
			send_frames(count, !strcmp(word, "wait"));
		printf("{\"sent\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"crc_sum\":%" PRIu64 ",\"bytes\":%" PRIu64
		       ",\"free_mbufs\":%u}\n",
		       result.sent, result.refused, result.crc_sum, result.bytes, rte_mempool_avail_count(pool));
		fflush(stdout);
	}
	rte_eal_cleanup();
	return 0;
}
