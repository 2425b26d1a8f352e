/* afpacket_ring.c - the ring of one socket: blocks of frames, borrowed and given back. */
#include "afpacket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { LINK_ETHERNET = 1, LINK_SLL = 113 };

#define FRAME_OVERHEAD 512                      /* headers of block and frame */
#define FRAME_MAX (512 * 1024 - FRAME_OVERHEAD) /* the longest that GSO can make is a little longer, and cut */
#define BLOCK_MIN (128 * 1024)
#define BLOCKS_MIN 2
#define LOOK_EVERY 16 /* calls in vain between two looks at the NIC */

static uint32_t block_size_for(uint32_t frame_max)
{
	uint32_t need = min_of(frame_max, (uint32_t)FRAME_MAX) + FRAME_OVERHEAD, size = BLOCK_MIN;
	while (size < need)
		size *= 2;
	return size;
}

int packet_ring_open(struct packet_queue *q, const char *nic, uint32_t frame_max, uint64_t ring_bytes,
		     unsigned block_ms, struct error *e)
{
	uint32_t block = block_size_for(frame_max);
	uint64_t count = max_of(ring_bytes / block, (uint64_t)BLOCKS_MIN);
	if (count * block > UINT32_MAX)
		count = UINT32_MAX / block;
	const int version = TPACKET_V3;
	struct tpacket_req3 request = {
	    .tp_block_size = block,
	    .tp_block_nr = (unsigned)count,
	    .tp_frame_size = block, /* asked for, and without a meaning in version 3 */
	    .tp_frame_nr = (unsigned)count,
	    .tp_retire_blk_tov = block_ms,
	};
	if (setsockopt(q->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version))
		return error_set(e, -errno, "%s: the kernel has no TPACKET_V3: %s", nic, strerror(errno));
	if (setsockopt(q->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request))
		return error_set(e, -errno, "%s: no ring of %llu MiB: %s%s", nic,
				 (unsigned long long)(count * block >> 20), strerror(errno),
				 errno == ENOMEM ? "; make ring_bytes smaller" : "");
	q->owed = calloc(count, sizeof *q->owed);
	if (!q->owed)
		return error_set(e, -ENOMEM, "%s: no memory for its ring", nic);
	void *ring = mmap(NULL, count * block, PROT_READ | PROT_WRITE, MAP_SHARED, q->fd, 0);
	if (ring == MAP_FAILED)
		return error_set(e, -errno, "%s: its ring cannot be mapped: %s", nic, strerror(errno));
	q->ring = ring;
	q->block_size = block;
	q->block_count = (uint32_t)count;
	return 0;
}

void packet_ring_close(struct packet_queue *q)
{
	if (q->ring)
		munmap(q->ring, (size_t)q->block_size * q->block_count);
	free(q->owed);
	q->ring = NULL;
	q->owed = NULL;
}

static struct tpacket_hdr_v1 *block_at(const struct packet_queue *q, uint32_t i)
{
	return &((struct tpacket_block_desc *)(void *)(q->ring + (size_t)i * q->block_size))->hdr.bh1;
}

static uint32_t following(const struct packet_queue *q, uint32_t block)
{
	return block + 1 == q->block_count ? 0 : block + 1;
}

