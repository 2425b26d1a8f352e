/* The EVP interface looks its algorithm up by name each time, which costs several times the hash itself. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "ndjson.h"
#include "put.h"

#include <netinet/in.h>
#include <openssl/sha.h>

static const struct {
	char name[5];
	uint8_t number;
} protocols[] = {
    {"TCP", IPPROTO_TCP},   {"UDP", IPPROTO_UDP}, {"SCTP", IPPROTO_SCTP}, {"IGMP", IPPROTO_IGMP},
    {"RSVP", IPPROTO_RSVP}, {"GRE", IPPROTO_GRE}, {"ESP", IPPROTO_ESP},   {"AH", IPPROTO_AH},
    {"OSPF", 89},           {"PIM", IPPROTO_PIM}, {"VRRP", 112},
};

int community_id_number(struct text protocol)
{
	for (size_t i = 0; i < array_size(protocols); i++)
		if (text_is(protocol, protocols[i].name))
			return protocols[i].number;
	return -1;
}

typedef uint32_t lanes4 __attribute__((vector_size(16)));

/* Four numbers of 24 bits each as four letters each (RFC 4648, table 1). */
static inline bytes16 base64_letters(lanes4 v)
{
	signed16 six = (signed16)((v >> 18 & 0x3f) | (v >> 4 & 0x3f00) | (v << 10 & 0x3f0000) | (v << 24 & 0x3f000000));
	six += 'A' + ((six > 25) & ('a' - 'A' - 26)) + ((six > 51) & ('0' - 'a' - 26)) +
	       ((six > 61) & ('+' - '0' - 10)) + ((six > 62) & ('/' - '+' - 1));
	return (bytes16)six;
}

/* A digest, given as its words: three bytes are four letters, and the last two are three and "=". */
static inline void print_base64(char *p, const SHA_CTX *c)
{
	bytes16 front = (bytes16)(lanes4){c->h0, c->h1, c->h2, c->h3}, back = (bytes16)(lanes4){c->h4};
	/* bytes 0 to 11, then 12 to 19, of words whose first byte is their highest; 31 is zero */
	bytes16 first = __builtin_shufflevector(front, back, 1, 2, 3, 31, 6, 7, 0, 31, 11, 4, 5, 31, 8, 9, 10, 31);
	bytes16 second =
	    __builtin_shufflevector(front, back, 13, 14, 15, 31, 18, 19, 12, 31, 31, 16, 17, 31, 31, 31, 31, 31);
	first = base64_letters((lanes4)first);
	second = base64_letters((lanes4)second);
	memcpy(p, &first, 16);
	memcpy(p + 16, &second, 12);
	p[27] = '=';
}

static int compare(const struct ip_address *a, const struct ip_address *b)
{
	if (a->version != 4)
		return memcmp(a->at, b->at, sizeof a->at);
	uint32_t x = load_be32(a->at), y = load_be32(b->at);
	return x < y ? -1 : x > y;
}

void community_id_v1(const struct ip_address *source, uint16_t source_port, const struct ip_address *target,
		     uint16_t target_port, uint8_t protocol, char ret_id[COMMUNITY_ID_LEN])
{
	int order = compare(source, target);
	if (order > 0 || (order == 0 && source_port > target_port)) {
		const struct ip_address *ip = source;
		source = target;
		target = ip;
		uint16_t port = source_port;
		source_port = target_port;
		target_port = port;
	}

	/* What is hashed is a seed of two bytes, the addresses, the protocol, a zero and, perhaps, the ports: less than
	 * a block of SHA-1. So the one block is made here, with the padding that FIPS 180-4 (5.1.1) wants: a bit that
	 * is set, zeros, and the length in bits. The library's interface for messages of any length costs more than the
	 * hash. The block is put together in registers, because bytes that were written one by one cannot be read as
	 * vectors until they have left the store buffer. */
	bool ports = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
	uint64_t tail = protocol; /* all that stands behind the addresses, the first byte lowest */
	if (ports)
		tail |= (uint64_t)__builtin_bswap16(source_port) << 16 |
			(uint64_t)__builtin_bswap16(target_port) << 32 | UINT64_C(0x80) << 48;
	else
		tail |= 0x80 << 16;
	words2 block[4] = {{0}};
	uint64_t len = ports ? 6 : 2;
	if (source->version == 4) {
		uint64_t a = load_le32(source->at), b = load_le32(target->at);
		block[0] = (words2){a << 16 | b << 48, b >> 16 | tail << 16};
		block[1] = (words2){tail >> 48};
		len += 2 + 4 + 4;
	} else {
		uint64_t a = load_le64(source->at), b = load_le64(source->at + 8);
		uint64_t c = load_le64(target->at), d = load_le64(target->at + 8);
		block[0] = (words2){a << 16, a >> 48 | b << 16};
		block[1] = (words2){b >> 48 | c << 16, c >> 48 | d << 16};
		block[2] = (words2){d >> 48 | tail << 16, tail >> 48};
		len += 2 + 16 + 16;
	}
	block[3] = (words2){0, __builtin_bswap64(len * 8)};

	SHA_CTX c = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}; /* 5.3.1 */
	SHA1_Transform(&c, (const unsigned char *)block);
	memcpy(ret_id, "1:", 2);
	print_base64(ret_id + 2, &c);
}
