/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * store_fixture.h - a store in a directory of its own, for tests that include it once, after
 * cmocka.h.
 */
#ifndef KEYFILTER_TEST_STORE_FIXTURE_H
#define KEYFILTER_TEST_STORE_FIXTURE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"
#include "why.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every test needs all of it */

struct fixture {
	char dir[64];
	struct kf_store *store;
};

static void path_of(const struct fixture *f, const char *name, char path[static 128])
{
	snprintf(path, 128, "%s/%s", f->dir, name);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct kf_why why;

	strcpy(f->dir, "/tmp/kf_store_test.XXXXXX");
	if (!mkdtemp(f->dir) || kf_store_open(&f->store, f->dir, &why))
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "keyfilter.db", "keyfilter.db-wal",
					     "keyfilter.db-shm" };
	struct fixture *f = *state;
	char path[128];

	kf_store_close(f->store);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(f, names[i], path);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	struct kf_why why;

	kf_store_close(f->store);
	f->store = NULL;
	assert_int_equal(kf_store_open(&f->store, f->dir, &why), 0);
}

static struct kf_group_row add_group(struct fixture *f, const char *name, uint32_t protocols)
{
	struct kf_group_row row = { .protocols = protocols };

	snprintf(row.name, sizeof(row.name), "%s", name);
	assert_int_equal(kf_store_group_add(f->store, &row), 0);
	return row;
}

static struct kf_key_row add_key(struct fixture *f, const char *name, bool disabled,
				 int64_t expires)
{
	static unsigned int number;
	struct kf_key_row row = { .disabled = disabled, .created = 1, .expires = expires };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.id, sizeof(row.id), "k_%012u", ++number);
	strcpy(row.mask.head, "ab");
	strcpy(row.mask.tail, "wxyz");
	assert_int_equal(kf_store_key_add(f->store, &row), 0);
	return row;
}

static int add_credential(struct fixture *f, int64_t key, uint32_t slot, uint8_t tag, int64_t until)
{
	struct kf_credential_row row = { .slot = slot, .key = key, .tag = { tag }, .until = until };

	return kf_store_credential_add(f->store, &row);
}

static int keep_slot(void *context, const struct kf_slot_row *row)
{
	((struct kf_slot_row *)context)[row->slot] = *row;
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* KEYFILTER_TEST_STORE_FIXTURE_H */
