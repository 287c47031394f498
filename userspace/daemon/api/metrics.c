// SPDX-License-Identifier: GPL-2.0-only
#include "api/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <microhttpd.h>

#include "api/request.h"
#include "api/route.h"
#include "attach/iface.h"
#include "cleanup.h"
#include "maps/maps.h"
#include "policy/policy.h"
#include "traffic/events.h"
#include "traffic/penalty.h"

struct family;

struct writer {
	struct kf_daemon *daemon;
	FILE *out;
	const struct family *family; /* that is being written */
};

static void begin(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void kf_api_metrics_label(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		fputc(*text, out);
	}
}

/* ---- of each service ------------------------------------------------------------------------- */

static void write_packets(FILE *out, const char *service, const struct kf_counters *counters)
{
	for (unsigned int reason = 0; reason < KF_REASON_COUNT; reason++) {
		if (!kf_traffic_events_reason_occurs(reason))
			continue;
		fprintf(out, "keyfilter_packets_total{service=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
			service, kf_traffic_events_reason_name(reason),
			(uint64_t)counters->packets[reason]);
	}
}

static void write_requests(FILE *out, const char *service, const struct kf_counters *counters)
{
	fprintf(out,
		"keyfilter_requests_total{service=\"%s\",verdict=\"admitted\"} %" PRIu64 "\n"
		"keyfilter_requests_total{service=\"%s\",verdict=\"refused\"} %" PRIu64 "\n",
		service, (uint64_t)counters->requests_admitted, service,
		(uint64_t)counters->requests_refused);
}

static void write_told(FILE *out, const char *service, const struct kf_counters *counters)
{
	fprintf(out,
		"keyfilter_refusals_total{service=\"%s\",told=\"reply\"} %" PRIu64 "\n"
		"keyfilter_refusals_total{service=\"%s\",told=\"reset\"} %" PRIu64 "\n"
		"keyfilter_refusals_total{service=\"%s\",told=\"reset_for_reply\"} %" PRIu64 "\n"
		"keyfilter_refusals_total{service=\"%s\",told=\"failed\"} %" PRIu64 "\n",
		service, (uint64_t)counters->replies, service, (uint64_t)counters->resets, service,
		(uint64_t)counters->replies_reset, service, (uint64_t)counters->replies_failed);
}

static void write_cuts(FILE *out, const char *service, const struct kf_counters *counters)
{
	fprintf(out, "keyfilter_flows_cut_total{service=\"%s\"} %" PRIu64 "\n", service,
		(uint64_t)counters->flows_cut);
}

static void write_penalties(FILE *out, const char *service, const struct kf_counters *counters)
{
	fprintf(out, "keyfilter_penalties_total{service=\"%s\"} %" PRIu64 "\n", service,
		(uint64_t)counters->penalties);
}

static const struct family {
	const char *name;
	const char *help;
	void (*write)(FILE *out, const char *service, const struct kf_counters *counters);
} families[] = {
	{ "keyfilter_packets_total", "Packets to a service, each under one reason.",
	  write_packets },
	{ "keyfilter_requests_total", "Request heads judged, by verdict.", write_requests },
	{ "keyfilter_refusals_total",
	  "Refusals by how the client was told; failed: not even by a reset.", write_told },
	{ "keyfilter_flows_cut_total", "Connections ended while they were served.", write_cuts },
	{ "keyfilter_penalties_total", "Penalties raised against sources.", write_penalties },
};

static int write_service(void *context, const struct kf_service_row *row)
{
	const struct writer *writer = context;
	struct kf_counters counters;
	int err = kf_maps_counters(writer->daemon->maps, row->index, &counters);

	if (!err)
		writer->family->write(writer->out, row->name, &counters);
	return err;
}

static int write_services(struct writer *writer)
{
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(families) / sizeof(families[0]); i++) {
		writer->family = &families[i];
		begin(writer->out, families[i].name, "counter", families[i].help);
		err = kf_store_service_each(writer->daemon->store, write_service, writer);
	}
	return err;
}

/* ---- of the daemon --------------------------------------------------------------------------- */

static int write_iface(void *context, const struct kf_iface_row *row)
{
	const struct writer *writer = context;
	struct kf_attach_iface_view view;

	kf_attach_iface_view(writer->daemon, row, &view);
	fputs("keyfilter_iface_attached{dev=\"", writer->out);
	kf_api_metrics_label(writer->out, row->dev);
	fprintf(writer->out, "\",mode=\"%s\"} %d\n", kf_attach_mode_name(row->mode),
		view.state == KF_IFACE_ATTACHED);
	return 0;
}

