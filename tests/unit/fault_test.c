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

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <keyfilter/http1_state.h>
#include <keyfilter/sourcestate.h>

#include "clock.h"
#include "failing_vfs.h"
#include "policy/expire.h"
#include "policy/group.h"
#include "policy/key_slot.h"
#include "policy/model.h"
#include "policy/reconcile.h"
#include "policy/service.h"
#include "policy/source.h"
#include "maps_fixture.h"

/* ---- a kernel that fails on command -----------------------------------------------------------
 */

static struct {
	unsigned long calls, at; /* as in failing_vfs */
	bool goes_on;
} failing_kernel;

static bool kernel_fails(void)
{
	failing_kernel.calls++;
	if (!failing_kernel.at || failing_kernel.calls < failing_kernel.at)
		return false;
	return failing_kernel.goes_on || failing_kernel.calls == failing_kernel.at;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	return kernel_fails() ? -ENOMEM : REAL(bpf_map_update_elem)(fd, key, value, flags);
}

int bpf_map_delete_elem(int fd, const void *key)
{
	return kernel_fails() ? -ENOMEM : REAL(bpf_map_delete_elem)(fd, key);
}

/* What a batch cannot do is done one by one. */
int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	return -EOPNOTSUPP;
}

int bpf_map_delete_batch(int fd, const void *keys, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	return -EOPNOTSUPP;
}

static void all_is_well(void)
{
	failing_vfs_fail(0, false, 0);
	failing_kernel.at = 0;
}

/* ---- what is there before ---------------------------------------------------------------------
 */

#define HOUR 3600000000000ll

struct world {
	struct fixture *f;
	/* openai and anthropic, anthropic and gemini, all; the second one is held to models */
	struct kf_group_row one, two, three;
	/* 0 plain, 1 with an allow list, a rate and an end, 2 disabled, 3 rotated, in group one */
	struct made keys;
};

static void edit_list(struct kf_policy_key_edit *edit, const char *first, const char *second)
{
	static struct kf_cidr blocks[2];

	assert_int_equal(kf_cidr_parse(first, &blocks[0]), 0);
	if (second)
		assert_int_equal(kf_cidr_parse(second, &blocks[1]), 0);
	edit->set_allow = true;
	edit->allow = blocks;
	edit->allow_count = second ? 2 : 1;
}

static int put_source(struct fixture *f, const char *cidr, enum kf_source_action action,
		      int64_t ttl)
{
	struct kf_source_row row = { .action = (uint8_t)action, .expires = KF_WALL_NEVER };

	assert_int_equal(kf_cidr_parse(cidr, &row.cidr), 0);
	if (ttl)
		row.expires = kf_clock_now().wall_ns + ttl;
	return kf_policy_source_put(f->policy, &row, NULL, &f->why);
}

static void make_group(struct fixture *f, struct kf_group_row *row, const char *name,
		       uint32_t protocols)
{
	*row = (struct kf_group_row){ .protocols = protocols };
	snprintf(row->name, sizeof(row->name), "%s", name);
	OK(f, kf_policy_group_add(f->policy, row, &f->why));
}

static void make_models(struct world *w)
{
	struct fixture *f = w->f;

	OK(f, kf_policy_model_add(f->policy, "qwen-a", &f->why));
	OK(f, kf_policy_model_add(f->policy, "gpt-a", &f->why));
	OK(f, kf_policy_model_take(f->policy, "a\nqwen*", &w->two.models, &f->why));
	OK(f, kf_policy_group_edit(f->policy, &w->two, &f->why));
}

static void make_keys(struct world *w)
{
	struct kf_policy_key_edit edit = { .set_rpm = true, .rpm = 60, .set_expires = true };
	char text[KF_KEY_TEXT_SIZE];
	struct fixture *f = w->f;
	struct kf_key_times times;

	create(f, &w->keys, 4);
	edit_list(&edit, "10.0.0.0/8", "192.0.2.0/24");
	edit.expires = kf_clock_now().wall_ns + 9 * HOUR;
	OK(f, kf_policy_key_edit(f->policy, w->keys.id[1], &edit, &f->why));
	OK(f, kf_policy_key_disable(f->policy, w->keys.id[2], &times, &f->why));
	OK(f, kf_policy_key_rotate(f->policy, w->keys.id[3], DAY, text, &f->why));
}

