// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyfilterctl events --follow against a played daemon that streams: each line comes out at once,
 * and the tool ends well at a signal and when its reader leaves. Links userspace/ctl (but main.o)
 * and userspace/lib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <microhttpd.h>

/* The tool's main(), under a name that leaves room for this one's. */
int keyfilterctl_main(int argc, char **argv);
#define main keyfilterctl_main
#include "../../userspace/ctl/main.c"
#undef main

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct played {
	char directory[64], socket[96];
	struct MHD_Daemon *server;
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* A line of the stream for each kind of event, and what people read. */
#define AT "\"time\":\"2026-11-23T10:00:00.000001Z\",\"service\":\"api\""
#define CONNECTION                                                                                 \
	"\"client\":\"192.0.2.7\",\"client_port\":4711,\"server\":\"2001:db8::2\","                \
	"\"server_port\":8000,\"iface\":\"eth0\""
#define NO_CONNECTION                                                                              \
	"\"client\":null,\"client_port\":null,\"server\":null,\"server_port\":null,"               \
	"\"iface\":null,\"key_id\":null"

static const struct {
	const char *event, *text;
} kinds[] = {
	{ "{" AT ",\"event\":\"refused\",\"reason\":\"rate_limited\",\"detail\":null," CONNECTION
	  ",\"key_id\":\"k_1\",\"request_id\":\"req_00000000000000ab\",\"retry_after_s\":12,"
	  "\"source\":null,\"monitor\":false}",
	  " api rate_limited 192.0.2.7:4711 -> [2001:db8::2]:8000 on eth0 with k_1, "
	  "id req_00000000000000ab, retry after 12 s\n" },
	{ "{" AT ",\"event\":\"cut\",\"reason\":\"key_disabled\",\"detail\":null," CONNECTION
	  ",\"key_id\":\"k_1\",\"request_id\":null,\"retry_after_s\":null,\"source\":null,"
	  "\"monitor\":false}",
	  " api cut key_disabled 192.0.2.7:4711 -> [2001:db8::2]:8000 on eth0 with k_1\n" },
	{ "{" AT ",\"event\":\"penalty_raised\",\"reason\":\"source_penalised\"," CONNECTION
	  ",\"key_id\":null,\"request_id\":null,\"retry_after_s\":null,\"penalty_s\":60,\"count\":"
	  "null,"
	  "\"source\":\"192.0.2.7/32\",\"monitor\":false}",
	  " api penalty_raised 192.0.2.7/32 for 60 s on eth0\n" },
	{ "{" AT ",\"event\":\"penalty_raised\",\"reason\":\"source_penalised\"," CONNECTION
	  ",\"key_id\":null,\"request_id\":null,\"retry_after_s\":null,\"penalty_s\":60,\"count\":"
	  "null,"
	  "\"source\":\"192.0.2.7/32\",\"monitor\":true}",
	  " api penalty_raised 192.0.2.7/32 for 60 s on eth0, passed: monitor\n" },
	{ "{" AT ",\"event\":\"penalty_ended\",\"reason\":\"source_penalised\"," NO_CONNECTION
	  ",\"request_id\":null,\"retry_after_s\":null,\"source\":\"2001:db8:1:2::/64\","
	  "\"monitor\":false}",
	  " api penalty_ended 2001:db8:1:2::/64\n" },
	{ "{\"time\":\"2026-11-23T10:00:00.000001Z\",\"service\":null,"
	  "\"event\":\"penalties_ended\",\"reason\":\"source_penalised\"," NO_CONNECTION
	  ",\"request_id\":null,\"retry_after_s\":null,\"penalty_s\":null,\"count\":4990,"
	  "\"source\":null,\"monitor\":false}",
	  " - penalties_ended of 4990 more sources\n" },
	{ "{\"time\":\"2026-11-23T10:00:00.000001Z\",\"service\":null,"
	  "\"event\":\"filter_lost\",\"reason\":null,\"iface\":\"eth0\",\"monitor\":false}",
	  " - filter_lost on eth0: somebody took programs of ours off\n" },
};

#define EVENT "{\"seq\":1,\"time\":\"2026-11-23T10:00:00.000001Z\",\"service\":\"api\"}"

/* Starts `events --follow` with stdout in a pipe; returns the end to read from. */
static int start_tool(struct played *played, bool json, pid_t *child)
{
	char *argv[] = { "keyfilterctl",	 "--socket", played->socket, "events", "--follow",
			 json ? "--json" : NULL, NULL };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*child = fork();
	if (*child == 0) {
		close(ends[0]);
		dup2(ends[1], STDOUT_FILENO);
		_exit(keyfilterctl_main(COUNT(argv) - 1 - !json, argv));
	}
	close(ends[1]);
	return ends[0];
}

/* A stream that gives some events and a heartbeat, and then waits for its client to leave. */
static ssize_t stream_some(void *context, uint64_t at, char *bytes, size_t room)
{
	static char text[4096] = EVENT "\n\n{\"missed\":7}\n";
	static size_t len;

	if (!len) {
		for (size_t i = 0; i < COUNT(kinds); i++)
			strcat(strcat(text, kinds[i].event), "\n");
		len = strlen(text);
	}
	if (at >= len) {
		usleep(1000);
		return 0;
	}
	if (room > len - at)
		room = len - at;
	memcpy(bytes, text + at, room);
	return (ssize_t)room;
}

static enum MHD_Result on_follow(void *context, struct MHD_Connection *connection, const char *url,
				 const char *method, const char *version, const char *data,
				 size_t *size, void **state)
{
	struct MHD_Response *response =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_some, NULL, NULL);
	enum MHD_Result result = MHD_queue_response(connection, 200, response);

	MHD_destroy_response(response);
	return result;
}

