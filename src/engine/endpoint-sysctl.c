/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver option com.docker.network.endpoint.sysctls: settings of the interface itself, which
 * exists only once the network is made: "net.ipv4.conf.IFNAME.log_martians=1,..." with the literal
 * IFNAME.
 */
#include "engine/network.h"
#include "net/link.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define OPTION "com.docker.network.endpoint.sysctls"

struct setting {
	char family[16], group[16], name[64], value[128];
};

static bool part(struct str *rest, char sep, char *ret, size_t n)
{
	struct str word;

	if (!str_cut(rest, sep, &word) || word.n == 0 || word.n >= n)
		return false;
	for (size_t i = 0; i < word.n; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_IFNAME", word.p[i]))
			return false;
	snprintf(ret, n, "%.*s", (int)word.n, word.p);
	return true;
}

/* "net.ipv4.conf.IFNAME.log_martians=1" */
static int parse(struct str text, struct setting *ret, struct err *e)
{
	struct str rest = text, key;
	char net[8], ifname[8];

	str_cut(&rest, '=', &key);
	if (rest.n == 0 || rest.n >= sizeof ret->value)
		return err_set(e, ERR_INVALID, "invalid value for option '" OPTION "': '%.*s'",
			       (int)text.n, text.p);
	snprintf(ret->value, sizeof ret->value, "%.*s", (int)rest.n, rest.p);
	if (!part(&key, '.', net, sizeof net) || strcmp(net, "net") != 0 ||
	    !part(&key, '.', ret->family, sizeof ret->family) ||
	    !part(&key, '.', ret->group, sizeof ret->group) ||
	    !part(&key, '.', ifname, sizeof ifname) || strcmp(ifname, "IFNAME") != 0 ||
	    key.n == 0 || memchr(key.p, '.', key.n) ||
	    !part(&key, '\0', ret->name, sizeof ret->name))
		return err_set(e, ERR_INVALID,
			       "unrecognised network interface sysctl '%.*s'; represent "
			       "'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'",
			       (int)text.n, text.p);
	return 0;
}

int endpoint_sysctls(const struct endpoint_settings *s, const char *ifname, int netns,
		     struct err *e)
{
	const char *text = strmap_get(&s->driver_opts, OPTION);
	struct str rest = str_of(text ? text : ""), one;

	while (rest.n > 0 && str_cut(&rest, ',', &one)) {
		struct setting v;
		int rc;

		if (one.n == 0)
			continue;
		if (parse(one, &v, e) < 0)
			return -1;
		if (netns < 0)
			continue;
		rc = link_sysctl(netns, v.family, v.group, ifname, v.name, v.value);
		if (rc < 0)
			return err_sys(e, rc, "set sysctl '%.*s' of %s", (int)one.n, one.p, ifname);
	}
	return 0;
}
