# SPDX-License-Identifier: GPL-2.0-only
# bash completion of keyfilterctl(1); installed as share/bash-completion/completions/keyfilterctl.
#
# The table holds one line a command, as the tool's own help has them: tests/unit/ctl_docs_test.c compares
# the two, and prints the table that should stand here when they differ.

_keyfilterctl_table='
service add NAME --listen ADDR:PORT [--mode enforce|monitor] [--refuse reply|reset|drop] [--keys-from PLACE]... [--websocket yes|no] [--method NAME]... [--no-method] [--penalty-failures N] [--penalty-window T] [--penalty-time T] [--penalty-time-max T] [--syn-rate N] [--syn-burst N]
service edit NAME [--listen ADDR:PORT] [--mode enforce|monitor] [--refuse reply|reset|drop] [--keys-from PLACE]... [--websocket yes|no] [--method NAME]... [--no-method] [--penalty-failures N] [--penalty-window T] [--penalty-time T] [--penalty-time-max T] [--syn-rate N] [--syn-burst N] [--if-match REVISION]
service remove NAME [--if-match REVISION]
service list
service show NAME
iface attach DEV [--mode native|generic|tc] [--existing adopt|reset]
iface detach DEV
iface list
source deny CIDR [--ttl T]
source allow CIDR [--ttl T]
source remove CIDR
source forgive CIDR
source list [--penalised] [--failing] [--limit N] [--after CURSOR]
group create NAME [--protocol openai|anthropic|gemini]... [--model M]... [--multiplier X]
group edit NAME [--protocol openai|anthropic|gemini]... [--model M]... [--any-model] [--multiplier X] [--if-match REVISION]
group delete NAME [--if-match REVISION]
group list
group show NAME
model set NAME [--input PRICE|none] [--cached PRICE|none] [--cache-write PRICE|none] [--output PRICE|none] [--request PRICE|none] [--context N|none] [--max-output N|none]
model delete NAME
model list [--group G]
account create NAME [--balance AMOUNT|unlimited] [--currency CODE] [--note TEXT]
account topup NAME AMOUNT [--note TEXT] [--if-match REVISION]
account withdraw NAME AMOUNT [--note TEXT] [--if-match REVISION]
account edit NAME [--unlimited yes|no] [--if-match REVISION]
account list
account show NAME
key create --name NAME [--owner OWNER] [--label NAME=VALUE]... [--quantity N] [--group G] [--model M]... [--account A] [--quota AMOUNT|unlimited] [--expires never|30d|RFC3339] [--allow-ip CIDR]... [--rpm N|none] [--burst N]
key import --name NAME [--owner OWNER] [--label NAME=VALUE]... [--group G] [--model M]... [--account A] [--quota AMOUNT|unlimited] [--expires never|30d|RFC3339] [--allow-ip CIDR]... [--rpm N|none] [--burst N]
key list [--status enabled|disabled|expired|exhausted] [--group G] [--account A] [--owner OWNER] [--label NAME=VALUE]... [--search TEXT] [--order oldest|newest] [--limit N] [--after CURSOR]
key show ID
key export [--status enabled|disabled|expired|exhausted] [--group G] [--account A] [--owner OWNER] [--label NAME=VALUE]... [--search TEXT] [--order oldest|newest] [--csv]
key find
key edit [ID] [--all] [--where-group G] [--where-account A] [--where-label NAME=VALUE]... [--where-owner OWNER] [--where-status enabled|disabled|expired|exhausted] [--where-search TEXT] [--dry-run] [--name NAME] [--owner OWNER|none] [--label NAME=VALUE]... [--remove-label NAME]... [--group G|none] [--model M]... [--any-model] [--account A] [--quota AMOUNT|unlimited] [--expires never|30d|RFC3339] [--allow-ip CIDR]... [--add-allow-ip CIDR]... [--remove-allow-ip CIDR]... [--allow-any] [--rpm N|none] [--burst N|none] [--if-match REVISION]
key enable [ID] [--all] [--group G] [--account A] [--label NAME=VALUE]... [--owner OWNER] [--status enabled|disabled|expired|exhausted] [--search TEXT] [--dry-run] [--if-match REVISION]
key disable [ID] [--all] [--group G] [--account A] [--label NAME=VALUE]... [--owner OWNER] [--status enabled|disabled|expired|exhausted] [--search TEXT] [--dry-run] [--if-match REVISION]
key delete [ID] [--all] [--group G] [--account A] [--label NAME=VALUE]... [--owner OWNER] [--status enabled|disabled|expired|exhausted] [--search TEXT] [--dry-run] [--if-match REVISION]
key topup ID AMOUNT [--if-match REVISION]
key rotate ID [--grace T] [--if-match REVISION]
usage report [--key-id ID] [--model M] [--prompt N] [--completion N] [--cached N] [--cache-write N] --request-id R
usage list [--key ID] [--model M] [--since 30d|RFC3339] [--limit N] [--after CURSOR] [--csv]
ledger list [--account A] [--key ID] [--since 30d|RFC3339] [--limit N] [--after CURSOR]
ledger verify
stats
events [--follow]
status
version
'