static int write_events(struct writer *writer)
{
	uint64_t suppressed, lost;
	int err = kf_maps_event_losses(writer->daemon->maps, &suppressed, &lost);

	if (err)
		return err;
	begin(writer->out, "keyfilter_events_lost_total", "counter",
	      "Events that found no room in the ring.");
	fprintf(writer->out, "keyfilter_events_lost_total %" PRIu64 "\n", lost);
	begin(writer->out, "keyfilter_events_suppressed_total", "counter",
	      "Events over the rate limit.");
	fprintf(writer->out, "keyfilter_events_suppressed_total %" PRIu64 "\n", suppressed);
	return 0;
}

static int write_unread(struct writer *writer)
{
	struct kf_unread unread;
	int err = kf_maps_unread(writer->daemon->maps, &unread);

	if (err)
		return err;
	begin(writer->out, "keyfilter_unread_packets_total", "counter",
	      "Packets of no known service that were dropped, as they might come to one.");
	fprintf(writer->out,
		"keyfilter_unread_packets_total{why=\"headers\"} %" PRIu64 "\n"
		"keyfilter_unread_packets_total{why=\"routed\"} %" PRIu64 "\n",
		(uint64_t)unread.packets[KF_UNREAD_HEADERS],
		(uint64_t)unread.packets[KF_UNREAD_ROUTED]);
	return 0;
}

static int write_keys(struct writer *writer)
{
	struct kf_key_counts counts;
	int err = kf_store_key_count(writer->daemon->store,
				     kf_policy_time(writer->daemon->policy).wall_ns, &counts);

	if (err)
		return err;
	begin(writer->out, "keyfilter_keys", "gauge", "Keys, by status.");
	fprintf(writer->out,
		"keyfilter_keys{status=\"enabled\"} %" PRIu64 "\n"
		"keyfilter_keys{status=\"disabled\"} %" PRIu64 "\n"
		"keyfilter_keys{status=\"expired\"} %" PRIu64 "\n"
		"keyfilter_keys{status=\"exhausted\"} %" PRIu64 "\n",
		counts.enabled, counts.disabled, counts.expired, counts.exhausted);
	return 0;
}

static void write_usage(struct writer *writer)
{
	const struct kf_daemon_usage *used = &writer->daemon->used;

	begin(writer->out, "keyfilter_usage_reports_total", "counter",
	      "Reports of what requests have used, since keyfilterd started.");
	fprintf(writer->out,
		"keyfilter_usage_reports_total{result=\"booked\"} %" PRIu64 "\n"
		"keyfilter_usage_reports_total{result=\"repeated\"} %" PRIu64 "\n"
		"keyfilter_usage_reports_total{result=\"refused\"} %" PRIu64 "\n",
		used->booked, used->repeated, used->refused);
}

static void write_penalised(struct writer *writer)
{
	begin(writer->out, "keyfilter_sources_penalised", "gauge",
	      "Sources whose packets are dropped now because their requests failed.");
	fprintf(writer->out, "keyfilter_sources_penalised %" PRIu64 "\n",
		kf_traffic_penalty_count(writer->daemon->maps));
}

int kf_api_metrics_write(struct kf_daemon *daemon, FILE *out)
{
	struct writer writer = { .daemon = daemon, .out = out };
	int err;

	begin(out, "keyfilter_build_info", "gauge", "1, and the version as a label.");
	fprintf(out, "keyfilter_build_info{version=\"%s\"} 1\n", KF_VERSION);
	err = write_services(&writer);
	if (!err)
		err = write_events(&writer);
	if (!err)
		err = write_unread(&writer);
	if (!err)
		err = write_keys(&writer);
	if (err)
		return err;
	write_penalised(&writer);
	write_usage(&writer);
	begin(out, "keyfilter_iface_attached", "gauge",
	      "1 where the programs are in place on an interface that is to be filtered.");
	return kf_store_iface_each(daemon->store, write_iface, &writer);
}

static int handle_show(struct kf_api_request *request)
{
	_cleanup_free_ char *text = NULL;
	struct MHD_Response *response;
	size_t size = 0;
	FILE *out;
	int err = kf_api_no_members(request);

	if (err)
		return err;
	out = open_memstream(&text, &size);
	if (!out)
		return -ENOMEM;
	err = kf_api_metrics_write(request->daemon, out);
	if (fclose(out) && !err)
		err = -ENOMEM;
	if (err)
		return err;
	response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_COPY);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					"text/plain; version=0.0.4; charset=utf-8");
	return kf_api_answer(request, MHD_HTTP_OK, response);
}

const struct kf_api_route kf_api_metrics_routes[] = {
	{ "GET", "/metrics", handle_show, false },
	{ 0 },
};
