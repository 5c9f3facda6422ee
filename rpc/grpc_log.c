#include "rpc/grpc_log.h"

#include <grpc/support/log.h>
#include <openssl/crypto.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define CONNECT_FAILED "connect failed ("

/* ---- why a certificate did not verify ---- */

/* Of the last check that failed on this thread; gRPC complains right after it, on the same thread. */
static _Thread_local long verify_result;
static _Thread_local char verify_name[128];

static void note_name(X509 *certificate)
{
	STACK_OF(GENERAL_NAME) *names =
		certificate ? X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL) : NULL;
	const GENERAL_NAME *name = sk_GENERAL_NAME_num(names) > 0 ? sk_GENERAL_NAME_value(names, 0) : NULL;

	verify_name[0] = '\0';
	if (name && (name->type == GEN_DNS || name->type == GEN_URI))
		snprintf(verify_name, sizeof(verify_name), "%.*s", ASN1_STRING_length(name->d.ia5),
			(const char *)ASN1_STRING_get0_data(name->d.ia5));
	else if (certificate)
		X509_NAME_oneline(X509_get_subject_name(certificate), verify_name, sizeof(verify_name));
	GENERAL_NAMES_free(names);
}

/* OpenSSL tells its reason only to whoever owns the check, which is gRPC, and gRPC does not ask. But data of applications' own is freed with the check, and
 * we are told. */
static void check_ends(
	void *parent, void *unused, CRYPTO_EX_DATA *data, int index, long argument, void *pointer)
{
	X509_STORE_CTX *check = parent;
	int result = X509_STORE_CTX_get_error(check);

	if (result == X509_V_OK)
		return;
	verify_result = result;
	note_name(X509_STORE_CTX_get0_cert(check));
}

/* ---- lines ---- */

static bool say_verify_failed(void)
{
	if (!verify_result)
		return false;
	LOG_LIMITED(LOG_WARN, "a TLS connection was refused: the other's certificate is not good",
		LOG_TEXT("why", X509_verify_cert_error_string(verify_result)),
		LOG_TEXT("certificate", verify_name));
	verify_result = 0;
	return true;
}

/* Whether it was one of those that deserve better words. */
static bool say_handshake_failed(const char *text)
{
	if (strstr(text, "certificate verify failed"))
		return say_verify_failed();
	if (strstr(text, "peer did not return a certificate"))
		LOG_LIMITED(LOG_WARN, "a TLS connection was refused: the client has no certificate");
	else if (strstr(text, "wrong version number") || strstr(text, "http request"))
		LOG_LIMITED(LOG_WARN,
			"a connection was refused: one side speaks TLS and the other does not; look at "
			"the tls- settings of both");
	else
		return false;
	return true;
}

/* "subchannel 0x... {address=ipv4:127.0.0.1:1, args={...}}: connect failed (UNKNOWN:why {...children:[UNKNOWN:deeper {...}]}), backing ..." */
static void say_connect_failed(const char *text)
{
	const char *address = strstr(text, "{address="), *why = strstr(text, CONNECT_FAILED), *deeper;
	char from[96] = "", first[160], last[160] = "";

	if (!why || strstr(why, "Failed to connect to remote host")) /* it is not there: daily bread */
		return;
	why += strlen(CONNECT_FAILED);
	if (address)
		snprintf(from, sizeof(from), "%.*s", (int)strcspn(address + 9, ","), address + 9);
	snprintf(first, sizeof(first), "%.*s", (int)strcspn(why, "{)"), why);
	deeper = strrchr(why, '[');
	if (deeper)
		snprintf(last, sizeof(last), "%.*s", (int)strcspn(deeper + 1, "{)"), deeper + 1);
	LOG_LIMITED(LOG_WARN, "a connection did not come about; the other side's log may tell more",
		LOG_TEXT("to", from), LOG_TEXT("why", first), LOG_TEXT("because", last));
}

static void take(gpr_log_func_args *line)
{
	if (line->severity == GPR_LOG_SEVERITY_INFO && strstr(line->file, "subchannel.cc"))
		say_connect_failed(line->message);
	if (line->severity != GPR_LOG_SEVERITY_ERROR)
		return;
	if (strstr(line->message, "Handshake failed") && say_handshake_failed(line->message))
		return;
	LOG_LIMITED(LOG_WARN, "gRPC", LOG_TEXT("says", line->message), LOG_TEXT("file", line->file),
		LOG_INT("line", line->line));
}

static void redirect(void)
{
	CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_X509_STORE_CTX, 0, NULL, NULL, NULL, check_ends);
	gpr_set_log_verbosity(GPR_LOG_SEVERITY_INFO);
	gpr_set_log_function(take);
}

void grpc_log_redirect(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, redirect);
}
