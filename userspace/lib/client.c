// SPDX-License-Identifier: GPL-2.0-only
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include <curl/curl.h>

#include "clock.h"
#include "reach.h"

/* 100,000 new keys are some 40 MB of JSON; what is far larger is not from our daemon. */
#define REPLY_MAX	(256u << 20)
#define LINE_MAX_BYTES	(64u << 10)
#define CONNECT_SECONDS 5
#define ANSWER_SECONDS	120L
#define SILENCE_SECONDS 60
#define STOPPED_SECONDS 3 /* of silence, before we look whether the daemon is stopped */

struct kf_client {
	CURL *curl;
	char *match;	  /* the field If-Match; NULL: none */
	int fd;		  /* libcurl's, only looked at here; -1: none yet */
	pid_t stopped;	  /* the daemon, that is, and so we gave up; 0: no */
	time_t heard;	  /* CLOCK_MONOTONIC: when bytes last moved */
	curl_off_t moved; /* bytes so far, both ways */
	char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

/* Bytes that arrive in pieces; grows by doubling, NUL-terminated once it is not empty. */
struct buffer {
	char *bytes;
	size_t len, room;
};

struct follower {
	struct kf_client *client;
	kf_client_line_fn line;
	void *context;
	const volatile bool *stop;
	struct buffer buffer; /* the line so far; the whole answer when it is not a 200 */
	time_t heard;
	bool left; /* the caller had enough */
	bool silent;
};

static int buffer_add(struct buffer *buffer, const char *bytes, size_t len, size_t most)
{
	size_t room = buffer->room ? buffer->room : 4096;
	char *grown;

	if (len > most - buffer->len)
		return -EMSGSIZE;
	while (room < buffer->len + len + 1)
		room *= 2;
	if (room != buffer->room) {
		grown = realloc(buffer->bytes, room);
		if (!grown)
			return -ENOMEM;
		buffer->bytes = grown;
		buffer->room = room;
	}
	memcpy(buffer->bytes + buffer->len, bytes, len);
	buffer->len += len;
	buffer->bytes[buffer->len] = '\0';
	return 0;
}

static void buffer_drop(struct buffer *buffer)
{
	free(buffer->bytes);
}

static curl_socket_t make_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct kf_client *client = context;

	client->fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	return client->fd < 0 ? CURL_SOCKET_BAD : client->fd;
}

/* A daemon that is stopped lets us connect, and then is silent for as long as it likes. */
static bool is_stopped(struct kf_client *client, curl_off_t moved)
{
	if (moved != client->moved)
		client->heard = kf_clock_seconds();
	client->moved = moved;
	if (kf_clock_seconds() - client->heard >= STOPPED_SECONDS)
		client->stopped = kf_reach_stopped(client->fd);
	return client->stopped;
}

/* curl calls this about once a second and whenever bytes move; not 0 ends the transfer. */
static int watch(void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
		 curl_off_t up)
{
	return is_stopped(context, down + up);
}

/*
 * What holds for every request. The host in the URL is only a name for the Host field: the socket
 * decides where it goes, and a proxy in the environment must not.
 */
static void set_common(struct kf_client *client)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	/* A service may be named "..": nobody but the daemon reads the path. */
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, make_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, client);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
	client->heard = kf_clock_seconds();
	client->moved = 0;
	client->stopped = 0;
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "keyfilterctl/" KF_VERSION);
}

int kf_client_open(struct kf_client **out, const char *socket_path, struct kf_client_why *why)
{
	struct kf_client *client;

	if (strlen(socket_path) >= sizeof(client->socket_path)) {
		snprintf(why->text, sizeof(why->text),
			 "the socket's path is longer than %zu bytes; give --socket a shorter one",
			 sizeof(client->socket_path) - 1);
		return -ENAMETOOLONG;
	}
	client = calloc(1, sizeof(*client));
	if (client)
		client->curl = curl_easy_init();
	if (!client || !client->curl) {
		free(client);
		snprintf(why->text, sizeof(why->text), "out of memory; free some");
		return -ENOMEM;
	}
	strcpy(client->socket_path, socket_path);
	client->fd = -1;
	*out = client;
	return 0;
}

void kf_client_close(struct kf_client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client->match);
	free(client);
}

int kf_client_match(struct kf_client *client, const char *revision)
{
	bool whole =
		*revision == '"' || strncmp(revision, "W/", 2) == 0 || strcmp(revision, "*") == 0;
	char *match;

	if (asprintf(&match, "If-Match: %s%s%s", whole ? "" : "\"", revision, whole ? "" : "\"") <
	    0)
		return -ENOMEM;
	free(client->match);
	client->match = match;
	return 0;
}

static int explain_stopped(const struct kf_client *client, struct kf_client_why *why)
{
	snprintf(why->text, sizeof(why->text),
		 "keyfilterd at %s is stopped (SIGSTOP, or a debugger) and does not answer; let it "
		 "go on: kill -CONT %d",
		 client->socket_path, (int)client->stopped);
	return -ETIMEDOUT;
}

static int explain(const struct kf_client *client, CURLcode code, struct kf_client_why *why)
{
	long cause = 0;

	if (client->stopped)
		return explain_stopped(client, why);
	curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &cause);
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		kf_reach_explain(client->socket_path, cause ? (int)cause : ECONNREFUSED, why->text,
				 sizeof(why->text));
		return -(cause ? (int)cause : ECONNREFUSED);
	case CURLE_OPERATION_TIMEDOUT:
		snprintf(why->text, sizeof(why->text),
			 "keyfilterd at %s did not answer in time; see: journalctl -u keyfilterd",
			 client->socket_path);
		return -ETIMEDOUT;
	default:
		snprintf(why->text, sizeof(why->text),
			 "the answer from %s broke off (%s); see: journalctl -u keyfilterd, and "
			 "check with a list before you try again",
			 client->socket_path, curl_easy_strerror(code));
		return -EPROTO;
	}
}

