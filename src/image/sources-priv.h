/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where an image may come from: the mirrors of its registry in the order of the configuration, then
 * the registry itself. The files are read anew each time, so that a change counts at once;
 * docs/registries.md describes them.
 */
#pragma once

#include "base/json.h"
#include "image/ref.h"
#include "image/service-priv.h"

#define SOURCES_MAX 16

struct toml;

enum source_scheme {
	SOURCE_TLS,
	SOURCE_PLAIN,
	SOURCE_EITHER /* https, and http when that does not answer */
};

struct source {
	const char *host; /* "host[:port]" */
	const char *path; /* "/v2", or what override_path says; no slash at the end */
	const char *repo; /* the repository's name there */
	const char *ns;	  /* "docker.io" for a mirror that wants to be told (?ns=); NULL */
	enum source_scheme scheme;
	bool origin; /* the registry itself: gets the user's credentials */
	bool resolve, pull, push;
	bool skip_verify;
	const char *ca;		 /* PEM text, in addition to the system's; NULL */
	struct http_certs certs; /* the server's request decides which one is shown */
	struct strs headers;	 /* "Name: value" */
};

struct sources {
	struct arena *arena;
	size_t n;
	struct source v[SOURCES_MAX];
};

/* ERR_SYSTEM for a file that cannot be read ("/path:3:7: ..."), ERR_DENIED for a blocked registry.
 */
int sources_find(const struct image_service *s, const struct image_ref *ref, struct sources **ret,
		 struct err *e);
void sources_free(struct sources *s);
DEFINE_AUTO(sources);

/* Names that a short name ("alpine") may mean, in order; docker.io's alone without configuration.
 */
struct short_names {
	size_t n;
	struct image_ref v[8];
};
int short_names_find(const struct image_service *s, const char *text, const struct image_ref *ref,
		     struct short_names *ret, struct err *e);

/* ---- parts, one file each ---- */

/* A TOML file that may be absent (*ret NULL then). */
int config_file_read(const char *path, struct arena *a, const struct toml **ret, struct err *e);
/* Error about a value of a configuration file. */
int config_bad(struct err *e, const char *path, const struct toml *at, const char *what);
/* true, false or absent; config_bad() otherwise. */
int config_bool(const char *path, const struct toml *t, const char *key, bool *ret, struct err *e);
/* A text or a list of texts. */
int config_strs(const char *path, const struct toml *t, const char *key, struct arena *a,
		struct strs *ret, struct err *e);

/* registries.conf: what it says about one reference. */
struct registry_rule {
	bool blocked, insecure;
	const char *file;     /* that says so; NULL: no rule */
	const char *location; /* "host[:port]/repo" of the registry itself */
	size_t nmirrors;
	struct {
		const char *location;
		bool insecure;
	} mirrors[SOURCES_MAX];
};
int registries_conf_rule(const struct image_service *s, const struct image_ref *ref,
			 struct arena *a, struct registry_rule *ret, struct err *e);

/* certs.d/HOST: mirrors and TLS of one host. Fills out from `first`, which stands for the host. */
int hosts_toml_apply(const struct image_service *s, const struct source *first, struct sources *out,
		     struct err *e);
/* Client certificate and authorities as files of certs.d/HOST. */
int host_certificates(const struct image_service *s, const char *host, struct arena *a,
		      struct source *to, struct err *e);
/* Append; ERR_SYSTEM when there are too many. */
int sources_add(struct sources *s, const struct source *v, struct err *e);
