/* blast.c - sends the frames of a capture out of a NIC, again and again, as fast as one thread can.
 *
 *   blast NIC CAPTURE SECONDS
 *
 * The capture is as loop.c writes it. Prints how many frames the kernel took. */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define AT_ONCE 64

static uint8_t *bytes;
static size_t size;

static int load(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f || fseek(f, 0, SEEK_END))
		return -1;
	size = (size_t)ftell(f);
	bytes = malloc(size);
	rewind(f);
	int r = bytes && fread(bytes, 1, size, f) == size ? 0 : -1;
	fclose(f);
	return r;
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 4 || load(argv[2]))
		return 2;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1])};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), yes = 1;
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to)) {
		perror(argv[1]);
		return 3;
	}
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
	static struct mmsghdr messages[AT_ONCE];
	static struct iovec pieces[AT_ONCE];
	uint64_t sent = 0;
	size_t at = 24;
	for (double end = now() + atof(argv[3]); now() < end;) {
		int count = 0;
		for (; count < AT_ONCE; count++) {
			uint32_t len;
			if (at + 16 > size)
				at = 24;
			memcpy(&len, bytes + at + 8, 4);
			pieces[count] = (struct iovec){bytes + at + 16, len};
			messages[count].msg_hdr = (struct msghdr){.msg_iov = &pieces[count], .msg_iovlen = 1};
			at += 16 + len;
		}
		for (int done = 0; done < count;) {
			int n = sendmmsg(fd, messages + done, (unsigned)(count - done), 0);
			if (n < 0 && errno != ENOBUFS && errno != EAGAIN) {
				perror("sendmmsg");
				return 3;
			}
			done += n > 0 ? n : 0;
			sent += n > 0 ? (uint64_t)n : 0;
		}
	}
	printf("%llu\n", (unsigned long long)sent);
	return 0;
}
