/* kafka_probe.c - what the beginning of a Kafka request looks like.
 *
 * Size, API key, version and client id leave many an odd chance (SMPP and PostgreSQL begin alike), so the body is read
 * as well: it must be laid out as such a request is, and end where its size says. Of a request that goes on beyond the
 * bytes at hand that much is believed if its client has a name. A response shows nothing of what it is. */
#include "kafka_api.h"

enum {
	VERSIONS_LATER = 8, /* a broker of tomorrow */
	WHOLE_BYTES_MAX = 4096,
	EVIDENCE_BYTES = 16, /* of a body that is not at hand as a whole */
	CLIENT_NAME_MIN = 2,
};

static bool is_client_id(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < ' ' || p[i] == 0x7f)
			return false;
	return true;
}

enum dissect_verdict kafka_request_read(const uint8_t *p, size_t n, struct kafka_request *ret)
{
	if (n < 4)
		return n && p[0] > KAFKA_FRAME_MAX >> 24 ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	*ret = (struct kafka_request){.size = load_be32(p)};
	if (ret->size < 8 || ret->size > KAFKA_FRAME_MAX || (n > 4 && p[4]) || (n > 6 && p[6]))
		return DISSECT_NOT_MINE;
	if (n < 8)
		return n > 5 && !kafka_api_find(p[5]) ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	ret->key = p[5];
	ret->version = p[7];
	ret->api = kafka_api_find(ret->key);
	if (!ret->api || ret->version > ret->api->version_max + VERSIONS_LATER)
		return DISSECT_NOT_MINE;
	bool anonymous =
	    ret->key == KAFKA_CONTROLLED_SHUTDOWN && !ret->version; /* the only header without a client id */
	ret->header = anonymous ? KAFKA_HEADER - 2 : KAFKA_HEADER;
	if (ret->size + 4 < ret->header)
		return DISSECT_NOT_MINE;
	if (n < ret->header)
		return DISSECT_UNSURE;
	ret->correlation = load_be32(p + 8);
	if (anonymous)
		return DISSECT_CERTAIN;
	uint16_t client = load_be16(p + 12);
	if (client == UINT16_MAX)
		return DISSECT_CERTAIN;
	if (client > KAFKA_CLIENT_ID_MAX || ret->size + 4 < ret->header + client ||
	    !is_client_id(p + ret->header, min_of((size_t)client, n - ret->header)))
		return DISSECT_NOT_MINE;
	if (n < ret->header + client)
		return DISSECT_UNSURE;
	ret->client = text_make(p + ret->header, client);
	ret->header += client;
	return DISSECT_CERTAIN;
}

bool kafka_body_is_right(const struct kafka_request *r, const uint8_t *p, size_t n, bool *ret_all)
{
	struct kafka_fields fields;
	size_t size = r->size + 4u - r->header, seen = min_of(n - r->header, size);
	bool flexible = kafka_is_flexible(r->api, r->version);
	*ret_all = false;
	if (r->version > r->api->version_max)
		return false;
	if (!r->api->request)
		return true;
	enum kafka_walked walked =
	    kafka_walk(r->api->request, r->version, flexible, flexible, p + r->header, seen, size - seen, &fields);
	*ret_all = walked == KAFKA_WALKED_ALL;
	return walked != KAFKA_WALKED_WRONG;
}

enum dissect_verdict kafka_probe(struct dissect_probe *p)
{
	struct kafka_request r;
	bool all;
	if (!p->midstream && p->side == SIDE_SERVER)
		return DISSECT_NOT_MINE;
	enum dissect_verdict v = kafka_request_read(p->data, p->len, &r);
	if (v != DISSECT_CERTAIN)
		return v;
	if (!kafka_body_is_right(&r, p->data, p->len, &all))
		return DISSECT_NOT_MINE;
	bool whole = p->len >= r.size + 4u, named = r.client.len >= CLIENT_NAME_MIN;
	if (whole ? !all && (!named || r.api->request) : !named || p->len - r.header < EVIDENCE_BYTES) {
		bool too_large = !named && r.size > WHOLE_BYTES_MAX;
		return whole || too_large ? DISSECT_NOT_MINE : DISSECT_UNSURE;
	}
	p->ret_side = SIDE_CLIENT;
	return DISSECT_CERTAIN;
}
