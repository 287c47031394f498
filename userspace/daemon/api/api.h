/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * api.h - the admin socket: HTTP/1.1 with JSON on a Unix stream socket.
 *
 * Each noun has a file of its own with its handlers (request.h) and its routes (route.h); a handler
 * is called after the peer was authorised and the body read whole and parsed.
 *
 * Threads. Whatever changes something runs in the loop's thread, and reading must not delay it:
 *
 *   - one thread only accepts, asks the kernel who has connected, and hands the connection on, so
 *     that the queue of the listening socket is never full of readers for longer than it takes to
 *     look at them;
 *   - the connections of peers that may write are served in the loop's thread, those of all others
 *     by a thread of their own, with places of their own, of which one user gets half. A GET of a
 *     peer that may write gives its place up until it is answered, so that a change always finds
 *     one;
 *   - every GET is carried out by one of three reading threads, each with a read-only connection
 *     to the store (WAL: readers and the writer do not wait for each other) and one snapshot of it
 *     for each request. Requests of peers that may write come first, and have all threads but
 *     one while others wait; of the others one request a user is carried out at a time, and they
 *     never have the last thread. What has not begun within admin_timeout is refused (503), what
 *     takes too long is ended;
 *   - interfaces are attached and detached beside the loop (attach/queue.h), and the request is
 *     answered when that is done;
 *   - what only the loop knows, a reading thread asks it for (ask.h); the maps may be read by any
 *     thread, the last events too (events.h).
 *
 * So a handler of a GET gets a struct kf_daemon of its reading thread, in which the members of the
 * loop are NULL and the store can only be read (daemon.h); all other handlers get the loop's, and
 * must not block beyond the store and the maps.
 */
#ifndef KEYFILTER_DAEMON_API_API_H
#define KEYFILTER_DAEMON_API_API_H

struct kf_daemon;

/*
 * Opens @daemon->run_dir/admin.sock (or takes it from systemd) and serves it, from @daemon->event
 * and the threads above. Mode 0660 root:keyfilter where that group exists, else 0600. 0 or -errno,
 * logged.
 */
int kf_api_open(struct kf_daemon *daemon);
void kf_api_close(struct kf_daemon *daemon);

#endif
