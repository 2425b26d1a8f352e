#include "export.h"
#include "ndjson.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct ndjson_sink {
	struct sink sink;
	struct output output[RECORD_KINDS];
	unsigned output_count;
};

static int encode_flow(const struct sink *s maybe_unused, const struct flow_record *r, char *out, size_t room)
{
	return ndjson_flow(r, out, room);
}

static int encode_request(const struct sink *s maybe_unused, const struct request_record *r, char *out, size_t room)
{
	return ndjson_request(r, out, room);
}

static struct output *output_of(struct sink *s, enum record_kind kind)
{
	struct ndjson_sink *n = container_of(s, struct ndjson_sink, sink);
	return &n->output[n->output_count > 1 ? kind : 0];
}

static char *sink_claim(struct sink *s, enum record_kind kind, size_t room)
{
	return output_claim(output_of(s, kind), room);
}

static int sink_commit(struct sink *s, enum record_kind kind, size_t len)
{
	return output_commit(output_of(s, kind), len);
}

static int sink_write(struct sink *s, enum record_kind kind, const char *data, size_t len)
{
	return output_put(output_of(s, kind), data, len);
}

static int sink_flush(struct sink *s, struct error *e)
{
	struct ndjson_sink *n = container_of(s, struct ndjson_sink, sink);
	int result = 0;
	for (unsigned i = 0; i < n->output_count; i++) {
		int r = output_flush(&n->output[i], result < 0 ? NULL : e);
		result = result < 0 ? result : r;
	}
	return result;
}

static void sink_free(struct sink *s)
{
	struct ndjson_sink *n = container_of(s, struct ndjson_sink, sink);
	for (unsigned i = 0; i < n->output_count; i++)
		output_close(&n->output[i]);
	free(n);
}

static const struct sink_ops ops = {
    .name = "ndjson",
    .encode_flow = encode_flow,
    .encode_request = encode_request,
    .write = sink_write,
    .claim = sink_claim,
    .commit = sink_commit,
    .flush = sink_flush,
    .free = sink_free,
};

static int open_in_directory(struct ndjson_sink *n, const struct export_ndjson_options *options, struct error *e)
{
	const int flags = O_RDWR | O_CREAT | O_CLOEXEC | (options->endures ? O_APPEND : O_TRUNC);
	static const char *const names[RECORD_KINDS] = {
	    [RECORD_FLOW] = "flow.ndjson", [RECORD_REQUEST] = "request.ndjson"};
	if (mkdir(options->directory, 0777) < 0 && errno != EEXIST)
		return error_set(e, -errno, "cannot make the directory %s: %s", options->directory, strerror(errno));
	for (unsigned i = 0; i < RECORD_KINDS; i++) {
		char path[4096];
		if (snprintf(path, sizeof path, "%s/%s", options->directory, names[i]) >= (int)sizeof path)
			return error_set(e, -ENAMETOOLONG, "the name of the directory %.64s… is too long",
					 options->directory);
		int fd = open(path, flags, 0666);
		if (fd < 0)
			return error_set(e, -errno, "cannot write %s: %s", path, strerror(errno));
		int r = output_open(&n->output[i], fd, true, path, options->digest, options->stop, e);
		if (r < 0) {
			close(fd);
			return r;
		}
		n->output_count++;
		/* a line that another run left half written ends here */
		off_t end = options->endures ? lseek(fd, 0, SEEK_END) : 0;
		char last = '\n';
		n->output[i].half_line = end > 0 && pread(fd, &last, 1, end - 1) == 1 && last != '\n';
	}
	return 0;
}

int export_ndjson_new(struct sink **ret_sink, const struct export_ndjson_options *options, struct error *e)
{
	struct ndjson_sink *n = calloc(1, sizeof *n);
	if (!n)
		return error_set(e, -ENOMEM, "no memory for the NDJSON output");
	n->sink.ops = &ops;
	int r;
	if (options->directory) {
		r = open_in_directory(n, options, e);
	} else {
		r = output_open(&n->output[0], options->fd, false, "-", options->digest, options->stop, e);
		n->output_count = r == 0;
	}
	if (r < 0) {
		sink_free(&n->sink);
		return r;
	}
	for (unsigned i = 0; i < n->output_count; i++) {
		n->output[i].abandoned = &n->sink.abandoned;
		if (options->endures)
			n->output[i].lost = &n->sink.lost;
	}
	*ret_sink = &n->sink;
	return 0;
}

unsigned export_ndjson_digests(const struct sink *s, struct export_digest ret_digests[2])
{
	const struct ndjson_sink *n = container_of((struct sink *)(uintptr_t)s, struct ndjson_sink, sink);
	for (unsigned i = 0; i < n->output_count; i++) {
		ret_digests[i].name = n->output[i].name;
		output_digest(&n->output[i], ret_digests[i].hex);
	}
	return n->output_count;
}
