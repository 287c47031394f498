// SPDX-License-Identifier: GPL-2.0-only
#include "policy/compile.h"

#include <string.h>

#define NS_PER_S 1000000000ull

/* ---- time ------------------------------------------------------------------------------------ */

/*
 * Clocks before 1970 or deadlines beyond the kernel's 64 bits do not occur; overflow is held off.
 */
uint64_t kf_policy_compile_deadline(const struct kf_clock *clock, int64_t wall_ns)
{
	uint64_t away, deadline;

	if (wall_ns == KF_WALL_NEVER)
		return KF_NEVER;
	if (wall_ns <= clock->wall_ns)
		return 1;
	away = (uint64_t)wall_ns - (uint64_t)clock->wall_ns;
	if (__builtin_add_overflow(clock->boot_ns, away, &deadline) || deadline == KF_NEVER)
		return KF_NEVER - 1;
	return deadline ? deadline : 1;
}

int64_t kf_policy_compile_wall(const struct kf_clock *clock, uint64_t boot_ns)
{
	int64_t wall;

	if (boot_ns == KF_NEVER)
		return KF_WALL_NEVER;
	if (!boot_ns)
		return 0;
	if (__builtin_add_overflow(clock->wall_ns, (int64_t)(boot_ns - clock->boot_ns), &wall))
		return boot_ns > clock->boot_ns ? KF_WALL_NEVER - 1 : 1;
	return wall > 0 ? wall : 1;
}

/* ---- services -------------------------------------------------------------------------------- */

static void limit_syns(struct kf_service *service, const struct kf_service_row *row)
{
	uint32_t burst = row->syn_burst ?: row->syn_rate;

	if (!row->syn_rate)
		return;
	service->syn_interval_ns = NS_PER_S / row->syn_rate;
	service->syn_burst_ns = service->syn_interval_ns * (burst - 1);
}

/* What a row has too much, which no row of ours has, is not added. */
static void add_methods(struct kf_service *service, const char *methods)
{
	for (size_t i = 0; *methods && i < KF_METHODS_MAX; i++) {
		size_t len = strcspn(methods, " ");

		if (len && len <= sizeof(service->methods[i]))
			memcpy(service->methods[i], methods, len);
		methods += len + (methods[len] == ' ');
	}
}

void kf_policy_compile_service(struct kf_policy_services *out, const struct kf_service_row *row)
{
	struct kf_listener *listener;

	out->services[row->index] = (struct kf_service){
		.live = 1,
		.mode = row->mode,
		.refuse = row->refuse,
		.flags = (__u8)row->flags,
		.key_sources = row->key_sources,
		.penalty_failures = row->penalty_failures,
		.penalty_window = row->penalty_window,
		.penalty_time = row->penalty_time,
		.penalty_time_max = row->penalty_time_max,
	};
	limit_syns(&out->services[row->index], row);
	add_methods(&out->services[row->index], row->methods);
	if (row->any) {
		out->ports[row->port].any = (__u16)(row->index + 1);
		return;
	}
	out->ports[row->port].listeners++;
	out->listener_index[out->listener_count] = row->index;
	listener = &out->listeners[out->listener_count++];
	memset(listener, 0, sizeof(*listener));
	memcpy(listener->addr, row->addr, sizeof(listener->addr));
	listener->port = row->port;
}

/* ---- sources --------------------------------------------------------------------------------- */

const struct kf_cidr kf_policy_compile_v4 = { .addr = { [10] = 0xff, [11] = 0xff },
					      .prefix_len = KF_CIDR_V4 };

void kf_policy_compile_walk_begin(struct kf_policy_walk *walk, const struct kf_clock *clock,
				  const struct kf_cidr *within, kf_policy_source_fn fn,
				  void *context)
{
	memset(walk, 0, sizeof(*walk));
	walk->shielding = !within || kf_cidr_covers(within, &kf_policy_compile_v4);
	walk->clock = clock;
	walk->fn = fn;
	walk->context = context;
}

/* Order of a walk down the tree: by address, the wider block first. */
static int compare(const struct kf_cidr *a, const struct kf_cidr *b)
{
	int order = memcmp(a->addr, b->addr, sizeof(a->addr));

	return order ? order : (int)a->prefix_len - (int)b->prefix_len;
}

/* Of a walk that is behind it already, ::ffff:0:0/96 is no part. */
void kf_policy_compile_walk_from(struct kf_policy_walk *walk, const struct kf_cidr *from)
{
	walk->shielding = walk->shielding && compare(from, &kf_policy_compile_v4) <= 0;
}

/* Gives out the block on top, now that no further row can be about it. */
static int give_pending(struct kf_policy_walk *walk)
{
	if (!walk->pending)
		return 0;
	walk->pending = false;
	if (walk->pending_quiet)
		return 0;
	return walk->fn(walk->context, &walk->stack[walk->depth - 1]);
}

/*
 * Gives out the entry that keeps IPv6 blocks from speaking about IPv4, when the walk comes to its
 * place and no row stands there itself.
 */
static int give_shield(struct kf_policy_walk *walk, const struct kf_cidr *next)
{
	const struct kf_policy_source shield = { .cidr = kf_policy_compile_v4 };
	int order = next ? compare(next, &kf_policy_compile_v4) : 1;

	if (!walk->shield_needed || order < 0)
		return 0;
	walk->shield_needed = false;
	return order ? walk->fn(walk->context, &shield) : 0;
}

