// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every operation, failed at every point: the disk at each call that would change it, the kernel at
 * each call that would change a map. Whatever failed, store and kernel agree again once both are
 * well, or the kernel is stricter and says so; and what was revoked stays refused. Needs root
 * (maps_fixture.h). Links the daemon's objects.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include <keyfilter/http1_state.h>
#include <keyfilter/sourcestate.h>

#include "clock.h"
#include "failing_kernel.h"
#include "failing_vfs.h"
#include "policy/reconcile.h"
#include "store/sqlite.h"
#include "maps_fixture.h"
#include "fault_operations.h"

static void all_is_well(void)
{
	failing_vfs_fail(0, false, 0);
	failing_kernel.at = 0;
}

/* ---- what must be true ----------------------------------------------------------------------- */

static bool is_admitted(struct world *w, int key)
{
	const struct kf_slot *slot = find_slot(w->f, w->keys.text[key]);

	return slot && slot->status == KF_KEY_ENABLED && slot->expires_ns > kf_clock_boot();
}

static bool may_use_openai(struct world *w, int key)
{
	const struct kf_slot *slot = find_slot(w->f, w->keys.text[key]);

	return slot &&
	       kf_policy_group_protocols(w->f->policy, slot->group) & 1u << KF_PROTOCOL_OPENAI;
}

static bool is_in(struct world *w, uint32_t set, const char *model)
{
	struct kf_set_model entry = { .set = set };
	uint8_t one;

	kf_keyhash(w->f->secret->key, (const __u8 *)model, (__u32)strlen(model), entry.tag);
	return !set || !kf_maps_get(w->f->maps, KF_MAP_kf_models, &entry, &one);
}

/* As the kernel asks. */
static bool may_call_gpt(struct world *w, int key)
{
	const struct kf_slot *slot = find_slot(w->f, w->keys.text[key]);

	return slot && is_in(w, slot->models, "gpt-a") &&
	       is_in(w, kf_maps_group(w->f->maps, slot->group)->models, "gpt-a");
}

/* As the kernel asks. */
static bool may_spend(struct world *w, int key)
{
	const struct kf_slot *slot = find_slot(w->f, w->keys.text[key]);
	const struct kf_wallet *wallet = slot ? kf_maps_wallet(w->f->maps, slot->wallet) : NULL;

	for (; wallet; wallet = kf_maps_wallet(w->f->maps, wallet->parent))
		if (wallet->limit <= (int64_t)wallet->taken)
			return false;
	return slot != NULL;
}

static bool is_denied(struct world *w, const char *address)
{
	struct kf_prefix prefix = { .prefix_len = 128 };
	struct kf_source source = { 0 };
	struct kf_cidr cidr;

	assert_int_equal(kf_cidr_parse(address, &cidr), 0);
	memcpy(prefix.addr, cidr.addr, sizeof(prefix.addr));
	kf_maps_get(w->f->maps, KF_MAP_kf_prefixes, &prefix, &source);
	return kf_sourcestate_in_force(source.deny_until, kf_clock_boot());
}

static void count_line(void *context, const char *text)
{
	++*(int *)context;
}

static int differences(struct fixture *f)
{
	int count = 0;

	kf_policy_mend_describe(f->policy, count_line, &count);
	return count;
}

/* Where the kernel did not take it, the answer says that nothing has changed. */
static void assert_closed(struct world *w, const struct operation *o, const char *when)
{
	usleep(2);
	if (o->closing == CLOSES_KEY && is_admitted(w, o->key))
		fail_msg("%s: admitted %s (%s)", o->name, when, w->f->why.text);
	if (o->closing == CLOSES_OPENAI && may_use_openai(w, o->key))
		fail_msg("%s: may use openai %s (%s)", o->name, when, w->f->why.text);
	if (o->closing == CLOSES_MODEL && may_call_gpt(w, o->key))
		fail_msg("%s: may call gpt-a %s (%s)", o->name, when, w->f->why.text);
	if (o->closing == CLOSES_MONEY && may_spend(w, o->key))
		fail_msg("%s: may spend %s (%s)", o->name, when, w->f->why.text);
	if (o->closing == CLOSES_SOURCE && !is_denied(w, o->key ? "2001:db8::9" : "192.0.2.9"))
		fail_msg("%s: not denied %s (%s)", o->name, when, w->f->why.text);
}

static void mend(struct fixture *f)
{
	f->policy->mend.next_ns = 0;
	kf_policy_mend_tick(f->policy);
	while (kf_policy_mend_step(f->policy) > 0)
		;
}

