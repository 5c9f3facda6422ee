#include "gatekeeper/nginx/door.h"

static enum edge_method method_of(ngx_uint_t method)
{
	switch (method) {
	case NGX_HTTP_GET:
		return EDGE_GET;
	case NGX_HTTP_HEAD:
		return EDGE_HEAD;
	case NGX_HTTP_POST:
		return EDGE_POST;
	case NGX_HTTP_PUT:
		return EDGE_PUT;
	case NGX_HTTP_DELETE:
		return EDGE_DELETE;
	case NGX_HTTP_PATCH:
		return EDGE_PATCH;
	case NGX_HTTP_OPTIONS:
		return EDGE_OPTIONS;
	default:
		return EDGE_OTHER;
	}
}

static struct edge_slice slice(ngx_str_t text)
{
	return (struct edge_slice){.data = (const char *)text.data, .size = text.len};
}

static void split_uri(ngx_str_t uri, struct edge_input *in)
{
	u_char *mark = ngx_strlchr(uri.data, uri.data + uri.len, '?');

	in->path = slice(uri);
	if (!mark)
		return;
	in->path.size = (size_t)(mark - uri.data);
	in->query.data = (const char *)mark + 1;
	in->query.size = uri.len - in->path.size - 1;
}

static bool same(struct edge_slice a, struct edge_slice b)
{
	return a.size == b.size && ngx_memcmp(a.data, b.data, a.size) == 0;
}

/* Headers that nginx has no slot for. */
static void fill_header(ngx_table_elt_t *header, struct edge_input *in)
{
	static const struct {
		ngx_str_t name;
		size_t offset;
	} wanted[] = {
		{ngx_string("idempotency-key"), offsetof(struct edge_input, idempotency_key)},
		{ngx_string("traceparent"), offsetof(struct edge_input, traceparent)},
		{ngx_string("flashsale-solution"), offsetof(struct edge_input, solution)},
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		struct edge_slice *to = (struct edge_slice *)((char *)in + wanted[i].offset);

		if (header->key.len != wanted[i].name.len ||
			ngx_strncmp(header->lowcase_key, wanted[i].name.data, wanted[i].name.len) != 0)
			continue;
		if (to->data && !same(*to, slice(header->value)))
			to->size = 0; /* two that differ are none: nobody can tell which is meant */
		else
			*to = slice(header->value);
	}
}

static void fill_headers(ngx_http_request_t *r, struct edge_input *in)
{
	ngx_list_part_t *part;

	if (r->headers_in.content_type)
		in->content_type = slice(r->headers_in.content_type->value);
	if (r->headers_in.authorization)
		in->authorization = slice(r->headers_in.authorization->value);
	if (r->headers_in.if_match)
		in->if_match = slice(r->headers_in.if_match->value);
	for (part = &r->headers_in.headers.part; part; part = part->next) {
		ngx_table_elt_t *headers = part->elts;

		for (ngx_uint_t i = 0; i < part->nelts; i++)
			fill_header(&headers[i], in);
	}
}

static size_t body_size(const ngx_http_request_t *r)
{
	size_t size = 0;

	for (const ngx_chain_t *link = r->request_body->bufs; link; link = link->next)
		size += (size_t)ngx_buf_size(link->buf);
	return size;
}

/* NULL: it can't be read. */
static u_char *copy_part(ngx_buf_t *part, u_char *to)
{
	const ssize_t size = (ssize_t)ngx_buf_size(part);

	if (size == 0) /* the mark of the last chunk is neither in memory nor in a file */
		return to;
	if (ngx_buf_in_memory(part))
		return ngx_cpymem(to, part->pos, size);
	return ngx_read_file(part->file, to, (size_t)size, part->file_pos) == size ? to + size : NULL;
}

/* What came with the headers, what came after them and each chunk is a part of its own, and many small chunks go through a file. */
static ngx_int_t join_parts(ngx_http_request_t *r, struct edge_input *in)
{
	const size_t size = body_size(r);
	u_char *whole = ngx_pnalloc(r->pool, size + 1), *to = whole;

	for (ngx_chain_t *link = r->request_body->bufs; link && to; link = link->next)
		to = copy_part(link->buf, to);
	if (!to)
		return NGX_ERROR;
	in->body = (struct edge_slice){.data = (const char *)whole, .size = size};
	return NGX_OK;
}

ngx_int_t input_fill_body(ngx_http_request_t *r, struct edge_input *in)
{
	const ngx_chain_t *first = r->request_body ? r->request_body->bufs : NULL;

	if (!first)
		return NGX_OK;
	if (first->next || !ngx_buf_in_memory(first->buf))
		return join_parts(r, in);
	in->body.data = (const char *)first->buf->pos;
	in->body.size = (size_t)(first->buf->last - first->buf->pos);
	return NGX_OK;
}

void input_fill(ngx_http_request_t *r, struct edge_input *in)
{
	in->method = method_of(r->method);
	split_uri(r->unparsed_uri, in);
	in->client_ip = slice(r->connection->addr_text);
	fill_headers(r, in);
}

void input_fill_original(ngx_http_request_t *r, struct edge_input *in)
{
	static const struct {
		ngx_str_t name;
		enum edge_method method;
	} names[] = {
		{ngx_string("GET "), EDGE_GET},
		{ngx_string("HEAD "), EDGE_HEAD},
		{ngx_string("POST "), EDGE_POST},
		{ngx_string("PUT "), EDGE_PUT},
		{ngx_string("DELETE "), EDGE_DELETE},
		{ngx_string("PATCH "), EDGE_PATCH},
		{ngx_string("OPTIONS "), EDGE_OPTIONS},
	};

	in->method = EDGE_OTHER;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (r->request_line.len > names[i].name.len &&
			ngx_strncmp(r->request_line.data, names[i].name.data, names[i].name.len) == 0)
			in->method = names[i].method;
	}
	split_uri(r->unparsed_uri, in);
	in->client_ip = slice(r->connection->addr_text);
}
