// SPDX-License-Identifier: GPL-2.0-only
/*
 * keyfilterd: the controller.
 *
 * The order of the start is the security argument, and start() below is to be read as one:
 *
 *   1. settings      nothing is touched before every line of them was understood
 *   2. directories   only ours, 0700 for the state, before anything is written into them or
 *                    believed that is in them
 *   3. locks         one daemon per state and run directory (and, in 6, per pin directory)
 *   4. look ahead    could this build take over what is pinned, and run on this kernel? If not, we
 *                    stop before the store is migrated, and the build of before still starts
 *   5. store, secret the policy, and the key to it: if either cannot be trusted, we stop here, and
 *                    what a former daemon has put into the kernel goes on unchanged
 *   6. maps          those that a running program of ours uses, else the pinned ones, or new ones
 *   7. reconcile     the maps say what the store says, before a program could read them: services
 *                    and sources at once, of keys as many as are read in a moment
 *   8. the socket    what is answered as done is done in store and kernel: a key that is changed
 *                    now is compared with the kernel first (reconcile_keys.h)
 *   9. the rest      of the keys, in slices (load.h)
 *  10. interfaces    attached where they are not: only a whole policy is ever enforced, then
 * READY=1 (where 7 came to the end of the keys, before the socket)
 *
 * The end is the same in reverse, in finish(), after success as after failure. The filter stays in
 * place (invariant 3: fail static), unless `keyfilterd --unload` asked for it to be taken off.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <systemd/sd-daemon.h>

#include "api/api.h"
#include "attach/attach.h"
#include "attach/iface.h"
#include "attach/recover.h"
#include "base/config.h"
#include "base/daemon.h"
#include "base/directory.h"
#include "base/lock.h"
#include "clock.h"
#include "load.h"
#include "log.h"
#include "loop.h"
#include "maps/maps.h"
#include "net/netlink.h"
#include "policy/policy.h"
#include "secrettext.h"
#include "store/secret.h"
#include "store/store.h"
#include "timetext.h"
#include "traffic/events.h"
#include "traffic/penalty.h"
#include "unload.h"
#include "why.h"

#define EXIT_USAGE  2
#define DESCRIPTORS 2048u /* for clients that wait for a place, and for all else */
#define PRIORITY    (-10) /* a revocation does not wait for a busy CPU; threads that read do */

/* ---- options --------------------------------------------------------------------------------- */

struct options {
	const char *state_dir;
	const char *run_dir;
	const char *pin_dir;
	const char *config; /* NULL: the default one, which need not be there */
	bool check_config;
	bool unload;
	bool verbose;
	bool help;
	bool version;
};

static const struct option_help {
	struct option option;
	const char *argument; /* NULL: takes none */
	const char *help;
} option_table[] = {
	{ { "state-dir", required_argument, NULL, 's' },
	  "DIR",
	  "store and secret; default /var/lib/keyfilter" },
	{ { "run-dir", required_argument, NULL, 'r' },
	  "DIR",
	  "the admin socket; default /run/keyfilter" },
	{ { "pin-dir", required_argument, NULL, 'p' },
	  "DIR",
	  "maps and links, on a bpffs; default /sys/fs/bpf/keyfilter" },
	{ { "config", required_argument, NULL, 'c' },
	  "FILE",
	  "settings; default " KF_CONFIG_DEFAULT_PATH ", if it is there" },
	{ { "check-config", no_argument, NULL, 'C' },
	  NULL,
	  "read the settings, say what is wrong, end" },
	{ { "unload", no_argument, NULL, 'u' },
	  NULL,
	  "take the filter off all interfaces, remove the pins, end the daemon if it runs" },
	{ { "verbose", no_argument, NULL, 'v' }, NULL, "log more" },
	{ { "foreground", no_argument, NULL, 'f' }, NULL, "accepted: it never does anything else" },
	{ { "version", no_argument, NULL, 'V' }, NULL, "print the version" },
	{ { "help", no_argument, NULL, 'h' }, NULL, "print this" },
};

#define OPTION_COUNT (sizeof(option_table) / sizeof(option_table[0]))

static void print_help(void)
{
	char name[40];

	printf("usage: keyfilterd [OPTION]...\n\n"
	       "The controller of keyfilter: keeps the policy, compiles it into the kernel, "
	       "serves\n"
	       "the admin socket. Its end changes nothing for packets; `keyfilterd --unload` "
	       "does.\n\n");
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_help *o = &option_table[i];

		snprintf(name, sizeof(name), "--%s%s%s", o->option.name, o->argument ? " " : "",
			 o->argument ?: "");
		printf("  %-18s %s\n", name, o->help);
	}
	printf("\nSettings, one a line, `name value`:\n\n");
	kf_config_describe(stdout);
}

