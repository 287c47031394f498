// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyfilterctl against an admin socket that is told what to answer: what the tool asks, what it
 * prints, and how it ends. The tool's real main() runs in a child; only the daemon is played, by
 * libmicrohttpd in this process. Links userspace/ctl (but main.o) and userspace/lib.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

/* ---- what is asked --------------------------------------------------------------------------- */

static void test_requests(void **state)
{
	static const struct {
		const char *line, *heard;
	} cases[] = {
		{ "service add api --listen *:8000",
		  "POST /v1/services {\"name\":\"api\",\"listen\":\"*:8000\"}\n" },
		{ "service add --websocket=yes --keys-from bearer --keys-from query "
		  "--listen=[::]:80 a",
		  "POST /v1/services {\"name\":\"a\",\"websocket\":true,\"keys_from\":[\"bearer\","
		  "\"query\"],\"listen\":\"[::]:80\"}\n" },
		{ "service edit api --mode monitor --refuse drop --websocket no",
		  "PATCH /v1/services/api {\"mode\":\"monitor\",\"refuse\":\"drop\","
		  "\"websocket\":false}\n" },
		{ "service edit api --penalty-failures 5 --penalty-window 10s --penalty-time 2m "
		  "--penalty-time-max 1h --syn-rate 20 --syn-burst 40",
		  "PATCH /v1/services/api {\"penalty_failures\":5,\"penalty_window_s\":\"10s\","
		  "\"penalty_time_s\":\"2m\",\"penalty_time_max_s\":\"1h\",\"syn_rate\":20,"
		  "\"syn_burst\":40}\n" },
		{ "service edit api --method QUERY --method PROPFIND",
		  "PATCH /v1/services/api {\"methods\":[\"QUERY\",\"PROPFIND\"]}\n" },
		{ "service edit api --no-method", "PATCH /v1/services/api {\"methods\":[]}\n" },
		{ "service remove api", "DELETE /v1/services/api\n" },
		{ "service list", "GET /v1/services\n" },
		{ "service show ..", "GET /v1/services/..\n" },
		{ "service show 'a/b?c#d %'", "GET /v1/services/a%2Fb%3Fc%23d%20%25\n" },
		{ "service show -- --json", "GET /v1/services/--json\n" },
		{ "iface attach eth0", "POST /v1/ifaces {\"dev\":\"eth0\"}\n" },
		{ "iface attach --mode generic eth0 --existing reset",
		  "POST /v1/ifaces "
		  "{\"dev\":\"eth0\",\"mode\":\"generic\",\"existing\":\"reset\"}\n" },
		{ "iface detach eth0.7", "DELETE /v1/ifaces/eth0.7\n" },
		{ "iface list", "GET /v1/ifaces\n" },
		{ "source deny 192.0.2.0/24 --ttl 10m",
		  "POST /v1/sources "
		  "{\"cidr\":\"192.0.2.0/24\",\"ttl\":\"10m\",\"action\":\"deny\"}\n" },
		{ "source allow 2001:db8::/32",
		  "POST /v1/sources {\"cidr\":\"2001:db8::/32\",\"action\":\"allow\"}\n" },
		{ "source remove 2001:db8::/32", "DELETE /v1/sources/2001%3Adb8%3A%3A%2F32\n" },
		{ "source list", "GET /v1/sources?limit=1000\n" },
		{ "source list --penalised", "GET /v1/sources?penalised=1&limit=1000\n" },
		{ "source list --failing --json", "GET /v1/sources?failing=1\n" },
		{ "source forgive 2001:db8::/32",
		  "POST /v1/sources/forgive {\"cidr\":\"2001:db8::/32\"}\n" },
		{ "key create --name 'm\xc3\xbcller & co' --quantity 3 --expires 30d "
		  "--allow-ip 10.0.0.0/8 --allow-ip ::1/128",
		  "POST /v1/keys {\"name\":\"m\xc3\xbcller & co\",\"quantity\":3,\"expires\":"
		  "\"30d\",\"allow_ips\":[\"10.0.0.0/8\",\"::1/128\"]}\n" },
		{ "key list --json --status enabled --search 'a&b=c' --limit 5 --after c1",
		  "GET /v1/keys?status=enabled&search=a%26b%3Dc&limit=5&after=c1\n" },
		{ "key show k_0123456789ab", "GET /v1/keys/k_0123456789ab\n" },
		{ "key edit k_1 --allow-any --expires never",
		  "PATCH /v1/keys/k_1 {\"allow_ips\":[],\"expires\":\"never\"}\n" },
		{ "key create --name a --rpm 60 --burst 10",
		  "POST /v1/keys {\"name\":\"a\",\"rpm\":60,\"burst\":10}\n" },
		{ "key edit k_1 --rpm 600 --burst none",
		  "PATCH /v1/keys/k_1 {\"rpm\":600,\"burst\":null}\n" },
		{ "key edit k_1 --group staff", "PATCH /v1/keys/k_1 {\"group\":\"staff\"}\n" },
		{ "model set a/b", "POST /v1/models {\"name\":\"a/b\"}\n" },
		{ "model delete a/b:c", "DELETE /v1/models/a%2Fb%3Ac\n" },
		{ "key edit k_1 --model a --model b*",
		  "PATCH /v1/keys/k_1 {\"models\":[\"a\",\"b*\"]}\n" },
		{ "key edit k_1 --any-model", "PATCH /v1/keys/k_1 {\"models\":[]}\n" },
		{ "key edit k_1 --group none", "PATCH /v1/keys/k_1 {\"group\":null}\n" },
		{ "group create a --protocol openai --protocol gemini",
		  "POST /v1/groups {\"name\":\"a\",\"protocols\":[\"openai\",\"gemini\"]}\n" },
		{ "key edit k_1 --rpm=none", "PATCH /v1/keys/k_1 {\"rpm\":null}\n" },
		{ "key edit --name help k_1", "PATCH /v1/keys/k_1 {\"name\":\"help\"}\n" },
		{ "key edit k_1 --add-allow-ip 10.0.0.0/8 --remove-allow-ip ::1/128 "
		  "--if-match 00ff",
		  "PATCH /v1/keys/k_1 {\"allow_ips_add\":[\"10.0.0.0/8\"],\"allow_ips_remove\":"
		  "[\"::1/128\"]} if \"00ff\"\n" },
		{ "service edit a --mode monitor --if-match=\"00ff\"",
		  "PATCH /v1/services/a {\"mode\":\"monitor\"} if \"00ff\"\n" },
		{ "service remove a --if-match *", "DELETE /v1/services/a if *\n" },
		{ "key delete k_1 --if-match 00ff", "DELETE /v1/keys/k_1 if \"00ff\"\n" },
		{ "key enable k_1", "POST /v1/keys/k_1/enable\n" },
		{ "key disable k_1", "POST /v1/keys/k_1/disable\n" },
		{ "key delete k_1", "DELETE /v1/keys/k_1\n" },
		{ "key rotate k_1 --grace 1h", "POST /v1/keys/k_1/rotate {\"grace\":\"1h\"}\n" },
		{ "stats", "GET /v1/stats\n" },
		{ "events", "GET /v1/events\n" },
		{ "version", "GET /v1/status\n" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, NULL);
		run_tool(played, cases[i].line, &outcome);
		assert_string_equal(played->heard, cases[i].heard);
		assert_int_equal(outcome.exit, KF_EXIT_DONE);
	}
}

