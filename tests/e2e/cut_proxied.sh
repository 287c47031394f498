#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# One key is revoked while its requests wait behind nginx: their clients are told, and nginx goes on
# serving everybody else, for no backend of its has failed. Then clients without a proxy.
export REFUSE=reply
. "$(dirname "$0")/lib.sh"

find_nginx
make_stage
start_backend
SECOND=$((PORT + 1))
become_in_ns "$SERVER_NS" "$BUILD/tools/keyfilter-stub" --port "$SECOND" --log "$BACKEND_LOG" &
PIDS+=($!)
start_daemon
add_service
must "service add" ctl service add second --listen "*:$SECOND" --refuse reply --penalty-failures 0

# start_nginx NS UPSTREAM: on 127.0.0.1:8080 there, with the defaults of max_fails and fail_timeout.
start_nginx() {
	cat > "$WORK/nginx.conf" <<-END
	daemon off;
	worker_processes 1;
	user root;
	pid $WORK/nginx.pid;
	error_log $WORK/nginx.err;
	events { worker_connections 256; }
	http {
		access_log off;
		client_body_temp_path $WORK/body; proxy_temp_path $WORK/proxy; fastcgi_temp_path $WORK/fastcgi;
		uwsgi_temp_path $WORK/uwsgi; scgi_temp_path $WORK/scgi;
		upstream models {
			server $2:$PORT;
			server $2:$SECOND;
			keepalive 16;
		}
		server {
			listen 127.0.0.1:8080;
			location / {
				proxy_pass http://models;
				proxy_http_version 1.1;
				proxy_set_header Connection "";
			}
		}
	}
	END
	become_in_ns "$1" "$NGINX" -c "$WORK/nginx.conf" -e "$WORK/nginx.err" > "$WORK/nginx.out" 2>&1 &
	PROXY=$!
	PIDS+=("$PROXY")
	await 5 in_ns "$1" curl -sm 1 http://127.0.0.1:8080/ready ||
		fail "nginx did not start: $(cat "$WORK/nginx.err" "$WORK/nginx.out")"
}

# Four requests of a key wait, it is revoked, and another key is used all the time. What: for the messages.
check_proxied() {
	WHAT=$1 client_py <<-'END'
	import http.client
	import threading
	from cut import *

	what = os.environ["WHAT"]
	admin = Admin()
	good, _ = admin.make_key("good")
	text, ident = admin.make_key("revoked")


	def ask(marker, key, body):
	    proxy = http.client.HTTPConnection("127.0.0.1", 8080, timeout=15 * PATIENCE)
	    proxy.request("POST", "/v1/chat/completions", json.dumps(body),
	                  {"Authorization": "Bearer " + key, "x-marker": marker})
	    answer = proxy.getresponse()
	    return answer.status, answer.read(), time.monotonic()


	# connections that nginx keeps: some have carried other requests before
	for n in range(4):
	    check(ask("%s-before-%d" % (what, n), good, {})[0] == 200, "a request before")

	answers = {}
	markers = ["%s-waiting-%d" % (what, n) for n in range(4)]
	waiting = [threading.Thread(target=lambda m=m: answers.__setitem__(m, ask(m, text, {"think_ms": 10000 * PATIENCE})))
	           for m in markers]
	for thread in waiting:
	    thread.start()
	until = time.monotonic() + 5 * PATIENCE
	while not all(seen("body", m) for m in markers) and time.monotonic() < until:
	    time.sleep(0.01)
	check(all(seen("body", m) == 1 for m in markers), "the requests did not come to the backends")

	others = []


	def use():
	    for n in range(50):
	        others.append(ask("%s-other-%d" % (what, n), good, {"think_ms": 20})[0])
	        time.sleep(0.03)


	other = threading.Thread(target=use)
	other.start()
	time.sleep(0.3)
	admin.call("POST", "/v1/keys/%s/disable" % ident)
	at = time.monotonic()
	for thread in waiting:
	    thread.join(12 * PATIENCE)
	other.join(12 * PATIENCE)
	for m in markers:
	    check(m in answers, m + " was not answered")
	    status, body, when = answers[m]
	    check(status == 401, "%s: HTTP status %d, %r" % (m, status, body[:200]))
	    check(json.loads(body)["error"]["code"] == "api_key_disabled", "%s: %r" % (m, body))
	    check(when - at < 0.5 * PATIENCE, "%s: told after %.0f ms" % (m, (when - at) * 1000))
	    check(seen("head", m) == 1, m + " was tried again")
	check(others == [200] * 50, "other requests: %s" % others)
	ok("%s: 4 told within %.1f ms, 50 others served" % (what, (max(a[2] for a in answers.values()) - at) * 1000))
	END
	! grep -E "upstream|no live" "$WORK/nginx.err" || fail "$1: nginx has something to say of its upstreams"
}

# curl and Python without a proxy: the answer is read whole, behind an interim one as well.
check_alone() {
	WHAT=$1 client_py <<-'END'
	import http.client
	import subprocess
	import threading
	from cut import *

	what = os.environ["WHAT"]
	admin = Admin()
	body = json.dumps({"think_ms": 10000 * PATIENCE})


	def curl(marker, key, *more):
	    done = subprocess.run(["curl", "-sSi", "-m", str(8 * PATIENCE), "-H", "x-marker: " + marker, "--data", body, *more,
	                           "-H", "Authorization: Bearer " + key,
	                           "http://%s:%d/v1/messages" % (SERVER, PORT)], stdout=subprocess.PIPE)
	    check(done.returncode == 0, "curl: status %d" % done.returncode)
	    return done.stdout.decode()


	def curl_continue(marker, key):
	    said = curl(marker, key, "-H", "Expect: 100-continue")
	    check(said.startswith("HTTP/1.1 100 "), "curl: no interim response: " + said)
	    return said


	def python(marker, key):
	    client = http.client.HTTPConnection(SERVER, PORT, timeout=8 * PATIENCE)
	    client.request("POST", "/v1/messages", body, {"Authorization": "Bearer " + key, "x-marker": marker})
	    answer = client.getresponse()
	    return "HTTP/1.1 %d \r\n\r\n%s" % (answer.status, answer.read().decode())


	for client in curl, curl_continue, python:
	    marker, said = "%s-%s" % (what, client.__name__), []
	    text, ident = admin.make_key(client.__name__)
	    thread = threading.Thread(target=lambda: said.append(client(marker, text)))
	    thread.start()
	    until = time.monotonic() + 5
	    while not seen("body", marker) and time.monotonic() < until:
	        time.sleep(0.01)
	    admin.call("POST", "/v1/keys/%s/disable" % ident)
	    thread.join(10 * PATIENCE)
	    check(said and "HTTP/1.1 401 " in said[0], "%s: %s" % (marker, said))
	    # in the shape of the protocol that was spoken
	    check('"type":"authentication_error"' in said[0].split("\r\n\r\n")[-1], "%s: %s" % (marker, said))
	    ok("%s: %s" % (what, client.__name__))
	END
}

attach native
start_nginx "$CLIENT_NS" "$SERVER"
check_proxied native
end_process "$PROXY"
check_alone native
for mode in generic tc; do
	[ -n "${KF_UNFILTERED:-}" ] || must "iface detach" ctl iface detach s0
	attach "$mode"
	check_alone "$mode"
done

# on the backend's own host, over loopback
[ -n "${KF_UNFILTERED:-}" ] || must "iface attach" ctl iface attach lo --mode tc
EXTRA_NS+=("$CLIENT_NS")
CLIENT_NS=$SERVER_NS
start_nginx "$SERVER_NS" 127.0.0.1
check_proxied loopback
