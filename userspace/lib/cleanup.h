/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cleanup.h - variables that let go of what they own when they leave scope.
 *
 * Owns nothing itself. Declare with the value that means
 * "nothing" (-1 for a descriptor, NULL for a pointer); hand the thing on with TAKE_PTR or TAKE_FD,
 * which leave "nothing" behind. The cleanups keep errno. json_t is only named here, so that a file
 * that never sees JSON does not include jansson.
 *
 *	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
 *	if (fd < 0)
 *		return -errno;
 *	...
 *	*out = TAKE_FD(fd);
 */
#ifndef KEYFILTER_LIB_CLEANUP_H
#define KEYFILTER_LIB_CLEANUP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct json_t;

/* For a type of one's own: _cleanup_(kf_store_closep) struct kf_store *store = NULL; */
#define _cleanup_(function) __attribute__((cleanup(function)))

#define _cleanup_close_	    _cleanup_(kf_cleanup_close)
#define _cleanup_fclose_    _cleanup_(kf_cleanup_fclose)
#define _cleanup_free_	    _cleanup_(kf_cleanup_free)
#define _cleanup_json_	    _cleanup_(kf_cleanup_json)

/* The pointer's value; NULL stays behind. */
#define TAKE_PTR(pointer)                                                                          \
	({                                                                                         \
		__typeof__(pointer) *_from = &(pointer);                                           \
		__typeof__(pointer) _taken = *_from;                                               \
		*_from = NULL;                                                                     \
		_taken;                                                                            \
	})

/* The descriptor; -1 stays behind. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *_from = &(fd);                                                                \
		int _taken = *_from;                                                               \
		*_from = -1;                                                                       \
		_taken;                                                                            \
	})

/* Defines NAMEp, which calls @destroy on what a pointer of @type points to, unless NULL. */
#define KF_CLEANUP_DEFINE(type, destroy)                                                           \
	static inline __attribute__((unused)) void destroy##p(type **owned)                        \
	{                                                                                          \
		if (*owned)                                                                        \
			destroy(*owned);                                                           \
	}

static inline void kf_cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void kf_cleanup_fclose(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

static inline void kf_cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

/* Drops one reference; in json.c, which knows jansson. */
void kf_cleanup_json(struct json_t **value);

#endif