/* Gives back, oldest first, the blocks that nobody needs. */
static void give_back(struct packet_queue *q)
{
	while (q->held > (q->left != 0) && !q->owed[q->oldest]) {
		__atomic_store_n(&block_at(q, q->oldest)->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		q->oldest = following(q, q->oldest);
		q->held--;
	}
}

/* Whether there is a frame to read, in this block or in the next. */
static bool open_block(struct packet_queue *q)
{
	while (!q->left) {
		struct tpacket_hdr_v1 *h = block_at(q, q->next);
		if (q->held == q->block_count)
			return false;
		uint32_t status = __atomic_load_n(&h->block_status, __ATOMIC_ACQUIRE);
		if (!(status & TP_STATUS_USER))
			return false;
		q->held++;
		q->left = h->num_pkts;
		q->at = (uint8_t *)h - offsetof(struct tpacket_block_desc, hdr) + h->offset_to_first_pkt;
		if (!q->left) {
			q->next = following(q, q->next);
			give_back(q);
		}
	}
	return true;
}

/* The frame at hand is done with. */
static void step(struct packet_queue *q, const struct tpacket3_hdr *h)
{
	q->at += h->tp_next_offset;
	if (--q->left == 0)
		q->next = following(q, q->next);
}

static const struct sockaddr_ll *address_of(const struct tpacket3_hdr *h)
{
	return (const void *)((const uint8_t *)h + TPACKET_ALIGN(sizeof *h));
}

/* Puts the tag that the kernel took out back to where it was. Its 4 bytes go in front of the frame, where at most the
 * end of the link-layer address lies (the kernel leaves 16 bytes for a link header, in steps of 16), which nobody reads
 * of Ethernet. */
static void restore_vlan(struct frame *f, const struct tpacket3_hdr *h)
{
	uint8_t *data = (uint8_t *)h + h->tp_mac - 4;
	uint16_t tpid = h->tp_status & TP_STATUS_VLAN_TPID_VALID ? h->hv1.tp_vlan_tpid : ETH_P_8021Q;
	uint16_t tag[2] = {htons(tpid), htons((uint16_t)h->hv1.tp_vlan_tci)};
	memmove(data, data + 4, 12);
	memcpy(data + 12, tag, 4);
	f->data = data;
	f->caplen += 4;
	f->wirelen += 4;
}

/* What the kernel's header says, as LINKTYPE_LINUX_SLL has it. Before the packet there are 28 bytes of room. */
static void put_cooked_header(struct frame *f, const struct tpacket3_hdr *h)
{
	const struct sockaddr_ll *a = address_of(h);
	uint8_t *header = (uint8_t *)h + h->tp_mac - 16;
	uint16_t fields[3] = {htons(a->sll_pkttype), htons(a->sll_hatype), htons(a->sll_halen)};
	memcpy(header, fields, 6);
	memcpy(header + 6, a->sll_addr, 8);
	memcpy(header + 14, &a->sll_protocol, 2);
	f->data = header;
	f->caplen += 16;
	f->wirelen += 16;
}

/* The filter behind the ring, where the kernel has none of ours. f: before its tag is put back. */
static enum packet_fate judge(const struct packet_source *s, const struct frame *f, const struct tpacket3_hdr *h)
{
	const struct sockaddr_ll *a = address_of(h);
	if (s->loopback && a->sll_pkttype == PACKET_OUTGOING)
		return PACKET_UNWANTED;
	struct filter_aside aside = {
	    .vlan_present = h->tp_status & TP_STATUS_VLAN_VALID,
	    .vlan_tci = (uint16_t)h->hv1.tp_vlan_tci,
	    .vlan_tpid = h->hv1.tp_vlan_tpid,
	    .packet_type = a->sll_pkttype,
	    .protocol = ntohs(a->sll_protocol),
	    .ifindex = (uint32_t)a->sll_ifindex,
	};
	if (s->filter && !source_filter_matches(s->filter, f->data, f->caplen, f->wirelen, &aside))
		return PACKET_FILTERED;
	return PACKET_WANTED;
}

static enum packet_fate make_frame(const struct packet_source *s, const struct tpacket3_hdr *h, struct frame *f)
{
	f->data = (const uint8_t *)h + h->tp_mac;
	f->caplen = h->tp_snaplen;
	f->wirelen = h->tp_len;
	f->ts_ns = h->tp_sec * NS_PER_S + h->tp_nsec;
	enum packet_fate fate = s->program < 0 ? judge(s, f, h) : PACKET_WANTED;
	if (s->cooked) {
		f->link_type = LINK_SLL;
		put_cooked_header(f, h);
		if (s->user_filter && !user_filter_matches(s->user_filter, f->data, f->caplen, f->wirelen))
			fate = PACKET_FILTERED;
		f->caplen = min_of(f->caplen, s->snaplen);
		return fate;
	}
	f->link_type = LINK_ETHERNET;
	f->caplen = min_of(f->caplen, s->snaplen);
	if (h->tp_status & TP_STATUS_VLAN_VALID && f->caplen >= 12)
		restore_vlan(f, h);
	return fate;
}

/* Nothing came: is the NIC still there? A socket says so by an error, once; while it is down the NIC is asked. */
static int look(struct packet_source *s, struct packet_queue *q)
{
	if (q->gone)
		return -ENODEV;
	if (q->empty++ % LOOK_EVERY != 1)
		return q->down ? -ENETDOWN : 0;
	int error = 0;
	socklen_t len = sizeof error;
	if (!getsockopt(q->fd, SOL_SOCKET, SO_ERROR, &error, &len) && error == ENETDOWN)
		q->down = true;
	if (!q->down)
		return 0;
	int r = netdev_state(&s->nic);
	q->down = r != 0;
	q->gone = r == -ENODEV;
	return r;
}

int packet_receive(struct source *source, unsigned queue, struct frame *ret_frames, unsigned max)
{
	struct packet_source *s = container_of(source, struct packet_source, source);
	struct packet_queue *q = &s->queue[queue];
	unsigned count = 0;
	uint64_t bytes = 0;

	while (count < max && open_block(q)) {
		const struct tpacket3_hdr *h = (const void *)q->at;
		struct frame *f = &ret_frames[count];
		switch (make_frame(s, h, f)) {
		case PACKET_UNWANTED:
			publish_add(q->unwanted, 1);
			break;
		case PACKET_FILTERED:
			publish_add(q->filtered, 1);
			break;
		case PACKET_WANTED:
			q->owed[q->next]++;
			bytes += f->wirelen;
			count++;
		}
		step(q, h);
		if (!q->left)
			give_back(q);
	}
	if (!count)
		return q->held == q->block_count ? -ENOBUFS : look(s, q);
	q->empty = 0;
	q->down = false;
	publish_add(q->received, count);
	publish_add(q->bytes, bytes);
	return (int)count;
}

void packet_release(struct source *source, unsigned queue, unsigned count)
{
	struct packet_source *s = container_of(source, struct packet_source, source);
	struct packet_queue *q = &s->queue[queue];
	uint32_t block = q->oldest;
	for (uint32_t i = 0; i < q->held && count; i++) {
		uint32_t n = min_of(count, q->owed[block]);
		q->owed[block] -= n;
		count -= n;
		block = following(q, block);
	}
	give_back(q);
}

int packet_descriptor(const struct source *source, unsigned queue)
{
	return container_of(source, const struct packet_source, source)->queue[queue].fd;
}
