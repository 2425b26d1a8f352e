/* file.h - capture files as one stream of frames.
 *
 * pcap (us, ns, both byte orders, the modified 0xa1b2cd34 form, versions before 2.4) and pcapng (sections, several
 * interfaces with their own link type, snap length, time resolution and offset; EPB, SPB, OPB; other blocks skipped),
 * either one gzipped, "-" for standard input; several files are merged by time (ties: by the order on the command line;
 * a file whose time steps back is taken as it comes). Memory is flat: large reads into a few blocks that are used
 * again; frames point into the blocks. One thread, the reader's; only the counters may be peeked at by others.
 *
 * Frames are numbered after the merge, those that the filter rejects included: the ordinal of a frame of a single file
 * is its number in any other tool, with or without a filter. A simple packet block has no time: it takes that of the
 * frame before it in its file. Times stay within 2^62 ns of 1970 (the years 1823 to 2116), so that their difference
 * never overflows. link_type: LINKTYPE_ values; what some systems wrote for raw IP (12, 14) is 101. The length of an
 * FCS, where the file tells it, is not looked at. */
#ifndef TS_CAPTURE_FILE_H
#define TS_CAPTURE_FILE_H

#include "error.h"
#include "packet.h"

struct capture_files;

/* What frame.tap is: 0, or 1… by file, or by interface: in the order of the files and of the interfaces in them, but
 * those that a pcapng file describes after its first packet come after all others, as they are met. A pcap file has
 * one. The interface n of a later section is the interface n of the first. */
enum capture_tap { TAP_ONE, TAP_BY_FILE, TAP_BY_INTERFACE };

struct capture_files_options {
	const char *filter; /* BPF expression (libpcap's compiler), NULL for none; compiled for every link type met */
	uint64_t count_max; /* stop after this many frames that passed the filter; 0: no limit */
	enum capture_tap tap;
	uint32_t snaplen; /* bytes of a frame that are given out (the filter sees all); 0: all */
};

struct capture_files_counters {
	uint64_t frames;   /* read from the files: given out or filtered */
	uint64_t filtered; /* rejected by the filter */
	uint64_t bytes;    /* wire bytes of frames */
};

/* Opens all files and reads them up to their first packet. `paths` and the filter's text stay the caller's and have to
 * live as long. 0; -errno with e naming the file: not there, not a capture (-EPROTO, -ENOTSUP), damaged before its
 * first packet (-EBADMSG), or a filter that does not compile for its link type (-EINVAL, naming the place). */
int capture_files_open(struct capture_files **ret_c, const char *const *paths, unsigned count,
		       const struct capture_files_options *options, struct error *e);
struct capture_files *capture_files_close(struct capture_files *c);

/* Fills up to `max` (> 0) frames that passed the filter. Returns how many, which may be fewer than there are left:
 * frames that are ready never wait for a file or pipe to be read; 0: the end. They stay valid until
 * capture_files_release() says so. A damaged or cut-off file gives all its whole frames first, then -EBADMSG once with
 * e (file name, byte offset, what is wrong); so does one that cannot be read on (-EIO, …) or whose new interface the
 * filter does not compile for
 * (-EINVAL). The other files of a merge go on: call again. -EAGAIN: nothing yet, since a signal came while it waited or
 * the filter rejects everything: call again. */
int capture_files_read(struct capture_files *c, struct frame *ret_frames, unsigned max, struct error *e);

/* Frames with an ordinal up to this one are no longer needed. The reader calls it whenever it likes; without a call the
 * blocks fill up, and capture_files_read() returns -ENOBUFS (nothing lost: release, then call again). A block goes back
 * when its last frame has been released; once all frames are released there always is one. */
void capture_files_release(struct capture_files *c, uint64_t ordinal);

const struct capture_files_counters *capture_files_counters(const struct capture_files *c);

#endif
