/* kafka_api.h - Kafka's requests: names, versions, how their bodies are laid out, and the error codes.
 *
 * A layout is a string, read by kafka_walk():
 *     1 2 4 8    integers of so many bytes        S    string, may be null       B    bytes, may be null
 *     T          string: a topic's name           I    UUID: a topic's id        U    UUID
 *     G          string: a consumer group         K    string: what else is asked about (a transaction, a broker, …)
 *     P          int32: a partition               C    int16: acks of Produce
 *     E          int16: an error code             M    string: the message of the error before it
 *     R          records                          .    what follows is not looked at
 *     [ … ]      array of structures              ( x )  array of one type
 *     <3+:…>     only from version 3 on           <2-5:…>  only in these versions
 * From the flexible version on, lengths are varints and each structure ends with tagged fields. */
#ifndef TS_DISSECT_KAFKA_API_H
#define TS_DISSECT_KAFKA_API_H

#include "dissect.h"
#include "text_tools.h"

enum { KAFKA_PRODUCE = 0, KAFKA_CONTROLLED_SHUTDOWN = 7, KAFKA_SASL_HANDSHAKE = 17, KAFKA_API_VERSIONS = 18 };
enum { KAFKA_NEVER_FLEXIBLE = 127 };

struct kafka_api {
	const char *name;
	uint8_t version_max;            /* the latest that is known */
	uint8_t flexible_since;         /* KAFKA_NEVER_FLEXIBLE */
	const char *request, *response; /* layouts; NULL: not looked at */
};

/* NULL: there is none of this key. */
const struct kafka_api *kafka_api_find(unsigned key);
/* "NOT_LEADER_OR_FOLLOWER"; NULL where the code is not known. */
const char *kafka_error_name(int code);
/* Whether the broker's or the cluster's state is to blame, as it is for codes that are not known. */
bool kafka_error_is_servers(int code);

/* What a body said. */
struct kafka_fields {
	struct text topic, group, key, message, records;
	const uint8_t *topic_id; /* 16 bytes; NULL: none */
	uint32_t topics;         /* in the array with the first topic */
	int32_t partition;       /* the first one */
	int16_t acks, error;     /* the first that is not 0 */
	bool has_partition, has_error;
};

enum kafka_walked {
	KAFKA_WALKED_ALL,  /* to the body's end */
	KAFKA_WALKED_PART, /* as far as it can be seen */
	KAFKA_WALKED_WRONG /* this is no such body */
};

/* Reads `len` bytes of a body, of which `beyond` further ones are not at hand. tags: tagged fields stand in front, as
 * those of a flexible header do. */
enum kafka_walked kafka_walk(const char *layout, unsigned version, bool flexible, bool tags, const uint8_t *data,
			     size_t len, uint64_t beyond, struct kafka_fields *ret);

/* Trace context out of the headers of the records (a record batch, message format 2). */
void kafka_put_trace(struct dissect *d, struct message *m, struct text records);

static inline bool kafka_is_flexible(const struct kafka_api *api, unsigned version)
{
	return version >= api->flexible_since;
}

enum {
	KAFKA_FRAME_MAX = 256 * 1024 * 1024, /* brokers take 100 MiB unless they are told otherwise */
	KAFKA_CLIENT_ID_MAX = 512,
	KAFKA_HEADER = 14, /* size, API key, version, correlation id, length of the client id */
};

/* The beginning of a request. */
struct kafka_request {
	const struct kafka_api *api;
	uint32_t size; /* of what follows the size */
	uint8_t key, version;
	uint32_t correlation;
	struct text client; /* absent: null */
	uint32_t header;    /* bytes up to the end of the client id */
};

/* CERTAIN: it may be the beginning of a request, and is read; UNSURE: more bytes are needed. */
enum dissect_verdict kafka_request_read(const uint8_t *p, size_t n, struct kafka_request *ret);
/* Whether its body is that of such a request, as far as it is at hand. ret_all: it is, to its last byte. */
bool kafka_body_is_right(const struct kafka_request *r, const uint8_t *p, size_t n, bool *ret_all);
/* The dissector's probe. */
enum dissect_verdict kafka_probe(struct dissect_probe *p);

#endif
