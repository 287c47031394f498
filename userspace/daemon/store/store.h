/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * store.h - the durable policy: <state-dir>/keyfilter.db.
 *
 * Owns the database; everything in it is rows, nothing is derived. SQLite in WAL mode with
 * synchronous=FULL, so that a committed transaction survives a power cut. Times are wall-clock
 * nanoseconds since the epoch (KF_WALL_NEVER: NULL in the database). Called from the loop's thread,
 * and by each reading thread with a connection of its own; the rows are the caller's. Every
 * function that writes may be called alone, and is then a transaction of its own, or between
 * kf_store_begin() and kf_store_commit(). 0 or -errno, outputs untouched on failure: -ENOENT no
 * such row, -EEXIST a name or place is taken, -EIO or -ENOSPC the database cannot be read or
 * written (kf_store_error() has SQLite's words), -EUCLEAN a row has a value that cannot be (and
 * they name it), -ESTALE the database is not where it was opened.
 */
#ifndef KEYFILTER_DAEMON_STORE_STORE_H
#define KEYFILTER_DAEMON_STORE_STORE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <keyfilter/abi.h>

#include "cidr.h"

#define KF_STORE_VERSION 9 /* PRAGMA user_version that this program writes */
#define KF_WALL_NEVER	 INT64_MAX

struct kf_store;
struct kf_why;

/* Opens or creates; migrates older versions, refuses newer ones (-EPROTO). */
int kf_store_open(struct kf_store **out, const char *state_dir, struct kf_why *why);
void kf_store_close(struct kf_store *store);
const char *kf_store_error(const struct kf_store *store); /* of the last call that failed */

/*
 * From here on the log is written into the database by a thread of its own, and not by the commit
 * that makes it long. It ends with the store. -ENOMEM, -EIO, -EAGAIN: it could not begin, and the
 * commits do it.
 */
int kf_store_checkpoint_open(struct kf_store *store);
/* Is the log so long that what can wait should? Then it has waited for a fifth of a millisecond. */
bool kf_store_is_behind(struct kf_store *store);

/*
 * A connection for one other thread, that can only read, while the store above is open. Between
 * begin and end all that is read is of one moment, and takes @limit_ns at most: then, and after
 * kf_store_interrupt(), which any thread may call, reading fails with -ETIMEDOUT.
 */
int kf_store_open_reading(struct kf_store **out, const char *state_dir, struct kf_why *why);
void kf_store_read_begin(struct kf_store *store, uint64_t limit_ns);
void kf_store_read_end(struct kf_store *store);
void kf_store_interrupt(struct kf_store *store);

/*
 * Has this store's policy ever been in the kernel? Where maps hold a policy and the store never was
 * in any, the store they were made from is lost. Sealing is durable, and done once.
 */
int kf_store_is_sealed(struct kf_store *store, bool *sealed);
int kf_store_seal(struct kf_store *store);

/*
 * A transaction that was not committed is not stored. Of one whose commit failed it may not be
 * known: then kf_store_is_unsure(), nothing further can be begun, and the kernel has to follow the
 * stricter of both.
 */
int kf_store_begin(struct kf_store *store);
int kf_store_commit(struct kf_store *store);	/* on failure the transaction is rolled back */
void kf_store_rollback(struct kf_store *store); /* nothing to do outside a transaction */

/*
 * For a variable that rolls back, when it leaves scope, what it has begun and not committed:
 *	_cleanup_(kf_store_rollbackp) struct kf_store *open = store;
 */
void kf_store_rollbackp(struct kf_store **store);

bool kf_store_is_unsure(const struct kf_store *store);
/* -errno of the writes that fail at present, with *words for it; 0: none does. */
int kf_store_failing(const struct kf_store *store, const char **words);
const char *kf_store_mend(int err); /* of such an error */
/*
 * Is the database where it was, and do writes succeed again where they failed? Cheap where nothing
 * is the matter; call it now and then. When it returns 0, everything is known.
 */
int kf_store_settle(struct kf_store *store);
/* Once: a transaction whose commit failed, and of which nothing was known, is stored. */
bool kf_store_take_landed(struct kf_store *store);

/* What is durable of time with each transaction; see schema_3.sql. */
#define KF_BOOT_ID_SIZE 37