static void test_usage_errors(void **state)
{
	static const struct {
		const char *line, *cause;
	} cases[] = {
		{ "frob", "there is no noun \"frob\"" },
		{ "serv list", "there is no noun \"serv\"" },
		{ "key", "key needs a verb" },
		{ "key crea", "key has no verb \"crea\"" },
		{ "key list more", "\"more\" is one word too many" },
		{ "key create", "--name is missing" },
		{ "key create --name", "--name needs a value" },
		{ "key create --name a --name b", "--name is given twice" },
		{ "key create --name a --quantity -1", "--quantity takes a number" },
		{ "key create --name a --rpm 10000000000", "--rpm 10000000000 is too large" },
		{ "key create --name a --quantity 1e3", "--quantity takes a number" },
		{ "key create --name a --rpm 5s", "--rpm takes a number or none" },
		{ "key create --name a --rpm ''", "--rpm takes a number or none" },
		{ "key edit k_1 --burst nones", "--burst takes a number or none" },
		{ "key create --name a --burst none", "--burst takes a number, not" },
		{ "key create --name a --account b", "there is no option --account here" },
		{ "key create --nam a", "there is no option --nam here" },
		{ "key create -n a", "there is no option -n" },
		{ "key topup k_1 5", "key has no verb \"topup\"" },
		{ "key show", "ID is missing" },
		{ "key show ''", "ID is empty" },
		{ "key edit k_1", "nothing to change is given" },
		{ "key edit k_1 --allow-any --allow-ip ::/0", "exclude each other" },
		{ "key edit k_1 --if-match 1", "nothing to change is given" },
		{ "key edit k_1 --rpm 5 --if-match ''", "--if-match is empty" },
		{ "service remove api --if-match=", "--if-match is empty" },
		{ "key show k_1 --if-match 1", "there is no option --if-match here" },
		{ "key edit k_1 --allow-any=yes", "--allow-any takes no value" },
		{ "service add api", "--listen is missing" },
		{ "service edit api --websocket maybe", "--websocket takes yes or no" },
		{ "--name a key create", "there is no option --name before the verb" },
		{ "status now", "\"now\" is one word too many" },
		{ "--socket '' status", "--socket is empty" },
		{ "status --socket=", "--socket is empty" },
		{ "account list", "there is no noun \"account\"" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, NULL);
		run_tool(played, cases[i].line, &outcome);
		assert_int_equal(outcome.exit, KF_EXIT_USAGE);
		assert_non_null(strstr(outcome.err, cases[i].cause));
		assert_non_null(strstr(outcome.err, "see: keyfilterctl"));
		assert_ptr_equal(strchr(outcome.err, '\n'), strrchr(outcome.err, '\n'));
		assert_string_equal(outcome.out, "");
		assert_string_equal(played->heard, "");
	}
}

