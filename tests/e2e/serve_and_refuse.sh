#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Served with a good key from each of the five places, refused for each reason without one.
. "$(dirname "$0")/lib.sh"

start_all native
make_key KEY good
make_key OTHER also-good
url=http://$SERVER:$PORT/v1/models

served "Authorization: Bearer" -H "$(bearer "$KEY")"
served "scheme in any case" -H "authorization: bEaReR $KEY"
served "x-api-key" -H "X-Api-Key: $KEY" -d '{"stream":false}' "http://$SERVER:$PORT/v1/messages"
served "api-key" -H "api-key: $KEY"
served "x-goog-api-key" -H "x-goog-api-key: $KEY"
served "?key= in the target" "http://$SERVER:$PORT/v1beta/models/m:generateContent?alt=sse&key=$KEY"
served "the same key in two places" -H "$(bearer "$KEY")" -H "x-api-key: $KEY"
served "a stream of tokens" -H "$(bearer "$KEY")" -d '{"stream":true,"max_tokens":5}'

refused "no key" no_key
refused "no key, with a body" no_key -d '{"messages":[]}'
refused "unknown key" unknown_key -H "$(bearer "$UNKNOWN")"
refused "a good key cut short" unknown_key -H "$(bearer "${KEY%?}")"
refused "a good key and a byte more" unknown_key -H "$(bearer "${KEY}x")"
refused "a key that is none of ours" unknown_key -H "x-api-key: hunter2"
refused "unknown key in the target" unknown_key "$url?key=$UNKNOWN"
refused "another scheme" no_key -H "Authorization: Basic $KEY"
refused "two keys that disagree" malformed -H "$(bearer "$KEY")" -H "x-api-key: $OTHER"
refused "two Authorization fields" malformed -H "$(bearer "$KEY")" -H "authorization: Bearer $KEY"
refused "a good field beside an unknown key" malformed -H "$(bearer "$UNKNOWN")" -H "api-key: $KEY"

admitted=$(counter requests_admitted)
[ "$admitted" -eq 8 ] || fail "8 requests were served, $admitted are counted as admitted"
[ "$(counter requests_refused)" -ge 11 ] || fail "11 requests were refused, $(counter requests_refused) counted"
ok "counted: $admitted admitted, $(counter requests_refused) refused"

# A port without a service, and the backend's own way out, are none of the filter's business.
become_in_ns "$SERVER_NS" "$BUILD/tools/keyfilter-stub" --port 8001 --log "$WORK/other.log" &
PIDS+=($!)
await 5 client curl -sm 1 "http://$SERVER:8001/" || fail "another port is not reachable through the filter"
must "another port, IPv6" client curl -gsm 1 "http://[$SERVER6]:8001/"
ok "what is not for a service passes"

# The narrowed list of places.
must "service edit" ctl service edit api --keys-from x-api-key
served "x-api-key where only that counts" -H "x-api-key: $KEY"
refused "bearer where only x-api-key counts" no_key -H "$(bearer "$KEY")"