struct kf_store_time {
	int64_t seen;		    /* wall clock; 0: never */
	char boot[KF_BOOT_ID_SIZE]; /* "": none */
	int64_t ahead;		    /* of the wall clock before CLOCK_BOOTTIME */
};
void kf_store_time_get(const struct kf_store *store, struct kf_store_time *time);
/* It is written with the next transaction, or now, if what is durable is older than @most_ns. */
void kf_store_time_set(struct kf_store *store, const struct kf_store_time *time, int64_t most_ns);

/* A row callback returns 0 to go on; anything else ends the listing, which returns that value. */

/* ---- services -------------------------------------------------------------------------------- */

/* What a service has that is told nothing else. */
#define KF_PENALTY_FAILURES 100
#define KF_PENALTY_WINDOW   60
#define KF_PENALTY_TIME	    60
#define KF_PENALTY_TIME_MAX 3600

/* The largest values, as schema_2.sql has them; 0 <= time <= time_max. */
#define KF_PENALTY_FAILURES_TOP 1000000
#define KF_PENALTY_SECONDS_TOP	2592000 /* 30 days */
#define KF_SYN_RATE_TOP		1000000 /* of syn_burst too */

/* KF_METHODS_MAX methods of KF_METHOD_LEN_MAX letters, a space between two, and a NUL. */
#define KF_METHODS_TEXT (4 * 17)

struct kf_service_row {
	char name[64];
	uint32_t index; /* into kf_services and kf_counters; chosen by kf_store_service_add() */
	bool any;	/* listens on every address, and addr is zero */
	uint8_t addr[16];
	uint16_t port;
	uint8_t mode;	      /* enum kf_mode */
	uint8_t refuse;	      /* enum kf_refuse */
	uint32_t key_sources; /* KF_KEY_* of http1.h */
	uint32_t flags;	      /* KF_SERVICE_* */
	/* seconds; failures 0: never */
	uint32_t penalty_failures, penalty_window, penalty_time, penalty_time_max;
	uint32_t syn_rate, syn_burst; /* SYNs per second of one source; 0: no limit */
	/* tokens (RFC 9110 section 5.6.2), a space between two: taken beside the known methods */
	char methods[KF_METHODS_TEXT];
	uint64_t revision; /* another with each change; chosen by the store */
};
typedef int (*kf_service_fn)(void *context, const struct kf_service_row *row);

/*
 * Sets row->index and revision. -EEXIST: the name, or the address and port, are taken; -E2BIG:
 * KF_SERVICES_MAX are there.
 */
int kf_store_service_add(struct kf_store *store, struct kf_service_row *row);
int kf_store_service_update(struct kf_store *store, const struct kf_service_row *row); /* by name */
int kf_store_service_remove(struct kf_store *store, const char *name);
/* One that was removed, as it was, its index with it. */
int kf_store_service_restore(struct kf_store *store, const struct kf_service_row *row);
int kf_store_service_get(struct kf_store *store, const char *name, struct kf_service_row *row);
int kf_store_service_each(struct kf_store *store, kf_service_fn fn, void *context); /* by name */

/* ---- interfaces ------------------------------------------------------------------------------ */

struct kf_iface_row {
	char dev[IFNAMSIZ];
	uint8_t mode; /* enum kf_attach_mode */
	bool reset;   /* connections older than the attach are reset, else adopted */
	int64_t created;
};
typedef int (*kf_iface_fn)(void *context, const struct kf_iface_row *row);

/* Adds or replaces. */
int kf_store_iface_put(struct kf_store *store, const struct kf_iface_row *row);
int kf_store_iface_remove(struct kf_store *store, const char *dev);
int kf_store_iface_get(struct kf_store *store, const char *dev, struct kf_iface_row *row);
int kf_store_iface_each(struct kf_store *store, kf_iface_fn fn, void *context); /* by dev */

/* ---- sources --------------------------------------------------------------------------------- */

enum kf_source_action { KF_SOURCE_DENY, KF_SOURCE_ALLOW };

struct kf_source_row {
	struct kf_cidr cidr;
	uint8_t action; /* enum kf_source_action */
	int64_t created;
	int64_t expires; /* KF_WALL_NEVER */
};
typedef int (*kf_source_fn)(void *context, const struct kf_source_row *row);

/* Adds, or replaces created and expires. *replaced tells which (may be NULL). */
int kf_store_source_put(struct kf_store *store, const struct kf_source_row *row, bool *replaced);
int kf_store_source_remove(struct kf_store *store, const struct kf_cidr *cidr,
			   enum kf_source_action action);
