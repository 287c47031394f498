#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# nginx as the backend: a server that many put in front of their models.
. "$(dirname "$0")/lib.sh"

find_nginx
make_stage
mkdir "$WORK/www"
echo '{"object":"list"}' > "$WORK/www/models"
cat > "$WORK/nginx.conf" <<END
daemon off;
worker_processes 1;
user root;
pid $WORK/nginx.pid;
error_log $WORK/nginx.err;
events { worker_connections 256; }
http {
	log_format marker escape=json '{"event":"head","request":"\$request","marker":"\$http_x_marker"}';
	access_log $BACKEND_LOG marker;
	client_body_temp_path $WORK/body; proxy_temp_path $WORK/proxy; fastcgi_temp_path $WORK/fastcgi;
	uwsgi_temp_path $WORK/uwsgi; scgi_temp_path $WORK/scgi;
	client_max_body_size 10m;
	server {
		listen [::]:$PORT ipv6only=off;
		location / { root $WORK/www; }
		location /echo { proxy_pass http://127.0.0.1:$PORT/sink; }
		location /sink { return 200 "done"; }
	}
}
END
become_in_ns "$SERVER_NS" "$NGINX" -c "$WORK/nginx.conf" -e "$WORK/nginx.err" > "$WORK/nginx.out" 2>&1 &
BACKEND=$!
await 5 client curl -sfm 1 "http://$SERVER:$PORT/models" || fail "nginx did not start: $(cat "$WORK/nginx.err" "$WORK/nginx.out")"
start_daemon
add_service
attach "${MODE:-native}"
make_key KEY good
url=http://$SERVER:$PORT/models

served "a good key" -H "$(bearer "$KEY")" "$url"
refused "no key" no_key "$url"
refused "an unknown key" unknown_key -H "$(bearer "$UNKNOWN")" "$url"
head -c 3000000 /dev/urandom > "$WORK/upload"
served "3 MB upload" -H "$(bearer "$KEY")" --data-binary "@$WORK/upload" "http://$SERVER:$PORT/echo"
served "3 MB upload, chunked" -H "$(bearer "$KEY")" -H "Transfer-Encoding: chunked" -H "Expect: 100-continue" \
	--data-binary "@$WORK/upload" "http://$SERVER:$PORT/echo"
client_py <<'END'
c = Connection()
c.send(head("n-1", method="GET", target="/models") + head("n-2", method="GET", target="/models"))
for marker in "n-1", "n-2":
    check(c.answer()[0] == 200, marker)
c.send_cut(head("n-3", method="GET", target="/models"), [30, 60, 61])
check(c.answer()[0] == 200, "n-3")
c.send(head("n-4", UNKNOWN, method="GET", target="/models"))
c.expect_nothing("n-4")
ok("pipelined, split and bad ones over one connection")
END
