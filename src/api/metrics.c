/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of the API. The class of a request is the first part of its route's pattern, so no
 * client can make new series. The time is that until the answer begins: streams and waits are as
 * long as their first byte.
 */
#include "api/metrics.h"

#include "api/server-priv.h"
#include "base/clock.h"

#include <string.h>

#include "base/banned.h"

static const char *const classes[] = {"containers", "images", "volumes", "networks", "exec",
				      "system",	    "events", "metrics", "other"};
static const double bounds[] = {0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10};

#define STATUS_CLASSES 6 /* 1xx to 5xx */

static struct {
	uint64_t count[STATUS_CLASSES];
	uint64_t bucket[ARRAY_SIZE(bounds)];
	uint64_t total;
	double seconds;
} counters[ARRAY_SIZE(classes)];

static size_t class_of(const struct api_route *route)
{
	const char *p = route ? route->pattern + 1 : "other";
	size_t n = strcspn(p, "/");

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (strlen(classes[i]) == n && !strncmp(p, classes[i], n))
			return i;
	return ARRAY_SIZE(classes) - 1;
}

void metrics_request(const struct request *r)
{
	size_t class = class_of(r->route);
	double seconds = (double)(clock_mono_ns() - r->began_ns) / 1e9;

	counters[class].count[r->status < 600 ? r->status / 100 : 5]++;
	counters[class].total++;
	counters[class].seconds += seconds;
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
		counters[class].bucket[i] += seconds <= bounds[i];
}

void metrics_write(struct buf *out)
{
	buf_adds(out, "# HELP coracle_api_requests_total Answered API requests.\n"
		      "# TYPE coracle_api_requests_total counter\n");
	for (size_t c = 0; c < ARRAY_SIZE(classes); c++)
		for (size_t s = 1; s < STATUS_CLASSES; s++)
			if (counters[c].count[s])
				buf_addf(out,
					 "coracle_api_requests_total{class=\"%s\",code=\"%zuxx\"} "
					 "%llu\n",
					 classes[c], s, (unsigned long long)counters[c].count[s]);
	buf_adds(out, "# HELP coracle_api_request_duration_seconds Time until the answer began.\n"
		      "# TYPE coracle_api_request_duration_seconds histogram\n");
	for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
		static const char name[] = "coracle_api_request_duration_seconds";

		if (!counters[c].total)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
			buf_addf(out, "%s_bucket{class=\"%s\",le=\"%g\"} %llu\n", name, classes[c],
				 bounds[i], (unsigned long long)counters[c].bucket[i]);
		buf_addf(out, "%s_bucket{class=\"%s\",le=\"+Inf\"} %llu\n", name, classes[c],
			 (unsigned long long)counters[c].total);
		buf_addf(out, "%s_sum{class=\"%s\"} %.9f\n", name, classes[c], counters[c].seconds);
		buf_addf(out, "%s_count{class=\"%s\"} %llu\n", name, classes[c],
			 (unsigned long long)counters[c].total);
	}
}