int kf_store_source_get(struct kf_store *store, const struct kf_cidr *cidr,
			enum kf_source_action action, struct kf_source_row *row);
/*
 * Rows in the order of (addr, prefix_len, action): each block comes right before what it covers.
 * each: all; under: up to @limit rows of @within itself and what it covers, beginning with the
 * block @from, which is one of them (it need not have rows); above: what covers @within, without
 * it; page: up to @limit rows that follow *after (NULL: from the start); expired: up to @limit rows
 * whose time has come at @now. timed: does any have an expiry?
 */
int kf_store_source_each(struct kf_store *store, kf_source_fn fn, void *context);
int kf_store_source_under(struct kf_store *store, const struct kf_cidr *within,
			  const struct kf_cidr *from, uint32_t limit, kf_source_fn fn,
			  void *context);
int kf_store_source_above(struct kf_store *store, const struct kf_cidr *within, kf_source_fn fn,
			  void *context);
int kf_store_source_page(struct kf_store *store, const struct kf_source_row *after, uint32_t limit,
			 kf_source_fn fn, void *context);
int kf_store_source_expired(struct kf_store *store, int64_t now, uint32_t limit, kf_source_fn fn,
			    void *context);
int kf_store_source_timed(struct kf_store *store, bool *any);
int kf_store_source_count(struct kf_store *store, uint64_t *count);

/* ---- models ---------------------------------------------------------------------------------- */

#define KF_MODEL_NAME_SIZE 256 /* 255 bytes of UTF-8 + NUL */
#define KF_MODELS_IN_SET   64
#define KF_MODEL_SET_SIZE  (KF_MODELS_IN_SET * KF_MODEL_NAME_SIZE)

/* Of so many tokens of a kind, or of a request. */
enum kf_price {
	KF_PRICE_INPUT,
	KF_PRICE_CACHED,
	KF_PRICE_CACHE_WRITE,
	KF_PRICE_OUTPUT,
	KF_PRICE_REQUEST,
	KF_PRICES,
};
#define KF_NO_PRICE -1ll
/* The largest values, as schema_7.sql has them. */
#define KF_PRICE_TOP	    1000000000000000ll
#define KF_MODEL_TOKENS_TOP 1000000000

struct kf_model_row {
	char name[KF_MODEL_NAME_SIZE];
	int64_t price[KF_PRICES];     /* as money.h has them; KF_NO_PRICE */
	uint32_t context, max_output; /* tokens; 0: not known */
};
typedef int (*kf_model_row_fn)(void *context, const struct kf_model_row *row);

/* The models that are known, by name. each: those whose names begin with @prefix. */
typedef int (*kf_model_fn)(void *context, const char *name);
int kf_store_model_add(struct kf_store *store, const struct kf_model_row *row); /* -EEXIST */
int kf_store_model_update(struct kf_store *store, const struct kf_model_row *row);
int kf_store_model_remove(struct kf_store *store, const char *name);
int kf_store_model_get(struct kf_store *store, const char *name, struct kf_model_row *row);
int kf_store_model_rows(struct kf_store *store, kf_model_row_fn fn, void *context);
int kf_store_model_each(struct kf_store *store, const char *prefix, kf_model_fn fn, void *context);

/* Names and patterns, which end with '*', sorted, with a line feed between two. */
struct kf_model_set_row {
	uint32_t index; /* 1 and above; never another set's */
	char names[KF_MODEL_SET_SIZE];
};
typedef int (*kf_model_set_fn)(void *context, const struct kf_model_set_row *row);
int kf_store_model_set_find(struct kf_store *store, const char *names, uint32_t *index);
int kf_store_model_set_add(struct kf_store *store, const char *names, uint32_t *index);
int kf_store_model_set_remove(struct kf_store *store, uint32_t index);
int kf_store_model_set_get(struct kf_store *store, uint32_t index, struct kf_model_set_row *row);
int kf_store_model_set_each(struct kf_store *store, kf_model_set_fn fn, void *context);
/* Is a group or a key held to it? collect removes those to which none is. */
int kf_store_model_set_used(struct kf_store *store, uint32_t index, bool *used);
int kf_store_model_set_collect(struct kf_store *store);

/* ---- groups ---------------------------------------------------------------------------------- */