static int setup(void **state)
{
	struct played *played = calloc(1, sizeof(*played));

	strcpy(played->directory, "/tmp/ctl_test.XXXXXX");
	assert_non_null(mkdtemp(played->directory));
	snprintf(played->socket, sizeof(played->socket), "%s/admin.sock", played->directory);
	played->server = MHD_start_daemon(MHD_NO_FLAG, 0, NULL, NULL, on_follow, played,
					  MHD_OPTION_LISTEN_SOCKET, listen_at(played->socket),
					  MHD_OPTION_END);
	assert_non_null(played->server);
	*state = played;
	return 0;
}

/*
 * Reads until @text holds @lines lines, which must come without waiting for more, and plays the
 * daemon meanwhile. There is no thread here on purpose: what forks with threads may find a lock
 * held that nobody will release.
 */
static void read_lines(struct played *played, int fd, int lines, char *text, size_t size)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	time_t until = time(NULL) + 10;
	size_t len = 0;

	while (lines > 0) {
		MHD_run_wait(played->server, 5);
		assert_true(time(NULL) < until);
		while (lines > 0 && poll(&wait, 1, 0) == 1) {
			assert_int_equal(read(fd, text + len, 1), 1);
			lines -= text[len++] == '\n';
			assert_true(len < size);
		}
	}
	text[len] = '\0';
}

static int wait_for(struct played *played, pid_t child)
{
	pid_t ended;
	int status;

	while ((ended = waitpid(child, &status, WNOHANG)) == 0)
		MHD_run_wait(played->server, 5);
	assert_int_equal(ended, child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_follow(void **state)
{
	char text[4096], *at;
	pid_t child;
	int fd = start_tool(*state, false, &child);

	read_lines(*state, fd, 2 + COUNT(kinds), text, sizeof(text));
	assert_non_null(strstr(text, "2026-11-23T12:00:00.000001+02:00 api"));
	at = strstr(text, "\n7 events were missed: this reader is too slow\n");
	assert_non_null(at);
	at = strchr(at + 1, '\n') + 1;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		size_t len = strlen(kinds[i].text);

		at += strlen("2026-11-23T12:00:00.000001+02:00");
		assert_in_range(strlen(at), len, sizeof(text));
		assert_memory_equal(at, kinds[i].text, len);
		at += len;
	}
	assert_string_equal(at, "");
	kill(child, SIGINT);
	assert_int_equal(wait_for(*state, child), KF_EXIT_DONE);
	close(fd);

	fd = start_tool(*state, true, &child);
	read_lines(*state, fd, 3, text, sizeof(text));
	assert_memory_equal(text, EVENT "\n{\"missed\":7}\n",
			    sizeof(EVENT) + strlen("{\"missed\":7}\n"));
	assert_memory_equal(strchr(strchr(text, '\n') + 1, '\n') + 1, kinds[0].event,
			    strlen(kinds[0].event));
	kill(child, SIGTERM);
	assert_int_equal(wait_for(*state, child), KF_EXIT_DONE);
	close(fd);
}

static void test_follow_without_reader(void **state)
{
	pid_t child;
	int fd = start_tool(*state, false, &child);

	close(fd);
	assert_int_equal(wait_for(*state, child), KF_EXIT_DONE);
}

static int teardown(void **state)
{
	struct played *played = *state;

	MHD_stop_daemon(played->server);
	unlink(played->socket);
	rmdir(played->directory);
	free(played);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_follow_without_reader),
	};

	setenv("TZ", "UTC-2", 1); /* POSIX's sign: two hours east */
	return cmocka_run_group_tests_name("ctl_events", tests, setup, teardown);
}
