/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ctl_fixture.h - keyfilterctl against an admin socket that is told what to answer, for tests that
 * include it once, after cmocka.h.
 *
 * The tool's real main() runs in a child; only the daemon is played, by libmicrohttpd in this
 * process. Link userspace/ctl (but main.o) and userspace/lib.
 */
#ifndef KEYFILTER_TEST_CTL_FIXTURE_H
#define KEYFILTER_TEST_CTL_FIXTURE_H

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <microhttpd.h>

/* The tool's main(), under a name that leaves room for this one's. */
int keyfilterctl_main(int argc, char **argv);
#define main keyfilterctl_main
#include "../../userspace/ctl/main.c"
#undef main

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of it */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the played daemon ----------------------------------------------------------------------- */

#define ANSWERS_MAX 4

struct played {
	char directory[64], socket[96];
	struct MHD_Daemon *server;
	int status;
	const char *answers[ANSWERS_MAX]; /* one a request, the last again and again */
	unsigned int asked;
	char heard[2048]; /* "METHOD /path?query BODY\n" of each request */
};

static enum MHD_Result hear_query(void *context, enum MHD_ValueKind kind, const char *name,
				  const char *value)
{
	char *heard = context;

	sprintf(heard + strlen(heard), "%c%s=%s", strchr(heard, '?') ? '&' : '?', name, value);
	return MHD_YES;
}

static void hear_request(struct played *played, struct MHD_Connection *connection, const char *raw,
			 const char *method, const char *body)
{
	char line[1024];

	const char *match = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "If-Match");

	snprintf(line, sizeof(line), "%s %s", method, raw);
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, hear_query, line);
	snprintf(played->heard + strlen(played->heard),
		 sizeof(played->heard) - strlen(played->heard), "%s%s%s%s%s\n", line,
		 *body ? " " : "", body, match ? " if " : "", match ? match : "");
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **state)
{
	struct played *played = context;
	const char *answer;
	struct MHD_Response *response;
	enum MHD_Result result;
	unsigned int at;

	if (!*state) {
		*state = calloc(1, 1024);
		return MHD_YES;
	}
	if (*size) {
		strncat(*state, data, *size < 900 ? *size : 900);
		*size = 0;
		return MHD_YES;
	}
	hear_request(played, connection, url, method, *state);
	at = played->asked++;
	while (at > 0 && !played->answers[at < ANSWERS_MAX ? at : ANSWERS_MAX - 1])
		at--;
	answer = played->answers[at < ANSWERS_MAX ? at : ANSWERS_MAX - 1];
	response = MHD_create_response_from_buffer(strlen(answer), (void *)answer,
						   MHD_RESPMEM_PERSISTENT);
	result = MHD_queue_response(connection, played->status, response);
	MHD_destroy_response(response);
	return result;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	free(*state);
}

/* Paths stay escaped, so that the test sees what went over the socket. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int setup(void **state)
{
	struct played *played = calloc(1, sizeof(*played));

	strcpy(played->directory, "/tmp/ctl_test.XXXXXX");
	assert_non_null(mkdtemp(played->directory));
	snprintf(played->socket, sizeof(played->socket), "%s/admin.sock", played->directory);
	played->server = MHD_start_daemon(
		MHD_NO_FLAG, 0, NULL, NULL, on_request, played, MHD_OPTION_LISTEN_SOCKET,
		listen_at(played->socket), MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL, MHD_OPTION_END);
	assert_non_null(played->server);
	*state = played;
	return 0;
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

/* ---- the real tool --------------------------------------------------------------------------- */

struct outcome {
	int exit;
	char out[1 << 16], err[1 << 14];
};

/* "key list --limit 5" -> argv; a word in single quotes may hold spaces; '' is an empty word. */
static int split(char *line, char **argv, int most)
{
	int argc = 0;

	while (*line && argc < most - 1) {
		char until = *line == '\'' ? '\'' : ' ';

		argv[argc++] = line += until == '\'';
		line = strchrnul(line, until);
		if (*line)
			*line++ = '\0';
		while (*line == ' ')
			*line++ = '\0';
	}
	argv[argc] = NULL;
	return argc;
}

static void run_child(const struct played *played, const char *line, int out, int err)
{
	char words[1024], *argv[32] = { "keyfilterctl", "--socket", (char *)played->socket };
	int argc;

	snprintf(words, sizeof(words), "%s", line);
	argc = 3 + split(words, argv + 3, 29);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	_exit(keyfilterctl_main(argc, argv));
}

static int open_temporary(void)
{
	char path[] = "/tmp/ctl_test.out.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static void read_back(int fd, char *text, size_t size)
{
	ssize_t len = pread(fd, text, size - 1, 0);

	assert_true(len >= 0);
	text[len] = '\0';
	close(fd);
}

/*
 * Runs the tool to its end and plays the daemon meanwhile; returns its exit status. There is no
 * thread here on purpose: what forks with threads may find a lock held that nobody will release.
 */
static int run_into(const struct played *played, const char *line, int out, int err)
{
	pid_t child = fork(), ended;
	int status;

	if (child == 0)
		run_child(played, line, out, err);
	while ((ended = waitpid(child, &status, WNOHANG)) == 0)
		MHD_run_wait(played->server, 5);
	assert_int_equal(ended, child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void run_tool(const struct played *played, const char *line, struct outcome *outcome)
{
	int out = open_temporary(), err = open_temporary();

	outcome->exit = run_into(played, line, out, err);
	read_back(out, outcome->out, sizeof(outcome->out));
	read_back(err, outcome->err, sizeof(outcome->err));
}

static void prepare(struct played *played, int status, const char *answer)
{
	played->status = status;
	memset(played->answers, 0, sizeof(played->answers));
	played->answers[0] = answer ? answer : "{}";
	played->asked = 0;
	played->heard[0] = '\0';
}

#define KEY_ROW(id, name)                                                                          \
	"{\"id\":\"" id "\",\"name\":\"" name "\",\"masked\":\"sk-ab...wxyz\",\"status\":"         \
	"\"enabled\",\"created_at\":\"2026-11-23T10:00:00Z\",\"expires_at\":null,\"allow_ips\":[]" \
	",\"rpm\":60,\"burst\":10,\"requests_admitted\":12,\"requests_refused\":0,"                \
	"\"last_used_at\":null,"                                                                   \
	"\"grace_until\":null}"

#endif /* KEYFILTER_TEST_CTL_FIXTURE_H */