static void set_option(struct options *options, int option)
{
	switch (option) {
	case 's':
		options->state_dir = optarg;
		break;
	case 'r':
		options->run_dir = optarg;
		break;
	case 'p':
		options->pin_dir = optarg;
		break;
	case 'c':
		options->config = optarg;
		break;
	case 'C':
		options->check_config = true;
		break;
	case 'u':
		options->unload = true;
		break;
	case 'v':
		options->verbose = true;
		break;
	case 'V':
		options->version = true;
		break;
	case 'h':
		options->help = true;
		break;
	case 'f':
		break;
	}
}

/* Not getopt's own words, which would repeat a secret. */
static int refuse_word(char *word, const char *why)
{
	kf_secrettext_mask(word);
	fprintf(stderr, "keyfilterd: '%s' %s\n", word, why);
	return -EINVAL;
}

static int parse_options(int argc, char **argv, struct options *options)
{
	struct option longs[OPTION_COUNT + 1] = { 0 };
	int option, at = 1;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		longs[i] = option_table[i].option;
	while ((option = getopt_long(argc, argv, "+:", longs, NULL)) != -1) {
		if (option == ':')
			return refuse_word(argv[at], "needs a value");
		if (option == '?')
			return refuse_word(argv[at], "is not an option, or takes no value");
		set_option(options, option);
		at = optind;
	}
	return optind == argc ? 0 : refuse_word(argv[optind], "is not an option");
}

/* ---- parts of the start ---------------------------------------------------------------------- */

/* An error is logged here, once; what failed below only said why. */
static int give_up(int err, const struct kf_why *why)
{
	kf_log_error("%s", *why->text ? why->text : strerror(-err));
	return err;
}

static int read_settings(const struct options *options, struct kf_config_settings *settings)
{
	struct kf_config_why why = { 0 };
	int err;

	kf_config_defaults(settings);
	err = kf_config_read(settings, options->config ?: KF_CONFIG_DEFAULT_PATH, &why);
	if (err == -ENOENT && !options->config)
		return 0;
	if (err)
		kf_log_error("%s", why.text);
	return err;
}

/*
 * Before Linux 5.11 map memory counts as locked memory; descriptors are for admin connections.
 * Worth a try, and no more: where it is not enough, what needs it fails and says so.
 */
static void raise_limits(const struct kf_config_settings *settings)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit files;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	if (files.rlim_cur < 2 * settings->admin_max_connections + DESCRIPTORS) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/*
 * The memory has the secret, and keys that were just made: no core dump, and nobody of the same
 * user reads it with a debugger. The program says so itself, however it was started.
 */
static void hide_memory(void)
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_DUMPABLE, 0) || setrlimit(RLIMIT_CORE, &none))
		kf_log_warning("cannot forbid core dumps: %s; set LimitCORE=0", strerror(errno));
}

static int print_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	char text[512];

	if (level == LIBBPF_DEBUG)
		return 0; /* every instruction it relocates */
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	/* what matters of it is in the errors of its callers */
	kf_log_debug("libbpf: %s", text);
	return 0;
}

/* From here on the directories have their names without symbolic links. */
static int open_directories(struct kf_daemon *daemon, char state_dir[static PATH_MAX],
			    char run_dir[static PATH_MAX])
{
	struct kf_why why = { 0 };
	int err = kf_directory_make(daemon->state_dir, 0700, "--state-dir", state_dir, &why);

	if (!err)
		err = kf_directory_make(daemon->run_dir, 0755, "--run-dir", run_dir, &why);
	if (err)
		return give_up(err, &why);
	daemon->state_dir = state_dir;
	daemon->run_dir = run_dir;
	err = kf_lock_acquire(&daemon->run_lock, run_dir, "--run-dir", &why);
	if (!err && strcmp(run_dir, state_dir))
		err = kf_lock_acquire(&daemon->state_lock, state_dir, "--state-dir", &why);
	return err ? give_up(err, &why) : 0;
}