static int reconcile(struct fixture *f, unsigned int parts)
{
	int err = 0;

	if (parts & KF_MEND_ACCOUNTS)
		err = kf_policy_account_reconcile(f->policy);
	if (!err && parts & KF_MEND_KEYS)
		err = kf_policy_reconcile_keys(f->policy, &f->why);
	if (!err && parts & KF_MEND_MODELS)
		err = kf_policy_model_reconcile(f->policy);
	if (!err && parts & KF_MEND_GROUPS)
		err = kf_policy_group_reconcile(f->policy);
	if (!err && parts & KF_MEND_SOURCES)
		err = kf_policy_reconcile_sources(f->policy);
	if (!err && parts & KF_MEND_SERVICES)
		err = kf_policy_reconcile_services(f->policy);
	return err;
}

static int tell_difference(void *context, const struct kf_ledger_difference *found)
{
	fail_msg("%s: the ledger has %lld, not %lld for %s", (const char *)context,
		 (long long)found->ledger, (long long)found->has, found->what);
	return 0;
}

/* What is in the kernel is what is stored, and what is held beyond it; no money is lost. */
static void assert_agreed(struct fixture *f, const struct operation *o)
{
	char *before = snapshot_of(f, o->part), *after;
	int err = reconcile(f, o->part);

	OK(f, kf_store_ledger_verify(f->store, tell_difference, (void *)o->name));
	if (err)
		fail_msg("%s: cannot compare: %s", o->name, f->why.text);
	after = snapshot_of(f, o->part);
	if (strcmp(before, after))
		print_error("%s (%s)\n", o->name, f->why.text);
	assert_maps_equal(before, after);
	free(before);
	free(after);
}

/* An unrelated change and a clock that was set do not open what is held. */
static void disturb(struct world *w)
{
	struct kf_policy_key_edit edit = { .name = "renamed" };
	struct fixture *f = w->f;

	for (uint32_t key = 0; key < w->keys.count; key++)
		kf_policy_key_edit(f->policy, w->keys.id[key], &edit, &f->why);
	OK(f, put_source(f, "192.0.0.0/8", KF_SOURCE_ALLOW, 0));
	f->policy->clock.wall_ns += 50000000;
	f->policy->source_clock.wall_ns += 500000000;
	OK(f, set_clock(f));
}

/* ---- the iteration --------------------------------------------------------------------------- */

struct fault {
	bool kernel, goes_on, done_all_the_same;
	int code;
};

static const struct fault faults[] = {
	{ .goes_on = true, .code = SQLITE_FULL },
	{ .goes_on = true, .done_all_the_same = true },
	{ .done_all_the_same = true },
	{ .kernel = true },
	{ .kernel = true, .goes_on = true },
};

/* Did the fault come to pass? */
static bool inject(struct world *w, const struct operation *o, const struct fault *fault,
		   unsigned long at, int *err)
{
	failing_vfs.done_all_the_same = fault->done_all_the_same;
	failing_kernel.calls = 0;
	failing_kernel.goes_on = fault->goes_on;
	if (fault->kernel)
		failing_kernel.at = at;
	else
		failing_vfs_fail(at, fault->goes_on, fault->code);
	w->f->why.text[0] = '\0';
	*err = o->run(w);
	return (fault->kernel ? failing_kernel.calls : failing_vfs.calls) >= at;
}

static void check_failed(struct world *w, const struct operation *o, bool of_the_disk)
{
	struct fixture *f = w->f;
	bool held;

	if (!strstr(f->why.text, "; "))
		fail_msg("%s: '%s' names no mend", o->name, f->why.text);
	held = strstr(f->why.text, "the kernel refuses") || strstr(f->why.text, "the kernel has");
	if (held)
		assert_closed(w, o, "while the disk fails");
	else if (strstr(f->why.text, "it is as before") && of_the_disk)
		assert_int_equal(kf_store_is_unsure(f->store), 0);
	all_is_well();
	mend(f);
	assert_int_equal(kf_store_settle(f->store), 0);
	assert_agreed(f, o);
	if (!held)
		return;
	assert_true(differences(f) > 0);
	disturb(w);
	assert_closed(w, o, "after other changes");
	assert_agreed(f, o);
	if (o->run(w))
		fail_msg("%s: once more: %s", o->name, f->why.text);
	assert_closed(w, o, "when done again");
}

static bool needs_groups(const struct operation *o)
{
	return strstr(o->name, "group") || strstr(o->name, "model");
}

static bool needs_accounts(const struct operation *o)
{
	return strstr(o->name, "account") || strstr(o->name, "quota") || strstr(o->name, "usage");
}