#define KF_GROUP_NAME_SIZE 64 /* 63 of KF_SQL_WORD + NUL */

struct kf_group_row {
	char name[KF_GROUP_NAME_SIZE];
	uint32_t index;	    /* into kf_groups, 1 to KF_GROUPS_MAX - 1; chosen by the store */
	uint32_t protocols; /* 1 << enum kf_protocol; not 0 */
	uint32_t models;    /* the index of a set; 0: all */
	int64_t multiplier; /* of prices, in millionths */
	uint64_t revision;  /* another with each change; chosen by the store */
};
#define KF_MULTIPLIER_ONE 1000000ll
#define KF_MULTIPLIER_TOP 1000000000ll /* as schema_7.sql has it */
typedef int (*kf_group_fn)(void *context, const struct kf_group_row *row);

/* Sets row->index and revision. -EEXIST: the name is taken; -E2BIG: KF_GROUPS_MAX - 1 are there. */
int kf_store_group_add(struct kf_store *store, struct kf_group_row *row);
int kf_store_group_update(struct kf_store *store, const struct kf_group_row *row); /* by name */
/* Not while keys are in it: see kf_store_group_keys(). */
int kf_store_group_remove(struct kf_store *store, const char *name);
/* One that was removed, as it was, its index with it. */
int kf_store_group_restore(struct kf_store *store, const struct kf_group_row *row);
int kf_store_group_get(struct kf_store *store, const char *name, struct kf_group_row *row);
int kf_store_group_each(struct kf_store *store, kf_group_fn fn, void *context); /* by name */
/* How many keys are in it, those of a batch included; no more than @most are counted. */
int kf_store_group_keys(struct kf_store *store, uint32_t index, uint32_t most, uint64_t *count);

/* ---- money ----------------------------------------------------------------------------------- */

#define KF_AMOUNT_TOP	     1000000000000000ll /* micro-units, as schema_8.sql has it */
#define KF_ACCOUNT_NAME_SIZE 64			/* 63 of KF_SQL_WORD + NUL */
#define KF_CURRENCY_SIZE     9			/* 8 of KF_SQL_WORD + NUL */
#define KF_ACCOUNT_DEFAULT   0			/* the id of the account that has no row */
#define KF_NO_QUOTA	     -1ll

struct kf_account_row {
	int64_t id; /* 1 and above, never another's; chosen by kf_store_account_add() */
	char name[KF_ACCOUNT_NAME_SIZE];
	char currency[KF_CURRENCY_SIZE];
	uint32_t wallet;	/* its place in kf_wallets */
	bool unlimited;		/* its keys may spend more than the balance */
	int64_t granted, spent; /* in all; the balance is what lies between */
	int64_t created;
	uint64_t revision; /* another with each change of the others but spent; the store's */
};
typedef int (*kf_account_fn)(void *context, const struct kf_account_row *row);

/* Sets row->id and revision. -EEXIST: the name is taken. */
int kf_store_account_add(struct kf_store *store, struct kf_account_row *row);
/* By id; all but currency, spent and created. */
int kf_store_account_update(struct kf_store *store, const struct kf_account_row *row);
int kf_store_account_get(struct kf_store *store, const char *name, struct kf_account_row *row);
int kf_store_account_at(struct kf_store *store, int64_t id, struct kf_account_row *row);
int kf_store_account_each(struct kf_store *store, kf_account_fn fn, void *context); /* by name */
/* How many keys draw on it, those of a batch included. */
int kf_store_account_keys(struct kf_store *store, int64_t id, uint64_t *count);

/* A place of kf_wallets, 1 to @most. -E2BIG: all are taken. One that is a key's goes with it. */
int kf_store_wallet_take(struct kf_store *store, uint32_t most, uint32_t *wallet);
int kf_store_wallet_drop(struct kf_store *store, uint32_t wallet);

/* As schema_8.sql has them. */
enum kf_ledger_kind { KF_LEDGER_GRANT, KF_LEDGER_QUOTA, KF_LEDGER_CHARGE, KF_LEDGER_KINDS };
#define KF_LEDGER_NOTE_SIZE 129

struct kf_ledger_row {
	int64_t seq; /* chosen by the store */
	int64_t time;
	enum kf_ledger_kind kind;
	int64_t account;
	char key[16]; /* the ID of one; "": none */
	int64_t amount;
	int64_t total; /* of a quota; KF_NO_QUOTA */
	char note[KF_LEDGER_NOTE_SIZE];
};
typedef int (*kf_ledger_fn)(void *context, const struct kf_ledger_row *row);

