// SPDX-License-Identifier: GPL-2.0-only
/*
 * TC programs as filters of the clsact qdisc, for kernels before tcx. A filter lives as long as its
 * interface. Ours have the first priority, and share it with other BPF filters, each under a handle
 * of its own; which handle is ours is found by looking at the programs. A qdisc that we made goes
 * with our last filter, unless others have theirs on it by then.
 */
#include "attach/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <keyfilter/abi.h>
#include <libmnl/libmnl.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "cleanup.h"
#include "net/netlink.h"

#define PRIORITY   1
#define DUMP_TRIES 16

struct search {
	const struct kf_attach *attach;
	const char *program[2];		     /* any of these; none: any filter will do */
	enum kf_attach_kind at_least;	     /* what it must be to us */
	const struct kf_attach_search *tell; /* of each, instead */
	__u32 handle;
	__u32 priority;
	bool found;
};

struct qdisc_search {
	int ifindex;
	bool is_clsact;
};

/* For what may be ours on the hook of @part. */
static struct search search_for(const struct kf_attach *attach, enum kf_attach_part part)
{
	if (part == KF_ATTACH_EGRESS)
		return (struct search){ attach, .program = { KF_PROGRAM_EGRESS },
					.at_least = KF_ATTACH_STALE };
	return (struct search){ attach, .program = { KF_PROGRAM_INGRESS, KF_PROGRAM_ANSWER },
				.at_least = KF_ATTACH_STALE };
}

static struct bpf_tc_hook hook_of(int ifindex, enum kf_attach_part part)
{
	return (struct bpf_tc_hook){ .sz = sizeof(struct bpf_tc_hook),
				     .ifindex = ifindex,
				     .attach_point = part == KF_ATTACH_EGRESS ? BPF_TC_EGRESS
									      : BPF_TC_INGRESS };
}

/* The program's id, from TCA_OPTIONS of a bpf filter; 0: it has none. */
static __u32 program_id(const struct nlattr *options)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, options)
		if (mnl_attr_get_type(attr) == TCA_BPF_ID &&
		    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			return mnl_attr_get_u32(attr);
	return 0;
}

static bool is_one_of(const struct search *search, __u32 id)
{
	for (int i = 0; i < 2; i++)
		if (search->program[i] &&
		    kf_attach_object_id_kind(search->attach, id, search->program[i]) >=
			    search->at_least)
			return true;
	return false;
}

static int on_filter(void *context, const struct nlmsghdr *message)
{
	const struct tcmsg *filter = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr, *options = NULL;
	struct search *search = context;
	bool is_bpf = false;

	if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*filter)))
		return 0;
	mnl_attr_for_each(attr, message, sizeof(*filter)) {
		if (mnl_attr_get_type(attr) == TCA_KIND)
			is_bpf = !strcmp(mnl_attr_get_str(attr), "bpf");
		else if (mnl_attr_get_type(attr) == TCA_OPTIONS)
			options = attr;
	}
	if (search->tell)
		return is_bpf && options ? kf_attach_object_tell(search->tell, program_id(options))
					 : 0;
	if (search->program[0] && (!is_bpf || !options || !is_one_of(search, program_id(options))))
		return 0;
	search->handle = filter->tcm_handle;
	search->priority = TC_H_MAJ(filter->tcm_info) >> 16;
	search->found = true;
	return 1;
}

static __u32 parent_of(enum kf_attach_part part)
{
	__u32 minor = part == KF_ATTACH_EGRESS ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS;

	return TC_H_MAKE(TC_H_CLSACT, minor);
}

static int look(struct search *search, int ifindex, enum kf_attach_part part)
{
	char buffer[KF_NETLINK_REQUEST_MAX];
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
		struct tcmsg *where = mnl_nlmsg_put_extra_header(request, sizeof(*where));

		request->nlmsg_type = RTM_GETTFILTER;
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		where->tcm_ifindex = ifindex;
		where->tcm_parent = parent_of(part);
		err = kf_net_netlink_ask(NETLINK_ROUTE, request, on_filter, search);
	}
	return err < 0 || search->tell ? err : 0;
}

static void marker_of(char out[32], int ifindex)
{
	snprintf(out, 32, "%d-clsact", ifindex);
}

static int on_qdisc(void *context, const struct nlmsghdr *message)
{
	const struct tcmsg *qdisc = mnl_nlmsg_get_payload(message);
	struct qdisc_search *search = context;
	const struct nlattr *attr;

	if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*qdisc)) ||
	    qdisc->tcm_ifindex != search->ifindex || qdisc->tcm_parent != TC_H_CLSACT)
		return 0;
	mnl_attr_for_each(attr, message, sizeof(*qdisc))
		if (mnl_attr_get_type(attr) == TCA_KIND)
			search->is_clsact = !strcmp(mnl_attr_get_str(attr), "clsact");
	return 0;
}