/*
 * With a full queue connect(2) on a socket that does not block fails at once, and libcurl knows no
 * other way: it is tried again for as long as libcurl would wait for any other connection. Nothing
 * was sent before, so nothing is done twice.
 */
static CURLcode perform(struct kf_client *client)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	time_t begun = kf_clock_seconds();

	for (;;) {
		CURLcode code = curl_easy_perform(client->curl);
		long cause = 0;

		curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &cause);
		if (code != CURLE_COULDNT_CONNECT || cause != EAGAIN ||
		    kf_clock_seconds() - begun >= CONNECT_SECONDS)
			return code;
		nanosleep(&pause, NULL);
	}
}

static int set_url(CURL *curl, const char *path)
{
	_cleanup_free_ char *url = NULL;

	if (asprintf(&url, "http://keyfilterd%s", path) < 0)
		return -ENOMEM;
	/* curl copies it. */
	return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK ? 0 : -ENOMEM;
}

static size_t on_reply(char *bytes, size_t size, size_t count, void *context)
{
	return buffer_add(context, bytes, size * count, REPLY_MAX) == 0 ? size * count : 0;
}

int kf_client_call(struct kf_client *client, const char *method, const char *path, const char *body,
		   struct kf_client_reply *out, struct kf_client_why *why)
{
	_cleanup_(buffer_drop) struct buffer buffer = { 0 };
	struct curl_slist *fields = NULL;
	CURL *curl = client->curl;
	CURLcode code;

	set_common(client);
	if (set_url(curl, path) < 0 || buffer_add(&buffer, "", 0, REPLY_MAX) < 0) {
		snprintf(why->text, sizeof(why->text), "out of memory; free some");
		return -ENOMEM;
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_SECONDS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_reply);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &buffer);
	if (client->match)
		fields = curl_slist_append(fields, client->match);
	if (body) {
		fields = curl_slist_append(fields, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
	code = perform(client);
	curl_slist_free_all(fields);
	if (code != CURLE_OK)
		return explain(client, code, why);

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
	out->len = buffer.len;
	out->body = TAKE_PTR(buffer.bytes);
	return 0;
}

/* Hands on the lines that are whole, and moves the rest to the front. */
static void hand_lines(struct follower *follower)
{
	struct buffer *buffer = &follower->buffer;
	char *line = buffer->bytes, *end;

	while (!follower->left && (end = memchr(line, '\n', buffer->bytes + buffer->len - line))) {
		*end = '\0';
		if (end > line)
			follower->left = follower->line(line, end - line, follower->context) != 0;
		line = end + 1;
	}
	buffer->len -= line - buffer->bytes;
	memmove(buffer->bytes, line, buffer->len);
}

static size_t on_lines(char *bytes, size_t size, size_t count, void *context)
{
	struct follower *follower = context;
	long status = 0;

	follower->heard = kf_clock_seconds();
	if (buffer_add(&follower->buffer, bytes, size * count,
		       LINE_MAX_BYTES + CURL_MAX_WRITE_SIZE) < 0)
		return 0;
	curl_easy_getinfo(follower->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		hand_lines(follower);
	return follower->left ? 0 : size * count;
}

static int look_around(void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
		       curl_off_t up)
{
	struct follower *follower = context;

	if (*follower->stop)
		follower->left = true;
	else if (kf_clock_seconds() - follower->heard > SILENCE_SECONDS)
		follower->silent = true;
	return follower->left || follower->silent || is_stopped(follower->client, down + up);
}

static int end_follow(struct kf_client *client, struct follower *follower, CURLcode code,
		      struct kf_client_reply *out, struct kf_client_why *why)
{
	if (follower->silent) {
		snprintf(why->text, sizeof(why->text),
			 "keyfilterd at %s has been silent for %d seconds; see: journalctl -u "
			 "keyfilterd",
			 client->socket_path, SILENCE_SECONDS);
		return -ETIMEDOUT;
	}
	if (code != CURLE_OK && !follower->left)
		return explain(client, code, why);

	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &out->status);
	if (out->status != 200 && !follower->left) {
		out->len = follower->buffer.len;
		out->body = TAKE_PTR(follower->buffer.bytes);
	}
	return 0;
}

int kf_client_follow(struct kf_client *client, const char *path, kf_client_line_fn line,
		     void *context, const volatile bool *stop, struct kf_client_reply *out,
		     struct kf_client_why *why)
{
	struct follower follower = {
		.client = client,
		.line = line,
		.context = context,
		.stop = stop,
		.heard = kf_clock_seconds(),
	};
	CURL *curl = client->curl;
	int ret;

	set_common(client);
	if (set_url(curl, path) < 0 || buffer_add(&follower.buffer, "", 0, LINE_MAX_BYTES) < 0) {
		snprintf(why->text, sizeof(why->text), "out of memory; free some");
		return -ENOMEM;
	}
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_lines);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &follower);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_around);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &follower);
	ret = end_follow(client, &follower, perform(client), out, why);
	buffer_drop(&follower.buffer);
	return ret;
}

void kf_client_reply_drop(struct kf_client_reply *reply)
{
	free(reply->body);
	*reply = (struct kf_client_reply){ 0 };
}

char *kf_client_escape(const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";
	char *escaped = malloc(strlen(text) * 3 + 1), *at = escaped;

	if (!escaped)
		return NULL;
	for (; *text; text++) {
		if (strchr(plain, *text))
			*at++ = *text;
		else
			at += sprintf(at, "%%%02X", (unsigned char)*text);
	}
	*at = '\0';
	return escaped;
}