struct kf_ledger_query {
	int64_t account; /* -1: all */
	const char *key; /* an ID; NULL: all */
	int64_t since;	 /* wall clock */
	int64_t after;	 /* seq of the last row seen */
	uint32_t limit;
};
int kf_store_ledger_add(struct kf_store *store, const struct kf_ledger_row *row);
int kf_store_ledger_list(struct kf_store *store, const struct kf_ledger_query *query,
			 kf_ledger_fn fn, void *context);

/* An account or a key whose figures are not those that the ledger adds up to. */
struct kf_ledger_difference {
	char what[80]; /* "account NAME: granted", "key ID: spent" */
	int64_t has, ledger;
};
typedef int (*kf_ledger_difference_fn)(void *context, const struct kf_ledger_difference *found);
int kf_store_ledger_verify(struct kf_store *store, kf_ledger_difference_fn fn, void *context);

/* ---- usage ----------------------------------------------------------------------------------- */

#define KF_USAGE_TOKENS_TOP   1000000000 /* of a request, as schema_9.sql has it */
#define KF_USAGE_REQUEST_SIZE 129	 /* 128 bytes of UTF-8 + NUL */

/* Tokens. cached and cache_write are parts of prompt. */
struct kf_usage_counts {
	int64_t prompt, cached, cache_write, completion;
};

struct kf_usage_row {
	int64_t time;
	char key[16]; /* the ID of one */
	char request[KF_USAGE_REQUEST_SIZE];
	char model[KF_MODEL_NAME_SIZE];
	struct kf_usage_counts counts;
	int64_t cost; /* micro-units */
};
/* -ENOENT: it was not reported. */
int kf_store_usage_find(struct kf_store *store, const char *key, const char *request,
			struct kf_usage_row *row);
/* The request, and the sums of its day. -EEXIST: it is there. */
int kf_store_usage_add(struct kf_store *store, const struct kf_usage_row *row);

/* What a key has used of a model on a day. */
struct kf_usage_day_row {
	int64_t seq;
	int64_t day; /* wall clock, when it began in UTC */
	char key[16];
	char model[KF_MODEL_NAME_SIZE];
	int64_t requests;
	struct kf_usage_counts counts;
	int64_t cost;
};
typedef int (*kf_usage_day_fn)(void *context, const struct kf_usage_day_row *row);

struct kf_usage_query {
	const char *key, *model; /* NULL: all */
	int64_t since;		 /* wall clock; the whole day that it is in */
	int64_t after;		 /* seq of the last row seen */
	uint32_t limit;
};
/* In the order in which the first request of each was reported. */
int kf_store_usage_days(struct kf_store *store, const struct kf_usage_query *query,
			kf_usage_day_fn fn, void *context);

/* ---- keys ------------------------------------------------------------------------------------ */

#define KF_KEY_ID_SIZE	  15  /* "k_" + 12 characters + NUL */
#define KF_KEY_NAME_SIZE  129 /* 128 bytes of UTF-8 + NUL */
#define KF_KEY_OWNER_SIZE 129
#define KF_KEY_ALLOW_MAX  64
#define KF_RPM_TOP	  6000000 /* of rpm and rpm_burst, as schema_2.sql has it */

/* What of a secret may be shown: "sk-" + head + "..." + tail. */
struct kf_key_mask {
	char head[3];
	char tail[5];
};

struct kf_key_row {
	int64_t seq; /* order of creation; chosen by kf_store_key_add() */
	char id[KF_KEY_ID_SIZE];
	char name[KF_KEY_NAME_SIZE];
	struct kf_key_mask mask; /* of the newest credential */
	bool disabled;
	int64_t created;
	int64_t expires; /* KF_WALL_NEVER */
	/* counted on credentials that are gone since */
	uint64_t past_admitted;
	uint64_t past_refused;
	int64_t past_used;  /* wall clock; 0: never */
	uint32_t rpm;	    /* requests per minute; 0: no limit */
	uint32_t rpm_burst; /* at once; 0: as many as rpm */
	uint64_t revision;  /* another with each change, but for what is counted; the store's */
	uint32_t group;	    /* its index; 0: none */
	char group_name[KF_GROUP_NAME_SIZE]; /* read with it, never written; "": none */
	uint32_t models;		     /* the index of a set; 0: all */
	char owner[KF_KEY_OWNER_SIZE];	     /* whose it is; "": not said */
	int64_t account;		     /* an id; KF_ACCOUNT_DEFAULT */
	uint32_t wallet;		     /* its own place in kf_wallets; 0: it has no quota */
	int64_t quota;			     /* granted in all; 0 without a wallet */
	int64_t spent; /* changed by kf_store_key_spend() alone; read with it, never written: */
	char account_name[KF_ACCOUNT_NAME_SIZE]; /* "": default */
	uint32_t account_wallet;		 /* 0: default */
	bool account_exhausted;
};
typedef int (*kf_key_fn)(void *context, const struct kf_key_row *row);

