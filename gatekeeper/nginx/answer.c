#include "gatekeeper/nginx/door.h"

static ngx_int_t copy_text(ngx_http_request_t *r, ngx_str_t *to, const char *text)
{
	to->len = ngx_strlen(text);
	to->data = ngx_pnalloc(r->pool, to->len + 1);
	if (!to->data)
		return NGX_ERROR;
	ngx_memcpy(to->data, text, to->len + 1);
	return NGX_OK;
}

static ngx_int_t add_header(ngx_http_request_t *r, const char *name, const char *value)
{
	ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);

	if (!header)
		return NGX_ERROR;
	header->hash = 1;
	ngx_str_set(&header->key, "");
	header->key.data = (u_char *)(uintptr_t)name; /* a literal */
	header->key.len = ngx_strlen(name);
	return copy_text(r, &header->value, value);
}

/* What a browser should not do with it. */
static ngx_int_t add_page_headers(ngx_http_request_t *r, const char *policy)
{
	if (add_header(r, "Content-Security-Policy", policy) != NGX_OK ||
		add_header(r, "X-Content-Type-Options", "nosniff") != NGX_OK ||
		add_header(r, "Referrer-Policy", "no-referrer") != NGX_OK)
		return NGX_ERROR;
	return add_header(r, "Cache-Control", "no-store");
}

static ngx_int_t add_headers(ngx_http_request_t *r, const struct edge_output *out)
{
	char seconds[16];

	if (out->allow && add_header(r, "Allow", out->allow) != NGX_OK)
		return NGX_ERROR;
	if (out->location && add_header(r, "Location", out->location) != NGX_OK)
		return NGX_ERROR;
	if (out->etag && add_header(r, "ETag", out->etag) != NGX_OK)
		return NGX_ERROR;
	if (out->challenge && add_header(r, "Flashsale-Challenge", out->challenge) != NGX_OK)
		return NGX_ERROR;
	if (out->truncated && add_header(r, "Flashsale-Truncated", "true") != NGX_OK)
		return NGX_ERROR;
	if (out->page_policy && add_page_headers(r, out->page_policy) != NGX_OK)
		return NGX_ERROR;
	if (out->trace && add_header(r, "traceparent", out->trace) != NGX_OK)
		return NGX_ERROR;
	if (!out->retry_after_s)
		return NGX_OK;
	ngx_snprintf((u_char *)seconds, sizeof(seconds), "%d%Z", (int)out->retry_after_s);
	return add_header(r, "Retry-After", seconds);
}

/* Of statuses whose text nginx does not know; empty: it does. */
static ngx_str_t status_line(int status)
{
	static const ngx_str_t of_431 = ngx_string("431 Request Header Fields Too Large"),
			       of_428 = ngx_string("428 Precondition Required"),
			       of_422 = ngx_string("422 Unprocessable Content"), none = ngx_null_string;

	switch (status) {
	case 431:
		return of_431;
	case 428:
		return of_428;
	case 422:
		return of_422;
	default:
		return none;
	}
}

static ngx_int_t send_headers(ngx_http_request_t *r, const struct edge_output *out)
{
	r->err_status = 0;
	r->disable_not_modified =
		1; /* what was asked for has happened: nginx may not answer 412 or 304 instead */
	r->headers_out.status = (ngx_uint_t)out->status;
	r->headers_out.status_line = status_line(out->status);
	r->headers_out.content_length_n = (off_t)out->body_size;
	r->headers_out.content_type.data = (u_char *)(uintptr_t)out->content_type; /* a literal */
	r->headers_out.content_type.len = ngx_strlen(out->content_type);
	r->headers_out.content_type_len = r->headers_out.content_type.len;
	if (add_headers(r, out) != NGX_OK)
		return NGX_HTTP_INTERNAL_SERVER_ERROR;
	if (out->body_size == 0)
		r->header_only = 1;
	return ngx_http_send_header(r);
}

ngx_int_t answer_send(ngx_http_request_t *r, const struct edge_output *out)
{
	ngx_chain_t link = {0};
	ngx_buf_t *buffer;
	ngx_int_t rc = send_headers(r, out);

	if (rc == NGX_ERROR || rc > NGX_OK || r->header_only)
		return rc;
	buffer = ngx_create_temp_buf(r->pool, out->body_size);
	if (!buffer)
		return NGX_ERROR;
	buffer->last = ngx_cpymem(buffer->last, out->body, out->body_size);
	buffer->last_buf = 1;
	buffer->last_in_chain = 1;
	link.buf = buffer;
	return ngx_http_output_filter(r, &link);
}
