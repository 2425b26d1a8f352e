/* kafka_mock.c - librdkafka's mock cluster as a server of its own.
 *
 *     kafka_mock [-b BROKERS] [-t TOPIC:PARTITIONS]… [-e API:ERROR[,ERROR]…]… [-l MILLISECONDS] [-d TOPIC:ERROR]
 *
 * Prints the brokers' addresses (on the loopback) and serves until it is told to end. What it receives and answers goes
 * to standard error: "… Broker 2: Received MetadataRequestV2 from 127.0.0.1:51858", which is the server's half of the
 * truth. -e: the next requests of this kind (its number in the protocol) get these errors. -l: the time that a broker
 * takes to answer. -d: the topic is in this state for good. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ERRORS_MAX = 16, OPTIONS_MAX = 32 };

static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static void usage(void)
{
	fputs("kafka_mock [-b BROKERS] [-t TOPIC:PARTITIONS]... [-e API:ERROR[,ERROR]...]... [-l MILLISECONDS] [-d "
	      "TOPIC:ERROR]\n",
	      stderr);
	exit(2);
}

/* "NAME:NUMBER": cuts the text at the colon and returns what is behind it. */
static char *behind_colon(char *text)
{
	char *colon = strrchr(text, ':');
	if (!colon)
		usage();
	*colon = 0;
	return colon + 1;
}

static void push_errors(rd_kafka_mock_cluster_t *cluster, char *text)
{
	rd_kafka_resp_err_t errors[ERRORS_MAX];
	size_t n = 0;
	char *list = behind_colon(text);
	for (char *next = strtok(list, ","); next && n < ERRORS_MAX; next = strtok(NULL, ","))
		errors[n++] = (rd_kafka_resp_err_t)atoi(next);
	rd_kafka_mock_push_request_errors_array(cluster, (int16_t)atoi(text), n, errors);
}

int main(int argc, char **argv)
{
	int brokers = 3, option;
	struct {
		int kind;
		char *text;
	} options[OPTIONS_MAX];
	int count = 0;
	char reason[512];

	while ((option = getopt(argc, argv, "b:t:e:l:d:")) != -1) {
		if (option == '?' || count == OPTIONS_MAX)
			usage();
		if (option == 'b')
			brokers = atoi(optarg);
		else {
			options[count].kind = option;
			options[count++].text = optarg;
		}
	}
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (rd_kafka_conf_set(conf, "debug", "mock", reason, sizeof reason) != RD_KAFKA_CONF_OK) {
		fprintf(stderr, "kafka_mock: %s\n", reason);
		return 3;
	}
	rd_kafka_t *handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
	rd_kafka_mock_cluster_t *cluster = handle ? rd_kafka_mock_cluster_new(handle, brokers) : NULL;
	if (!cluster) {
		fprintf(stderr, "kafka_mock: %s\n", handle ? "no cluster" : reason);
		return 3;
	}
	for (int i = 0; i < count; i++) {
		char *text = options[i].text;
		if (options[i].kind == 't') {
			int partitions = atoi(behind_colon(text));
			rd_kafka_mock_topic_create(cluster, text, partitions, 1);
		} else if (options[i].kind == 'd') {
			rd_kafka_resp_err_t error = (rd_kafka_resp_err_t)atoi(behind_colon(text));
			rd_kafka_mock_topic_set_error(cluster, text, error);
		} else if (options[i].kind == 'e')
			push_errors(cluster, text);
		else
			for (int broker = 1; broker <= brokers; broker++)
				rd_kafka_mock_broker_set_rtt(cluster, broker, atoi(text));
	}
	signal(SIGTERM, end);
	signal(SIGINT, end);
	puts(rd_kafka_mock_cluster_bootstraps(cluster));
	fflush(stdout);
	while (!ended)
		rd_kafka_poll(handle, 100);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(handle);
	return 0;
}
