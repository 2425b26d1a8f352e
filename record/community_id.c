/* The one-shot EVP interface looks its algorithm up by name each time, which costs several times the hash itself. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "ndjson.h"

#include <netinet/in.h>
#include <openssl/sha.h>

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
    {"TCP", IPPROTO_TCP},   {"UDP", IPPROTO_UDP}, {"SCTP", IPPROTO_SCTP}, {"IGMP", IPPROTO_IGMP},
    {"RSVP", IPPROTO_RSVP}, {"GRE", IPPROTO_GRE}, {"ESP", IPPROTO_ESP},   {"AH", IPPROTO_AH},
    {"OSPF", 89},           {"PIM", IPPROTO_PIM}, {"VRRP", 112},
};

int community_id_number(const char *protocol)
{
	for (size_t i = 0; i < array_size(protocols); i++)
		if (!strcmp(protocol, protocols[i].name))
			return protocols[i].number;
	return -1;
}

static void print_base64(const uint8_t digest[SHA_DIGEST_LENGTH], char *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (unsigned i = 0; i < 18; i += 3, out += 4) {
		uint32_t v = load_be24(digest + i);
		out[0] = letters[v >> 18];
		out[1] = letters[v >> 12 & 63];
		out[2] = letters[v >> 6 & 63];
		out[3] = letters[v & 63];
	}
	uint32_t v = load_be16(digest + 18);
	out[0] = letters[v >> 10];
	out[1] = letters[v >> 4 & 63];
	out[2] = letters[v << 2 & 63];
	out[3] = '=';
	out[4] = '\0';
}

void community_id_v1(const struct ip_address *source, uint16_t source_port, const struct ip_address *target,
		     uint16_t target_port, uint8_t protocol, char ret_id[31])
{
	size_t size = source->version == 4 ? 4 : 16;
	int order = memcmp(source->at, target->at, size);
	if (order > 0 || (order == 0 && source_port > target_port)) {
		const struct ip_address *ip = source;
		source = target;
		target = ip;
		uint16_t port = source_port;
		source_port = target_port;
		target_port = port;
	}

	uint8_t input[2 + 16 + 16 + 2 + 4] = {0}; /* the first two bytes are the seed */
	size_t len = 2;
	memcpy(input + len, source->at, size);
	memcpy(input + len + size, target->at, size);
	len += 2 * size;
	input[len] = protocol;
	len += 2;
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP) {
		input[len++] = (uint8_t)(source_port >> 8);
		input[len++] = (uint8_t)source_port;
		input[len++] = (uint8_t)(target_port >> 8);
		input[len++] = (uint8_t)target_port;
	}

	uint8_t digest[SHA_DIGEST_LENGTH];
	SHA_CTX c;
	SHA1_Init(&c);
	SHA1_Update(&c, input, len);
	SHA1_Final(digest, &c);
	memcpy(ret_id, "1:", 2);
	print_base64(digest, ret_id + 2);
}
