/* SPDX-License-Identifier: Apache-2.0 */
/* Messages for sockets: syslog as RFC 3164 and RFC 5424 write it, and the journal's own protocol
 * (fields "NAME=value\n", or "NAME\n", length as 8 bytes little endian, value, "\n"). */
#include "logs/logs-priv.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define PRIORITY_ERR  3
#define PRIORITY_INFO 6

static int priority(const struct log_record *r)
{
	return r->stream == LOG_STDERR ? PRIORITY_ERR : PRIORITY_INFO;
}

/* Local time: "Jan  2 15:04:05", or as RFC 3339 with so many decimals. */
static void time_text(int64_t ns, int decimals, bool rfc3339, char ret[static 64])
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;
	char zone[8], date[32];

	localtime_r(&seconds, &tm);
	if (!rfc3339) {
		strftime(ret, 64, "%b %e %H:%M:%S", &tm);
		return;
	}
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof zone, "%z", &tm);
	if (decimals)
		snprintf(ret, 64, "%s.%06lld", date, (long long)(ns % 1000000000 / 1000));
	else
		snprintf(ret, 64, "%s", date);
	if (strcmp(zone, "+0000") == 0)
		snprintf(ret + strlen(ret), 8, "Z");
	else
		snprintf(ret + strlen(ret), 8, "%.3s:%.2s", zone, zone + 3);
}

void log_syslog_encode(const struct log_syslog_head *h, const struct log_record *r, struct buf *out)
{
	int pri = h->facility << 3 | priority(r), pid = (int)getpid();
	char when[64];

	time_text(r->time_ns, h->format == LOG_SYSLOG_5424_MICRO, h->format >= LOG_SYSLOG_5424,
		  when);
	switch (h->format) {
	case LOG_SYSLOG_UNIX:
		buf_addf(out, "<%d>%s %s[%d]: ", pri, when, h->tag, pid);
		break;
	case LOG_SYSLOG_3164:
		buf_addf(out, "<%d>%s %s %s[%d]: ", pri, when, h->host, h->tag, pid);
		break;
	case LOG_SYSLOG_5424:
	case LOG_SYSLOG_5424_MICRO:
		buf_addf(out, "<%d>1 %s %s %s %d %s - ", pri, when, h->host, h->tag, pid, h->tag);
		break;
	}
	buf_add(out, r->p, r->n);
	buf_addc(out, '\n');
}

void log_journal_field(struct buf *out, const char *name, const char *value, size_t n)
{
	buf_adds(out, name);
	if (!memchr(value, '\n', n)) {
		buf_addc(out, '=');
	} else {
		buf_addc(out, '\n');
		for (int i = 0; i < 8; i++)
			buf_addc(out, (char)((uint64_t)n >> 8 * i));
	}
	buf_add(out, value, n);
	buf_addc(out, '\n');
}

void log_journal_encode(const struct buf *fields, const struct log_record *r, struct buf *out)
{
	char when[CLOCK_TEXT_MAX];

	clock_format(r->time_ns, when);
	log_journal_field(out, "MESSAGE", r->p, r->n);
	buf_addf(out, "PRIORITY=%d\nSYSLOG_TIMESTAMP=%s\n", priority(r), when);
	if (r->partial && !r->newline)
		buf_adds(out, "CONTAINER_PARTIAL_MESSAGE=true\n");
	if (r->partial)
		buf_addf(out,
			 "CONTAINER_PARTIAL_ID=%s\nCONTAINER_PARTIAL_ORDINAL=%d\n"
			 "CONTAINER_PARTIAL_LAST=%s\n",
			 r->id, r->ordinal, r->newline ? "true" : "false");
	buf_add(out, fields->p, fields->n);
}