# The words of the table's line for noun $1 and verb $2, without brackets and dots.
_keyfilterctl_line()
{
	local line

	while read -r line; do
		[[ "$line " == "$1 ${2:+$2 }"* ]] || continue
		line=${line//[\[\]]/}
		printf '%s\n' "${line//.../}"
		return
	done <<<"$_keyfilterctl_table"
}

# What is there for an operand or value called $1; asks the daemon where it must. The rest are the
# words that say which daemon.
_keyfilterctl_values()
{
	local what=$1

	shift
	case $what in
	G | 'G|none')
		"$@" group list 2>/dev/null | awk 'NR > 1 { print $1 }'
		[[ $what == G ]] || echo none
		;;
	*'|'*) tr '|' '\n' <<<"$what" | grep -v '[A-Z]' ;;
	NAME) [[ $noun == service || $noun == group || $noun == model || $noun == account ]] && "$@" "$noun" list 2>/dev/null | awk 'NR > 1 { print $1 }' ;;
	ID) "$@" key list --search "$cur" --limit 100 2>/dev/null | awk 'NR > 1 { print $1 }' ;;
	DEV) ls /sys/class/net ;;
	PLACE) printf '%s\n' bearer x-api-key api-key x-goog-api-key query sec-websocket-protocol ;;
	A) "$@" account list 2>/dev/null | awk 'NR > 1 { print $1 }' ;;
	M) "$@" model list 2>/dev/null | awk 'NR > 1 { print $1 }' ;;
	PATH) compgen -f -- "$cur" ;;
	esac
}

_keyfilterctl_words()
{
	local cur=$1 prev=$2 noun=$3 verb=$4 operand=$5 word expect=
	local -a line tool

	shift 5
	tool=("$@")
	if [[ $prev == --socket ]]; then
		_keyfilterctl_values PATH
		return
	fi
	if [[ ! $noun ]]; then
		printf '%s\n' help --socket --json
		cut -d ' ' -f 1 <<<"$_keyfilterctl_table" | grep . | sort -u
		return
	fi
	read -ra line <<<"$(_keyfilterctl_line "$noun" "$verb")"
	if [[ ! $verb && ${line[1]} == [a-z]* ]]; then
		printf '%s\n' help --help
		awk -v noun="$noun" '$1 == noun { print $2 }' <<<"$_keyfilterctl_table"
		return
	fi
	for word in "${line[@]}"; do
		if [[ $expect ]]; then
			if [[ $prev == "$expect" && $word != --* ]]; then
				_keyfilterctl_values "$word" "${tool[@]}"
				return
			fi
			expect=
		fi
		if [[ $word == --* ]]; then
			expect=$word
		elif [[ $word == [A-Z]* && $word == "${line[2]}" && ! $operand ]]; then
			_keyfilterctl_values "$word" "${tool[@]}"
		fi
	done
	printf '%s\n' "${line[@]}" --json --help | grep '^--'
}

_keyfilterctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local noun='' verb='' operand='' word before=''
	local -a tool=(keyfilterctl)

	# "--mode=x" arrives as three words.
	[[ $cur == = ]] && cur=''
	[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [[ $before == --socket && $word != = ]]; then
			tool+=(--socket "$word")
		elif [[ $word == -* || $word == = || ($verb && $before == --*) ]]; then
			:
		elif [[ ! $noun ]]; then
			noun=$word
		elif [[ ! $verb ]]; then
			verb=$word
		else
			operand=$word
		fi
		[[ $word == = ]] || before=$word
	done
	# Not compgen -W, which would expand a word such as $(reboot).
	COMPREPLY=()
	while IFS= read -r word; do
		[[ $word == "$cur"* ]] && COMPREPLY+=("$word")
	done < <(_keyfilterctl_words "$cur" "$prev" "$noun" "$verb" "$operand" "${tool[@]}")
}
complete -F _keyfilterctl keyfilterctl
