/* sink.h - where records go.
 *
 * A sink has two halves. encode() runs on the worker that made the record, on that worker's own state, and appends
 * bytes to a buffer: serialising scales with the workers, and nothing borrowed leaves the worker. write() runs on one
 * thread (the export thread; the worker itself when there is only one) and gets the encoded bytes of all workers in
 * record order. */
#ifndef TS_RECORD_SINK_H
#define TS_RECORD_SINK_H

#include "error.h"
#include "record.h"

struct sink;

struct sink_ops {
	const char *name;
	/* Mandatory. Appends the record's encoding at `out` (room for `room` bytes); returns its length, 0 when this
	 * sink does not want the record, or -ENOBUFS when the room is too small (then it is called again with more).
	 * Any worker thread, concurrently; must not touch the sink but for its constants. */
	int (*encode_flow)(const struct sink *s, const struct flow_record *r, char *out, size_t room);
	int (*encode_request)(const struct sink *s, const struct request_record *r, char *out, size_t room);
	/* Mandatory. One encoded record, in order. Export thread. 0 or -errno (sticky; told by close). */
	int (*write)(struct sink *s, enum record_kind kind, const char *data, size_t len);
	/* Optional, both or none; thread of write(). claim: at least `room` bytes of the sink's own output, so that a
	 * record is encoded where it is written from; NULL where it has none so large (then: write()). Good until the
	 * sink is called again. commit: the first `len` of them are a record, as by write(). */
	char *(*claim)(struct sink *s, enum record_kind kind, size_t room);
	int (*commit)(struct sink *s, enum record_kind kind, size_t len);
	/* Mandatory. Flushes. 0 or -errno with e. */
	int (*flush)(struct sink *s, struct error *e);
	void (*free)(struct sink *s);
};

struct sink {
	const struct sink_ops *ops;
	_Atomic uint64_t lost;  /* records that it took and could not write: outputs that endure (disk full) */
	_Atomic bool abandoned; /* a write that a signal interrupted is not to be tried again */
};

#endif
