#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Writes include/keyfilter/http1_names.h to standard output: the fields that decide, in a table of 16
places, and the number that sends each name to a place of its own (a perfect hash). The numbers tried are
those of SplitMix64, from 1 on, so that the same names make the same table."""

NAMES = {
    "authorization": "AUTHORIZATION", "x-api-key": "X_API_KEY", "api-key": "API_KEY",
    "x-goog-api-key": "X_GOOG", "sec-websocket-protocol": "WEBSOCKET_PROTOCOL", "host": "HOST",
    "content-length": "CONTENT_LENGTH", "transfer-encoding": "TRANSFER_ENCODING",
    "connection": "CONNECTION", "expect": "EXPECT", "upgrade": "UPGRADE",
    "content-encoding": "CONTENT_ENCODING", "content-type": "CONTENT_TYPE",
}
MASK = (1 << 64) - 1


def numbers():
    state = 1
    while True:
        state = state + 0x9E3779B97F4A7C15 & MASK
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
        yield z ^ z >> 31


def words(name):
    padded = name.encode().ljust(24, b"\0")
    return [int.from_bytes(padded[at:at + 8], "little") for at in (0, 8, 16)]


def place(name, number):
    first, second, _ = words(name)
    return ((first ^ second) * number & MASK) >> 60


def text(name, at):
    letters = name[at:at + 8]
    if not letters:
        return None
    return "KF_T(%s)" % ", ".join(["'%s'" % letter for letter in letters] + ["0"] * (8 - len(letters)))


def main():
    number = next(n for n in numbers() if len({place(name, n) for name in NAMES}) == len(NAMES))
    print("""/* SPDX-License-Identifier: GPL-2.0-only */
/* clang-format off */
/*
 * http1_names.h - the names of the fields that decide, each in a place of its own.
 *
 * Made by scripts/http1_names.py, which has the names; tests/unit/http1_names_test.sh compares.
 */
#ifndef KEYFILTER_HTTP1_NAMES_H
#define KEYFILTER_HTTP1_NAMES_H

#include "http1_state.h"
#include "swar.h"

struct kf_http1_name {
	__u64 word[3]; /* lower case, first byte lowest */
	__u64 field;   /* enum kf_http1_field */
};

#define KF_HTTP1_NAME_HASH 0x%016xull

#define KF_T KF_SWAR_TEXT
static const struct kf_http1_name kf_http1_names[16] = {""" % number)
    for name in sorted(NAMES, key=lambda name: place(name, number)):
        parts = [part for part in (text(name, at) for at in (0, 8, 16)) if part]
        print("\t/* %s */" % name)
        print("\t[%d] = { { %s },\n\t\tKF_FIELD_%s }," % (place(name, number), ",\n\t\t    ".join(parts), NAMES[name]))
    print("""};
#undef KF_T

#endif /* KEYFILTER_HTTP1_NAMES_H */""")


main()