static int open_policy(struct kf_daemon *daemon)
{
	struct kf_why why = { 0 };
	bool has_keys = true;
	int err = kf_store_open(&daemon->store, daemon->state_dir, &why);

	if (err)
		return give_up(err, &why);
	err = kf_store_credential_any(daemon->store, &has_keys);
	if (kf_store_checkpoint_open(daemon->store))
		kf_log_warning(
			"there is no thread that empties the log of the store, so that some "
			"changes take longer; see the limits of memory, files and processes");
	if (err) {
		kf_log_error("cannot read the store: %s; restore it from a backup",
			     kf_store_error(daemon->store));
		return err;
	}
	err = kf_store_secret_open(&daemon->secret, daemon->state_dir, !has_keys, &why);
	return err ? give_up(err, &why) : 0;
}

static struct kf_maps_settings maps_settings(const struct kf_config_settings *s)
{
	return (struct kf_maps_settings){
		.keys_max = s->keys_max,
		.sources_max = s->sources_max,
		.flows_max = s->flows_max,
		.heads_max = s->heads_max,
		.embryos = s->embryos,
		.penalties = s->penalties,
		.syn_cells = s->syn_cells,
		.event_ring_bytes = s->event_ring_kib * 1024,
		.event_rate = s->event_rate,
		.head_timeout_ns = s->head_timeout * (uint64_t)KF_TIMETEXT_SECOND,
	};
}

static int look_ahead(const struct kf_daemon *daemon)
{
	const struct kf_maps_settings maps = maps_settings(&daemon->settings);
	struct kf_why why = { 0 };
	int err = kf_maps_check(daemon->pin_dir, &maps, &why);

	if (!err)
		err = kf_attach_probe(&why);
	return err ? give_up(err, &why) : 0;
}

static int open_kernel(struct kf_daemon *daemon)
{
	const struct kf_config_settings *s = &daemon->settings;
	const struct kf_maps_settings maps = maps_settings(s);
	struct kf_why why = { 0 };
	int err = kf_attach_recover_pins(daemon->pin_dir, daemon->secret, &why);

	if (!err)
		err = kf_maps_open(&daemon->maps, daemon->pin_dir, &maps, &why);
	if (!err)
		err = kf_policy_open(&daemon->policy, daemon->store, daemon->maps, daemon->secret,
				     &why);
	if (!err)
		err = kf_attach_open(&daemon->attach, daemon->pin_dir, daemon->secret, &why);
	return err ? give_up(err, &why) : 0;
}

/* The watch first, so that no interface comes or goes unseen. */
static int open_interfaces(struct kf_daemon *daemon)
{
	struct kf_why why = { 0 };
	int err = kf_net_linkwatch_open(&daemon->linkwatch, kf_attach_iface_link, daemon);

	if (err) {
		kf_log_error("cannot watch the links: %s; see the limit of open files",
			     strerror(-err));
		return err;
	}
	err = kf_traffic_events_open(&daemon->events, daemon->policy, &why);
	if (err)
		return give_up(err, &why);
	err = kf_traffic_penalty_watch_open(&daemon->penalties, daemon->policy, daemon->events);
	if (err)
		kf_log_error("no memory to watch penalties; free some, or lower penalties");
	return err ? err : kf_load_open(daemon);
}

static int open_loop(struct kf_daemon *daemon)
{
	int err = kf_loop_open(daemon);

	if (err) {
		kf_log_error("cannot make the event loop: %s; see the limit of open files",
			     strerror(-err));
		return err;
	}
	return kf_api_open(daemon);
}

/* ---- start, run, finish ---------------------------------------------------------------------- */

static int start(struct kf_daemon *daemon)
{
	int err = look_ahead(daemon);

	if (!err)
		err = open_policy(daemon);
	if (!err)
		err = open_kernel(daemon);
	if (!err)
		err = open_interfaces(daemon);
	if (!err)
		err = open_loop(daemon);
	if (err)
		return err;
	kf_load_go_on(daemon);
	return 0;
}

/* What POST /v1/unload asked for; each half in its place in finish(). */
static void unload_programs(struct kf_daemon *daemon)
{
	struct kf_why why = { 0 };

	if (daemon->unload && kf_unload_programs(daemon->attach, &why)) {
		kf_log_error("%s", why.text);
		daemon->unload = false; /* programs that stay need their maps */
	}
}

static void unload_pins(struct kf_daemon *daemon)
{
	struct kf_why why = { 0 };

	if (!daemon->unload)
		return;
	if (kf_unload_pins(daemon->pin_dir, &why))
		kf_log_error("%s", why.text);
	else
		kf_log_notice("unloaded: nothing is filtered any more");
}