/* A key has one credential, and for the time of a grace its older ones beside it. */
struct kf_credential_row {
	uint32_t slot;
	int64_t key; /* seq of its key */
	uint8_t tag[16];
	int64_t until; /* end of the grace of a rotated secret; KF_WALL_NEVER: the current one */
};
typedef int (*kf_credential_fn)(void *context, const struct kf_credential_row *row);

enum kf_key_filter {
	KF_KEYS_ALL,
	KF_KEYS_ENABLED,
	KF_KEYS_DISABLED,
	KF_KEYS_EXPIRED,
	KF_KEYS_EXHAUSTED, /* it, or its account */
	KF_KEYS_NONE
};

/* What an operator puts on a key, to find it by. */
#define KF_LABEL_NAME_SIZE  64	/* 63 of KF_SQL_WORD + NUL */
#define KF_LABEL_VALUE_SIZE 129 /* 128 bytes of UTF-8 + NUL; may be empty */
#define KF_KEY_LABELS_MAX   16
struct kf_label {
	char name[KF_LABEL_NAME_SIZE];
	char value[KF_LABEL_VALUE_SIZE];
};

struct kf_key_query {
	enum kf_key_filter filter;
	const char *search; /* part of the name, or beginning of the id; NULL or "": all */
	uint32_t group;	    /* in this one only; 0: all */
	int64_t account;    /* of this one only; KF_ACCOUNT_DEFAULT: all, */
	bool no_account;    /* or those of the default account only */
	const char *owner;  /* with this one only; NULL: all */
	struct kf_label labels[KF_KEY_LABELS_MAX]; /* with all of these */
	uint32_t label_count;
	bool newest;   /* these come first */
	int64_t after; /* seq of the last row seen; 0: from the start */
	int64_t last;  /* seq of the last row wanted; 0: to the end */
	uint32_t limit;
	int64_t now; /* what is expired, is expired at this wall-clock time */
};

struct kf_key_counts {
	uint64_t total;
	uint64_t enabled; /* none of the others */
	uint64_t disabled;
	uint64_t expired;   /* not disabled, but past its time */
	uint64_t exhausted; /* neither, and nothing left to spend */
};

/* Sets row->seq and revision; add_at keeps the seq. */
int kf_store_key_add(struct kf_store *store, struct kf_key_row *row);
int kf_store_key_add_at(struct kf_store *store, struct kf_key_row *row);
/* By seq; the revision becomes another. counts: past_* alone, and the revision stays. */
int kf_store_key_update(struct kf_store *store, const struct kf_key_row *row);
int kf_store_key_counts(struct kf_store *store, const struct kf_key_row *row);
/* The key, and its account, have spent @amount more. */
int kf_store_key_spend(struct kf_store *store, const struct kf_key_row *row, int64_t amount);
int kf_store_key_remove(struct kf_store *store, int64_t seq); /* with all that hangs on it */
int kf_store_key_get(struct kf_store *store, const char *id, struct kf_key_row *row);
int kf_store_key_of_slot(struct kf_store *store, uint32_t slot, struct kf_key_row *row);
/* Rows in order of creation. */
int kf_store_key_list(struct kf_store *store, const struct kf_key_query *query, kf_key_fn fn,
		      void *context);
/* How many rows match, whatever after and limit are. */
int kf_store_key_total(struct kf_store *store, const struct kf_key_query *query, uint64_t *total);
/* The seq of the newest key; 0: there is none. */
int kf_store_key_last(struct kf_store *store, int64_t *seq);
int kf_store_key_count(struct kf_store *store, int64_t now, struct kf_key_counts *counts);
/* Did a key, or one of its older secrets, expire after @since and up to @now? Costs no scan. */
int kf_store_key_lapsed(struct kf_store *store, int64_t since, int64_t now, bool *any);

