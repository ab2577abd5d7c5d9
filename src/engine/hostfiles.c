/* SPDX-License-Identifier: Apache-2.0 */
/* /etc/hosts, /etc/hostname and /etc/resolv.conf of a container; files in its data folder, bound in
 * at start. */
#include "engine/engine-priv.h"
#include "sys/fs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static bool is_set(const char *s)
{
	return s && *s;
}

static void extra_hosts(const struct host_config *h, struct buf *out)
{
	for (size_t i = 0; i < h->extra_hosts.n; i++) {
		const char *s = h->extra_hosts.v[i], *colon = strchr(s, ':');

		if (colon)
			buf_addf(out, "%s\t%.*s\n", colon + 1, (int)(colon - s), s);
	}
}

void hostfile_hosts(const struct host_config *h, const char *host_text, struct buf *out)
{
	if (host_text) {
		buf_adds(out, host_text);
		if (out->n > 0 && out->p[out->n - 1] != '\n')
			buf_addc(out, '\n');
	} else {
		buf_adds(out, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
			      "ip6-loopback\nfe00::\tip6-localnet\n"
			      "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-"
			      "allrouters\n");
	}
	extra_hosts(h, out);
}

/* A name server on a loopback address of the host is of no use in another network namespace. */
static bool is_local_server(struct str line)
{
	struct str rest = line, word;

	return str_cut(&rest, ' ', &word) && str_eq(word, "nameserver") && rest.n > 0 &&
	       (strncmp(rest.p, "127.", MIN(rest.n, 4u)) == 0 ||
		strncmp(rest.p, "::1", MIN(rest.n, 3u)) == 0);
}

static bool line_is(struct str line, const char *key)
{
	size_t n = strlen(key);

	return line.n > n && memcmp(line.p, key, n) == 0 && (line.p[n] == ' ' || line.p[n] == '\t');
}

void hostfile_resolv(const struct host_config *h, const char *host_text, struct buf *out)
{
	bool host_net = is_set(h->network_mode) && strcmp(h->network_mode, "host") == 0;
	struct str rest = str_of(host_text), line;

	while (rest.n > 0 && str_cut(&rest, '\n', &line)) {
		if ((h->dns.n > 0 && line_is(line, "nameserver")) ||
		    (h->dns_search.n > 0 && line_is(line, "search")) ||
		    (h->dns_search.n > 0 && line_is(line, "domain")) ||
		    (h->dns_options.n > 0 && line_is(line, "options")) ||
		    (!host_net && is_local_server(line)))
			continue;
		buf_add(out, line.p, line.n);
		buf_addc(out, '\n');
	}
	for (size_t i = 0; i < h->dns.n; i++)
		buf_addf(out, "nameserver %s\n", h->dns.v[i]);
	if (h->dns_search.n > 0 && strcmp(h->dns_search.v[0], ".") != 0) {
		buf_adds(out, "search");
		for (size_t i = 0; i < h->dns_search.n; i++)
			buf_addf(out, " %s", h->dns_search.v[i]);
		buf_addc(out, '\n');
	}
	if (h->dns_options.n > 0) {
		buf_adds(out, "options");
		for (size_t i = 0; i < h->dns_options.n; i++)
			buf_addf(out, " %s", h->dns_options.v[i]);
		buf_addc(out, '\n');
	}
}

static int put(int dir, const char *name, const struct buf *text, struct err *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int rc;

	if (fd < 0)
		return err_sys(e, -errno, "write %s of the container", name);
	rc = fs_write_all(fd, buf_text(text), text->n);
	fchmod(fd, 0644);
	fd_close(&fd);
	return rc < 0 ? err_sys(e, rc, "write %s of the container", name) : 0;
}

int hostfiles_write(struct container *c, struct err *e)
{
	AUTO_FREE char *path = container_data_path(c, NULL);
	AUTO_FD int dir = fs_open_dir(path);
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);
	AUTO_BUF struct buf host = BUF_INIT(1 << 20);
	bool host_net = strcmp(c->host.network_mode, "host") == 0;

	if (dir < 0)
		return err_sys(e, dir, "open %s", path);
	buf_addf(&text, "%s\n", is_set(c->meta.config.hostname) ? c->meta.config.hostname : "");
	if (put(dir, "hostname", &text, e) < 0)
		return -1;
	buf_reset(&text);
	if (host_net)
		fs_read_path("/etc/hosts", &host);
	hostfile_hosts(&c->host, host_net ? buf_text(&host) : NULL, &text);
	if (put(dir, "hosts", &text, e) < 0)
		return -1;
	buf_reset(&text);
	buf_reset(&host);
	fs_read_path("/etc/resolv.conf", &host);
	hostfile_resolv(&c->host, buf_text(&host), &text);
	return put(dir, "resolv.conf", &text, e);
}
