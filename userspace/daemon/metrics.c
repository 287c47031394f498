// SPDX-License-Identifier: GPL-2.0-only
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <microhttpd.h>

#include "api.h"
#include "cleanup.h"
#include "events.h"
#include "iface.h"
#include "maps.h"
#include "penalty.h"
#include "reconcile.h"

struct writer {
	struct kf_daemon *daemon;
	FILE *out;
};

static void begin(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void kf_metrics_label(FILE *out, const char *text)
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

static int write_packets(void *context, const struct kf_service_row *row)
{
	const struct writer *writer = context;
	struct kf_counters counters;
	int err = kf_maps_counters(writer->daemon->maps, row->index, &counters);

	for (unsigned int reason = 0; !err && reason < KF_REASON_COUNT; reason++)
		fprintf(writer->out,
			"keyfilter_packets_total{service=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
			row->name, kf_events_reason_name(reason),
			(uint64_t)counters.packets[reason]);
	return err;
}

static int write_requests(void *context, const struct kf_service_row *row)
{
	const struct writer *writer = context;
	struct kf_counters counters;
	int err = kf_maps_counters(writer->daemon->maps, row->index, &counters);

	if (err)
		return err;
	fprintf(writer->out,
		"keyfilter_requests_total{service=\"%s\",verdict=\"admitted\"} %" PRIu64 "\n"
		"keyfilter_requests_total{service=\"%s\",verdict=\"refused\"} %" PRIu64 "\n",
		row->name, (uint64_t)counters.requests_admitted, row->name,
		(uint64_t)counters.requests_refused);
	return 0;
}

static int write_told(void *context, const struct kf_service_row *row)
{
	const struct writer *writer = context;
	struct kf_counters counters;
	int err = kf_maps_counters(writer->daemon->maps, row->index, &counters);

	if (err)
		return err;
	fprintf(writer->out,
		"keyfilter_refusals_total{service=\"%s\",told=\"reply\"} %" PRIu64 "\n"
		"keyfilter_refusals_total{service=\"%s\",told=\"reset\"} %" PRIu64 "\n"
		"keyfilter_refusals_total{service=\"%s\",told=\"reset_for_reply\"} %" PRIu64 "\n"
		"keyfilter_refusals_total{service=\"%s\",told=\"failed\"} %" PRIu64 "\n",
		row->name, (uint64_t)counters.replies, row->name, (uint64_t)counters.resets,
		row->name, (uint64_t)counters.replies_reset, row->name,
		(uint64_t)counters.replies_failed);
	return 0;
}

static int write_cuts(void *context, const struct kf_service_row *row)
{
	const struct writer *writer = context;
	struct kf_counters counters;
	int err = kf_maps_counters(writer->daemon->maps, row->index, &counters);

	if (!err)
		fprintf(writer->out, "keyfilter_flows_cut_total{service=\"%s\"} %" PRIu64 "\n",
			row->name, (uint64_t)counters.flows_cut);
	return err;
}

static int write_penalties(void *context, const struct kf_service_row *row)
{
	const struct writer *writer = context;
	struct kf_counters counters;
	int err = kf_maps_counters(writer->daemon->maps, row->index, &counters);

	if (!err)
		fprintf(writer->out, "keyfilter_penalties_total{service=\"%s\"} %" PRIu64 "\n",
			row->name, (uint64_t)counters.penalties);
	return err;
}

static int write_iface(void *context, const struct kf_iface_row *row)
{
	const struct writer *writer = context;
	struct kf_iface_view view;

	kf_iface_view(writer->daemon, row, &view);
	fputs("keyfilter_iface_attached{dev=\"", writer->out);
	kf_metrics_label(writer->out, row->dev);
	fprintf(writer->out, "\",mode=\"%s\"} %d\n", kf_attach_mode_name(row->mode),
		view.state == KF_IFACE_ATTACHED);
	return 0;
}

static int write_services(struct writer *writer)
{
	static const struct {
		const char *name;
		const char *help;
		int (*write)(void *context, const struct kf_service_row *row);
	} families[] = {
		{ "keyfilter_packets_total", "Packets to a service, each under one reason.",
		  write_packets },
		{ "keyfilter_requests_total", "Request heads judged, by verdict.", write_requests },
		{ "keyfilter_refusals_total",
		  "Refusals by how the client was told; failed: not even by a reset.", write_told },
		{ "keyfilter_flows_cut_total", "Connections ended while they were served.",
		  write_cuts },
		{ "keyfilter_penalties_total", "Penalties raised against sources.",
		  write_penalties },
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(families) / sizeof(families[0]); i++) {
		begin(writer->out, families[i].name, "counter", families[i].help);
		err = kf_store_service_each(writer->daemon->store, families[i].write, writer);
	}
	return err;
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

static int write_keys(struct writer *writer)
{
	struct kf_key_counts counts;
	int err = kf_store_key_count(writer->daemon->store, kf_reconcile_now().wall_ns, &counts);

	if (err)
		return err;
	begin(writer->out, "keyfilter_keys", "gauge", "Keys, by status.");
	fprintf(writer->out,
		"keyfilter_keys{status=\"enabled\"} %" PRIu64 "\n"
		"keyfilter_keys{status=\"disabled\"} %" PRIu64 "\n"
		"keyfilter_keys{status=\"expired\"} %" PRIu64 "\n",
		counts.enabled, counts.disabled, counts.expired);
	return 0;
}

static void write_penalised(struct writer *writer)
{
	begin(writer->out, "keyfilter_sources_penalised", "gauge",
	      "Sources whose packets are dropped now because their requests failed.");
	fprintf(writer->out, "keyfilter_sources_penalised %" PRIu64 "\n",
		kf_penalty_count(writer->daemon->maps));
}

int kf_metrics_write(struct kf_daemon *daemon, FILE *out)
{
	struct writer writer = { daemon, out };
	int err;

	begin(out, "keyfilter_build_info", "gauge", "1, and the version as a label.");
	fprintf(out, "keyfilter_build_info{version=\"%s\"} 1\n", KF_VERSION);
	err = write_services(&writer);
	err = err ?: write_events(&writer);
	err = err ?: write_keys(&writer);
	if (err)
		return err;
	write_penalised(&writer);
	begin(out, "keyfilter_iface_attached", "gauge",
	      "1 where the programs are in place on an interface that is to be filtered.");
	return kf_store_iface_each(daemon->store, write_iface, &writer);
}

int kf_api_metrics_show(struct kf_api_request *request)
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
	err = kf_metrics_write(request->daemon, out);
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