/*
 * Many keys, all or none, in several transactions: batch.c. begin, inside one, reserves as many
 * numbers (seq) as @quantity and notes them: keys with these are hidden from listing, counting and
 * slots until end, and are added by kf_store_key_add_at(). At most one at a time (-EEXIST).
 */
struct kf_key_batch_range {
	int64_t first, last; /* last < first: there is none */
};
int kf_store_batch_begin(struct kf_store *store, uint32_t quantity,
			 struct kf_key_batch_range *range);
int kf_store_batch_note(struct kf_store *store, const struct kf_key_batch_range *range);
int kf_store_batch_end(struct kf_store *store);
int kf_store_batch_get(struct kf_store *store, struct kf_key_batch_range *range);
/* key and slot of credentials in @range that are stored, at most @limit. */
int kf_store_batch_each(struct kf_store *store, const struct kf_key_batch_range *range,
			uint32_t limit, kf_credential_fn fn, void *context);

/* The whole allow list of a key, replaced; and read, at most KF_KEY_ALLOW_MAX blocks. */
int kf_store_key_allow_set(struct kf_store *store, int64_t seq, const struct kf_cidr *cidrs,
			   uint32_t count);
int kf_store_key_allow_get(struct kf_store *store, int64_t seq,
			   struct kf_cidr cidrs[static KF_KEY_ALLOW_MAX], uint32_t *count);

/* All labels of a key, replaced; and read, by name. -EINVAL: more than KF_KEY_LABELS_MAX. */
int kf_store_key_labels_set(struct kf_store *store, int64_t seq, const struct kf_label *labels,
			    uint32_t count);
int kf_store_key_labels_get(struct kf_store *store, int64_t seq,
			    struct kf_label labels[static KF_KEY_LABELS_MAX], uint32_t *count);

int kf_store_credential_add(struct kf_store *store, const struct kf_credential_row *row);
int kf_store_credential_remove(struct kf_store *store, uint32_t slot);
int kf_store_credential_until(struct kf_store *store, uint32_t slot, int64_t until);
int kf_store_credential_each(struct kf_store *store, int64_t seq, kf_credential_fn fn,
			     void *context); /* of one key, oldest first */
int kf_store_credential_find(struct kf_store *store, const uint8_t tag[static 16],
			     struct kf_credential_row *row);
int kf_store_credential_expired(struct kf_store *store, int64_t now, uint32_t limit,
				kf_credential_fn fn, void *context);
int kf_store_credential_any(struct kf_store *store, bool *any);

/* What the slot of a credential must say. */
struct kf_slot_row {
	uint32_t slot;
	int64_t key; /* seq of its key */
	uint8_t tag[16];
	bool disabled;
	bool gone;	 /* refused as unknown: a deletion that is not durable; false here */
	bool allowlist;	 /* the key has one */
	int64_t expires; /* the earlier of the key's and the credential's */
	uint32_t rpm;	 /* as in struct kf_key_row */
	uint32_t rpm_burst;
	uint32_t rate_slot; /* of the key's current credential */
	uint32_t group;	    /* of the key; 0: none */
	uint32_t models;    /* of the key; 0: all */
	uint32_t wallet;    /* as in struct kf_key_row */
	uint32_t account_wallet;
	int64_t quota, spent;
};
typedef int (*kf_slot_fn)(void *context, const struct kf_slot_row *row);
/* Of the credentials in the places from @first to @last (KF_SLOT_NONE: to the end), in order. */
int kf_store_slot_each(struct kf_store *store, uint32_t first, uint32_t last, kf_slot_fn fn,
		       void *context);
int kf_store_slot_last(struct kf_store *store, int64_t *slot); /* the highest place; -1: none */
int kf_store_slot_timed(struct kf_store *store, bool *any);    /* does any of them have an end? */

/* Every block of their allow lists, in no order. */
typedef int (*kf_slot_allow_fn)(void *context, uint32_t slot, int64_t key,
				const struct kf_cidr *cidr);
int kf_store_slot_allow_each(struct kf_store *store, uint32_t first, uint32_t last,
			     kf_slot_allow_fn fn, void *context);

#endif
