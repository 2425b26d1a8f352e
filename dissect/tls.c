/* tls.c - TLS (RFC 8446, RFC 5246), named only: recognised by the record that holds a ClientHello or a ServerHello; in
 * the middle of a connection by two records in a row. */
#include "dissect.h"

enum { RECORD_HEADER = 5, RECORD_MAX = 16384 + 2048, HELLO_MIN = 38, CLIENT_HELLO = 1, SERVER_HELLO = 2 };

static bool is_version(const uint8_t *p)
{
	return p[0] == 3 && p[1] <= 4;
}

/* Whether the first n bytes may be the header of a record; false also where too few were given. */
static bool is_record(const uint8_t *p, size_t n)
{
	return n >= RECORD_HEADER && p[0] >= 20 && p[0] <= 23 && is_version(p + 1) && load_be16(p + 3) &&
	       load_be16(p + 3) <= RECORD_MAX;
}

static enum dissect_verdict probe_hello(struct dissect_probe *p)
{
	/* type, version, length, handshake type, its length, its version */
	static const uint8_t lowest[] = {22, 3, 0, 0, 0, CLIENT_HELLO, 0, 0, 0, 3, 0};
	static const uint8_t highest[] = {22, 3, 4, RECORD_MAX >> 8, 255, SERVER_HELLO, 1, 255, 255, 3, 4};
	for (size_t i = 0; i < min_of(p->len, sizeof lowest); i++)
		if (p->data[i] < lowest[i] || p->data[i] > highest[i])
			return DISSECT_NOT_MINE;
	if (p->len < sizeof lowest)
		return DISSECT_UNSURE;
	if (!is_record(p->data, p->len) || load_be24(p->data + 6) < HELLO_MIN - 4)
		return DISSECT_NOT_MINE;
	p->ret_side = p->data[5] == CLIENT_HELLO ? SIDE_CLIENT : SIDE_SERVER;
	return DISSECT_CERTAIN;
}

/* A ClientHello in SSL 2's dress, as old clients sent it (RFC 5246, E.2). */
static enum dissect_verdict probe_old_hello(struct dissect_probe *p)
{
	static const uint8_t lowest[] = {0x80, 0, 1, 3, 0, 0, 3, 0, 0, 0, 16};
	static const uint8_t highest[] = {0x83, 255, 1, 3, 3, 3, 255, 0, 16, 0, 32};
	for (size_t i = 0; i < min_of(p->len, sizeof lowest); i++)
		if (p->data[i] < lowest[i] || p->data[i] > highest[i])
			return DISSECT_NOT_MINE;
	if (p->len < sizeof lowest)
		return DISSECT_UNSURE;
	unsigned ciphers = load_be16(p->data + 5), session = load_be16(p->data + 7), challenge = load_be16(p->data + 9);
	if (ciphers % 3 || (load_be16(p->data) & 0x7fff) != 9 + ciphers + session + challenge)
		return DISSECT_NOT_MINE;
	p->ret_side = SIDE_CLIENT;
	return DISSECT_CERTAIN;
}

static enum dissect_verdict tls_probe(struct dissect_probe *p)
{
	if (!p->len)
		return DISSECT_UNSURE;
	if (p->data[0] & 0x80)
		return probe_old_hello(p);
	enum dissect_verdict v = probe_hello(p);
	if (v != DISSECT_NOT_MINE || !p->midstream)
		return v;
	if (is_record(p->data, p->len)) {
		size_t next = RECORD_HEADER + load_be16(p->data + 3);
		if (next < p->len && is_record(p->data + next, p->len - next)) {
			p->ret_side = p->side;
			return DISSECT_CERTAIN;
		}
	}
	return DISSECT_NOT_MINE;
}

static uint64_t tls_parse(struct dissect *d maybe_unused, const uint8_t *data maybe_unused, size_t len maybe_unused)
{
	return DISSECT_ALL;
}

static void tls_gap(struct dissect *d, uint64_t missing maybe_unused)
{
	dissect_keep(d);
}

const struct dissector dissector_tls = {
    .name = "tls",
    .title = "TLS",
    .ports = "443,8443",
    .pairing = PAIR_NONE,
    .tcp = true,
    .probe = tls_probe,
    .parse = tls_parse,
    .gap = tls_gap,
};
