/* test_kafka.c - Kafka: frames, layouts of bodies, error codes, trace context of records.
 *
 * The expectations come from the Kafka protocol guide and the message definitions that it is made of. The bytes were
 * put together by hand, field by field. */
#include "dissect_harness.h"

#include <lz4frame.h>
#include <setjmp.h>
#include <snappy-c.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

extern const struct dissector dissector_kafka;

static const struct script scripts[] = {
    {
	.name = "what a client says first",
	.steps =
	    {
		CLIENT("\000\000\000\027\000\022\000\003\000\000\000\001\000\002me\000\005java\0043.1\000"),
		SERVER("\000\000\000\023\000\000\000\001\000\000\002\000\022\000\000\000\003\000\000\000\000\000\000"),
		CLIENT("\000\000\000\022\000\022\000\011\000\000\000\002\000\002me\000\002x\0021\000"),
		SERVER("\000\000\000\n\000\000\000\002\000#\000\000\000\000"),
		CLIENT("\000\000\000\014\000\022\000\000\000\000\000\003\000\002me"),
		SERVER("\000\000\000\n\000\000\000\003\000#\000\000\000\000"),
		CLIENT("\000\000\000\023\000\021\000\001\000\000\000\004\000\002me\000\005PLAIN"),
		SERVER("\000\000\000\022\000\000\000\004\000!\000\000\000\001\000\006GSSAPI"),
		CLIENT("\000\000\000\024\000$\000\002\000\000\000\005\000\002me\000\006\000u\000pw\000"),
		SERVER(
		    "\000\000\000 \000\000\000\005\000\000:\017wrong password\001\000\000\000\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-27 s0-23 version=3 request_type=ApiVersions request_id=1 kafka.client_id=me code=0 status=ok\n"
	    "session c27-49 s23-37 version=9 request_type=ApiVersions request_id=2 kafka.client_id=me\n"
	    "session c49-65 s37-51 version=0 request_type=ApiVersions request_id=3 "
	    "response_exception=UNSUPPORTED_VERSION kafka.client_id=me code=35 status=client_error\n"
	    "session c65-88 s51-73 version=1 request_type=SaslHandshake request_resource=PLAIN endpoint=PLAIN "
	    "request_id=4 response_exception=UNSUPPORTED_SASL_MECHANISM kafka.client_id=me code=33 "
	    "status=client_error\n"
	    "session c88-112 s73-109 version=2 request_type=SaslAuthenticate request_id=5 "
	    "response_exception=SASL_AUTHENTICATION_FAILED response_result=\"wrong password\" kafka.client_id=me "
	    "code=58 status=client_error\n",
    },
    {
	.name = "Metadata: errors of topics and of partitions",
	.steps =
	    {
		CLIENT("\000\000\000\026\000\003\000\001\000\000\000\006\000\002me\000\000\000\002\000\001a\000\001b"),
		SERVER("\000\000\000K\000\000\000\006\000\000\000\001\000\000\000\001\000\001h\000\000#"
		       "\204\377\377\000\000\000"
		       "\001\000\000\000\002\000\000\000\001a\000\000\000\000\001\000\000\000\000\000\000\000\000\000"
		       "\001\000"
		       "\000\000\001\000\000\000\001\000\000\000\001\000\000\000\001\000\003\000\001b\000\000\000\000"
		       "\000"),
		CLIENT("\000\000\000\025\000\003\000\011\000\000\000\007\000\002me\000\002\002a\000\001\000\000\000"),
		SERVER("\000\000\000>\000\000\000\007\000\000\000\000\000\002\000\000\000\001\002h\000\000#"
		       "\204\000\000\000\000"
		       "\000\000\001\002\000\000\002a\000\002\000\005\000\000\000\007\377\377\377\377\000\000\000\000"
		       "\001\001"
		       "\001\000\000\000\000\000\000\000\000\000\000\000"),
		CLIENT("\000\000\000#"
		       "\000\003\000\014\000\000\000\010\000\002me\000\002\000\001\002\003\004\005\006\007\010\011"
		       "\n\013\014\r\016\017\000\000\001\000\000"),
		SERVER("\000\000\0008\000\000\000\010\000\000\000\000\000\002\000\000\000\001\002h\000\000#"
		       "\204\000\000\002c\000"
		       "\000\000\001\002\000d\000\000\001\002\003\004\005\006\007\010\011\n\013\014\r\016\017\000\001"
		       "\000\000"
		       "\000\000\000\000"),
		CLIENT("\000\000\000\021\000\003\000\014\000\000\000\011\000\002me\000\000\001\000\000"),
		SERVER("\000\000\000S\000\000\000\011\000\000\000\000\000\002\000\000\000\001\002h\000\000#"
		       "\204\000\000\002c\000"
		       "\000\000\001\002\000\000\002a\000\001\002\003\004\005\006\007\010\011\n"
		       "\013\014\r\016\017\000\002\000\000\000\000\000\000\000\000\000\001\000\000\000\000\002\000\000"
		       "\000\001"
		       "\002\000\000\000\001\001\000\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-26 s0-79 version=1 request_type=Metadata request_domain=a request_resource=a endpoint=a "
	    "request_id=6 response_exception=UNKNOWN_TOPIC_OR_PARTITION kafka.client_id=me kafka.topics=2 code=3 "
	    "status=client_error\n"
	    "session c26-51 s79-145 version=9 request_type=Metadata request_domain=a request_resource=a endpoint=a "
	    "request_id=7 response_exception=LEADER_NOT_AVAILABLE kafka.client_id=me kafka.topics=1 code=5 "
	    "status=server_error\n"
	    "session c51-90 s145-205 version=12 request_type=Metadata "
	    "request_domain=00010203-0405-0607-0809-0a0b0c0d0e0f request_resource=00010203-0405-0607-0809-0a0b0c0d0e0f "
	    "endpoint=00010203-0405-0607-0809-0a0b0c0d0e0f request_id=8 response_exception=UNKNOWN_TOPIC_ID "
	    "kafka.client_id=me kafka.topics=1 code=100 status=client_error\n"
	    "session c90-111 s205-292 version=12 request_type=Metadata request_domain=a request_resource=a endpoint=a "
	    "request_id=9 kafka.client_id=me kafka.partition=0 kafka.topics=1 code=0 status=ok\n",
    },
    {
	.name = "Produce",
	.steps =
	    {
		CLIENT("\000\000\000C\000\000\000\002\000\000\000\n\000\002me\000\001\000\000\000d\000\000\000\001\000"
		       "\001t\000"
		       "\000\000\001\000\000\000\003\000\000\000\036xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		SERVER("\000\000\000)"
		       "\000\000\000\n\000\000\000\001\000\001t\000\000\000\001\000\000\000\003\000\000\000\000\000"
		       "\000\000\000\000\005\377\377\377\377\377\377\377\377\000\000\000\000"),
		CLIENT(
		    "\000\000\0008\000\000\000\007\000\000\000\013\000\002me\377\377\377\377\000\000\000d\000\000\000"
		    "\001\000"
		    "\001t\000\000\000\002\000\000\000\000\000\000\000\000\000\000\000\001\000\000\000\011xxxxxxxxx"),
		SERVER("\000\000\000O\000\000\000\013\000\000\000\001\000\001t\000\000\000\002\000\000\000\000\000\000"
		       "\000\000"
		       "\000\000\000\000\000\005\377\377\377\377\377\377\377\377\000\000\000\000\000\000\000\000\000"
		       "\000\000\001"
		       "\000\006\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377"
		       "\377\377\377"
		       "\000\000\000\000"),
		CLIENT(
		    "\000\000\000f\000\000\000\011\000\000\000\014\000\002me\000\000\377\377\000\000\000d\002\002t\002"
		    "\000"
		    "\000\000\000Gyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\000\000\000"),
		SERVER("\000\000\000c\000\000\000\014\000\002\002t\002\000\000\000\000\000W\377\377\377\377\377\377\377"
		       "\377\377"
		       "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\002\000\000\000\000\010too "
		       "old\000'One o"
		       "r more records have been rejected\000\000\000\000\000\000\000"),
		CLIENT("\000\000\000t\000\000\000\r\000\000\000\r\000\002me\000\000\377\377\000\000\000d\002\000\001"
		       "\002\003\004"
		       "\005\006\007\010\011\n\013\014\r\016\017\002\000\000\000\002Gyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
		       "yyyyyy"
		       "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\000\000\000"),
		SERVER("\000\000\000>\000\000\000\r\000\002\000\001\002\003\004\005\006\007\010\011\n"
		       "\013\014\r\016\017\002\000\000\000\002\000\000\000\000\000\000\000\000\000\011\377\377\377\377"
		       "\377\377"
		       "\377\377\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-71 s0-45 version=2 request_type=Produce request_domain=t request_resource=t endpoint=t "
	    "request_id=10 kafka.client_id=me kafka.partition=3 kafka.topics=1 code=0 status=ok\n"
	    "session c71-131 s45-128 version=7 request_type=Produce request_domain=t request_resource=t endpoint=t "
	    "request_id=11 response_exception=NOT_LEADER_OR_FOLLOWER kafka.client_id=me kafka.partition=0 "
	    "kafka.topics=1 code=6 status=server_error\n"
	    "session c131-237 s128-231 version=9 request_type=Produce request_domain=t request_resource=t endpoint=t "
	    "request_id=12 response_exception=INVALID_RECORD response_result=\"One or more records have been "
	    "rejected\" kafka.client_id=me kafka.partition=0 kafka.topics=1 code=87 status=client_error\n"
	    "session c237-357 s231-297 version=13 request_type=Produce "
	    "request_domain=00010203-0405-0607-0809-0a0b0c0d0e0f request_resource=00010203-0405-0607-0809-0a0b0c0d0e0f "
	    "endpoint=00010203-0405-0607-0809-0a0b0c0d0e0f request_id=13 kafka.client_id=me kafka.partition=2 "
	    "kafka.topics=1 code=0 status=ok\n",
    },
    {
	/* no_gaps: what was lost of a request may have said that it wants no response */
	.name = "Produce without acknowledgement gets no response",
	.steps =
	    {
		CLIENT("\000\000\000("
		       "\000\000\000\007\000\000\000\001\000\002me\377\377\000\000\000\000\000d\000\000\000\001\000"
		       "\001t\000\000\000\001\000\000\000\000\000\000\000\001x\000\000\000\020\000\003\000\000\000\000"
		       "\000\002"
		       "\000\002me\000\000\000\000"),
		SERVER("\000\000\000\014\000\000\000\002\000\000\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "request c0-44 version=7 request_type=Produce request_domain=t request_resource=t endpoint=t "
		    "request_id=1 kafka.client_id=me kafka.partition=0 kafka.topics=1 unpaired\n"
		    "session c44-64 s0-16 version=0 request_type=Metadata request_id=2 kafka.client_id=me status=ok\n",
	.no_gaps = true,
    },
    {
	.name = "Fetch",
	.steps =
	    {
		CLIENT("\000\000\0003\000\001\000\000\000\000\000\016\000\002me\377\377\377\377\000\000\001\364\000\000"
		       "\000\001"
		       "\000\000\000\001\000\001a\000\000\000\001\000\000\000\001\000\000\000\000\000\000\000\000\000"
		       "\020\000"
		       "\000"),
		SERVER("\000\000\000!"
		       "\000\000\000\016\000\000\000\001\000\001a\000\000\000\001\000\000\000\001\000\001\000\000"
		       "\000\000\000\000\000\011\000\000\000\000"),
		CLIENT("\000\000\000\221\000\001\000\013\000\000\000\017\000\002me\377\377\377\377\000\000\001\364\000"
		       "\000\000"
		       "\001\000\000\003\350\000\000\000\000\000\377\377\377\377\000\000\000\002\000\001a\000\000\000"
		       "\002\000"
		       "\000\000\001\377\377\377\377\000\000\000\000\000\000\000\000\377\377\377\377\377\377\377\377"
		       "\000\020\000"
		       "\000\000\000\000\002\377\377\377\377\000\000\000\000\000\000\000\000\377\377\377\377\377\377"
		       "\377\377\000"
		       "\020\000\000\000\001b\000\000\000\001\000\000\000\000\377\377\377\377\000\000\000\000\000\000"
		       "\000\000"
		       "\377\377\377\377\377\377\377\377\000\020\000\000\000\000\000\000\000\000"),
		SERVER("\000\000\001\000\000\000\000\017\000\000\000\000\000\000\000\000\000\007\000\000\000\002\000"
		       "\001a\000"
		       "\000\000\002\000\000\000\001\000\000\000\000\000\000\000\000\000\011\000\000\000\000\000\000"
		       "\000\011\000"
		       "\000\000\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\001\000\000\000\000"
		       "\000\000\000"
		       "\002\377\377\377\377\000\000\0002rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\000\000\000"
		       "\002\000"
		       "\000\000\000\000\000\000\000\000\011\000\000\000\000\000\000\000\011\000\000\000\000\000\000"
		       "\000\000\000"
		       "\000\000\001\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\002\377\377\377\377"
		       "\000\000\000"
		       "\000\000\001b\000\000\000\001\000\000\000\000\000K\000\000\000\000\000\000\000\011\000\000\000"
		       "\000\000"
		       "\000\000\011\000\000\000\000\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\001"
		       "\000\000\000"
		       "\000\000\000\000\002\377\377\377\377\000\000\000\000"),
		CLIENT("\000\000\000*"
		       "\000\001\000\014\000\000\000\020\000\002me\000\377\377\377\377\000\000\001\364\000\000\000"
		       "\001\000\000\003\350\000\000\000\000\000\377\377\377\377\001\001\001\000"),
		SERVER("\000\000\001x\000\000\000\020\000\000\000\000\000\000\000\000\000\000\007\002\002a\002\000\000"
		       "\000\001"
		       "\000\000\000\000\000\000\000\000\000\011\000\000\000\000\000\000\000\011\000\000\000\000\000"
		       "\000\000\000"
		       "\002\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\002\000\377\377\377\377\255"
		       "\002rrrrr"
		       "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
		       "rrrrrr"
		       "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
		       "rrrrrr"
		       "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
		       "\000\000"
		       "\000"),
		CLIENT("\000\000\000Y\000\001\000\020\000\000\000\021\000\002me\000\000\000\001\364\000\000\000\001\000"
		       "\000\003"
		       "\350\000\000\000\000\000\377\377\377\377\002\000\001\002\003\004\005\006\007\010\011\n"
		       "\013\014\r\016\017\002\000\000\000\004\377\377\377\377\000\000\000\000\000\000\000\000\377\377"
		       "\377\377"
		       "\377\377\377\377\377\377\377\377\000\020\000\000\000\000\001\001\000"),
		SERVER("\000\000\000\021\000\000\000\021\000\000\000\000\000\000F\000\000\000\000\001\000"),
		CLIENT("\000\000\000*"
		       "\000\001\000\014\000\000\000\022\000\002me\000\377\377\377\377\000\000\001\364\000\000\000"
		       "\001\000\000\003\350\000\000\000\000\000\377\377\377\377\001\001\001\000"),
		SERVER("\000\000\000\021\000\000\000\022\000\000\000\000\000\024\000\000\000\000\000\001\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-55 s0-37 version=0 request_type=Fetch request_domain=a request_resource=a endpoint=a "
	    "request_id=14 response_exception=OFFSET_OUT_OF_RANGE kafka.client_id=me kafka.partition=1 kafka.topics=1 "
	    "code=1 status=client_error\n"
	    "session c55-204 s37-297 version=11 request_type=Fetch request_domain=a request_resource=a endpoint=a "
	    "request_id=15 response_exception=UNKNOWN_LEADER_EPOCH kafka.client_id=me kafka.partition=1 kafka.topics=2 "
	    "code=75 status=server_error\n"
	    "session c204-250 s297-677 version=12 request_type=Fetch request_domain=a request_resource=a endpoint=a "
	    "request_id=16 kafka.client_id=me kafka.partition=1 kafka.topics=1 code=0 status=ok\n"
	    "session c250-343 s677-698 version=16 request_type=Fetch "
	    "request_domain=00010203-0405-0607-0809-0a0b0c0d0e0f request_resource=00010203-0405-0607-0809-0a0b0c0d0e0f "
	    "endpoint=00010203-0405-0607-0809-0a0b0c0d0e0f request_id=17 response_exception=FETCH_SESSION_ID_NOT_FOUND "
	    "kafka.client_id=me kafka.partition=4 kafka.topics=1 code=70 status=client_error\n"
	    "session c343-389 s698-719 version=12 request_type=Fetch request_id=18 response_exception=5120 "
	    "kafka.client_id=me code=5120 status=server_error\n",
    },
    {
	.name = "offsets",
	.steps =
	    {
		CLIENT("\000\000\000+"
		       "\000\002\000\000\000\000\000\023\000\002me\377\377\377\377\000\000\000\001\000\001a\000\000"
		       "\000\001\000\000\000\000\377\377\377\377\377\377\377\377\000\000\000\001"),
		SERVER("\000\000\000!"
		       "\000\000\000\023\000\000\000\001\000\001a\000\000\000\001\000\000\000\000\000\000\000\000"
		       "\000\001\000\000\000\000\000\000\000\007"),
		CLIENT("\000\000\000)"
		       "\000\002\000\006\000\000\000\024\000\002me\000\377\377\377\377\000\002\002a\002\000\000\000"
		       "\003\377\377\377\377\377\377\377\377\377\377\377\377\000\000\000"),
		SERVER("\000\000\000*"
		       "\000\000\000\024\000\000\000\000\000\002\002a\002\000\000\000\003\000N\377\377\377\377\377"
		       "\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\000\000\000"),
		CLIENT("\000\000\0007\000\010\000\001\000\000\000\025\000\002me\000\001g\000\000\000\001\000\001m\000"
		       "\000\000"
		       "\001\000\001a\000\000\000\001\000\000\000\002\000\000\000\000\000\000\000\007\377\377\377\377"
		       "\377\377"
		       "\377\377\377\377"),
		SERVER("\000\000\000\025\000\000\000\025\000\000\000\001\000\001a\000\000\000\001\000\000\000\002\000"
		       "\026"),
		CLIENT("\000\000\000."
		       "\000\010\000\010\000\000\000\026\000\002me\000\002g\000\000\000\001\002m\000\002\002a\002"
		       "\000\000\000\002\000\000\000\000\000\000\000\007\377\377\377\377\001\000\000\000"),
		SERVER("\000\000\000\026\000\000\000\026\000\000\000\000\000\002\002a\002\000\000\000\002\000\000\000"
		       "\000\000"),
		CLIENT("\000\000\000\036\000\011\000\005\000\000\000\027\000\002me\000\001g\000\000\000\001\000\001a"
		       "\000\000\000"
		       "\001\000\000\000\001"),
		SERVER("\000\000\000)"
		       "\000\000\000\027\000\000\000\000\000\000\000\001\000\001a\000\000\000\001\000\000\000\001"
		       "\377\377\377\377\377\377\377\377\377\377\377\377\000\000\000\000\000\020"),
		CLIENT("\000\000\000\034\000\011\000\010\000\000\000\030\000\002me\000\002\002g\002\002a\002\000\000"
		       "\000\001\000"
		       "\000\000\000"),
		SERVER("\000\000\000)"
		       "\000\000\000\030\000\000\000\000\000\002\002g\002\002a\002\000\000\000\001\000\000\000\000"
		       "\000\000\000\005\000\000\000\000\000\000X\000\000\000\000\000\000"),
		CLIENT("\000\000\000\036\000/"
		       "\000\000\000\000\000\031\000\002me\000\001g\000\000\000\001\000\001a\000\000\000"
		       "\001\000\000\000\001"),
		SERVER("\000\000\000\033\000\000\000\031\000\000\000\000\000\000\000\000\000\001\000\001a\000\000\000"
		       "\001\000"
		       "\000\000\001\000V"),
		CLIENT("\000\000\000#"
		       "\000\027\000\002\000\000\000\032\000\002me\000\000\000\001\000\001a\000\000\000\001\000\000"
		       "\000\001\000\000\000\002\000\000\000\003"),
		SERVER("\000\000\000%"
		       "\000\000\000\032\000\000\000\000\000\000\000\001\000\001a\000\000\000\001\000J\000\000\000"
		       "\001\000\000\000\002\000\000\000\000\000\000\000\003"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "session c0-47 s0-37 version=0 request_type=ListOffsets request_domain=a request_resource=a "
		    "endpoint=a request_id=19 kafka.client_id=me kafka.partition=0 kafka.topics=1 code=0 status=ok\n"
		    "session c47-92 s37-83 version=6 request_type=ListOffsets request_domain=a request_resource=a "
		    "endpoint=a request_id=20 response_exception=OFFSET_NOT_AVAILABLE kafka.client_id=me "
		    "kafka.partition=3 kafka.topics=1 code=78 status=server_error\n"
		    "session c92-151 s83-108 version=1 request_type=OffsetCommit request_domain=a request_resource=a "
		    "endpoint=a request_id=21 response_exception=ILLEGAL_GENERATION kafka.client_id=me kafka.group=g "
		    "kafka.partition=2 kafka.topics=1 code=22 status=client_error\n"
		    "session c151-201 s108-134 version=8 request_type=OffsetCommit request_domain=a request_resource=a "
		    "endpoint=a request_id=22 kafka.client_id=me kafka.group=g kafka.partition=2 kafka.topics=1 code=0 "
		    "status=ok\n"
		    "session c201-235 s134-179 version=5 request_type=OffsetFetch request_domain=a request_resource=a "
		    "endpoint=a request_id=23 response_exception=NOT_COORDINATOR kafka.client_id=me kafka.group=g "
		    "kafka.partition=1 kafka.topics=1 code=16 status=server_error\n"
		    "session c235-267 s179-224 version=8 request_type=OffsetFetch request_domain=a request_resource=a "
		    "endpoint=a request_id=24 response_exception=UNSTABLE_OFFSET_COMMIT kafka.client_id=me "
		    "kafka.group=g kafka.partition=1 kafka.topics=1 code=88 status=server_error\n"
		    "session c267-301 s224-255 version=0 request_type=OffsetDelete request_domain=a request_resource=a "
		    "endpoint=a request_id=25 response_exception=GROUP_SUBSCRIBED_TO_TOPIC kafka.client_id=me "
		    "kafka.group=g kafka.partition=1 kafka.topics=1 code=86 status=client_error\n"
		    "session c301-340 s255-296 version=2 request_type=OffsetForLeaderEpoch request_domain=a "
		    "request_resource=a endpoint=a request_id=26 response_exception=FENCED_LEADER_EPOCH "
		    "kafka.client_id=me kafka.partition=1 kafka.topics=1 code=74 status=client_error\n",
    },
    {
	.name = "groups",
	.steps =
	    {
		CLIENT("\000\000\000\020\000\n\000\002\000\000\000\033\000\002me\000\001g\000"),
		SERVER("\000\000\000\035\000\000\000\033\000\000\000\000\000\017\000\007not "
		       "yet\377\377\377\377\000\000\377\377"
		       "\377\377"),
		CLIENT("\000\000\000\022\000\n\000\004\000\000\000\034\000\002me\000\000\002\002g\000"),
		SERVER("\000\000\000\033\000\000\000\034\000\000\000\000\000\002\002g\000\000\000\001\002h\000\000#"
		       "\204\000\000"
		       "\000\000\000"),
		CLIENT("\000\000\0006\000\013\000\005\000\000\000\035\000\002me\000\001g\000\000\000\001\000\000\000"
		       "\001\000\000"
		       "\377\377\000\010consumer\000\000\000\001\000\005range\000\000\000\002ab"),
		SERVER("\000\000\000\032\000\000\000\035\000\000\000\000\000O\377\377\377\377\000\000\000\000\000\002id"
		       "\000\000"
		       "\000\000"),
		CLIENT("\000\000\000'"
		       "\000\016\000\005\000\000\000\036\000\002me\000\002g\000\000\000\001\002m\000\011consumer"
		       "\006range\001\000"),
		SERVER("\000\000\000\036\000\000\000\036\000\000\000\000\000\377\377\011consumer\006range\003ab\000"),
		CLIENT(
		    "\000\000\000\027\000\014\000\004\000\000\000\037\000\002me\000\002g\000\000\000\001\002m\000\000"),
		SERVER("\000\000\000\014\000\000\000\037\000\000\000\000\000\000\033\000"),
		CLIENT("\000\000\000\026\000\014\000\000\000\000\000 \000\002me\000\001g\000\000\000\001\000\001m"),
		SERVER("\000\000\000\006\000\000\000 \000\031"),
		CLIENT("\000\000\000\025\000\r\000\004\000\000\000!\000\002me\000\002g\002\002m\000\000\000"),
		SERVER("\000\000\000\023\000\000\000!\000\000\000\000\000\000\000\002\002m\000\000R\000\000"),
		CLIENT("\000\000\000\023\000\017\000\001\000\000\000\"\000\002me\000\000\000\001\000\001g"),
		SERVER("\000\000\000\033\000\000\000\"\000\000\000\000\000\000\000\001\000\036\000\001g\000\000\000\000"
		       "\000\000"
		       "\000\000\000\000"),
		CLIENT("\000\000\000\014\000\020\000\000\000\000\000#\000\002me"),
		SERVER("\000\000\000\027\000\000\000#\000\000\000\000\000\001\000\001g\000\010consumer"),
		CLIENT("\000\000\000\021\000*\000\002\000\000\000$\000\002me\000\002\002g\000"),
		SERVER("\000\000\000\020\000\000\000$\000\000\000\000\000\002\002g\000D\000\000"),
		CLIENT("\000\000\000!\000D\000\000\000\000\000%"
		       "\000\002me\000\002g\002m\000\000\000\000\000\000\000\000\000\001"
		       "\002\002a\000\000\000"),
		SERVER("\000\000\000\034\000\000\000%"
		       "\000\000\000\000\000\000n\006epoch\000\000\000\000\000\000\000\000\000\377"
		       "\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-20 s0-33 version=2 request_type=FindCoordinator request_resource=g endpoint=g request_id=27 "
	    "response_exception=COORDINATOR_NOT_AVAILABLE response_result=\"not yet\" kafka.client_id=me code=15 "
	    "status=server_error\n"
	    "session c20-42 s33-64 version=4 request_type=FindCoordinator request_resource=g endpoint=g request_id=28 "
	    "kafka.client_id=me code=0 status=ok\n"
	    "session c42-100 s64-94 version=5 request_type=JoinGroup request_resource=g endpoint=g request_id=29 "
	    "response_exception=MEMBER_ID_REQUIRED kafka.client_id=me kafka.group=g code=79 status=client_error\n"
	    "session c100-143 s94-128 version=5 request_type=SyncGroup request_resource=g endpoint=g request_id=30 "
	    "response_exception=UNKNOWN_SERVER_ERROR kafka.client_id=me kafka.group=g code=-1 status=server_error\n"
	    "session c143-170 s128-144 version=4 request_type=Heartbeat request_resource=g endpoint=g request_id=31 "
	    "response_exception=REBALANCE_IN_PROGRESS kafka.client_id=me kafka.group=g code=27 status=client_error\n"
	    "session c170-196 s144-154 version=0 request_type=Heartbeat request_resource=g endpoint=g request_id=32 "
	    "response_exception=UNKNOWN_MEMBER_ID kafka.client_id=me kafka.group=g code=25 status=client_error\n"
	    "session c196-221 s154-177 version=4 request_type=LeaveGroup request_resource=g endpoint=g request_id=33 "
	    "response_exception=FENCED_INSTANCE_ID kafka.client_id=me kafka.group=g code=82 status=client_error\n"
	    "session c221-244 s177-208 version=1 request_type=DescribeGroups request_resource=g endpoint=g "
	    "request_id=34 response_exception=GROUP_AUTHORIZATION_FAILED kafka.client_id=me kafka.group=g code=30 "
	    "status=client_error\n"
	    "session c244-260 s208-235 version=0 request_type=ListGroups request_id=35 kafka.client_id=me code=0 "
	    "status=ok\n"
	    "session c260-281 s235-255 version=2 request_type=DeleteGroups request_resource=g endpoint=g request_id=36 "
	    "response_exception=NON_EMPTY_GROUP kafka.client_id=me kafka.group=g code=68 status=client_error\n"
	    "session c281-318 s255-287 version=0 request_type=ConsumerGroupHeartbeat request_domain=a "
	    "request_resource=a endpoint=a request_id=37 response_exception=FENCED_MEMBER_EPOCH response_result=epoch "
	    "kafka.client_id=me kafka.group=g kafka.topics=1 code=110 status=client_error\n",
    },
    {
	.name = "topics and producers",
	.steps =
	    {
		CLIENT("\000\000\0007\000\023\000\004\000\000\000&"
		       "\000\002me\000\000\000\001\000\001a\000\000\000\001\000\001"
		       "\000\000\000\000\000\000\000\001\000\014retention.ms\000\0011\000\000\000\001\000"),
		SERVER("\000\000\000,\000\000\000&\000\000\000\000\000\000\000\001\000\001a\000$\000\031Topic 'a' "
		       "already exi"
		       "sts."),
		CLIENT("\000\000\000)\000\023\000\007\000\000\000'"
		       "\000\002me\000\002\002a\000\000\000\001\000\001\002\000\000"
		       "\000\000\002\000\000\000\001\000\001\000\000\000\000\001\000\000"),
		SERVER(
		    "\000\000\0000\000\000\000'\000\000\000\000\000\002\002a\000\001\002\003\004\005\006\007\010\011\n"
		    "\013\014\r\016\017\000\000\000\000\000\000\001\000\001\002\002x\0021\000\005\000\000\000\000"),
		CLIENT("\000\000\000\032\000\024\000\001\000\000\000("
		       "\000\002me\000\000\000\002\000\001a\000\001b\000\000\000"
		       "\001"),
		SERVER(
		    "\000\000\000\026\000\000\000(\000\000\000\000\000\000\000\002\000\001a\000\000\000\001b\000\003"),
		CLIENT("\000\000\000%\000\024\000\006\000\000\000)"
		       "\000\002me\000\002\000\000\001\002\003\004\005\006\007\010\011"
		       "\n\013\014\r\016\017\000\000\000\000\001\000"),
		SERVER(
		    "\000\000\000!\000\000\000)\000\000\000\000\000\002\002a\000\001\002\003\004\005\006\007\010\011\n"
		    "\013\014\r\016\017\000I\000\000\000"),
		CLIENT("\000\000\000\037\000\026\000\004\000\000\000*"
		       "\000\002me\000\003tx\000\000\000\001\377\377\377\377\377"
		       "\377\377\377\377\377\000"),
		SERVER("\000\000\000\026\000\000\000*"
		       "\000\000\000\000\000\0003\377\377\377\377\377\377\377\377\377\377\000"),
		CLIENT("\000\000\000)\000\030\000\000\000\000\000+"
		       "\000\002me\000\002tx\000\000\000\000\000\000\000\001\000\000"
		       "\000\000\000\001\000\001a\000\000\000\001\000\000\000\003"),
		SERVER("\000\000\000\031\000\000\000+"
		       "\000\000\000\000\000\000\000\001\000\001a\000\000\000\001\000\000\000\003"
		       "\0000"),
		CLIENT("\000\000\000'\000\030\000\004\000\000\000,"
		       "\000\002me\000\002\003tx\000\000\000\000\000\000\000\001\000"
		       "\000\001\002\002a\002\000\000\000\003\000\000\000"),
		SERVER("\000\000\000\035\000\000\000,"
		       "\000\000\000\000\000\000\000\002\003tx\002\002a\002\000\000\000\003\000x"
		       "\000\000\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-59 s0-48 version=4 request_type=CreateTopics request_domain=a request_resource=a endpoint=a "
	    "request_id=38 response_exception=TOPIC_ALREADY_EXISTS response_result=\"Topic 'a' already exists.\" "
	    "kafka.client_id=me kafka.topics=1 code=36 status=client_error\n"
	    "session c59-104 s48-100 version=7 request_type=CreateTopics request_domain=a request_resource=a "
	    "endpoint=a request_id=39 kafka.client_id=me kafka.topics=1 code=0 status=ok\n"
	    "session c104-134 s100-126 version=1 request_type=DeleteTopics request_domain=a request_resource=a "
	    "endpoint=a request_id=40 response_exception=UNKNOWN_TOPIC_OR_PARTITION kafka.client_id=me kafka.topics=2 "
	    "code=3 status=client_error\n"
	    "session c134-175 s126-163 version=6 request_type=DeleteTopics "
	    "request_domain=00010203-0405-0607-0809-0a0b0c0d0e0f request_resource=00010203-0405-0607-0809-0a0b0c0d0e0f "
	    "endpoint=00010203-0405-0607-0809-0a0b0c0d0e0f request_id=41 response_exception=TOPIC_DELETION_DISABLED "
	    "kafka.client_id=me kafka.topics=1 code=73 status=client_error\n"
	    "session c175-210 s163-189 version=4 request_type=InitProducerId request_resource=tx endpoint=tx "
	    "request_id=42 response_exception=CONCURRENT_TRANSACTIONS kafka.client_id=me code=51 status=client_error\n"
	    "session c210-255 s189-218 version=0 request_type=AddPartitionsToTxn request_domain=a request_resource=a "
	    "endpoint=a request_id=43 response_exception=INVALID_TXN_STATE kafka.client_id=me kafka.partition=3 "
	    "kafka.topics=1 code=48 status=client_error\n"
	    "session c255-298 s218-251 version=4 request_type=AddPartitionsToTxn request_domain=a request_resource=a "
	    "endpoint=a request_id=44 response_exception=TRANSACTION_ABORTABLE kafka.client_id=me kafka.partition=3 "
	    "kafka.topics=1 code=120 status=client_error\n",
    },
    {
	.name = "transactions and configurations",
	.steps =
	    {
		CLIENT("\000\000\000\035\000\031\000\000\000\000\000-"
		       "\000\002me\000\002tx\000\000\000\000\000\000\000\001\000"
		       "\000\000\001g"),
		SERVER("\000\000\000\n\000\000\000-\000\000\000\000\000\000"),
		CLIENT("\000\000\000\034\000\032\000\003\000\000\000."
		       "\000\002me\000\003tx\000\000\000\000\000\000\000\001\000"
		       "\000\001\000"),
		SERVER("\000\000\000\014\000\000\000.\000\000\000\000\000\000Z\000"),
		CLIENT("\000\000\000;\000\034\000\003\000\000\000/"
		       "\000\002me\000\003tx\002g\000\000\000\000\000\000\000\001\000"
		       "\000\000\000\000\001\002m\000\002\002a\002\000\000\000\001\000\000\000\000\000\000\000\005\377"
		       "\377\377"
		       "\377\000\000\000\000"),
		SERVER("\000\000\000\026\000\000\000/"
		       "\000\000\000\000\000\002\002a\002\000\000\000\001\000\000\000\000\000"),
		CLIENT("\000\000\000\031\000 "
		       "\000\001\000\000\0000\000\002me\000\000\000\001\002\000\001a\377\377\377\377\000"),
		SERVER("\000\000\0003\000\000\0000\000\000\000\000\000\000\000\002\000\000\377\377\002\000\001a\000\000"
		       "\000\001"
		       "\000\001x\000\0011\000\005\000\000\000\000\000\000\021\000\002no\002\000\001b\000\000\000\000"),
		CLIENT("\000\000\000 "
		       "\000%\000\000\000\000\0001\000\002me\000\000\000\001\000\001a\000\000\000\004\377\377\377"
		       "\377\000\000\000\001\000"),
		SERVER("\000\000\000\030\000\000\0001\000\000\000\000\000\000\000\001\000\001a\000%\000\005fewer"),
		CLIENT("\000\000\000\034\000+"
		       "\000\002\000\000\0002\000\002me\000\000\002\002a\002\000\000\000\001\000\000\000"
		       "\000\001\000"),
		SERVER("\000\000\000\035\000\000\0002\000\000\000\000\000\000\000\002\002a\002\000\000\000\001\000T\005"
		       "none\000"
		       "\000\000"),
		CLIENT("\000\000\000\017\000<\000\000\000\000\0003\000\002me\000\000\000"),
		SERVER("\000\000\000\030\000\000\0003\000\000\000\000\000\000\000\000\002c\000\000\000\001\001\000\000"
		       "\000\000"
		       "\000"),
		CLIENT("\000\000\000\027\000K\000\000\000\000\0004\000\002me\000\002\002a\000\000\000\000\n"
		       "\377\000"),
		SERVER("\000\000\000'"
		       "\000\000\0004\000\000\000\000\000\002\000\035\002a\000\001\002\003\004\005\006\007\010\011"
		       "\n\013\014\r\016\017\000\001\000\000\000\000\000\377\000"),
		CLIENT("\000\000\000\025\000\035\000\003\000\000\0005\000\002me\000\001\000\001\000\000\001\001\000"),
		SERVER("\000\000\000\021\000\000\0005\000\000\000\000\000\0006\004off\001\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-33 s0-14 version=0 request_type=AddOffsetsToTxn request_resource=g endpoint=g request_id=45 "
	    "kafka.client_id=me kafka.group=g code=0 status=ok\n"
	    "session c33-65 s14-30 version=3 request_type=EndTxn request_resource=tx endpoint=tx request_id=46 "
	    "response_exception=PRODUCER_FENCED kafka.client_id=me code=90 status=client_error\n"
	    "session c65-128 s30-56 version=3 request_type=TxnOffsetCommit request_domain=a request_resource=a "
	    "endpoint=a request_id=47 kafka.client_id=me kafka.group=g kafka.partition=1 kafka.topics=1 code=0 "
	    "status=ok\n"
	    "session c128-157 s56-111 version=1 request_type=DescribeConfigs request_resource=a endpoint=a "
	    "request_id=48 response_exception=INVALID_TOPIC_EXCEPTION response_result=no kafka.client_id=me code=17 "
	    "status=client_error\n"
	    "session c157-193 s111-139 version=0 request_type=CreatePartitions request_domain=a request_resource=a "
	    "endpoint=a request_id=49 response_exception=INVALID_PARTITIONS response_result=fewer kafka.client_id=me "
	    "kafka.topics=1 code=37 status=client_error\n"
	    "session c193-225 s139-172 version=2 request_type=ElectLeaders request_domain=a request_resource=a "
	    "endpoint=a request_id=50 response_exception=ELECTION_NOT_NEEDED response_result=none kafka.client_id=me "
	    "kafka.partition=1 kafka.topics=1 code=84 status=client_error\n"
	    "session c225-244 s172-200 version=0 request_type=DescribeCluster request_id=51 kafka.client_id=me code=0 "
	    "status=ok\n"
	    "session c244-271 s200-243 version=0 request_type=DescribeTopicPartitions request_domain=a "
	    "request_resource=a endpoint=a request_id=52 response_exception=TOPIC_AUTHORIZATION_FAILED "
	    "kafka.client_id=me kafka.topics=1 code=29 status=client_error\n"
	    "session c271-296 s243-264 version=3 request_type=DescribeAcls request_id=53 "
	    "response_exception=SECURITY_DISABLED response_result=off kafka.client_id=me code=54 status=client_error\n",
    },
    {
	.name = "responses in another order",
	.steps =
	    {
		CLIENT("\000\000\000\027\000\014\000\000\000\000\0006\000\002me\000\002g1\000\000\000\001\000\001m\000"
		       "\000\000"
		       "\027\000\014\000\000\000\000\0007\000\002me\000\002g2\000\000\000\001\000\001m"),
		SERVER("\000\000\000\006\000\000\0007\000\020\000\000\000\006\000\000\0006\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-27 s10-20 version=0 request_type=Heartbeat request_resource=g1 endpoint=g1 request_id=54 "
	    "kafka.client_id=me kafka.group=g1 code=0 status=ok\n"
	    "session c27-54 s0-10 version=0 request_type=Heartbeat request_resource=g2 endpoint=g2 request_id=55 "
	    "response_exception=NOT_COORDINATOR kafka.client_id=me kafka.group=g2 code=16 status=server_error\n",
    },
    {
	.name = "topics, groups and keys are hidden where asked",
	.steps =
	    {
		CLIENT("\000\000\000."
		       "\000\010\000\010\000\000\0008\000\002me\000\002g\000\000\000\001\002m\000\002\002a\002\000"
		       "\000\000\002\000\000\000\000\000\000\000\007\377\377\377\377\001\000\000\000\000\000\000\037"
		       "\000\026\000"
		       "\004\000\000\0009\000\002me\000\003tx\000\000\000\001\377\377\377\377\377\377\377\377\377\377"
		       "\000"),
		SERVER("\000\000\000\026\000\000\0008\000\000\000\000\000\002\002a\002\000\000\000\002\000\000\000\000"
		       "\000\000"
		       "\000\000\026\000\000\0009\000\000\000\000\000\000\000\377\377\377\377\377\377\377\377\377\377"
		       "\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-50 s0-26 version=8 request_type=OffsetCommit request_domain=? request_resource=? endpoint=? "
	    "request_id=56 kafka.client_id=me kafka.group=? kafka.partition=2 kafka.topics=1 code=0 status=ok\n"
	    "session c50-85 s26-52 version=4 request_type=InitProducerId request_resource=? endpoint=? request_id=57 "
	    "kafka.client_id=me code=0 status=ok\n",
	.settings = {.obfuscate = 1 << OBFUSCATE_KAFKA},
    },
    {
	.name = "tagged fields anywhere",
	.steps =
	    {
		CLIENT("\000\000\000-"
		       "\000\003\000\011\000\000\000M\000\002me\002\000\003abc\005\001z\002\002a\002\000\003abc\005"
		       "\001z\001\000\000\002\000\003abc\005\001z"),
		SERVER("\000\000\000L\000\000\000M\002\000\003abc\005\001z\000\000\000\000\002\000\000\000\001\002h\000"
		       "\000\000"
		       "\001\000\002\000\003abc\005\001z\000\000\000\000\001\002\000\003\002a\000\001\000\000\000\000"
		       "\002\000"
		       "\003abc\005\001z\000\000\000\000\002\000\003abc\005\001z"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "session c0-49 s0-80 version=9 request_type=Metadata request_domain=a request_resource=a "
		    "endpoint=a request_id=77 response_exception=UNKNOWN_TOPIC_OR_PARTITION kafka.client_id=me "
		    "kafka.topics=1 code=3 status=client_error\n",
    },
    {
	.name = "no client id, and the header that has none",
	.steps =
	    {
		CLIENT("\000\000\000\n\000\022\000\000\000\000\000\001\377\377"),
		SERVER("\000\000\000\n\000\000\000\001\000\000\000\000\000\000"),
		CLIENT("\000\000\000\014\000\007\000\000\000\000\000\002\000\000\000\001"),
		SERVER("\000\000\000\n\000\000\000\002\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "session c0-14 s0-14 version=0 request_type=ApiVersions request_id=1 code=0 status=ok\n"
		    "session c14-30 s14-28 version=0 request_type=ControlledShutdown request_id=2 code=0 status=ok\n",
    },
    {
	/* no_gaps: without the handshake, tokens look like nothing, and their answers like responses */
	.name = "SASL tokens without headers",
	.steps =
	    {
		CLIENT("\000\000\000\033\000\021\000\000\000\000\000\001\000\002me\000\rSCRAM-SHA-256"),
		SERVER("\000\000\000\031\000\000\000\001\000\000\000\000\000\001\000\rSCRAM-SHA-256"),
		CLIENT("\000\000\000\014n,,n=u,r=abc"),
		SERVER("\000\000\000\nr=abcdef,s"),
		CLIENT("\000\000\000\006c=,p=x"),
		SERVER("\000\000\000\000"),
		CLIENT("\000\000\000\014\000\022\000\000\000\000\000\002\000\002me"),
		SERVER("\000\000\000\n\000\000\000\002\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "session c0-31 s0-29 version=0 request_type=SaslHandshake request_resource=SCRAM-SHA-256 "
		    "endpoint=SCRAM-SHA-256 request_id=1 kafka.client_id=me code=0 status=ok\n"
		    "session c57-73 s47-61 version=0 request_type=ApiVersions request_id=2 kafka.client_id=me code=0 "
		    "status=ok\n",
	.no_gaps = true,
    },
    {
	.name = "requests of tomorrow: named and paired, not read",
	.steps =
	    {
		CLIENT("\000\000\000\022\000\003\000\017\000\000\000\001\000\002me\000?????"
		       "\000\000\000\023\000\003\000\001\000"
		       "\000\000\002\000\002me\000\000\000\001\000\001a"),
		SERVER("\000\000\000\010\000\000\000\001\000???"
		       "\000\000\000\020\000\000\000\002\000\000\000\000\000\000\000\001"
		       "\000\000\000\000"),
		CLOSE,
	    },
	.expected = "session c0-22 s0-12 version=15 request_type=Metadata request_id=1 kafka.client_id=me\n"
		    "session c22-45 s12-32 version=1 request_type=Metadata request_domain=a request_resource=a "
		    "endpoint=a request_id=2 kafka.client_id=me kafka.topics=1 status=ok\n",
	.dissector = &dissector_kafka,
    },
    {
	.name = "a response to nothing",
	.steps =
	    {
		CLIENT("\000\000\000\014\000\022\000\000\000\000\000\001\000\002me"),
		SERVER(
		    "\000\000\000\006\000\000\000\011\000\000\000\000\000\n\000\000\000\001\000\000\000\000\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-16 s10-24 version=0 request_type=ApiVersions request_id=1 kafka.client_id=me code=0 status=ok\n"
	    "response s0-10 request_id=9\n",
    },
    {
	/* no_gaps: what comes after it is another connection then */
	.name = "what is no frame ends everything",
	.steps =
	    {
		CLIENT("\000\000\000\014\000\022\000\000\000\000\000\001\000\002me"),
		SERVER("\377\377\377\373abcd"),
		CLIENT("\000\000\000\014\000\022\000\000\000\000\000\002\000\002me"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "gives up\n"
		    "request c0-16 version=0 request_type=ApiVersions request_id=1 kafka.client_id=me\n",
	.no_gaps = true,
    },
    {
	.name = "a hole within a body: the frame goes on",
	.steps =
	    {
		CLIENT("\000\000\000\330\000\003\000\001\000\000\000\001\000\002me\000\000\000\024\000\010topic-"
		       "00\000\010top"
		       "ic-01"),
		CLIENT_GAP(100),
		CLIENT("\000\010topic-12\000\010topic-13\000\010topic-14\000\010topic-15\000\010topic-16\000\010topic-"
		       "17\000\010"
		       "topic-18\000\010topic-"
		       "19\000\000\000\026\000\014\000\000\000\000\000\002\000\002me\000\001g\000\000\000"
		       "\001\000\001m"),
		SERVER("\000\000\000\020\000\000\000\001\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000"
		       "\006\000\000"
		       "\000\002\000\000"),
		CLOSE,
	    },
	.expected =
	    "is kafka\n"
	    "session c0-220 s0-20 gap=100 version=1 request_type=Metadata request_id=1 kafka.client_id=me status=ok\n"
	    "session c220-246 s20-30 version=0 request_type=Heartbeat request_resource=g endpoint=g request_id=2 "
	    "kafka.client_id=me kafka.group=g code=0 status=ok\n",
	.midstream = false,
    },
    {
	.name = "a hole over frames: a request is found by its client id, a response by what it answers",
	.steps =
	    {
		CLIENT("\000\000\000\026\000\014\000\000\000\000\000\001\000\002me\000\001g\000\000\000\001\000\001m"),
		SERVER("\000\000\000\006\000\000\000\001\000\000"),
		CLIENT_GAP(30),
		CLIENT("\000\000\000\010\000\014\000\000rest of "
		       "something\000\000\000\026\000\014\000\000\000\000\000\003\000"
		       "\002me\000\001h\000\000\000\001\000\001m\000\000\000\026\000\014\000\000\000\000\000\004\000"
		       "\002me\000"
		       "\001i\000\000\000\001\000\001m"),
		SERVER_GAP(7),
		SERVER("\000\000\000\000\000\000\000\006\000\000\000\000\000\006\000\000\000\003\000\000\000\000\000"
		       "\006\000\000"
		       "\000\004\000\033"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "session c0-26 s0-10 version=0 request_type=Heartbeat request_resource=g endpoint=g request_id=1 "
		    "kafka.client_id=me kafka.group=g code=0 status=ok\n"
		    "request c81-107 version=0 request_type=Heartbeat request_resource=h endpoint=h request_id=3 "
		    "kafka.client_id=me kafka.group=h\n"
		    "request c107-133 version=0 request_type=Heartbeat request_resource=i endpoint=i request_id=4 "
		    "kafka.client_id=me kafka.group=i\n",
    },
    {
	.name = "picked up in its middle",
	.steps =
	    {
		CLIENT("\000\000\000\026\000\014\000\000\000\000\000\003\000\002me\000\001h\000\000\000\001\000\001m"),
		SERVER("\000\000\000\006\000\000\000\003\000\000"),
		CLOSE,
	    },
	.expected = "is kafka\n"
		    "request c0-26 version=0 request_type=Heartbeat request_resource=h endpoint=h request_id=3 "
		    "kafka.client_id=me kafka.group=h\n",
	.midstream = true,
    },
};

static void conversations(void **state)
{
	(void)state;
	assert_true(harness_check(scripts, array_size(scripts)));
}

/* ---- building requests ---- */

struct bytes {
	uint8_t at[200000];
	size_t len;
};

static void put(struct bytes *b, const void *data, size_t n)
{
	assert_true(b->len + n <= sizeof b->at);
	memcpy(b->at + b->len, data, n);
	b->len += n;
}

static void put_be(struct bytes *b, uint64_t value, unsigned n)
{
	while (n--) {
		uint8_t byte = (uint8_t)(value >> (8 * n));
		put(b, &byte, 1);
	}
}

static void put_varint(struct bytes *b, int64_t value)
{
	uint64_t v = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
	do {
		uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f) << 7);
		put(b, &byte, 1);
	} while (v >>= 7);
}

static void put_text(struct bytes *b, const char *s)
{
	put_varint(b, (int64_t)strlen(s));
	put(b, s, strlen(s));
}

struct header {
	const char *name, *value;
};

static void put_record(struct bytes *b, const struct header *headers, size_t value_len)
{
	struct bytes *r = calloc(1, sizeof *r);
	put_be(r, 0, 1);
	put_varint(r, 5);
	put_varint(r, 0);
	put_varint(r, -1); /* no key */
	put_varint(r, (int64_t)value_len);
	memset(r->at + r->len, 'v', value_len);
	r->len += value_len;
	int64_t n = 0;
	while (headers && headers[n].name)
		n++;
	put_varint(r, n);
	for (int64_t i = 0; i < n; i++) {
		put_text(r, headers[i].name);
		put_text(r, headers[i].value);
	}
	put_varint(b, (int64_t)r->len);
	put(b, r->at, r->len);
	free(r);
}

enum codec { NONE, GZIP, SNAPPY, LZ4, ZSTD, SNAPPY_FRAMED, CODECS };

static void compress_with(enum codec codec, const struct bytes *in, struct bytes *out)
{
	size_t n = sizeof out->at;
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in->at,
		      .avail_in = (uInt)in->len,
		      .next_out = out->at,
		      .avail_out = (uInt)n};
	out->len = 0;
	switch (codec) {
	case NONE:
		put(out, in->at, in->len);
		return;
	case GZIP:
		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, 0), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		out->len = z.total_out;
		deflateEnd(&z);
		return;
	case SNAPPY_FRAMED:
		put(out, "\x82SNAPPY\0\0\0\0\1\0\0\0\1", 16);
		n -= 20;
		assert_int_equal(snappy_compress((const char *)in->at, in->len, (char *)out->at + 20, &n), SNAPPY_OK);
		put_be(out, n, 4);
		out->len += n;
		return;
	case SNAPPY:
		assert_int_equal(snappy_compress((const char *)in->at, in->len, (char *)out->at, &n), SNAPPY_OK);
		out->len = n;
		return;
	case LZ4:
		out->len = LZ4F_compressFrame(out->at, n, in->at, in->len, NULL);
		assert_false(LZ4F_isError(out->len));
		return;
	case ZSTD:
		out->len = ZSTD_compress(out->at, n, in->at, in->len, 3);
		assert_false(ZSTD_isError(out->len));
		return;
	default:
		fail();
	}
}

/* A record batch of format 2. */
static void put_batch(struct bytes *b, enum codec codec, unsigned count, const struct bytes *records)
{
	struct bytes *packed = calloc(1, sizeof *packed);
	compress_with(codec, records, packed);
	put_be(b, 0, 8);
	put_be(b, 49 + packed->len, 4);
	put_be(b, 0, 4);
	put_be(b, 2, 1);
	put_be(b, 0, 4);
	put_be(b, codec == SNAPPY_FRAMED ? SNAPPY : codec, 2);
	put_be(b, count - 1, 4);
	put_be(b, 0, 8);
	put_be(b, 0, 8);
	put_be(b, UINT64_MAX, 8);
	put_be(b, UINT64_MAX, 2);
	put_be(b, UINT64_MAX, 4);
	put_be(b, count, 4);
	put(b, packed->at, packed->len);
	free(packed);
}

/* Produce, version 3, to partition 0 of topic "t". */
static void put_produce(struct bytes *b, const struct bytes *batch)
{
	static const uint8_t head[] = {0, 0, 0, 3, 0, 0, 0, 7, 0,   2, 'm', 'e', 0xff, 0xff, 0, 1, 0, 0,
				       0, 9, 0, 0, 0, 1, 0, 1, 't', 0, 0,   0,   1,    0,    0, 0, 0};
	put_be(b, sizeof head + 4 + batch->len, 4);
	put(b, head, sizeof head);
	put_be(b, batch->len, 4);
	put(b, batch->at, batch->len);
}

static void check_trace(const char *name, enum codec codec, const struct header *headers, size_t value_len, bool first,
			const char *expected)
{
	struct bytes *records = calloc(1, sizeof *records), *batch = calloc(1, sizeof *batch),
		     *b = calloc(1, sizeof *b);
	char lines[600];
	if (!first)
		put_record(records, NULL, value_len);
	put_record(records, headers, value_len);
	put_record(records, NULL, value_len);
	put_batch(batch, codec, first ? 2 : 3, records);
	put_produce(b, batch);
	snprintf(lines, sizeof lines,
		 "is kafka\n"
		 "request c0-%zu version=3 request_type=Produce request_domain=t request_resource=t endpoint=t "
		 "request_id=7%s%s "
		 "kafka.client_id=me kafka.partition=0 kafka.topics=1\n",
		 b->len, *expected ? " " : "", expected);
	const struct script script = {
	    .name = name,
	    .steps = {CLIENT_BYTES(b->at, b->len), CLOSE},
	    .expected = lines,
	    .coarse = b->len > 1000,
	};
	assert_true(harness_check(&script, 1));
	free(records);
	free(batch);
	free(b);
}

#define W3C "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define IDS "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7"

static void traces(void **state)
{
	(void)state;
	static const struct header w3c[] = {{"other", "x"}, {"traceparent", W3C}, {0}};
	static const struct header b3[] = {{"b3", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}, {0}};
	static const struct header multi[] = {
	    {"X-B3-SpanId", "00f067aa0ba902b7"}, {"X-B3-TraceId", "4bf92f3577b34da6a3ce929d0e0e4736"}, {0}};
	static const struct header uber[] = {{"uber-trace-id", "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1"},
					     {0}};
	static const struct header sw8[] = {{"sw8", "1-dHJhY2U=-c2Vn-3-c3Zj-aW5z-ZW5k-cGVlcg=="}, {0}};
	static const struct header both[] = {
	    {"b3", "11111111111111111111111111111111-2222222222222222"}, {"traceparent", W3C}, {0}};
	static const struct header wrong[] = {{"traceparent", "00-4bf9"}, {0}};
	for (enum codec codec = NONE; codec < CODECS; codec++) {
		check_trace("in the first record", codec, w3c, 10, true, IDS);
		check_trace("in the second record", codec, w3c, 2000, false, IDS);
	}
	check_trace("b3", NONE, b3, 3, true, IDS);
	check_trace("b3 in several headers", NONE, multi, 3, true, IDS);
	check_trace("uber-trace-id", NONE, uber, 3, true, IDS);
	check_trace("sw8", NONE, sw8, 3, true, "trace_id=trace span_id=seg-3");
	check_trace("several: the W3C's counts", NONE, both, 3, true, IDS);
	check_trace("not well-formed", NONE, wrong, 3, true, "");
	check_trace("no headers", NONE, NULL, 3, true, "");
	/* what is behind the beginning of a large request is not looked at; what is compressed to little is */
	check_trace("behind a large record", NONE, w3c, 20000, false, "");
	check_trace("behind a large record, compressed", GZIP, w3c, 20000, false, IDS);
	check_trace("behind a large record, compressed", ZSTD, w3c, 20000, false, IDS);
}

/* A request and a response larger than the buffer. */
static void large_frames(void **state)
{
	(void)state;
	struct bytes *batch = calloc(1, sizeof *batch), *b = calloc(1, sizeof *b), *r = calloc(1, sizeof *r);
	char lines[400];
	put_be(batch, 0, 8);
	batch->len = 70000;
	put_produce(b, batch);
	put_be(r, 4 + 6 + 70000, 4);
	put_be(r, 7, 4);
	put_be(r, 0, 4);
	r->len = 4 + 4 + 6 + 70000;
	snprintf(lines, sizeof lines,
		 "is kafka\n"
		 "session c0-%zu s0-%zu version=3 request_type=Produce request_domain=t request_resource=t endpoint=t "
		 "request_id=7 "
		 "kafka.client_id=me kafka.partition=0 kafka.topics=1\n",
		 b->len, r->len);
	const struct script script = {
	    .name = "large frames",
	    .steps = {CLIENT_BYTES(b->at, b->len), SERVER_BYTES(r->at, r->len), CLOSE},
	    .expected = lines,
	    .coarse = true,
	};
	assert_true(harness_check(&script, 1));
	free(batch);
	free(b);
	free(r);
}

/* ---- probing ---- */

#define BYTES(literal) (literal), sizeof(literal) - 1

static void probes(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
		const char *answer;
	} cases[] = {
	    /* ApiVersions, version 0, without and with a client id */
	    {BYTES("\0\0\0\12\0\22\0\0\0\0\0\1\377\377"), "kafka client"},
	    {BYTES("\0\0\0\14\0\22\0\0\0\0\0\1\0\2me"), "kafka client"},
	    {BYTES("\0\0\0\14\0\22\0\0\0\0\0\1\0\2m"), "unsure"},
	    {BYTES("\0\0\0\14\0\22"), "unsure"},
	    /* a size that is too small, and one that is too large; a key and a version that do not exist; a client id
	     * of control characters; a body that is longer than it should be */
	    {BYTES("\0\0\0\7\0\22\0\0\0\0\0\1\377\377"), "none"},
	    {BYTES("\377\0\0\14\0\22\0\0\0\0\0\1\377\377"), "none"},
	    {BYTES("\0\0\0\12\0\377\0\0\0\0\0\1\377\377"), "none"},
	    {BYTES("\0\0\0\12\0\22\0\100\0\0\0\1\377\377"), "none"},
	    {BYTES("\0\0\0\14\0\22\0\0\0\0\0\1\0\2\1\2"), "none"},
	    {BYTES("\0\0\0\15\0\22\0\0\0\0\0\1\0\2me?"), "none"},
	    /* SMPP's bind_transceiver: length, command 9, status 0, sequence 1, system id, password, … */
	    {BYTES("\0\0\0\46\0\0\0\11\0\0\0\0\0\0\0\1smppclient\0password\0\0\64\0\0\0"), "none"},
	    /* PostgreSQL's startup message, version 3.0 */
	    {BYTES("\0\0\0\46\0\3\0\0user\0postgres\0database\0postgres\0\0"), "none"},
	    /* a response */
	    {BYTES("\0\0\0\6\0\0\0\1\0\0"), "none"},
	};
	for (unsigned i = 0; i < array_size(cases); i++) {
		const char *answer = harness_probe(cases[i].bytes, cases[i].len, false);
		if (strcmp(answer, cases[i].answer))
			fail_msg("case %u: %s", i, answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conversations),
	    cmocka_unit_test(traces),
	    cmocka_unit_test(large_frames),
	    cmocka_unit_test(probes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