/*
 * The older ingress qdisc stands in the same place and takes filters for egress as well, but runs
 * them on ingress: -EEXIST.
 */
static int check_qdisc(int ifindex)
{
	struct qdisc_search search = { .ifindex = ifindex };
	char buffer[KF_NETLINK_REQUEST_MAX];
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++) {
		struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
		struct tcmsg *where = mnl_nlmsg_put_extra_header(request, sizeof(*where));

		request->nlmsg_type = RTM_GETQDISC;
		request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		where->tcm_ifindex = ifindex;
		err = kf_net_netlink_ask(NETLINK_ROUTE, request, on_qdisc, &search);
	}
	if (err || search.is_clsact)
		return err;
	kf_attach_capture_say(KF_ATTACH_INGRESS_QDISC);
	return -EEXIST;
}

/* Somebody else's qdisc does as well, and is left behind. */
static int make_qdisc(const struct kf_attach *attach, int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, KF_ATTACH_INGRESS);
	char marker[32];
	int err = bpf_tc_hook_create(&hook);

	if (err)
		return err == -EEXIST ? check_qdisc(ifindex) : err;
	marker_of(marker, ifindex);
	return symlinkat("ours", attach->links_fd, marker) && errno != EEXIST ? -errno : 0;
}

static int drop_qdisc(const struct kf_attach *attach, int ifindex)
{
	struct bpf_tc_hook hook = hook_of(ifindex, KF_ATTACH_INGRESS);
	struct search search = { .attach = attach };
	char marker[32];
	int err;

	marker_of(marker, ifindex);
	if (faccessat(attach->links_fd, marker, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	err = look(&search, ifindex, KF_ATTACH_INGRESS);
	if (!err && !search.found)
		err = look(&search, ifindex, KF_ATTACH_EGRESS);
	if (err || search.found)
		return err;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS; /* both: the qdisc itself */
	err = bpf_tc_hook_destroy(&hook);
	if (err && err != -ENOENT && err != -EINVAL)
		return err;
	return unlinkat(attach->links_fd, marker, 0) && errno != ENOENT ? -errno : 0;
}

bool kf_attach_clsact_is_on(const struct kf_attach *attach, int ifindex, enum kf_attach_part part)
{
	struct search search = { attach, .program = { kf_attach_object_program(part) },
				 .at_least = KF_ATTACH_OURS };

	return !look(&search, ifindex, part) && search.found;
}

int kf_attach_clsact_add(const struct kf_attach *attach, int ifindex, enum kf_attach_part part,
			 int program_fd)
{
	struct search search = search_for(attach, part);
	LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = program_fd, .priority = PRIORITY);
	struct bpf_tc_hook hook = hook_of(ifindex, part);
	int err = look(&search, ifindex, part);

	if (!err && search.found) {
		filter.handle = search.handle;
		filter.priority = search.priority;
		filter.flags = BPF_TC_F_REPLACE;
	} else if (!err) {
		err = make_qdisc(attach, ifindex);
	}
	if (!err)
		err = bpf_tc_attach(&hook, &filter);
	if (err)
		drop_qdisc(attach, ifindex);
	return err;
}

int kf_attach_clsact_remove(const struct kf_attach *attach, int ifindex, enum kf_attach_part part)
{
	struct search search = search_for(attach, part);
	struct bpf_tc_hook hook = hook_of(ifindex, part);
	int err = look(&search, ifindex, part);

	if (!err && search.found) {
		LIBBPF_OPTS(bpf_tc_opts, filter, .handle = search.handle,
			    .priority = search.priority);

		err = bpf_tc_detach(&hook, &filter);
	}
	return err ? err : drop_qdisc(attach, ifindex);
}

int kf_attach_clsact_running(const struct kf_attach_search *search)
{
	struct search all = { .tell = search };
	int err = look(&all, search->ifindex, KF_ATTACH_INGRESS);

	if (!err)
		err = look(&all, search->ifindex, KF_ATTACH_EGRESS);
	return err == -EINVAL || err == -ENOENT || err == -ENODEV ? 0 : err; /* no clsact there */
}

static int try_clsact(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const int lo = 1; /* the first interface of any network namespace */
	struct bpf_tc_hook hook = hook_of(lo, KF_ATTACH_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .priority = PRIORITY);
	int err;

	if (unshare(CLONE_NEWNET))
		return 0; /* not known */
	filter.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "kf_probe", "GPL", pass, 2, NULL);
	err = bpf_tc_hook_create(&hook);
	return err ? err : bpf_tc_attach(&hook, &filter);
}

bool kf_attach_clsact_is_missing(void)
{
	pid_t child = fork();
	int status = 0;

	if (!child) {
		libbpf_set_print(NULL);
		_exit(try_clsact() ? 1 : 0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status);
}
