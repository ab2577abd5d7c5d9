/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of a request: authorities, and which client certificate is shown. Of several the first one
 * counts whose issuer the server names in its request, as Go's client (and so Docker) has it; none
 * is shown when it names issuers and has none of ours. What happened belongs to the request and to
 * the TLS context together: a server may ask again on a connection that outlived its request.
 */
#include "image/http-tls.h"

#include "base/mem.h"
#include "sys/fs.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct http_tls {
	unsigned refs;
	size_t n;
	char *cert[HTTP_CERTS_MAX], *key[HTTP_CERTS_MAX];
	bool asked, shown;
};

static int ex_index = -1;

void http_tls_free(struct http_tls *t)
{
	if (!t || --t->refs)
		return;
	for (size_t i = 0; i < t->n; i++) {
		free(t->cert[i]);
		free(t->key[i]);
	}
	free(t);
}

static void context_gone(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long l, void *p)
{
	(void)parent, (void)ad, (void)idx, (void)l, (void)p;
	http_tls_free(ptr);
}

static bool named(const STACK_OF(X509_NAME) * names, const X509_NAME *issuer)
{
	for (int i = 0; i < sk_X509_NAME_num(names); i++)
		if (X509_NAME_cmp(sk_X509_NAME_value(names, i), issuer) == 0)
			return true;
	return false;
}

/* Is any certificate of the file from one of these issuers? */
static bool file_fits(const char *path, const STACK_OF(X509_NAME) * names)
{
	BIO *in = BIO_new_file(path, "r");
	X509 *x;
	bool fits = false;

	while (in && !fits && (x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		fits = named(names, X509_get_issuer_name(x));
		X509_free(x);
	}
	BIO_free(in);
	return fits;
}

/* libcurl has loaded the first one already. */
static int choose(SSL *ssl, void *ud)
{
	struct http_tls *t = ud;
	const STACK_OF(X509_NAME) *names = SSL_get0_peer_CA_list(ssl);
	size_t i = 0;

	t->asked = true;
	t->shown = t->n > 0;
	if (t->n < 2 || sk_X509_NAME_num(names) <= 0)
		return 1;
	while (i < t->n && !file_fits(t->cert[i], names))
		i++;
	if (i == 0)
		return 1;
	SSL_certs_clear(ssl);
	t->shown = i < t->n;
	return !t->shown || (SSL_use_certificate_chain_file(ssl, t->cert[i]) == 1 &&
			     SSL_use_PrivateKey_file(ssl, t->key[i], SSL_FILETYPE_PEM) == 1);
}

static CURLcode context_made(CURL *c, void *context, void *ud)
{
	struct http_tls *t = ud;
	SSL_CTX *ctx = context;

	(void)c;
	if (ex_index < 0)
		ex_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, context_gone);
	if (ex_index < 0 || SSL_CTX_set_ex_data(ctx, ex_index, t) != 1)
		return CURLE_OUT_OF_MEMORY;
	t->refs++;
	SSL_CTX_set_cert_cb(ctx, choose, t);
	return CURLE_OK;
}

/* The system's authorities stay: its folder is asked as well, its one file is appended. */
static void set_authorities(CURL *c, const char *pem)
{
	AUTO_BUF struct buf all = BUF_INIT((size_t)4 << 20);
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	buf_adds(&all, pem);
	if (v->capath)
		curl_easy_setopt(c, CURLOPT_CAPATH, v->capath);
	else if (v->cainfo)
		fs_read_path(v->cainfo, &all);
	struct curl_blob blob = {.data = all.p, .len = all.n, .flags = CURL_BLOB_COPY};
	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
}

struct http_tls *http_tls_new(CURL *c, const struct http_options *o)
{
	struct http_tls *t = NEW(struct http_tls);

	t->refs = 1;
	for (; o->certs && t->n < HTTP_CERTS_MAX && o->certs->v[t->n].cert; t->n++) {
		t->cert[t->n] = xstrdup(o->certs->v[t->n].cert);
		t->key[t->n] = xstrdup(o->certs->v[t->n].key);
	}
	if (o->ca)
		set_authorities(c, o->ca);
	if (t->n) { /* the first one tells libcurl's connections apart, too */
		curl_easy_setopt(c, CURLOPT_SSLCERT, t->cert[0]);
		curl_easy_setopt(c, CURLOPT_SSLKEY, t->key[0]);
		curl_easy_setopt(c, CURLOPT_KEYPASSWD, ""); /* nobody is there to ask */
	}
	if (o->insecure_tls) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, context_made);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, t);
	return t;
}

bool http_tls_unanswered(const struct http_tls *t)
{
	return t->asked && !t->shown;
}

void http_tls_advice(const struct http_tls *t, const char *host, const char *port, char *ret,
		     size_t n)
{
	if (t->n)
		snprintf(ret, n,
			 "the server asks for a client certificate of an authority that none of "
			 "the %zu in certs.d/%s:%s is from",
			 t->n, host, port);
	else
		snprintf(ret, n,
			 "the server asks for a client certificate and none is configured "
			 "(certs.d/%s:%s/NAME.cert with NAME.key)",
			 host, port);
}