/* ---- what is printed ------------------------------------------------------------------------- */

#define KEY_ROW(id, name)                                                                          \
	"{\"id\":\"" id "\",\"name\":\"" name "\",\"masked\":\"sk-ab...wxyz\",\"status\":"         \
	"\"enabled\",\"created_at\":\"2026-11-23T10:00:00Z\",\"expires_at\":null,\"allow_ips\":[]" \
	",\"rpm\":60,\"burst\":10,\"requests_admitted\":12,\"requests_refused\":0,"                \
	"\"last_used_at\":null,"                                                                   \
	"\"grace_until\":null}"

static void test_texts(void **state)
{
	static const struct {
		const char *line, *answer, *out;
	} cases[] = {
		{ "service add api --listen *:8000",
		  "{\"name\":\"api\",\"listen\":\"*:8000\",\"mode\":\"enforce\",\"refuse\":"
		  "\"reply\","
		  "\"keys_from\":[\"bearer\",\"query\"],\"websocket\":false}",
		  "Name       api\nListen     *:8000\nMode       enforce\nRefuse by  reply\n"
		  "Keys from  bearer, query\nWebSocket  no\nRevision   -\n" },
		{ "service show api",
		  "{\"name\":\"api\",\"penalty_failures\":5,\"penalty_window_s\":90,"
		  "\"penalty_time_s\":60,\"penalty_time_max_s\":86400,\"syn_rate\":20,"
		  "\"syn_burst\":0}",
		  "Name       api\nListen     -\nMode       -\nRefuse by  -\nKeys from  -\n"
		  "WebSocket  -\nPenalty    5 failures in 90s: dropped for 1m, doubled each time "
		  "up to 1d\nSYN rate   20 a second of each source, 20 at once\nRevision   -\n" },
		{ "service list",
		  "{\"services\":[{\"name\":\"a\",\"listen\":\"*:1\",\"mode\":\"enforce\","
		  "\"refuse\":\"drop\",\"keys_from\":[\"query\"],\"websocket\":false,"
		  "\"penalty_failures\":100,\"penalty_window_s\":60,\"penalty_time_s\":60,"
		  "\"penalty_time_max_s\":3600,\"syn_rate\":0,\"syn_burst\":0}]}",
		  "NAME  LISTEN  MODE     REFUSE  WEBSOCKET  PENALTY    SYNS  KEYS FROM\n"
		  "a     *:1     enforce  drop    no         100 in 1m  any   query\n" },
		{ "service remove api", "{}", "api removed\n" },
		{ "iface attach veth0 --mode tc",
		  "{\"dev\":\"veth0\",\"ifindex\":7,\"mode\":\"tc\",\"state\":\"attached\","
		  "\"error\":null,\"adopted\":3,\"reset\":0}",
		  "veth0 attached (tc): 3 connections adopted, 0 reset\n" },
		{ "iface list",
		  "{\"ifaces\":[{\"dev\":\"eth0\",\"ifindex\":2,\"mode\":\"native\",\"state\":"
		  "\"failed\",\"error\":\"no room\",\"adopted\":0,\"reset\":0}]}",
		  "DEV   INDEX  MODE    STATE   ERROR\neth0  2      native  failed  no room\n" },
		{ "source list",
		  "{\"sources\":[{\"cidr\":\"192.0.2.0/24\",\"action\":\"deny\",\"created_at\":"
		  "\"2026-11-23T10:00:00Z\",\"expires_at\":null}],\"next\":null}",
		  "ACTION  SINCE                      ENDS   CIDR\n"
		  "deny    2026-11-23T12:00:00+02:00  never  192.0.2.0/24\n" },
		{ "source list --penalised",
		  "{\"sources\":[{\"cidr\":\"2001:db8:1:2::/64\",\"service\":\"api\","
		  "\"failures\":3,\"successes\":1,\"level\":2,\"until\":"
		  "\"2026-11-23T10:00:00Z\",\"remaining_s\":17}],\"next\":null}",
		  "CIDR               SERVICE  LEVEL  SECONDS  UNTIL\n"
		  "2001:db8:1:2::/64  api      2      17       "
		  "2026-11-23T12:00:00+02:00\n" },
		{ "source forgive 10.0.0.0/8",
		  "{\"cidr\":\"10.0.0.0/8\",\"forgiven\":1,\"penalised\":1}",
		  "10.0.0.0/8: 1 source forgiven, 1 of them penalised\n" },
		{ "source forgive 10.0.0.0/8",
		  "{\"cidr\":\"10.0.0.0/8\",\"forgiven\":0,\"penalised\":0}",
		  "10.0.0.0/8: nothing is held against any source there\n" },
		{ "group list",
		  "{\"groups\":[{\"name\":\"a\",\"protocols\":[\"openai\",\"gemini\"],"
		  "\"models\":[\"a\",\"b*\"],\"keys\":7,\"revision\":\"1\"}]}",
		  "NAME  PROTOCOLS       MODELS  KEYS\na     openai, gemini  a, b*   7\n" },
		{ "model list --group a", "{\"models\":[{\"name\":\"qwen\"},{\"name\":\"b\"}]}",
		  "NAME\nqwen\nb\n" },
		{ "group show a", "{\"name\":\"a\",\"protocols\":[\"openai\"],\"keys\":7}",
		  "Name       a\nProtocols  openai\nModels     all\nKeys       7\nRevision   -\n" },
		{ "group delete a", "{\"name\":\"a\",\"state\":\"deleted\"}", "a deleted\n" },
		{ "key list", "{\"keys\":[" KEY_ROW("k_1", "a") "],\"next\":null,\"total\":1}",
		  "ID   KEY           STATUS   GROUP  EXPIRES  RPM  ADMITTED  REFUSED  LAST USED  "
		  "NAME\n"
		  "k_1  sk-ab...wxyz  enabled  none   never    60   12        0        never      "
		  "a\n" },
		{ "key show k_1",
		  "{\"id\":\"k_1\",\"status\":\"enabled\",\"labels\":{\"a\":\"b c\",\"d\":\"\"},"
		  "\"group\":\"staff\",\"rpm\":60,\"burst\":10}",
		  "ID                 k_1\nName               -\nKey                -\n"
		  "Status             enabled\nOwner              not said\n"
		  "Labels             a=b c, d=\nGroup              staff\nModels             "
		  "all\nCreated            "
		  "-\nExpires            never\n"
		  "Allowed from       anywhere\nRequests a minute  60\nAt once            10\n"
		  "Admitted           -\nRefused            -\nLast used          never\n"
		  "Revision           -\n" },
		{ "key show k_2",
		  "{\"id\":\"k_2\",\"status\":\"enabled\",\"rpm\":null,\"burst\":null}",
		  "ID                 k_2\nName               -\nKey                -\n"
		  "Status             enabled\nOwner              not said\n"
		  "Labels             none\nGroup              none\nModels             "
		  "all\nCreated            "
		  "-\nExpires            never\n"
		  "Allowed from       anywhere\nRequests a minute  no limit\nAdmitted           -\n"
		  "Refused            -\nLast used          never\nRevision           -\n" },
		{ "key disable k_1",
		  "{\"id\":\"k_1\",\"status\":\"disabled\",\"kernel_us\":12.34,\"durable_ms\":1."
		  "88}",
		  "k_1 disabled: kernel 12.3 us, durable 1.9 ms\n" },
		{ "key delete k_1",
		  "{\"id\":\"k_1\",\"status\":\"deleted\",\"kernel_us\":3,\"durable_ms\":2}",
		  "k_1 deleted: kernel 3.0 us, durable 2.0 ms\n" },
		{ "key enable k_1", KEY_ROW("k_1", "a"), "k_1 enabled\n" },
		{ "stats",
		  "{\"services\":[{\"name\":\"api\",\"mode\":\"enforce\",\"requests_admitted\":5,"
		  "\"requests_refused\":2,\"packets\":{\"admitted\":5,\"no_key\":2,\"body\":0}}],"
		  "\"events\":{\"suppressed\":1,\"lost\":0}}",
		  "api (enforce): 5 requests admitted, 2 refused\n"
		  "  admitted                          5\n  no_key                            2\n"
		  "events: 1 left out by their rate limit, 0 lost\n" },
		{ "stats",
		  "{\"services\":[{\"name\":\"api\",\"mode\":\"enforce\",\"requests_admitted\":5,"
		  "\"requests_refused\":9,\"packets\":{\"no_key\":9},\"replies\":4,\"resets\":0,"
		  "\"replies_reset\":3,\"replies_failed\":2,\"flows_cut\":6,\"penalties\":1}],"
		  "\"events\":{\"suppressed\":0,\"lost\":0}}",
		  "api (enforce): 5 requests admitted, 9 refused\n"
		  "  replies                           4  refusals told by an HTTP error\n"
		  "  replies_reset                     3  refusals told by a reset: no reply could "
		  "be "
		  "made\n"
		  "  replies_failed                    2  refusals not told: not even a reset "
		  "could be "
		  "sent\n"
		  "  flows_cut                         6  connections cut\n"
		  "  penalties                         1  penalties raised\n"
		  "  no_key                            9\n"
		  "events: 0 left out by their rate limit, 0 lost\n" },
		{ "events",
		  "{\"events\":[{\"seq\":1,\"time\":\"2026-11-23T10:00:00.123456Z\",\"service\":"
		  "\"api\",\"reason\":\"malformed\",\"detail\":\"bare_lf\",\"client\":\"2001:db8::"
		  "1\","
		  "\"client_port\":4711,\"server\":\"2001:db8::2\",\"server_port\":8000,\"iface\":"
		  "\"eth0\",\"key_id\":\"k_1\",\"monitor\":true}]}",
		  "2026-11-23T12:00:00.123456+02:00 api malformed (bare_lf) [2001:db8::1]:4711 -> "
		  "[2001:db8::2]:8000 on eth0 with k_1, passed: monitor\n" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, cases[i].answer);
		run_tool(played, cases[i].line, &outcome);
		assert_string_equal(outcome.out, cases[i].out);
		assert_string_equal(outcome.err, "");
		assert_int_equal(outcome.exit, KF_EXIT_DONE);
	}
}