/* True: the operation went through without meeting the fault. */
static bool try_once(struct fixture *f, const struct operation *o, const struct fault *fault,
		     unsigned long at)
{
	struct world w = { .f = f };
	bool met;
	int err;

	if (o->part == KF_MEND_SERVICES)
		make_services(f);
	else
		make_sources(f);
	if (o->part & (KF_MEND_KEYS | KF_MEND_GROUPS | KF_MEND_MODELS | KF_MEND_ACCOUNTS) ||
	    o->closing == CLOSES_SOURCE)
		make_keys(&w);
	if (needs_groups(o))
		make_groups(&w);
	if (needs_accounts(o))
		make_accounts(&w);
	met = inject(&w, o, fault, at, &err);
	if (err)
		check_failed(&w, o, !fault->kernel);
	else
		assert_closed(&w, o, "when done");
	all_is_well();
	mend(f);
	assert_agreed(f, o);
	assert_int_equal(differences(f), 0);
	return !met;
}

static int keep_id(void *context, const struct kf_key_row *row)
{
	struct made *made = context;

	memcpy(made->id[made->count++], row->id, KF_KEY_ID_SIZE);
	return 0;
}

static int keep_source(void *context, const struct kf_source_row *row)
{
	*(struct kf_source_row *)context = *row;
	return 1;
}

static int keep_service(void *context, const struct kf_service_row *row)
{
	*(struct kf_service_row *)context = *row;
	return 1;
}

static int keep_group(void *context, const struct kf_group_row *row)
{
	*(struct kf_group_row *)context = *row;
	return 1;
}

static int keep_model(void *context, const char *name)
{
	strcpy(context, name);
	return 1;
}

/* Nothing is left for the next round. */
static void clear(struct fixture *f)
{
	const struct kf_key_query all = { .limit = KEYS };
	struct kf_service_row service;
	struct kf_source_row source;
	struct kf_group_row group;
	char model[KF_MODEL_NAME_SIZE];
	struct kf_key_times times;
	struct made made = { 0 };

	OK(f, kf_store_key_list(f->store, &all, keep_id, &made));
	for (uint32_t i = 0; i < made.count; i++)
		OK(f, kf_policy_key_delete(f->policy, made.id[i], &times, &f->why));
	while (kf_store_group_each(f->store, keep_group, &group))
		OK(f, kf_policy_group_remove(f->policy, group.name, &f->why));
	while (kf_store_model_each(f->store, "", keep_model, model))
		OK(f, kf_policy_model_remove(f->policy, model, &f->why));
	/* what operators cannot: accounts stay, as their money does */
	assert_int_equal(sqlite3_exec(f->store->db,
				      "DELETE FROM account; DELETE FROM wallet;"
				      "DELETE FROM ledger",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	while (kf_store_source_each(f->store, keep_source, &source))
		OK(f, kf_policy_source_remove(f->policy, &source.cidr, &f->why));
	while (kf_store_service_each(f->store, keep_service, &service))
		OK(f, kf_policy_service_remove(f->policy, service.name, &f->why));
}

/*
 * Every call of the kernel's; of the disk's, which are many alike, fewer and fewer. Comparing
 * services takes long, and so does making groups: faults that are over at once are left to the
 * others.
 */
static void try_all(struct fixture *f, const struct operation *o, const struct fault *fault)
{
	if ((o->part == KF_MEND_SERVICES || needs_groups(o)) && !fault->goes_on)
		return;
	for (unsigned long at = 1; !try_once(f, o, fault, at); at += fault->kernel ? 1 : 1 + at / 3)
		clear(f);
	clear(f);
}

static void every_failure_is_mended(void **state)
{
	struct fixture *f = *state;

	NEEDS_ROOT();
	for (size_t o = 0; o < sizeof(operations) / sizeof(operations[0]); o++)
		for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
			try_all(f, &operations[o], &faults[i]);
}

/* In a process of its own: operations on a disk that fails now and then, until it is killed. */
static void run_until_killed(struct fixture *f, unsigned int seed)
{
	struct world w = { .f = f };

	srandom(seed);
	if (start(f))
		_exit(1);
	make_keys(&w);
	make_groups(&w);
	make_accounts(&w);
	make_sources(f);
	make_services(f);
	for (;;) {
		unsigned long count = sizeof(operations) / sizeof(operations[0]);
		const struct fault *fault = &faults[random() % 3]; /* those of the disk */

		failing_vfs.done_all_the_same = fault->done_all_the_same;
		failing_vfs_fail((unsigned long)random() % 20, fault->goes_on, fault->code);
		operations[(unsigned long)random() % count].run(&w);
		all_is_well();
		if (random() % 2)
			mend(f);
	}
}

/*
 * SIGKILL at any instant, with whatever a failing disk has of it: the next start makes them agree.
 */
static void killed_while_failing_is_mended(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	NEEDS_ROOT();
	for (unsigned int round = 0; round < 10; round++) {
		clear(f);
		stop(f);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid)
			run_until_killed(f, round);
		usleep(60000 + 7000 * round);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
		OK(f, start(f));
		assert_maps_are_right(f);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_failure_is_mended),
		TEST(killed_while_failing_is_mended),
	};

	failing_vfs_open();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
