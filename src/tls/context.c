/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, keys and what the peer must show. */
#include "tls/pump-priv.h"
#include "tls/tls.h"

#include <openssl/err.h>
#include <stdio.h>

#include "base/banned.h"

static int file_error(struct err *e, const char *what, const char *path)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %s", what, path);
	return tls_error(e, text);
}

static int load_files(SSL_CTX *ctx, const struct tls_files *f, bool server, struct err *e)
{
	if (f->cert && SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1)
		return file_error(e, "certificate", f->cert);
	if (f->key && SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) != 1)
		return file_error(e, "private key", f->key);
	if (f->cert && SSL_CTX_check_private_key(ctx) != 1)
		return file_error(e, "the private key does not belong to the certificate", f->cert);
	if (!f->verify)
		return 0;
	if (f->ca && SSL_CTX_load_verify_locations(ctx, f->ca, NULL) != 1)
		return file_error(e, "CA certificate", f->ca);
	if (f->ca && server)
		SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(f->ca));
	if (!f->ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return tls_error(e, "the system's CA certificates");
	return 0;
}

SSL_CTX *tls_context(const struct tls_files *f, bool server, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (!ctx) {
		tls_error(e, "OpenSSL");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	if (f->verify)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (load_files(ctx, f, server, e) < 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}