/* The keys alone on stdout; the rest, without the secret, on stderr. */
static void test_created_keys(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 201,
		"{\"keys\":[{\"id\":\"k_1\",\"name\":\"a-1\",\"masked\":\"sk-AA...1111\",\"key\":"
		"\"sk-AAsecret1111\"},{\"id\":\"k_2\",\"name\":\"a-2\",\"masked\":\"sk-BB...2222\","
		"\"expires_at\":\"2026-12-23T10:00:00Z\","
		"\"key\":\"sk-BBsecret2222\"}]}");
	run_tool(played, "key create --name a --quantity 2", &outcome);
	assert_string_equal(outcome.out, "sk-AAsecret1111\nsk-BBsecret2222\n");
	assert_non_null(strstr(outcome.err, "k_2  sk-BB...2222  2026-12-23T12:00:00+02:00  a-2\n"));
	assert_non_null(strstr(outcome.err, "shown this once"));
	assert_null(strstr(outcome.err, "secret"));
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
}

static void test_terminal_safety(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200,
		"{\"keys\":[" KEY_ROW("k_1", "\\u001b[2J\\u0007\\u009b\\u202e\\ud83d\\ude00\\\\\\n"
					     "\xe6\xbc\xa2") "],\"next\":null}");
	run_tool(played, "key list", &outcome);
	assert_non_null(strstr(outcome.out, "\\x1b[2J\\x07\\u009b\\u202e\xf0\x9f\x98\x80\\\\\\x0a"
					    "\xe6\xbc\xa2\n"));
	prepare(played, 409,
		"{\"error\":{\"code\":\"x\",\"message\":\"\\u001b]0;evil\\u0007\\nline\",\"mend\":"
		"\"none\"}}");
	run_tool(played, "key list", &outcome);
	assert_string_equal(outcome.err, "keyfilterctl: \\x1b]0;evil\\x07\\x0aline; none\n");
}