/* The last key is in group one, and held to models. */
static void make_groups(struct world *w)
{
	struct kf_policy_key_edit group = { .set_group = true, .set_models = true };
	struct fixture *f = w->f;

	make_group(f, &w->one, "one", 1u << KF_PROTOCOL_OPENAI | 1u << KF_PROTOCOL_ANTHROPIC);
	make_group(f, &w->two, "two", 1u << KF_PROTOCOL_ANTHROPIC | 1u << KF_PROTOCOL_GEMINI);
	make_models(w);
	make_group(f, &w->three, "three", KF_PROTOCOLS_ALL);
	group.group = w->one.index;
	OK(f, kf_policy_model_take(f->policy, "gpt*", &group.models, &f->why));
	OK(f, kf_policy_key_edit(f->policy, w->keys.id[3], &group, &f->why));
}

static void make_sources(struct fixture *f)
{
	OK(f, put_source(f, "10.0.0.0/8", KF_SOURCE_DENY, 0));
	OK(f, put_source(f, "10.1.0.0/16", KF_SOURCE_ALLOW, 0));
	OK(f, put_source(f, "10.1.0.1", KF_SOURCE_DENY, 0));
	OK(f, put_source(f, "10.1.0.2", KF_SOURCE_ALLOW, 0));
	OK(f, put_source(f, "10.1.9.0/24", KF_SOURCE_DENY, 0));
	f->policy->sources_at_once = 3; /* some changes are done in slices, some at once */
}

static void make_services(struct fixture *f)
{
	struct kf_service_row service = { .name = "a", .any = true, .port = 80 };

	OK(f, kf_policy_service_add(f->policy, &service, &f->why));
	service = (struct kf_service_row){ .name = "b", .port = 81, .addr = { [15] = 1 } };
	OK(f, kf_policy_service_add(f->policy, &service, &f->why));
}

/* ---- the operations ---------------------------------------------------------------------------
 */

static int disable_key(struct world *w)
{
	struct kf_key_times times;

	return kf_policy_key_disable(w->f->policy, w->keys.id[1], &times, &w->f->why);
}

static int enable_key(struct world *w)
{
	return kf_policy_key_enable(w->f->policy, w->keys.id[2], &w->f->why);
}

static int delete_key(struct world *w)
{
	struct kf_key_times times;

	return kf_policy_key_delete(w->f->policy, w->keys.id[1], &times, &w->f->why);
}

static int edit_key(struct world *w, const struct kf_policy_key_edit *edit, int key)
{
	return kf_policy_key_edit(w->f->policy, w->keys.id[key], edit, &w->f->why);
}

static int end_key(struct world *w)
{
	const struct kf_policy_key_edit edit = { .set_expires = true,
						 .expires = kf_clock_now().wall_ns + 1000 };

	return edit_key(w, &edit, 0);
}

static int narrow_key(struct world *w)
{
	struct kf_policy_key_edit edit = { .set_rpm = true, .rpm = 6 };

	edit_list(&edit, "10.2.0.0/16", "198.51.100.0/24");
	return edit_key(w, &edit, 1);
}

static int give_list(struct world *w)
{
	struct kf_policy_key_edit edit = { .name = "listed" };

	edit_list(&edit, "203.0.113.3", NULL);
	return edit_key(w, &edit, 3);
}

static int widen_key(struct world *w)
{
	const struct kf_policy_key_edit edit = {
		.set_allow = true, .set_rpm = true, .set_expires = true, .expires = KF_WALL_NEVER
	};

	return edit_key(w, &edit, 1);
}

static int put_in_group(struct world *w, int key, uint32_t group)
{
	const struct kf_policy_key_edit edit = { .set_group = true, .group = group };

	return edit_key(w, &edit, key);
}

static int put_in_first(struct world *w)
{
	return put_in_group(w, 0, w->two.index);
}

static int put_in_other(struct world *w)
{
	return put_in_group(w, 3, w->two.index);
}

static int put_in_wider(struct world *w)
{
	return put_in_group(w, 3, w->three.index);
}

static int hold_key_to(struct world *w, int key, const char *names)
{
	struct kf_policy_key_edit edit = { .set_models = true };
	int err = kf_policy_model_take(w->f->policy, names, &edit.models, &w->f->why);

	if (err)
		return err;
	err = edit_key(w, &edit, key);
	if (err)
		kf_policy_model_release(w->f->policy, edit.models);
	return err;
}

static int hold_key(struct world *w)
{
	return hold_key_to(w, 0, "b\nqwen*");
}

static int hold_key_to_others(struct world *w)
{
	return hold_key_to(w, 3, "b\nqwen*");
}