/* Everything that start() opened, in reverse; what it did not come to is NULL or -1. */
static void finish(struct kf_daemon *daemon)
{
	sd_notify(0, "STOPPING=1");
	kf_api_close(daemon);
	kf_loop_close(daemon);
	kf_load_close(daemon);
	kf_traffic_penalty_watch_close(daemon->penalties);
	kf_traffic_events_close(daemon->events);
	kf_attach_iface_close(daemon);
	kf_net_linkwatch_close(daemon->linkwatch);
	unload_programs(daemon);
	kf_attach_close(daemon->attach);
	kf_policy_close(daemon->policy);
	kf_maps_close(daemon->maps);
	unload_pins(daemon);
	kf_store_secret_close(daemon->secret);
	kf_store_close(daemon->store);
	kf_lock_release(&daemon->state_lock);
	kf_lock_release(&daemon->run_lock);
}

static int run_daemon(const struct options *options, const struct kf_config_settings *settings)
{
	struct kf_daemon daemon = {
		.settings = *settings,
		.state_dir = options->state_dir,
		.run_dir = options->run_dir,
		.pin_dir = options->pin_dir,
		.state_lock = KF_LOCK_NONE,
		.run_lock = KF_LOCK_NONE,
		.started_ns = kf_clock_boot(),
	};
	char state_dir[PATH_MAX], run_dir[PATH_MAX];
	int err = open_directories(&daemon, state_dir, run_dir);

	if (!err)
		err = start(&daemon);
	if (!err) {
		err = kf_loop_run(&daemon);
		if (err < 0)
			kf_log_error("the event loop failed: %s; see what came before",
				     strerror(-err));
	}
	finish(&daemon);
	return err < 0 || daemon.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What tells programs of this installation from others' where their pins are lost; or NULL. */
static struct kf_secret *find_secret(const struct options *options)
{
	struct kf_secret *secret = NULL;
	struct kf_why why;

	return kf_store_secret_open(&secret, options->state_dir, false, &why) ? NULL : secret;
}

static int unload_alone(const struct options *options, struct kf_why *why)
{
	struct kf_secret *secret = find_secret(options);
	int err = kf_unload_alone(options->pin_dir, secret, why);

	kf_store_secret_close(secret);
	return err;
}

/* One line for an operator who waits for it, not for a log. */
static int run_unload(const struct options *options)
{
	struct kf_why why = { 0 };
	pid_t holder = kf_lock_holder(options->run_dir);
	int err;

	if (holder)
		err = kf_unload_ask(options->run_dir, holder, &why);
	else
		err = unload_alone(options, &why);
	if (err) {
		fprintf(stderr, "keyfilterd: %s\n", *why.text ? why.text : strerror(-err));
		return EXIT_FAILURE;
	}
	if (!access(options->pin_dir, F_OK)) {
		fprintf(stderr,
			"keyfilterd: %s is still there; see the daemon's log, and what is in it\n",
			options->pin_dir);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* What was asked for by --help or --version has to arrive. */
static int finish_output(void)
{
	if (!ferror(stdout) && fflush(stdout) == 0 && close(STDOUT_FILENO) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "keyfilterd: the output could not be written: %s; make room for it\n",
		strerror(errno));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct options options = {
		.state_dir = "/var/lib/keyfilter",
		.run_dir = "/run/keyfilter",
		.pin_dir = "/sys/fs/bpf/keyfilter",
	};
	struct kf_config_settings settings;

	if (parse_options(argc, argv, &options)) {
		fprintf(stderr, "keyfilterd: see `keyfilterd --help`\n");
		return EXIT_USAGE;
	}
	if (options.help) {
		print_help();
		return finish_output();
	}
	if (options.version) {
		printf("keyfilterd %s\n", KF_VERSION);
		return finish_output();
	}
	kf_log_open(options.verbose ? KF_LOG_DEBUG : KF_LOG_INFO);
	hide_memory();
	libbpf_set_print(print_libbpf);
	if (options.unload)
		return run_unload(&options); /* works whatever the settings say */
	if (read_settings(&options, &settings))
		return EXIT_USAGE;
	if (options.check_config)
		return EXIT_SUCCESS;
	umask(0077);
	signal(SIGPIPE, SIG_IGN);	       /* clients come and go */
	if (getpriority(PRIO_PROCESS, 0) == 0) /* nobody chose one; without the right it stays */
		setpriority(PRIO_PROCESS, 0, PRIORITY);
	raise_limits(&settings);
	return run_daemon(&options, &settings);
}