/* Wide characters take two columns, and the next column still lines up. */
static void test_widths(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200,
		"{\"services\":[{\"name\":\"\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2\",\"listen\":\"*:"
		"1\"}"
		",{\"name\":\"abc\",\"listen\":\"*:2\"}]}");
	run_tool(played, "service list", &outcome);
	assert_non_null(strstr(outcome.out, "\nabc     *:2 "));
	assert_non_null(strstr(outcome.out, "\n\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2  *:1 "));
}

static void test_pages(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200, "{\"keys\":[" KEY_ROW("k_1", "a") "],\"next\":\"c 1\"}");
	played->answers[1] = "{\"keys\":[" KEY_ROW("k_2", "b") "],\"next\":null}";
	run_tool(played, "key list --limit 1500", &outcome);
	assert_string_equal(played->heard,
			    "GET /v1/keys?limit=1000\nGET /v1/keys?limit=500&after=c%201\n");
	assert_non_null(strstr(outcome.out, "\nk_1 "));
	assert_non_null(strstr(outcome.out, "\nk_2 "));
	assert_null(strstr(strstr(outcome.out, "STATUS") + 1, "STATUS"));
	assert_string_equal(outcome.err, "");

	prepare(played, 200, "{\"keys\":[" KEY_ROW("k_1", "a") "],\"next\":\"c1\"}");
	run_tool(played, "key list --limit 1", &outcome);
	assert_string_equal(played->heard, "GET /v1/keys?limit=1\n");
	assert_string_equal(outcome.err, "There are more: --after c1\n");
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
}