static int free_key(struct world *w)
{
	return hold_key_to(w, 3, "");
}

static int hold_group_to(struct world *w, struct kf_group_row row, const char *names)
{
	int err = kf_policy_model_take(w->f->policy, names, &row.models, &w->f->why);

	if (err)
		return err;
	err = kf_policy_group_edit(w->f->policy, &row, &w->f->why);
	if (err)
		kf_policy_model_release(w->f->policy, row.models);
	return err;
}

static int hold_group(struct world *w)
{
	return hold_group_to(w, w->one, "b");
}

static int free_group(struct world *w)
{
	return hold_group_to(w, w->two, "");
}

static int add_model(struct world *w)
{
	return kf_policy_model_add(w->f->policy, "qwen-b", &w->f->why);
}

static int remove_model(struct world *w)
{
	return kf_policy_model_remove(w->f->policy, "qwen-a", &w->f->why);
}

static int add_group(struct world *w)
{
	struct kf_group_row row = { .name = "new", .protocols = 1 };

	return kf_policy_group_add(w->f->policy, &row, &w->f->why);
}

static int edit_group(struct world *w, uint32_t protocols)
{
	struct kf_group_row row = w->one;

	row.protocols = protocols;
	return kf_policy_group_edit(w->f->policy, &row, &w->f->why);
}

static int narrow_group(struct world *w)
{
	return edit_group(w, 1u << KF_PROTOCOL_ANTHROPIC);
}

static int remove_group(struct world *w)
{
	return kf_policy_group_remove(w->f->policy, "three", &w->f->why);
}

static int rotate_key(struct world *w, int key, uint64_t grace)
{
	char text[KF_KEY_TEXT_SIZE];

	return kf_policy_key_rotate(w->f->policy, w->keys.id[key], grace, text, &w->f->why);
}

static int rotate_now(struct world *w)
{
	return rotate_key(w, 1, 0);
}

static int rotate_rotated(struct world *w)
{
	return rotate_key(w, 3, 0);
}

static int rotate_later(struct world *w)
{
	return rotate_key(w, 1, 1000);
}

static int ignore_made(void *context, const struct kf_key_row *row, const char *text)
{
	return 0;
}

static int create_keys(struct world *w)
{
	struct kf_key_wish wish = { .name = "new", .expires = KF_WALL_NEVER, .rpm = 5 };
	struct kf_policy_key_edit list = { 0 };

	edit_list(&list, "10.0.0.0/8", "2001:db8::/32");
	wish.allow = list.allow;
	wish.allow_count = list.allow_count;
	return kf_policy_key_create(w->f->policy, &wish, 2, ignore_made, NULL, &w->f->why);
}

static int deny(struct world *w)
{
	return put_source(w->f, "192.0.2.0/24", KF_SOURCE_DENY, 0);
}

static int deny_all(struct world *w)
{
	return put_source(w->f, "::/0", KF_SOURCE_DENY, HOUR);
}

static int allow(struct world *w)
{
	return put_source(w->f, "10.1.2.3", KF_SOURCE_ALLOW, HOUR);
}

static int shorten_allowance(struct world *w)
{
	return put_source(w->f, "10.1.0.0/16", KF_SOURCE_ALLOW, HOUR);
}

static int remove_source(struct world *w, const char *text)
{
	struct kf_cidr cidr;

	assert_int_equal(kf_cidr_parse(text, &cidr), 0);
	return kf_policy_source_remove(w->f->policy, &cidr, &w->f->why);
}

static int remove_denial(struct world *w)
{
	return remove_source(w, "10.0.0.0/8");
}

static int remove_allowance(struct world *w)
{
	return remove_source(w, "10.1.0.0/16");
}

static int add_service(struct world *w)
{
	struct kf_service_row row = { .name = "c", .any = true, .port = 82 };

	return kf_policy_service_add(w->f->policy, &row, &w->f->why);
}

static int edit_service(struct world *w)
{
	struct kf_service_row row = { .name = "b", .any = true, .port = 83, .mode = 1 };

	return kf_policy_service_edit(w->f->policy, &row, &w->f->why);
}

static int remove_service(struct world *w)
{
	return kf_policy_service_remove(w->f->policy, "b", &w->f->why);
}

/* What a closing operation has closed, failed or not, is closed from its answer on. */
enum closing { OPENS, CLOSES_KEY, CLOSES_OPENAI, CLOSES_MODEL, CLOSES_SOURCE };