static void push(struct kf_policy_walk *walk, const struct kf_cidr *cidr)
{
	struct kf_policy_source *entry, *above;

	while (walk->depth && !kf_cidr_covers(&walk->stack[walk->depth - 1].cidr, cidr))
		walk->depth--;
	above = walk->depth ? &walk->stack[walk->depth - 1] : NULL;
	entry = &walk->stack[walk->depth++];
	memset(entry, 0, sizeof(*entry));
	if (above && kf_cidr_is_v4(&above->cidr) == kf_cidr_is_v4(cidr))
		entry->source = above->source;
	entry->cidr = *cidr;
	if (walk->shielding && !kf_cidr_is_v4(cidr) && kf_cidr_covers(cidr, &kf_policy_compile_v4))
		walk->shield_needed = true;
	walk->pending = true;
	walk->pending_quiet = walk->quiet;
}

/* The end of a denial opens, so it comes by the earlier time. */
static uint64_t source_deadline(const struct kf_clock *clock, const struct kf_source_row *row)
{
	struct kf_clock by = *clock;

	if (!row->expires) /* an allowance that is over already, see hold.h */
		return 0;
	if (row->action == KF_SOURCE_DENY)
		by.wall_ns -= clock->doubt_ns;
	return kf_policy_compile_deadline(&by, row->expires);
}

int kf_policy_compile_walk_next(struct kf_policy_walk *walk, const struct kf_source_row *row)
{
	uint64_t until = source_deadline(walk->clock, row);
	struct kf_source *source;
	__u64 *time;
	int err;

	if (!walk->depth || !kf_cidr_equal(&walk->stack[walk->depth - 1].cidr, &row->cidr)) {
		err = give_pending(walk);
		if (!err)
			err = give_shield(walk, &row->cidr);
		if (err)
			return err;
		push(walk, &row->cidr);
	}
	source = &walk->stack[walk->depth - 1].source;
	time = row->action == KF_SOURCE_ALLOW ? &source->allow_until : &source->deny_until;
	if (until > *time)
		*time = until;
	return 0;
}

int kf_policy_compile_walk_finish(struct kf_policy_walk *walk)
{
	int err = give_pending(walk);

	return err ? err : give_shield(walk, NULL);
}

/* ---- keys ------------------------------------------------------------------------------------ */

#define MINUTE_NS 60000000000ull

_Static_assert(MINUTE_NS / KF_RPM_TOP > 0, "an interval of 0 is no limit");
_Static_assert(MINUTE_NS <= KF_NEVER / 4 / KF_RPM_TOP, "a time and a burst are 64 bits");

/*
 * Rounded down, so that a client that keeps to so many in each minute is never refused: with the
 * whole burst of @rpm the @rpm + 1st request conforms no later than a minute after the first.
 */
void kf_policy_compile_rate(uint32_t rpm, uint32_t rpm_burst, __u64 *interval_ns, __u64 *burst_ns)
{
	uint64_t interval = rpm ? MINUTE_NS / rpm : 0;
	uint64_t burst = kf_policy_compile_burst(rpm, rpm_burst);

	*interval_ns = interval;
	*burst_ns = burst ? interval * (burst - 1) : 0;
}

uint32_t kf_policy_compile_burst(uint32_t rpm, uint32_t rpm_burst)
{
	return rpm_burst ? rpm_burst : rpm;
}

void kf_policy_compile_slot(const struct kf_clock *clock, const struct kf_slot_row *row,
			    struct kf_slot *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->tag, row->tag, sizeof(out->tag));
	out->status = row->gone ? KF_KEY_DELETED : row->disabled ? KF_KEY_DISABLED : KF_KEY_ENABLED;
	out->flags = row->allowlist ? KF_KEY_HAS_ALLOWLIST : 0;
	out->expires_ns = kf_policy_compile_deadline(clock, row->expires);
	out->rate_slot = row->rate_slot;
	out->group = row->group;
	out->models = row->models;
	out->wallet = row->wallet ? row->wallet : row->account_wallet;
	kf_policy_compile_rate(row->rpm, row->rpm_burst, &out->rate_interval_ns,
			       &out->rate_burst_ns);
}

static void write_prefix(uint32_t slot, const struct kf_cidr *cidr, struct kf_key_prefix *out)
{
	memset(out, 0, sizeof(*out));
	out->prefix_len = 32 + cidr->prefix_len;
	out->slot = slot;
	memcpy(out->addr, cidr->addr, sizeof(out->addr));
}

/*
 * A block around all of IPv4 is replaced by what branches off on the way from it to ::ffff:0:0/96:
 * one sibling for each bit.
 */
uint32_t kf_policy_compile_allow(uint32_t slot, const struct kf_cidr *cidr,
				 struct kf_key_prefix out[static KF_POLICY_ALLOW_MAX])
{
	uint32_t count = 0;

	if (kf_cidr_is_v4(cidr) || !kf_cidr_covers(cidr, &kf_policy_compile_v4)) {
		write_prefix(slot, cidr, out);
		return 1;
	}
	for (unsigned int bit = cidr->prefix_len; bit < KF_CIDR_V4; bit++) {
		struct kf_cidr sibling = kf_policy_compile_v4;

		sibling.addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
		sibling.prefix_len = (uint8_t)(bit + 1);
		kf_cidr_mask(&sibling);
		write_prefix(slot, &sibling, &out[count++]);
	}
	return count;
}
