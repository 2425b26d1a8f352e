/* test_redis.c - Redis: RESP2, RESP3, inline commands, and what answers what.
 *
 * The expectations come from the RESP specification and the documentation of the commands; the offsets are lengths of
 * the strings. */
#include "dissect_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

extern const struct dissector dissector_redis;

static const struct script scripts[] = {
    {
	.name = "one after the other, and what a reply may be",
	.steps =
	    {
		CLIENT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$1\r\nv\r\n"),
		CLIENT("*2\r\n$3\r\nget\r\n$4\r\nnone\r\n"),
		SERVER("$-1\r\n"),
		CLIENT("*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n"),
		SERVER("*-1\r\n"),
		CLIENT("*3\r\n$6\r\nINCRBY\r\n$1\r\nn\r\n$2\r\n-3\r\n"),
		SERVER(":-3\r\n"),
		CLIENT("*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$2\r\n-1\r\n"),
		SERVER("*3\r\n$1\r\na\r\n$0\r\n\r\n$1\r\nc\r\n"),
		CLIENT("*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n"),
		SERVER("*0\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$0\r\n\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-27 s0-5 version=2 request_type=SET request_resource=\"SET k\" endpoint=SET "
		    "response_result=OK status=ok\n"
		    "session c27-47 s5-12 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk(1) status=ok\n"
		    "session c47-70 s12-17 version=2 request_type=GET request_resource=\"GET none\" endpoint=GET "
		    "response_result=nil status=ok\n"
		    "session c70-108 s17-22 version=2 request_type=LRANGE request_resource=\"LRANGE l\" "
		    "endpoint=LRANGE response_result=nil status=ok\n"
		    "session c108-139 s22-27 version=2 request_type=INCRBY request_resource=\"INCRBY n\" "
		    "endpoint=INCRBY response_result=-3 status=ok\n"
		    "session c139-177 s27-51 version=2 request_type=LRANGE request_resource=\"LRANGE l\" "
		    "endpoint=LRANGE response_result=array(3) status=ok\n"
		    "session c177-198 s51-55 version=2 request_type=KEYS request_resource=\"KEYS *\" endpoint=KEYS "
		    "response_result=array(0) status=ok\n"
		    "session c198-218 s55-61 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk(0) status=ok\n"
		    "session c218-238 s61-129 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_exception=\"WRONGTYPE Operation against a key holding the wrong kind of value\" "
		    "status=client_error\n",
    },
    {
	.name = "a pipeline, and replies within replies",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n*2\r\n$4\r\nPING\r\n"
		       "$5\r\nhello\r\n*1\r\n$7\r\nCOMMAND\r\n"),
		SERVER("+PONG\r\n*2\r\n*3\r\n:0\r\n:8191\r\n*2\r\n$9\r\n127.0.0.1\r\n:7000\r\n*0\r\n"
		       "$5\r\nhello\r\n*2\r\n*1\r\n*1\r\n*-1\r\n-ERR within\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-14 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c14-42 s7-56 version=2 request_type=\"CLUSTER SLOTS\" request_resource=\"CLUSTER SLOTS\" "
		    "endpoint=\"CLUSTER SLOTS\" response_result=array(2) status=ok\n"
		    "session c42-67 s56-67 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=bulk(5) status=ok\n"
		    "session c67-84 s67-97 version=2 request_type=COMMAND request_resource=COMMAND endpoint=COMMAND "
		    "response_result=array(2) status=ok\n",
    },
    {
	.name = "which arguments are keys",
	.steps =
	    {
		CLIENT("*4\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*4\r\n$5\r\nBLPOP\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n0\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*6\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n2\r\n$2\r\nk1\r\n$2\r\nk2\r\n"
		       "$1\r\nv\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*11\r\n$10\r\nXREADGROUP\r\n$5\r\nGROUP\r\n$7\r\nstreams\r\n$1\r\nc\r\n"
		       "$5\r\nCOUNT\r\n$1\r\n2\r\n$7\r\nSTREAMS\r\n$2\r\ns1\r\n$2\r\ns2\r\n$1\r\n"
		       ">\r\n$1\r\n>\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*8\r\n$11\r\nZUNIONSTORE\r\n$1\r\nd\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\nb\r\n"
		       "$7\r\nWEIGHTS\r\n$1\r\n1\r\n$1\r\n2\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*5\r\n$5\r\nBITOP\r\n$3\r\nAND\r\n$1\r\nd\r\n$1\r\na\r\n$1\r\nb\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*3\r\n$6\r\nRENAME\r\n$1\r\na\r\n$1\r\nb\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\nv\r\n"),
		SERVER(":1\r\n"),
		CLIENT("*4\r\n$5\r\nlmpop\r\n$1\r\n1\r\n$1\r\nl\r\n$4\r\nLEFT\r\n"),
		SERVER(":1\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-35 s0-4 version=2 request_type=MGET request_resource=\"MGET a b c\" endpoint=MGET "
		    "response_result=1 status=ok\n"
		    "session c35-77 s4-8 version=2 request_type=MSET request_resource=\"MSET a b\" endpoint=MSET "
		    "response_result=1 status=ok\n"
		    "session c77-113 s8-12 version=2 request_type=BLPOP request_resource=\"BLPOP a b\" endpoint=BLPOP "
		    "response_result=1 status=ok\n"
		    "session c113-171 s12-16 version=2 request_type=EVAL request_resource=\"EVAL k1 k2\" endpoint=EVAL "
		    "response_result=1 status=ok\n"
		    "session c171-285 s16-20 version=2 request_type=XREADGROUP request_resource=\"XREADGROUP s1 s2\" "
		    "endpoint=XREADGROUP response_result=1 status=ok\n"
		    "session c285-362 s20-24 version=2 request_type=ZUNIONSTORE request_resource=\"ZUNIONSTORE d a b\" "
		    "endpoint=ZUNIONSTORE response_result=1 status=ok\n"
		    "session c362-407 s24-28 version=2 request_type=BITOP request_resource=\"BITOP d a b\" "
		    "endpoint=BITOP response_result=1 status=ok\n"
		    "session c407-437 s28-32 version=2 request_type=RENAME request_resource=\"RENAME a b\" "
		    "endpoint=RENAME response_result=1 status=ok\n"
		    "session c437-472 s32-36 version=2 request_type=HSET request_resource=\"HSET h\" endpoint=HSET "
		    "response_result=1 status=ok\n"
		    "session c472-511 s36-40 version=2 request_type=LMPOP request_resource=\"LMPOP l\" endpoint=LMPOP "
		    "response_result=1 status=ok\n",
    },
    {
	.name = "secrets and values are not shown",
	.steps =
	    {
		CLIENT("*3\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$6\r\nsecret\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$4\r\nuser\r\n$6\r\nsecret\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*6\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$11\r\nrequirepass\r\n$6\r\nsecret\r\n"
		       "$9\r\nmaxmemory\r\n$1\r\n1\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*4\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*5\r\n$3\r\nACL\r\n$7\r\nSETUSER\r\n$5\r\nalice\r\n$2\r\non\r\n$7\r\n>secret\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*11\r\n$7\r\nMIGRATE\r\n$1\r\nh\r\n$4\r\n6379\r\n$0\r\n\r\n$1\r\n0\r\n$1\r\n"
		       "1\r\n$4\r\nAUTH\r\n$4\r\nKEYS\r\n$4\r\nKEYS\r\n$1\r\na\r\n$1\r\nb\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*9\r\n$7\r\nMIGRATE\r\n$1\r\nh\r\n$4\r\n6379\r\n$1\r\nk\r\n$1\r\n0\r\n$1\r\n"
		       "1\r\n$5\r\nAUTH2\r\n$1\r\nu\r\n$6\r\nsecret\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*3\r\n$6\r\nclient\r\n$7\r\nsetname\r\n$2\r\nme\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*2\r\n$4\r\nECHO\r\n$6\r\nsecret\r\n"),
		SERVER("+OK\r\n"),
		CLIENT("*5\r\n$6\r\nXGROUP\r\n$6\r\nCREATE\r\n$1\r\ns\r\n$1\r\ng\r\n$1\r\n$\r\n"),
		SERVER("+OK\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-36 s0-5 version=2 request_type=AUTH request_resource=AUTH endpoint=AUTH "
		    "response_result=OK status=ok\n"
		    "session c36-90 s5-10 version=2 request_type=HELLO request_resource=\"HELLO 2\" endpoint=HELLO "
		    "response_result=OK status=ok\n"
		    "session c90-167 s10-15 version=2 request_type=\"CONFIG SET\" request_resource=\"CONFIG SET "
		    "requirepass maxmemory\" endpoint=\"CONFIG SET\" response_result=OK status=ok\n"
		    "session c167-206 s15-20 version=2 request_type=\"CONFIG GET\" request_resource=\"CONFIG GET a b\" "
		    "endpoint=\"CONFIG GET\" response_result=OK status=ok\n"
		    "session c206-264 s20-25 version=2 request_type=\"ACL SETUSER\" request_resource=\"ACL SETUSER "
		    "alice\" endpoint=\"ACL SETUSER\" response_result=OK status=ok\n"
		    "session c264-363 s25-30 version=2 request_type=MIGRATE request_resource=\"MIGRATE a b\" "
		    "endpoint=MIGRATE response_result=OK status=ok\n"
		    "session c363-448 s30-35 version=2 request_type=MIGRATE request_resource=\"MIGRATE k\" "
		    "endpoint=MIGRATE response_result=OK status=ok\n"
		    "session c448-485 s35-40 version=2 request_type=\"CLIENT SETNAME\" request_resource=\"CLIENT "
		    "SETNAME me\" endpoint=\"CLIENT SETNAME\" response_result=OK status=ok\n"
		    "session c485-511 s40-45 version=2 request_type=ECHO request_resource=ECHO endpoint=ECHO "
		    "response_result=OK status=ok\n"
		    "session c511-560 s45-50 version=2 request_type=\"XGROUP CREATE\" request_resource=\"XGROUP CREATE "
		    "s\" endpoint=\"XGROUP CREATE\" response_result=OK status=ok\n",
    },
    {
	.name = "keys are hidden where asked",
	.steps =
	    {
		CLIENT("*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n"),
		SERVER(":7\r\n"),
		CLIENT("*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$1\r\nv\r\n"),
		SERVER("-MOVED 3999 127.0.0.1:6381\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-28 s0-4 version=2 request_type=MGET request_resource=\"MGET ? ?\" endpoint=MGET "
		    "response_result=integer status=ok\n"
		    "session c28-60 s4-32 version=2 request_type=PUBLISH request_resource=\"PUBLISH ?\" "
		    "endpoint=PUBLISH response_exception=\"MOVED 3999 127.0.0.1:6381\" status=client_error\n",
	.settings = {.obfuscate = 1 << OBFUSCATE_REDIS},
    },
    {
	.name = "keys are cut at text_max",
	.steps =
	    {
		CLIENT("*3\r\n$4\r\nMGET\r\n$4\r\naaaa\r\n$4\r\nbbbb\r\n"),
		SERVER("+OK but longer\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-34 s0-16 version=2 request_type=MGET request_resource=\"MGET aaa\" endpoint=MGET "
		    "response_result=\"OK but l\" status=ok\n",
	.settings = {.text_max = 8},
    },
    {
	.name = "whose fault an error is",
	.steps =
	    {
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-MOVED 3999 127.0.0.1:6381\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-ASK 1 h:1\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-LOADING Redis is loading the dataset in memory\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-OOM command not allowed when used memory > 'maxmemory'.\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-BUSY Redis is busy running a script.\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-BUSYKEY Target key name already exists.\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-CLUSTERDOWN Hash slot not served\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-READONLY You can't write against a read only replica.\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("-NOAUTH Authentication required.\r\n"),
		CLOSE,
	    },
	.expected =
	    "is redis\n"
	    "session c0-20 s0-28 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"MOVED 3999 127.0.0.1:6381\" status=client_error\n"
	    "session c20-40 s28-40 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"ASK 1 h:1\" status=client_error\n"
	    "session c40-60 s40-89 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"LOADING Redis is loading the dataset in memory\" status=server_error\n"
	    "session c60-80 s89-147 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"OOM command not allowed when used memory > 'maxmemory'.\" status=server_error\n"
	    "session c80-100 s147-186 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"BUSY Redis is busy running a script.\" status=server_error\n"
	    "session c100-120 s186-228 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"BUSYKEY Target key name already exists.\" status=client_error\n"
	    "session c120-140 s228-263 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"CLUSTERDOWN Hash slot not served\" status=server_error\n"
	    "session c140-160 s263-319 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"READONLY You can't write against a read only replica.\" status=server_error\n"
	    "session c160-180 s319-353 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
	    "response_exception=\"NOAUTH Authentication required.\" status=client_error\n",
    },
    {
	.name = "an error that repeats arguments",
	.steps =
	    {
		CLIENT("*2\r\n$3\r\nFOO\r\n$6\r\nsecret\r\n"),
		SERVER("-ERR unknown command 'FOO', with args beginning with: 'secret' \r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-25 s0-65 version=2 request_type=FOO request_resource=\"FOO secret\" endpoint=FOO "
		    "response_exception=\"ERR unknown command 'FOO'\" status=client_error\n",
    },
    {
	.name = "RESP3: every type",
	.steps =
	    {
		CLIENT("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"),
		SERVER("%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\n"
		       "GET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\n"
		       "k\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n"
		       "$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n"
		       "$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
		       "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\n"
		       "GET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\n"
		       "k\r\n"),
		SERVER("_\r\n#t\r\n#f\r\n,3.25\r\n,inf\r\n(3492890328409238509324850943850943825024385\r\n"
		       "=15\r\ntxt:Some string\r\n!21\r\nSYNTAX invalid syntax\r\n~2\r\n:1\r\n#t\r\n"
		       "%1\r\n+a\r\n%1\r\n+b\r\n*2\r\n_\r\n_\r\n|1\r\n+key-popularity\r\n%2\r\n"
		       "$1\r\na\r\n,0.1923\r\n$1\r\nb\r\n,0.0012\r\n*2\r\n:2039123\r\n:9543892\r\n"
		       "*3\r\n:1\r\n:2\r\n|1\r\n+ttl\r\n:3600\r\n:3\r\n$?\r\n;4\r\nHell\r\n;6\r\n"
		       "o worl\r\n;1\r\nd\r\n;0\r\n*?\r\n:1\r\n*?\r\n.\r\n$?\r\n;0\r\n.\r\n%?\r\n"
		       "+a\r\n:1\r\n.\r\n|0\r\n+OK\r\n%0\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-22 s0-42 version=3 request_type=HELLO request_resource=\"HELLO 3\" endpoint=HELLO "
		    "response_result=map(2) status=ok\n"
		    "session c22-42 s42-45 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=nil status=ok\n"
		    "session c42-62 s45-49 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=true status=ok\n"
		    "session c62-82 s49-53 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=false status=ok\n"
		    "session c82-102 s53-60 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=double status=ok\n"
		    "session c102-122 s60-66 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=double status=ok\n"
		    "session c122-142 s66-112 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=number status=ok\n"
		    "session c142-162 s112-134 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=verbatim(15) status=ok\n"
		    "session c162-182 s134-162 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_exception=\"SYNTAX invalid syntax\" status=client_error\n"
		    "session c182-202 s162-174 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=set(2) status=ok\n"
		    "session c202-222 s174-200 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=map(1) status=ok\n"
		    "session c222-242 s200-281 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=array(2) status=ok\n"
		    "session c242-262 s281-314 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=array(3) status=ok\n"
		    "session c262-282 s314-351 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk status=ok\n"
		    "session c282-302 s351-377 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=array status=ok\n"
		    "session c302-322 s377-392 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=map status=ok\n"
		    "session c322-342 s392-401 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=OK status=ok\n"
		    "session c342-362 s401-405 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=map(0) status=ok\n",
    },
    {
	.name = "a transaction",
	.steps =
	    {
		CLIENT("*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*3\r\n$5\r\n"
		       "LPUSH\r\n$1\r\na\r\n$1\r\n2\r\n*1\r\n$4\r\nEXEC\r\n*1\r\n$5\r\nMULTI\r\n"
		       "*1\r\n$7\r\nDISCARD\r\n*1\r\n$4\r\nEXEC\r\n"),
		SERVER("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-WRONGTYPE Operation\r\n+OK\r\n"
		       "+OK\r\n-ERR EXEC without MULTI\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-15 s0-5 version=2 request_type=MULTI request_resource=MULTI endpoint=MULTI "
		    "response_result=OK status=ok\n"
		    "session c15-42 s5-14 version=2 request_type=SET request_resource=\"SET a\" endpoint=SET "
		    "response_result=QUEUED status=ok\n"
		    "session c42-71 s14-23 version=2 request_type=LPUSH request_resource=\"LPUSH a\" endpoint=LPUSH "
		    "response_result=QUEUED status=ok\n"
		    "session c71-85 s23-54 version=2 request_type=EXEC request_resource=EXEC endpoint=EXEC "
		    "response_exception=\"WRONGTYPE Operation\" response_result=array(2) status=client_error\n"
		    "session c85-100 s54-59 version=2 request_type=MULTI request_resource=MULTI endpoint=MULTI "
		    "response_result=OK status=ok\n"
		    "session c100-117 s59-64 version=2 request_type=DISCARD request_resource=DISCARD endpoint=DISCARD "
		    "response_result=OK status=ok\n"
		    "session c117-131 s64-89 version=2 request_type=EXEC request_resource=EXEC endpoint=EXEC "
		    "response_exception=\"ERR EXEC without MULTI\" status=client_error\n",
    },
    {
	.name = "databases: SELECT counts if it succeeds",
	.steps =
	    {
		CLIENT("*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("+OK\r\n$1\r\nv\r\n"),
		CLIENT("*2\r\n$6\r\nSELECT\r\n$2\r\n99\r\n"),
		SERVER("-ERR DB index is out of range\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$1\r\nv\r\n"),
		CLIENT("*1\r\n$5\r\nRESET\r\n"),
		SERVER("+RESET\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$1\r\nv\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-23 s0-5 version=2 request_type=SELECT request_domain=3 request_resource=\"SELECT 3\" "
		    "endpoint=SELECT response_result=OK status=ok\n"
		    "session c23-43 s5-12 version=2 request_type=GET request_domain=3 request_resource=\"GET k\" "
		    "endpoint=GET response_result=bulk(1) status=ok\n"
		    "session c43-67 s12-43 version=2 request_type=SELECT request_domain=99 request_resource=\"SELECT "
		    "99\" endpoint=SELECT response_exception=\"ERR DB index is out of range\" status=client_error\n"
		    "session c67-87 s43-50 version=2 request_type=GET request_domain=3 request_resource=\"GET k\" "
		    "endpoint=GET response_result=bulk(1) status=ok\n"
		    "session c87-102 s50-58 version=2 request_type=RESET request_resource=RESET endpoint=RESET "
		    "response_result=RESET status=ok\n"
		    "session c102-122 s58-65 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk(1) status=ok\n",
    },
    {
	.name = "versions: HELLO counts if it succeeds",
	.steps =
	    {
		CLIENT("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"),
		SERVER("-NOAUTH HELLO must be called with the client already authenticated\r\n"),
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		SERVER("+PONG\r\n"),
		CLIENT("*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n"),
		SERVER("%1\r\n+proto\r\n:3\r\n"),
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		SERVER("+PONG\r\n"),
		CLIENT("*1\r\n$5\r\nRESET\r\n"),
		SERVER("+RESET\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-22 s0-68 version=2 request_type=HELLO request_resource=\"HELLO 3\" endpoint=HELLO "
		    "response_exception=\"NOAUTH HELLO must be called with the client already authenticated\" "
		    "status=client_error\n"
		    "session c22-36 s68-75 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c36-82 s75-91 version=3 request_type=HELLO request_resource=\"HELLO 3\" endpoint=HELLO "
		    "response_result=map(1) status=ok\n"
		    "session c82-96 s91-98 version=3 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c96-111 s98-106 version=2 request_type=RESET request_resource=RESET endpoint=RESET "
		    "response_result=RESET status=ok\n",
    },
    {
	/* no_gaps: where subscriptions are not known, an array that says message is one */
	.name = "RESP2 subscriptions: all confirmations of a request are its response; messages answer nothing",
	.steps =
	    {
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\n"
		       "b\r\n*2\r\n$10\r\nPSUBSCRIBE\r\n$2\r\np*\r\n"),
		SERVER("*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\n"
		       "a\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*3\r\n$10\r\npsubscribe\r\n"
		       "$2\r\np*\r\n:3\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$6\r\nsecret\r\n*4\r\n"
		       "$8\r\npmessage\r\n$2\r\np*\r\n$2\r\npa\r\n$6\r\nsecret\r\n"),
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		SERVER("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$6\r\nsecret\r\n*2\r\n$4\r\npong\r\n$0\r\n"
		       "\r\n"),
		CLIENT("*1\r\n$11\r\nUNSUBSCRIBE\r\n*1\r\n$11\r\nUNSUBSCRIBE\r\n*2\r\n$12\r\nPUNSUBSCRIBE\r\n"
		       "$2\r\np*\r\n*4\r\n$6\r\nLRANGE\r\n$1\r\nb\r\n$1\r\n0\r\n$1\r\n2\r\n"),
		SERVER("*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:2\r\n*3\r\n$11\r\nunsubscribe\r\n"
		       "$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:1\r\n*3\r\n$12\r\n"
		       "punsubscribe\r\n$2\r\np*\r\n:0\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n"
		       "b\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-20 s0-31 version=2 request_type=GET request_resource=\"GET a\" endpoint=GET "
		    "response_result=array(3) status=ok\n"
		    "session c20-53 s31-91 version=2 request_type=SUBSCRIBE request_resource=\"SUBSCRIBE a b\" "
		    "endpoint=SUBSCRIBE response_result=array(3) status=ok\n"
		    "session c53-82 s91-124 version=2 request_type=PSUBSCRIBE request_resource=\"PSUBSCRIBE p*\" "
		    "endpoint=PSUBSCRIBE response_result=array(3) status=ok\n"
		    "response s124-160 version=2 request_type=message request_resource=\"message a\" endpoint=message "
		    "response_result=array(3) status=ok unpaired\n"
		    "response s160-206 version=2 request_type=pmessage request_resource=\"pmessage p*\" "
		    "endpoint=pmessage response_result=array(4) status=ok unpaired\n"
		    "session c82-96 s242-262 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=array(2) status=ok\n"
		    "response s206-242 version=2 request_type=message request_resource=\"message b\" endpoint=message "
		    "response_result=array(3) status=ok unpaired\n"
		    "session c96-118 s262-328 version=2 request_type=UNSUBSCRIBE request_resource=UNSUBSCRIBE "
		    "endpoint=UNSUBSCRIBE response_result=array(3) status=ok\n"
		    "session c118-140 s328-359 version=2 request_type=UNSUBSCRIBE request_resource=UNSUBSCRIBE "
		    "endpoint=UNSUBSCRIBE response_result=array(3) status=ok\n"
		    "session c140-171 s359-394 version=2 request_type=PUNSUBSCRIBE request_resource=\"PUNSUBSCRIBE "
		    "p*\" endpoint=PUNSUBSCRIBE response_result=array(3) status=ok\n"
		    "session c171-208 s394-425 version=2 request_type=LRANGE request_resource=\"LRANGE b\" "
		    "endpoint=LRANGE response_result=array(3) status=ok\n",
	.no_gaps = true,
    },
    {
	/* no_gaps: without its request, a response of several confirmations is cut up */
	.name = "RESP3: pushes anywhere between replies",
	.steps =
	    {
		CLIENT("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"),
		SERVER("%1\r\n+proto\r\n:3\r\n"),
		CLIENT("*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\nGET\r\n$1\r\n"
		       "k\r\n"),
		SERVER(">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\n"
		       "b\r\n:2\r\n>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nv\r\n>2\r\n"
		       "$10\r\ninvalidate\r\n*1\r\n$3\r\nfoo\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER(">3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\ny\r\n$-1\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-22 s0-16 version=3 request_type=HELLO request_resource=\"HELLO 3\" endpoint=HELLO "
		    "response_result=map(1) status=ok\n"
		    "session c22-55 s16-76 version=3 request_type=SUBSCRIBE request_resource=\"SUBSCRIBE a b\" "
		    "endpoint=SUBSCRIBE response_result=push(3) status=ok\n"
		    "session c55-75 s107-114 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk(1) status=ok\n"
		    "response s76-107 version=3 request_type=message request_resource=\"message a\" endpoint=message "
		    "response_result=push(3) status=ok unpaired\n"
		    "response s114-148 version=3 request_type=invalidate request_resource=invalidate "
		    "endpoint=invalidate response_result=push(2) status=ok unpaired\n"
		    "session c75-95 s179-184 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=nil status=ok\n"
		    "response s148-179 version=3 request_type=message request_resource=\"message b\" endpoint=message "
		    "response_result=push(3) status=ok unpaired\n",
	.no_gaps = true,
    },
    {
	.name = "SUBSCRIBE refused",
	.steps =
	    {
		CLIENT("*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n*2\r\n$3\r\nGET\r\n$1\r\n"
		       "k\r\n"),
		SERVER("-NOAUTH Authentication required.\r\n-NOAUTH Authentication required.\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-33 s0-34 version=2 request_type=SUBSCRIBE request_resource=\"SUBSCRIBE a b\" "
		    "endpoint=SUBSCRIBE response_exception=\"NOAUTH Authentication required.\" status=client_error\n"
		    "session c33-53 s34-68 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_exception=\"NOAUTH Authentication required.\" status=client_error\n",
    },
    {
	/* no_gaps: the harness pairs no more after a gap, so that what it is told about replies does not show */
	.name = "CLIENT REPLY OFF and ON",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n*3\r\n"
		       "$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n"
		       "$4\r\nSKIP\r\n*3\r\n$6\r\nclient\r\n$5\r\nreply\r\n$2\r\non\r\n*2\r\n$3\r\n"
		       "GET\r\n$1\r\na\r\n"),
		SERVER("+PONG\r\n+OK\r\n$1\r\n1\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-14 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "request c14-50 version=2 request_type=\"CLIENT REPLY\" request_resource=\"CLIENT REPLY OFF\" "
		    "endpoint=\"CLIENT REPLY\" unpaired\n"
		    "request c50-77 version=2 request_type=SET request_resource=\"SET a\" endpoint=SET unpaired\n"
		    "request c77-114 version=2 request_type=\"CLIENT REPLY\" request_resource=\"CLIENT REPLY SKIP\" "
		    "endpoint=\"CLIENT REPLY\" unpaired\n"
		    "session c114-149 s7-12 version=2 request_type=\"CLIENT REPLY\" request_resource=\"CLIENT REPLY "
		    "on\" endpoint=\"CLIENT REPLY\" response_result=OK status=ok\n"
		    "session c149-169 s12-19 version=2 request_type=GET request_resource=\"GET a\" endpoint=GET "
		    "response_result=bulk(1) status=ok\n",
	.no_gaps = true,
    },
    {
	.name = "CLIENT REPLY SKIP",
	.steps =
	    {
		CLIENT("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n*3\r\n$3\r\nSET\r\n$1\r\n"
		       "a\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n"),
		SERVER("$1\r\n1\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "request c0-37 version=2 request_type=\"CLIENT REPLY\" request_resource=\"CLIENT REPLY SKIP\" "
		    "endpoint=\"CLIENT REPLY\" unpaired\n"
		    "request c37-64 version=2 request_type=SET request_resource=\"SET a\" endpoint=SET unpaired\n"
		    "session c64-84 s0-7 version=2 request_type=GET request_resource=\"GET a\" endpoint=GET "
		    "response_result=bulk(1) status=ok\n",
    },
    {
	.name = "MONITOR: lines answer nothing, what is asked in between is answered",
	.steps =
	    {
		CLIENT("*1\r\n$7\r\nMONITOR\r\n"),
		SERVER("+OK\r\n+1339518083.107412 [0 127.0.0.1:60866] \"set\" \"k\" \"secret\"\r\n"),
		CLIENT("*1\r\n$4\r\nPING\r\n*1\r\n$5\r\nRESET\r\n"),
		SERVER("+1339518087.877697 [0 lua] \"get\" \"k\"\r\n+PONG\r\n+RESET\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-17 s0-5 version=2 request_type=MONITOR request_resource=MONITOR endpoint=MONITOR "
		    "response_result=OK status=ok\n"
		    "response s5-64 version=2 request_type=monitor request_resource=monitor endpoint=monitor status=ok "
		    "unpaired\n"
		    "session c17-31 s102-109 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c31-46 s109-117 version=2 request_type=RESET request_resource=RESET endpoint=RESET "
		    "response_result=RESET status=ok\n"
		    "response s64-102 version=2 request_type=monitor request_resource=monitor endpoint=monitor "
		    "status=ok unpaired\n",
    },
    {
	/* no_gaps: without the answer to PSYNC the rest looks like requests and replies */
	.name = "replication: after the answer to PSYNC come no more replies",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n*3\r\n$8\r\nREPLCONF\r\n$14\r\nlistening-port\r\n$4\r\n"
		       "6380\r\n*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n"),
		SERVER("+PONG\r\n+OK\r\n+FULLRESYNC 8de1787ba490483314a4d30f1c628bc5025eb761 0\r\n"),
		SERVER("\n\n$4\r\nREDI*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"),
		CLIENT("*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n14\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-14 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c14-63 s7-12 version=2 request_type=REPLCONF request_resource=\"REPLCONF listening-port\" "
		    "endpoint=REPLCONF response_result=OK status=ok\n"
		    "session c63-93 s12-68 version=2 request_type=PSYNC request_resource=\"PSYNC ?\" endpoint=PSYNC "
		    "response_result=\"FULLRESYNC 8de1787ba490483314a4d30f1c628bc5025eb761 0\" status=ok\n",
	.no_gaps = true,
    },
    {
	.name = "inline commands",
	.steps =
	    {
		CLIENT("PING\r\nSET k \"a value\"\r\n\r\nget  k\n"),
		SERVER("+PONG\r\n+OK\r\n$7\r\na value\r\n"),
		CLOSE,
	    },
	.expected = "session c0-6 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c6-23 s7-12 version=2 request_type=SET request_resource=\"SET k\" endpoint=SET "
		    "response_result=OK status=ok\n"
		    "session c25-32 s12-25 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk(7) status=ok\n",
	.dissector = &dissector_redis,
    },
    {
	.name = "inline commands away from the port: several, one of which only Redis has",
	.steps =
	    {
		CLIENT("SET a 1\r\nHGET h f\r\nGET a\r\n"),
		SERVER("+OK\r\n$-1\r\n$1\r\n1\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-9 s0-5 version=2 request_type=SET request_resource=\"SET a\" endpoint=SET "
		    "response_result=OK status=ok\n"
		    "session c9-19 s5-10 version=2 request_type=HGET request_resource=\"HGET h\" endpoint=HGET "
		    "response_result=nil status=ok\n"
		    "session c19-26 s10-17 version=2 request_type=GET request_resource=\"GET a\" endpoint=GET "
		    "response_result=bulk(1) status=ok\n",
    },
    {
	.name = "an inline command is recognised by its reply",
	.steps =
	    {
		CLIENT("PING\r\n"),
		SERVER("+PONG\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-6 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n",
    },
    {
	.name = "the server refuses, asked nothing",
	.steps =
	    {
		SERVER("-ERR max number of clients reached\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "response s0-36 response_exception=\"ERR max number of clients reached\" status=server_error\n",
    },
    {
	/* no_gaps: a request within a value looks like one */
	.name = "arguments and elements that hold the protocol itself",
	.steps =
	    {
		CLIENT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20\r\n*2\r\n$3\r\nDEL\r\n$1\r\nx\r\n\r\n"
		       "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("+OK\r\n$14\r\n+OK\r\n$3\r\nfoo\r\n\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-47 s0-5 version=2 request_type=SET request_resource=\"SET k\" endpoint=SET "
		    "response_result=OK status=ok\n"
		    "session c47-67 s5-26 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET "
		    "response_result=bulk(14) status=ok\n",
	.no_gaps = true,
    },
    {
	.name = "empty requests are none",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n"),
		SERVER("+PONG\r\n+PONG\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-14 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "session c23-37 s7-14 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n",
    },
    {
	.name = "what is no request ends the requests; the server says so",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n*2\r\n:1\r\n"),
		SERVER("+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"),
		CLOSE,
	    },
	.expected =
	    "is redis\n"
	    "session c0-14 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING response_result=PONG "
	    "status=ok\n"
	    "response s7-51 response_exception=\"ERR Protocol error: expected '$', got ':'\" status=client_error\n",
    },
    {
	/* no_gaps: what comes after it is another connection then */
	.name = "what is no reply ends everything",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		SERVER("hello\r\n"),
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "gives up\n"
		    "request c0-14 version=2 request_type=PING request_resource=PING endpoint=PING\n",
	.no_gaps = true,
    },
    {
	.name = "a hole among requests",
	.steps =
	    {
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		SERVER("+PONG\r\n"),
		CLIENT_GAP(30),
		CLIENT("lue\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("+OK\r\n$1\r\nv\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-14 s0-7 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n"
		    "request c49-69 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s7-12 response_result=OK status=ok\n"
		    "response s12-19 response_result=bulk(1) status=ok\n",
    },
    {
	.name = "a hole among replies: the next begins when the client asks again",
	.steps =
	    {
		CLIENT("*4\r\n$6\r\nLRANGE\r\n$1\r\nl\r\n$1\r\n0\r\n$1\r\n9\r\n"),
		SERVER("*3\r\n$1\r\na\r\n"),
		SERVER_GAP(5),
		SERVER("c\r\n$1\r\nx\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$1\r\nv\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$-1\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-37 s0-11~ gap=5 version=2 request_type=LRANGE request_resource=\"LRANGE l\" "
		    "endpoint=LRANGE response_result=array(3) status=ok\n"
		    "request c37-57 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s26-33 response_result=bulk(1) status=ok\n"
		    "request c57-77 version=2 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s33-38 response_result=nil status=ok\n",
    },
    {
	.name = "a hole within a value that is skipped changes nothing",
	.steps =
	    {
		CLIENT("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\nxxxxxxxxxxxxxxxxxxxx"),
		CLIENT_GAP(60),
		CLIENT("xxxxxxxxxxxxxxxxxxxx\r\n*1\r\n$4\r\nPING\r\n"),
		SERVER("+OK\r\n+PONG\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "session c0-128 s0-5 gap=60 version=2 request_type=SET request_resource=\"SET k\" endpoint=SET "
		    "response_result=OK status=ok\n"
		    "session c128-142 s5-12 version=2 request_type=PING request_resource=PING endpoint=PING "
		    "response_result=PONG status=ok\n",
	.coarse = true,
    },
    {
	.name = "picked up in its middle",
	.steps =
	    {
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$1\r\nv\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("_\r\n"),
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "request c0-20 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s0-7 response_result=bulk(1) status=ok\n"
		    "request c20-40 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s7-10 response_result=nil status=ok\n"
		    "request c40-60 version=3 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s10-41 version=3 request_type=message request_resource=\"message a\" endpoint=message "
		    "response_result=array(3) status=ok unpaired\n",
	.midstream = true,
    },
    {
	.name = "the middle of a reply is none",
	.steps =
	    {
		CLIENT("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
		SERVER("$1\r\nv\r\n"),
		SERVER("rest\r\n"),
		CLIENT("*1\r\n$4\r\nPING\r\n"),
		SERVER("+PONG\r\n"),
		CLOSE,
	    },
	.expected = "is redis\n"
		    "request c0-20 request_type=GET request_resource=\"GET k\" endpoint=GET\n"
		    "response s0-7 response_result=bulk(1) status=ok\n"
		    "request c20-34 request_type=PING request_resource=PING endpoint=PING\n"
		    "response s13-20 response_result=PONG status=ok\n",
	.midstream = true,
    },
};

static void conversations(void **state)
{
	(void)state;
	assert_true(harness_check(scripts, array_size(scripts)));
}

/* ---- what is too large to be written out ---- */

/* A value of n bytes and its line end, followed by more. */
static char *bulk(const char *before, size_t n, const char *after, size_t *ret_len)
{
	size_t head = strlen(before), tail = strlen(after);
	char *p = malloc(head + n + 2 + tail);
	assert_non_null(p);
	memcpy(p, before, head);
	memset(p + head, 'v', n);
	memcpy(p + head + n, "\r\n", 2);
	memcpy(p + head + n + 2, after, tail);
	*ret_len = head + n + 2 + tail;
	return p;
}

/* Values larger than the buffer pass unseen; keys behind them are not shown. */
static void large_values(void **state)
{
	(void)state;
	enum { N = 70000 };
	size_t client_len, server_len;
	char expected[400];
	char *client = bulk("*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$70000\r\n", N,
			    "$1\r\nb\r\n$1\r\n2\r\n*1\r\n$4\r\nPING\r\n", &client_len);
	char *server = bulk("+OK\r\n$70000\r\n", N, "", &server_len);
	snprintf(expected, sizeof expected,
		 "is redis\n"
		 "session c0-%zu s0-5 version=2 request_type=MSET request_resource=\"MSET a\" endpoint=MSET "
		 "response_result=OK status=ok\n"
		 "session c%zu-%zu s5-%zu version=2 request_type=PING request_resource=PING endpoint=PING "
		 "response_result=bulk(70000) status=ok\n",
		 client_len - 14, client_len - 14, client_len, server_len);
	const struct script script = {
	    .name = "large values",
	    .steps = {CLIENT_BYTES(client, client_len), SERVER_BYTES(server, server_len), CLOSE},
	    .expected = expected,
	    .coarse = true,
	};
	assert_true(harness_check(&script, 1));
	free(client);
	free(server);
}

/* A key, a simple string and an inline command longer than what is kept of any text. */
static void long_texts(void **state)
{
	(void)state;
	enum { N = 20000 };
	size_t key_len, line_len, reply_len;
	char *key = bulk("*2\r\n$3\r\nGET\r\n$20000\r\n", N, "", &key_len);
	char *line = bulk("GET ", N, "", &line_len);
	char *reply = bulk("+", N, "$-1\r\n", &reply_len);
	char expected[400];
	snprintf(expected, sizeof expected,
		 "is redis\n"
		 "session c0-%zu s0-%zu version=2 request_type=GET request_resource=\"GET vvvv\" endpoint=GET "
		 "response_result=vvvvvvvv status=ok\n"
		 "session c%zu-%zu s%zu-%zu version=2 request_type=GET request_resource=\"GET vvvv\" endpoint=GET "
		 "response_result=nil status=ok\n",
		 key_len, reply_len - 5, key_len, key_len + line_len, reply_len - 5, reply_len);
	const struct script script = {
	    .name = "long texts",
	    .steps = {CLIENT_BYTES(key, key_len), CLIENT_BYTES(line, line_len), SERVER_BYTES(reply, reply_len), CLOSE},
	    .expected = expected,
	    .settings = {.text_max = 8},
	    .coarse = true,
	};
	assert_true(harness_check(&script, 1));
	free(key);
	free(line);
	free(reply);
}

/* Aggregates may be nested 24 deep; deeper ones cannot be followed. */
static void depth(void **state)
{
	(void)state;
	static const char ping[] = "*1\r\n$4\r\nPING\r\n";
	for (unsigned levels = 23; levels <= 25; levels++) {
		char reply[160];
		for (unsigned i = 0; i < levels; i++)
			memcpy(reply + 4 * i, "*1\r\n", 4);
		memcpy(reply + 4 * levels, ":1\r\n", 5);
		const struct script script = {
		    .name = "depth",
		    .steps = {CLIENT_BYTES(ping, sizeof ping - 1), SERVER_BYTES(reply, 4 * levels + 4), CLOSE},
		    .dissector = &dissector_redis,
		};
		const char *lines = harness_run(&script, &HARNESS_WHOLE);
		assert_int_equal(strstr(lines, "gives up") != NULL, levels > 24);
		assert_int_equal(strstr(lines, "~") != NULL, levels > 24);
	}
}

/* ---- probing ---- */

static void probes(void **state)
{
	(void)state;
	static const struct {
		const char *bytes, *start, *middle; /* what the probes say at a connection's start, and in its middle */
	} cases[] = {
	    {"*1\r\n$4\r\nPING\r\n", "redis client", "redis client"},
	    {"*3\r\n$3\r\nset\r\n$1\r\nk\r\n", "redis client", "redis client"},
	    {"*1\r\n$4\r\nPIN", "unsure", "unsure"},
	    {"*12", "unsure", "unsure"},
	    /* an array of strings may as well be a reply */
	    {"*2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n", "redis client", "redis server"},
	    {"*0\r\n", "none", "unsure"},
	    {"*1\r\n:1\r\n", "none", "unsure"},
	    {"*1\r\n$4\r\nP NG\r\n", "none", "redis server"},
	    {"$5\r\nhello\r\n", "none", "redis server"},
	    {"$5\r\nhellooo", "none", "none"},
	    {"$5\r\nhel", "none", "unsure"},
	    {">3\r\n$7\r\nmessage\r\n", "none", "redis server"},
	    {"-DENIED Redis is running in protected mode", "redis server", "unsure"},
	    {"+PONG\r\n", "redis server", "unsure"},
	    {"HGET h f\r\nHGET h f\r\nGET a\r\n", "redis client", "redis client"},
	    /* NATS, POP3, memcached, SMTP, FTP, IRC and HTTP */
	    {"+OK POP3 server ready\r\n", "none", "unsure"},
	    {"-ERR no such mailbox\r\n", "none", "unsure"},
	    {"get a\r\nget b\r\nset c 0 0 1\r\n", "unsure", "unsure"},
	    {"get a\r\nget b\r\nset c 0 0 1\r\n1\r\nget b\r\nget b\r\nget b\r\nget b\r\nget b\r\n", "none", "none"},
	    {"EHLO localhost\r\n", "none", "none"},
	    {"220 ready\r\n", "none", "none"},
	    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http client", "http client"},
	};
	for (unsigned i = 0; i < array_size(cases); i++) {
		size_t n = strlen(cases[i].bytes);
		const char *start = harness_probe(cases[i].bytes, n, false);
		if (strcmp(start, cases[i].start))
			fail_msg("%s: %s", cases[i].bytes, start);
		const char *middle = harness_probe(cases[i].bytes, n, true);
		if (strcmp(middle, cases[i].middle))
			fail_msg("%s, in the middle: %s", cases[i].bytes, middle);
	}
}

static enum dissect_verdict probe_hinted(const char *bytes, enum dissect_side side)
{
	struct dissect_probe p = {
	    .data = (const uint8_t *)bytes,
	    .len = strlen(bytes),
	    .hinted = true,
	    .side = side,
	};
	return dissector_redis.probe(&p);
}

static void probes_on_its_port(void **state)
{
	(void)state;
	assert_int_equal(probe_hinted("PING\r\n", SIDE_CLIENT), DISSECT_CERTAIN);
	assert_int_equal(probe_hinted("PING\n", SIDE_CLIENT), DISSECT_UNSURE);
	assert_int_equal(probe_hinted("PIN", SIDE_CLIENT), DISSECT_UNSURE);
	assert_int_equal(probe_hinted("GET / HTTP/1.1\r\n", SIDE_CLIENT), DISSECT_UNSURE); /* not certain */
	assert_int_equal(probe_hinted("NOTHING known\r\n", SIDE_CLIENT), DISSECT_UNSURE);
	assert_int_equal(probe_hinted("-ERR unknown command 'NOTHING'\r\n", SIDE_SERVER), DISSECT_CERTAIN);
	assert_int_equal(probe_hinted("\x16\x03\x01", SIDE_CLIENT), DISSECT_NOT_MINE);
}

/* Every command of the documentation is found, in any case. */
static void commands(void **state)
{
	(void)state;
	static const char *const names[] = {"ACL",          "BITFIELD_RO", "DEL",     "EVAL",
					    "EVALSHA",      "EVALSHA_RO",  "EVAL_RO", "GEORADIUSBYMEMBER_RO",
					    "GEORADIUS_RO", "GET",         "HELLO",   "RESTORE-ASKING",
					    "SET",          "SORT",        "SORT_RO", "SUBSCRIBE",
					    "XADD",         "ZUNIONSTORE", "ZADD",    "MULTI",
					    "EXEC"};
	for (unsigned i = 0; i < array_size(names); i++) {
		char request[100], lower[40];
		size_t n = strlen(names[i]);
		for (size_t k = 0; k <= n; k++)
			lower[k] = (char)(names[i][k] >= 'A' && names[i][k] <= 'Z' ? names[i][k] | 0x20 : names[i][k]);
		snprintf(request, sizeof request, "*2\r\n$%zu\r\n%s\r\n$1\r\na\r\n", n, i % 2 ? lower : names[i]);
		assert_string_equal(harness_probe(request, strlen(request), true), "redis client");
	}
	assert_string_equal(harness_probe("*2\r\n$4\r\nZZZZ\r\n$1\r\na\r\n", 21, true), "redis server");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(conversations), cmocka_unit_test(large_values), cmocka_unit_test(long_texts),
	    cmocka_unit_test(depth),         cmocka_unit_test(probes),       cmocka_unit_test(probes_on_its_port),
	    cmocka_unit_test(commands),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