static const struct operation {
	const char *name;
	int (*run)(struct world *w);
	unsigned int part; /* of the kernel that it changes */
	enum closing closing;
	int key; /* of a source: it is of IPv6 */
} operations[] = {
	{ "disable", disable_key, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "enable", enable_key, KF_MEND_KEYS, OPENS, 0 },
	{ "delete", delete_key, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "edit --expires", end_key, KF_MEND_KEYS, CLOSES_KEY, 0 },
	{ "edit, narrower", narrow_key, KF_MEND_KEYS, OPENS, 0 },
	{ "edit, a list", give_list, KF_MEND_KEYS, OPENS, 0 },
	{ "edit, wider", widen_key, KF_MEND_KEYS, OPENS, 0 },
	{ "edit --group, the first", put_in_first, KF_MEND_KEYS, CLOSES_OPENAI, 0 },
	{ "edit --group, another", put_in_other, KF_MEND_KEYS, CLOSES_OPENAI, 3 },
	{ "edit --group, wider", put_in_wider, KF_MEND_KEYS, OPENS, 0 },
	{ "edit --model", hold_key, KF_MEND_KEYS, CLOSES_MODEL, 0 },
	{ "edit --model, others", hold_key_to_others, KF_MEND_KEYS, CLOSES_MODEL, 3 },
	{ "edit --any-model", free_key, KF_MEND_KEYS, OPENS, 0 },
	{ "group edit --model", hold_group, KF_MEND_GROUPS, CLOSES_MODEL, 3 },
	{ "group edit --any-model", free_group, KF_MEND_GROUPS, OPENS, 0 },
	{ "model set", add_model, KF_MEND_MODELS, OPENS, 0 },
	{ "model delete", remove_model, KF_MEND_MODELS, OPENS, 0 },
	{ "group create", add_group, KF_MEND_GROUPS, OPENS, 0 },
	{ "group edit, narrower", narrow_group, KF_MEND_GROUPS, CLOSES_OPENAI, 3 },
	{ "group delete", remove_group, KF_MEND_GROUPS, OPENS, 0 },
	{ "rotate --grace 0", rotate_now, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "rotate one in its grace", rotate_rotated, KF_MEND_KEYS, CLOSES_KEY, 3 },
	{ "rotate --grace", rotate_later, KF_MEND_KEYS, CLOSES_KEY, 1 },
	{ "create", create_keys, KF_MEND_KEYS, OPENS, 0 },
	{ "deny", deny, KF_MEND_SOURCES, CLOSES_SOURCE, 0 },
	{ "deny all", deny_all, KF_MEND_SOURCES, CLOSES_SOURCE, 1 },
	{ "allow", allow, KF_MEND_SOURCES, OPENS, 0 },
	{ "allow for less long", shorten_allowance, KF_MEND_SOURCES, OPENS, 0 },
	{ "remove a denial", remove_denial, KF_MEND_SOURCES, OPENS, 0 },
	{ "remove an allowance", remove_allowance, KF_MEND_SOURCES, OPENS, 0 },
	{ "service add", add_service, KF_MEND_SERVICES, OPENS, 0 },
	{ "service edit", edit_service, KF_MEND_SERVICES, OPENS, 0 },
	{ "service remove", remove_service, KF_MEND_SERVICES, OPENS, 0 },
};

/* ---- what must be true ------------------------------------------------------------------------
 */

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

/* What is in the kernel is what is stored, and what is held beyond it. */
static void assert_agreed(struct fixture *f, const struct operation *o)
{
	char *before = snapshot_of(f, o->part), *after;
	int err;

	if (o->part == KF_MEND_KEYS)
		err = kf_policy_reconcile_keys(f->policy, &f->why);
	else if (o->part == KF_MEND_MODELS)
		err = kf_policy_model_reconcile(f->policy);
	else if (o->part == KF_MEND_GROUPS)
		err = kf_policy_group_reconcile(f->policy);
	else
		err = o->part == KF_MEND_SOURCES ? kf_policy_reconcile_sources(f->policy)
						 : kf_policy_reconcile_services(f->policy);
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

/* ---- the iteration ----------------------------------------------------------------------------
 */

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
	if (o->part & (KF_MEND_KEYS | KF_MEND_GROUPS | KF_MEND_MODELS) ||
	    o->closing == CLOSES_SOURCE)
		make_keys(&w);
	if (needs_groups(o))
		make_groups(&w);
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

/* SIGKILL at any instant, with whatever a failing disk has of it: the next start makes them agree.
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
