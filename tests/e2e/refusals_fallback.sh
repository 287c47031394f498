#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Where no reply can be made the client is reset instead, never let through: counted, in the metrics, and
# named by status with its mend. A restart of the controller writes the answers anew, under running programs.
. "$(dirname "$0")/lib.sh"

metric() { curl -sm 5 --unix-socket "$SOCKET" http://localhost/metrics | sed -n "s/^$1 //p"; }
degraded() { ctl --json status | json "'\n'.join(d['degraded'])"; }
# The exit status of curl; 56: the connection was reset.
ask() { client curl -gsS -o /dev/null -m 3 -H "x-marker: $1" "http://$SERVER:$PORT/v1/models" > /dev/null 2>&1; }

make_stage
start_backend
start_daemon
REFUSE=reply add_service
attach tc

refused_with 401 missing_api_key "with room for the answer"
[ "$(metric 'keyfilter_refusals_total{service="api",told="reply"}')" = 1 ] || fail "the reply is not in the metrics"
[[ "$(degraded)" != *"api: "* ]] || fail "something is wrong already: $(degraded)"
ok "a reply is counted, and status has nothing to say"

# Reasons come in their enum's order, each has four places, and OpenAI's words are in the first.
no_key=$(ctl --json stats | json 'list(d["services"][0]["packets"]).index("no_key")')
# shellcheck disable=SC2046 # words, on purpose
must "taking the answer away" bpftool map update pinned "$PIN/maps/kf_answers" \
	key $((no_key * 4)) 0 0 0 value $(printf '0 %.0s' {1..1024})
ask untold
[ $? = 56 ] || fail "expected a reset where there is no answer"
! backend_saw untold || fail "the backend holds the head of what was refused"
[ "$(counter replies)" = 1 ] || fail "expected no other reply, got $(counter replies)"
[ "$(counter replies_reset)" = 1 ] || fail "expected one reset for a reply, got $(counter replies_reset)"
[ "$(counter replies_failed)" = 0 ] || fail "a client was told nothing"
ok "the client is reset"

[ "$(metric 'keyfilter_refusals_total{service="api",told="reset_for_reply"}')" = 1 ] ||
	fail "the reset is not in the metrics: $(metric 'keyfilter_refusals_total{.*}')"
[ "$(metric 'keyfilter_flows_cut_total{service="api"}')" = 0 ] || fail "a refusal counts as a cut"
[ "$(metric 'keyfilter_penalties_total{service="api"}')" = 0 ] || fail "the metrics lack the penalties"
[ "$(metric keyfilter_sources_penalised)" = 0 ] || fail "the metrics lack the penalised sources"
[[ "$(degraded)" == *"api: 1 refused clients got a reset instead of a reply"*"restart keyfilterd"* ]] ||
	fail "status does not name it: $(degraded)"
[[ "$(ctl status)" == *"degraded  api: 1 refused"* ]] || fail "status does not print it: $(ctl status)"
ok "metrics and status name it"

kill_daemon
start_daemon
refused_with 401 missing_api_key "after a restart of the controller"
[ "$(counter replies)" = 2 ] || fail "expected the second reply, got $(counter replies)"