static void test_json_is_unaltered(void **state)
{
	static const char answer[] = "{ \"keys\" : [ ],\t\"odd\":1.50,\"next\":\"c1\" }\n";
	static const char *const lines[] = { "key list --json", "--json key list", "status --json",
					     "key disable --json k_1", "events --json" };
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(lines); i++) {
		prepare(played, 200, answer);
		run_tool(played, lines[i], &outcome);
		assert_string_equal(outcome.out, answer);
		assert_int_equal(played->asked, 1);
	}
}

static void test_refusals(void **state)
{
	static const char body[] =
		"{\"error\":{\"code\":\"not_found\",\"message\":\"there is no key called k_1\","
		"\"mend\":\"see: keyfilterctl key list\"}}\n";
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 404, body);
	run_tool(played, "key show k_1", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_string_equal(outcome.out, "");
	assert_string_equal(outcome.err, "keyfilterctl: there is no key called k_1; see: "
					 "keyfilterctl key list\n");
	run_tool(played, "key show k_1 --json", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_string_equal(outcome.out, body);

	prepare(played, 502, "<html>");
	run_tool(played, "key show k_1", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_non_null(strstr(outcome.err, "answered 502 without saying why"));

	prepare(played, 200, "<html>");
	run_tool(played, "status", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_non_null(strstr(outcome.err, "no JSON object"));
}

/* The daemon names members of requests; who typed the command knows its options. */
static void test_words_of_the_command_line(void **state)
{
	static const struct {
		const char *line, *message, *err;
	} cases[] = {
		{ "key create --name a --allow-ip 0.0.0.0", "`allow_ips`: no",
		  "--allow-ip: no; give `x` or none, and --rpm" },
		{ "key edit k_1 --allow-any", "`allow_ips`: no",
		  "--allow-ip: no; give `x` or none, and --rpm" },
		{ "source deny ::", "`cidr`: no", "CIDR: no; give `x` or `null`, and `rpm`" },
		{ "source remove x", "`cidr`: no", "CIDR: no; give `x` or `null`, and `rpm`" },
		{ "service edit a --syn-burst 5", "`syn_burst`: no",
		  "--syn-burst: no; give `x` or `null`, and `rpm`" },
		{ "key list --status x", "`status` cannot be 'x'",
		  "--status cannot be 'x'; give `x` or `null`, and `rpm`" },
		{ "status", "`", "`; give `x` or `null`, and `rpm`" },
		{ "status", "``a`", "``a`; give `x` or `null`, and `rpm`" },
	};
	struct played *played = *state;
	static struct outcome outcome;
	char body[256], err[256];

	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(body, sizeof(body),
			 "{\"error\":{\"code\":\"bad_value\",\"message\":\"%s\",\"mend\":\"give "
			 "`x` or `null`, and `rpm`\"}}",
			 cases[i].message);
		snprintf(err, sizeof(err), "keyfilterctl: %s\n", cases[i].err);
		prepare(played, 400, body);
		run_tool(played, cases[i].line, &outcome);
		assert_string_equal(outcome.err, err);
		assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	}
}

/* What no request can carry is said in the tool's words, and nothing is asked. */
static void test_bytes_that_cannot_be_asked(void **state)
{
	static const struct {
		const char *line, *err;
	} cases[] = {
		{ "key show \xff", "ID is not UTF-8" },
		{ "key disable k_\xc3", "ID is not UTF-8" },
		{ "service remove \xff", "NAME is not UTF-8" },
		{ "source deny \xff", "CIDR is not UTF-8" },
		{ "source remove \xff", "CIDR is not UTF-8" },
		{ "key show 'k\n1'", "ID has control characters" },
		{ "source remove '::\t'", "CIDR has control characters" },
		{ "key list --search \xff", "the value of --search is not UTF-8" },
		{ "key list --search 'a\nb'", "the value of --search has control characters" },
		{ "key create --name 'a\x7f'", "the value of --name has control characters" },
	};
	struct played *played = *state;
	static struct outcome outcome;

	for (size_t i = 0; i < COUNT(cases); i++) {
		prepare(played, 200, "{}");
		run_tool(played, cases[i].line, &outcome);
		if (!strstr(outcome.err, cases[i].err) || !strstr(outcome.err, "; type it "))
			fail_msg("%s: %s", cases[i].line, outcome.err);
		assert_int_equal(outcome.exit, KF_EXIT_FAILED);
		assert_string_equal(played->heard, "");
	}
}

static void test_no_daemon(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;
	int fd;

	prepare(played, 200, NULL);
	run_tool(played, "--socket /nonexistent/s status", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	assert_string_equal(outcome.err,
			    "keyfilterctl: no keyfilterd at /nonexistent/s (connect: No "
			    "such file or directory); start it with: systemctl start "
			    "keyfilterd, or give --socket\n");
	run_tool(played, "--socket /nonexistent/s version", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_DONE);

	/* A socket that nobody accepts on any more. */
	unlink(played->socket);
	fd = listen_at(played->socket);
	close(fd);
	run_tool(played, "status", &outcome);
	assert_non_null(strstr(outcome.err, "(connect: Connection refused)"));
	assert_string_equal(played->heard, "");
}

static void test_status_degraded(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	prepare(played, 200,
		"{\"version\":\"0.1.0\",\"abi\":1,\"pid\":42,\"uptime_s\":7265,\"state_dir\":\"/"
		"s\","
		"\"run_dir\":\"/r\",\"pin_dir\":\"/p\",\"services\":2,\"keys\":{\"total\":3,"
		"\"enabled\":2,\"disabled\":1,\"expired\":0},\"sources\":4,\"flows\":{\"live\":5,"
		"\"max\":6},\"keys_max\":7,\"sources_max\":8,\"penalised\":9,\"ifaces\":[],"
		"\"degraded\":[\"the "
		"disk "
		"is full; make room\"]}");
	run_tool(played, "status", &outcome);
	assert_string_equal(
		outcome.out,
		"keyfilterd 0.1.0 (layout 1), process 42, up for 2 h\n"
		"state     /s\nrun       /r\npins      /p\nservices  2\n"
		"keys      3 of 7: 2 enabled, 1 disabled, 0 expired\n"
		"sources   4 of 8, 9 penalised\nflows     about 5 of 6\n"
		"iface     none: nothing is filtered until keyfilterctl iface attach DEV\n"
		"degraded  the disk is full; make room\n");
	assert_int_equal(outcome.exit, KF_EXIT_TROUBLE);
	run_tool(played, "status --json", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_TROUBLE);
	prepare(played, 200, "{\"ifaces\":[{\"dev\":\"eth0\"}],\"degraded\":[]}");
	run_tool(played, "status", &outcome);
	assert_non_null(strstr(outcome.out, "\nhealth    good\n"));
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
	run_tool(played, "status --json", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
}

static void test_output_that_fails(void **state)
{
	static const char one[] = "{\"keys\":[{\"id\":\"k_1\",\"key\":\"sk-secret\"}]}";
	static const char two[] = "{\"keys\":[{\"id\":\"k_1\",\"key\":\"sk-secret\"},"
				  "{\"id\":\"k_2\",\"key\":\"sk-secret\"}]}";
	static const char graced[] = "{\"id\":\"k_1\",\"key\":\"sk-secret\",\"grace_until\":"
				     "\"2026-11-23T10:00:00Z\"}";
	static const struct {
		const char *line, *answer, *err;
	} cases[] = {
		{ "key create --name a", one,
		  "keyfilterctl: k_1: made, but what was printed did not arrive, and no key is "
		  "shown "
		  "twice; delete it with keyfilterctl key delete, or" },
		{ "key create --name a --json", one, "keyfilterctl: k_1: made, but" },
		{ "key create --name a --quantity 2", two, "keyfilterctl: k_1, k_2: made, but" },
		{ "key rotate k_1", graced,
		  "keyfilterctl: k_1 has a new secret, but what was printed did not arrive, and it "
		  "is not shown twice: the old one is served until 2026-11-23T12:00:00+02:00; "
		  "rotate "
		  "it again\n" },
		{ "key rotate k_1 --json", graced, "keyfilterctl: k_1 has a new secret, but" },
		{ "key rotate k_1 --grace 0", "{\"id\":\"k_1\",\"key\":\"sk-secret\"}",
		  "the old one is refused; rotate it again\n" },
		{ "key disable k_1", "{}",
		  "No space left on device; what was asked is done; make room for it\n" },
		{ "service remove a", "{}", "No space left on device; what was asked is done; " },
		{ "stats", "{}", "written: No space left on device; make room for it\n" },
		{ "stats --json", "{}", "No space left on device; make room for it\n" },
		{ "key list", "{}", "No space left on device; make room for it\n" },
		{ "status", "{}", "No space left on device; make room for it\n" },
		{ "version", "{}", "No space left on device; make room for it\n" },
		{ "events", "{\"events\":[{}]}", "No space left on device; make room for it\n" },
		{ "help", "{}", "No space left on device; make room for it\n" },
		{ "key rotate --help", "{}", "No space left on device; make room for it\n" },
		{ "--version", "{}", "No space left on device; make room for it\n" },
	};
	struct played *played = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), err;
	static char text[1024];

	assert_true(full >= 0);
	for (size_t i = 0; i < COUNT(cases); i++) {
		err = open_temporary();
		prepare(played, 200, cases[i].answer);
		assert_int_equal(run_into(played, cases[i].line, full, err), KF_EXIT_FAILED);
		read_back(err, text, sizeof(text));
		if (!strstr(text, cases[i].err))
			fail_msg("%s: '%s'", cases[i].line, text);
		assert_null(strstr(text, "sk-secret"));
		assert_ptr_equal(strchr(text, '\n'), strrchr(text, '\n')); /* one line */
	}
	close(full);
}

/* Room for the half of it: a limit of the file's size, as `ulimit -f` sets it. */
static void test_output_that_fails_half_way(void **state)
{
	const struct rlimit small = { 5, RLIM_INFINITY };
	struct played *played = *state;
	struct rlimit before;
	static struct outcome outcome;
	int out = open_temporary(), err = open("/dev/null", O_WRONLY | O_CLOEXEC);

	getrlimit(RLIMIT_FSIZE, &before);
	prepare(played, 200, "{\"id\":\"k_1\",\"key\":\"sk-secret\"}");
	setrlimit(RLIMIT_FSIZE, &small);
	outcome.exit = run_into(played, "key rotate k_1", out, err);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(outcome.exit, KF_EXIT_FAILED);
	close(out);
	close(err);
}

static void test_help(void **state)
{
	struct played *played = *state;
	static struct outcome outcome;

	run_tool(played, "help", &outcome);
	assert_int_equal(outcome.exit, KF_EXIT_DONE);
	assert_non_null(strstr(outcome.out, "key rotate ID [--grace T]"));
	run_tool(played, "key help", &outcome);
	assert_null(strstr(outcome.out, "service"));
	assert_non_null(strstr(outcome.out, "--allow-any"));
	run_tool(played, "key create --help", &outcome);
	assert_null(strstr(outcome.out, "--allow-any"));
	assert_non_null(strstr(outcome.out, "--quantity"));
	run_tool(played, "--version", &outcome);
	assert_string_equal(outcome.out, "keyfilterctl " KF_VERSION "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_created_keys),
		cmocka_unit_test(test_terminal_safety),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_json_is_unaltered),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_words_of_the_command_line),
		cmocka_unit_test(test_status_degraded),
		cmocka_unit_test(test_output_that_fails),
		cmocka_unit_test(test_output_that_fails_half_way),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_bytes_that_cannot_be_asked),
		cmocka_unit_test(test_no_daemon),
	};

	setenv("TZ", "UTC-2", 1); /* POSIX's sign: two hours east */
	return cmocka_run_group_tests_name("ctl", tests, setup, teardown);
}
