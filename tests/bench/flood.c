// SPDX-License-Identifier: GPL-2.0-only
/*
 * flood - junk for a service, from many forged sources: SYNs, and data that no handshake came
 * before.
 *
 *   flood DEVICE TARGET_MAC TARGET_IPV4 PORT SECONDS [PACKETS_PER_SECOND [SOURCES]]
 *
 * Sends whole Ethernet frames through a packet socket, past qdiscs, as fast as one CPU makes them
 * where no rate is given; in turn a SYN and a request with a key that is none. The sources are
 * 11.0.0.0 and up, 100,000 where nothing else is said; each round over them takes other ports. Only
 * for networks that a test made itself: the end-to-end test and the benchmark of this name. Prints
 * one JSON object: {"sent": packets, "seconds": how long it took}.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	   64
#define FIRST_HOST 0x0b000000u /* 11.0.0.0 */
#define FRAME_MAX  256

static const char junk[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: junk\r\n"
			   "Authorization: Bearer sk-junk\r\nContent-Length: 0\r\n\r\n";

struct frame {
	struct ether_header eth;
	struct iphdr ip;
	struct tcphdr tcp;
	char data[sizeof(junk) - 1];
} __attribute__((packed));
_Static_assert(sizeof(struct frame) <= FRAME_MAX, "the frame grew");

struct flood {
	int fd;
	uint32_t target; /* network order, as all of these */
	uint16_t port;
	uint32_t sources;
	double rate; /* packets a second; 0: no limit */
	double seconds;
	uint64_t sent;
	struct frame frames[BATCH];
	struct iovec iov[BATCH];
	struct mmsghdr messages[BATCH];
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*: what a flood's numbers are made of need not be good. */
static uint32_t noise(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(state * 0x2545f4914f6cdd1dull >> 32);
}

static uint32_t sum(const void *bytes, size_t len, uint32_t start)
{
	const uint8_t *at = bytes;

	for (; len > 1; at += 2, len -= 2)
		start += (uint32_t)at[0] << 8 | at[1];
	return len ? start + ((uint32_t)at[0] << 8) : start;
}

static uint16_t fold(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return htons((uint16_t)~value);
}

/* Frame number @number of all: its source, kind and numbers. */
static void fill(struct flood *flood, struct frame *frame, struct iovec *iov, uint64_t number)
{
	bool data = number & 1;
	size_t tcp_len = sizeof(frame->tcp) + (data ? sizeof(frame->data) : 0);

	frame->ip.tot_len = htons((uint16_t)(sizeof(frame->ip) + tcp_len));
	frame->ip.saddr = htonl(FIRST_HOST + (uint32_t)(number / 2 % flood->sources));
	frame->ip.check = 0;
	frame->ip.check = fold(sum(&frame->ip, sizeof(frame->ip), 0));
	frame->tcp.source = htons((uint16_t)(1024 + noise() % 64000));
	frame->tcp.seq = noise();
	frame->tcp.ack_seq = data ? noise() : 0;
	frame->tcp.syn = !data;
	frame->tcp.ack = frame->tcp.psh = data;
	frame->tcp.check = 0;
	frame->tcp.check = fold(sum(&frame->tcp, tcp_len,
				    sum(&frame->ip.saddr, 8, IPPROTO_TCP + (uint32_t)tcp_len)));
	iov->iov_len = sizeof(frame->eth) + sizeof(frame->ip) + tcp_len;
}

static void prepare(struct flood *flood, const struct ether_addr *from, const struct ether_addr *to)
{
	for (int i = 0; i < BATCH; i++) {
		struct frame *frame = &flood->frames[i];

		memcpy(frame->eth.ether_shost, from, ETH_ALEN);
		memcpy(frame->eth.ether_dhost, to, ETH_ALEN);
		frame->eth.ether_type = htons(ETHERTYPE_IP);
		frame->ip.version = 4;
		frame->ip.ihl = 5;
		frame->ip.ttl = 64;
		frame->ip.protocol = IPPROTO_TCP;
		frame->ip.daddr = flood->target;
		frame->tcp.dest = flood->port;
		frame->tcp.doff = 5;
		frame->tcp.window = 0xffff;
		memcpy(frame->data, junk, sizeof(frame->data));
		flood->iov[i].iov_base = frame;
		flood->messages[i].msg_hdr.msg_iov = &flood->iov[i];
		flood->messages[i].msg_hdr.msg_iovlen = 1;
	}
}

static void run(struct flood *flood)
{
	double begun = now(), at = begun;

	while (at - begun < flood->seconds) {
		int put;

		for (int i = 0; i < BATCH; i++)
			fill(flood, &flood->frames[i], &flood->iov[i], flood->sent + (uint64_t)i);
		put = sendmmsg(flood->fd, flood->messages, BATCH, 0);
		if (put < 0 && errno != ENOBUFS && errno != EAGAIN)
			err(1,
			    "sendmmsg"); /* otherwise the ring is full: as fast as it takes them */
		if (put > 0)
			flood->sent += (uint64_t)put;
		at = now();
		if (flood->rate > 0 && (double)flood->sent / flood->rate > at - begun)
			usleep((useconds_t)(1e6 *
					    ((double)flood->sent / flood->rate - (at - begun))));
	}
	printf("{\"sent\":%llu,\"seconds\":%.3f}\n", (unsigned long long)flood->sent, at - begun);
}

static int open_device(const char *device, struct ether_addr *mac)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	struct ifreq request = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (fd < 0 || ioctl(fd, SIOCGIFINDEX, &request))
		err(1, "%s", device);
	address.sll_ifindex = request.ifr_ifindex;
	if (ioctl(fd, SIOCGIFHWADDR, &request) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", device);
	memcpy(mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &(int){ 1 }, sizeof(int));
	return fd;
}

static bool read_mac(const char *text, struct ether_addr *mac)
{
	uint8_t *o = mac->ether_addr_octet;

	return sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", o, o + 1, o + 2, o + 3, o + 4,
		      o + 5) == 6;
}

int main(int argc, char **argv)
{
	static struct flood flood;
	struct ether_addr from, to;

	if (argc < 6 || argc > 8 || !read_mac(argv[2], &to) ||
	    inet_pton(AF_INET, argv[3], &flood.target) != 1)
		errx(2, "usage: flood DEVICE TARGET_MAC TARGET_IPV4 PORT SECONDS"
			" [PACKETS_PER_SECOND [SOURCES]]");
	flood.port = htons((uint16_t)strtoul(argv[4], NULL, 10));
	flood.seconds = strtod(argv[5], NULL);
	flood.rate = argc > 6 ? strtod(argv[6], NULL) : 0;
	flood.sources = argc > 7 ? (uint32_t)strtoul(argv[7], NULL, 10) : 100000;
	if (!flood.sources || flood.sources > 1u << 24 || flood.seconds > 60)
		errx(2, "SOURCES are 1 to 16777216, SECONDS at most 60");
	flood.fd = open_device(argv[1], &from);
	prepare(&flood, &from, &to);
	run(&flood);
	return 0;
}
