/* SPDX-License-Identifier: MIT */
/* Text to condition, by recursive descent: a function for each level of binding. */
#include "base/error.h"
#include "scan/condition.h"
#include <pagescan/scan.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than any person writes; less than what could hurt the stack. */
#define MAX_LENGTH 4096
#define MAX_DEPTH  100

/* Longest name there is, and some: what is longer is no name. */
#define MAX_NAME 32

struct parser {
	const char *text;
	const char *at;
	unsigned depth;
	struct pagescan_error *reterr;
};

static int parse_or(struct parser *p, struct pagescan_condition *ret);

/* Not those of ctype.h: what a condition means does not depend on the locale. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_name_char(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

static void skip_space(struct parser *p)
{
	while (*p->at == ' ' || (*p->at >= '\t' && *p->at <= '\r'))
		p->at++;
}

static size_t column(const struct parser *p)
{
	return (size_t)(p->at - p->text) + 1;
}

/* What stands at the place of a mistake, for the message. */
static void say_found(const struct parser *p, char *ret, size_t size)
{
	unsigned char c = (unsigned char)*p->at;
	int length = 0;

	while (length <= MAX_NAME && is_name_char(p->at[length]))
		length++;
	if (!c)
		snprintf(ret, size, "the end");
	else if (length > 0)
		snprintf(ret, size, "'%.*s'", length, p->at);
	else if (c >= ' ' && c <= '~')
		snprintf(ret, size, "'%c'", c);
	else
		snprintf(ret, size, "the byte 0x%02x", c);
}

static int fail_expecting(struct parser *p, const char *expected)
{
	char found[MAX_NAME + 8];

	say_found(p, found, sizeof(found));
	return pagescan_error_set(p->reterr, -EINVAL, "at column %zu: expected %s, found %s",
				  column(p), expected, found);
}

static int fail_unknown(struct parser *p)
{
	char found[MAX_NAME + 8], known[160] = "all";
	size_t length = strlen(known);
	const char *name;

	say_found(p, found, sizeof(found));
	for (uint64_t bit = 1; (name = pagescan_category_name(bit)); bit <<= 1)
		length += (size_t)snprintf(known + length, sizeof(known) - length, ", %s", name);
	return pagescan_error_set(p->reterr, -EINVAL,
				  "at column %zu: %s is no category; those are %s", column(p),
				  found, known);
}

static bool is_name(const struct parser *p, size_t length, const char *name)
{
	if (strlen(name) != length)
		return false;
	while (length && lower(p->at[length - 1]) == name[length - 1])
		length--;
	return length == 0;
}

static int parse_name(struct parser *p, struct pagescan_condition *ret)
{
	size_t length = 0;
	const char *name;

	while (is_name_char(p->at[length]))
		length++;
	if (is_name(p, length, "all")) {
		pagescan_condition_set(ret, true);
		p->at += length;
		return 0;
	}
	for (uint64_t bit = 1; (name = pagescan_category_name(bit)); bit <<= 1) {
		if (is_name(p, length, name)) {
			pagescan_condition_set_category(ret, bit);
			p->at += length;
			return 0;
		}
	}
	return fail_unknown(p);
}

static int parse_group(struct parser *p, struct pagescan_condition *ret)
{
	int r;

	if (++p->depth > MAX_DEPTH)
		return pagescan_error_set(p->reterr, -EINVAL,
					  "at column %zu: more than %d parentheses in each other",
					  column(p), MAX_DEPTH);
	p->at++;
	r = parse_or(p, ret);
	if (r < 0)
		return r;
	if (*p->at != ')')
		return fail_expecting(p, "'&', '|' or ')'");
	p->at++;
	p->depth--;
	return 0;
}

static int parse_not(struct parser *p, struct pagescan_condition *ret)
{
	bool is_negated = false;
	int r;

	for (skip_space(p); *p->at == '!'; skip_space(p)) {
		is_negated = !is_negated;
		p->at++;
	}
	if (*p->at == '(')
		r = parse_group(p, ret);
	else if (is_name_char(*p->at))
		r = parse_name(p, ret);
	else
		r = fail_expecting(p, "a category, '!' or '('");
	if (r == 0 && is_negated)
		pagescan_condition_not(ret);
	skip_space(p);
	return r;
}

static int parse_and(struct parser *p, struct pagescan_condition *ret)
{
	struct pagescan_condition next;
	int r = parse_not(p, ret);

	while (r == 0 && *p->at == '&') {
		p->at++;
		r = parse_not(p, &next);
		if (r == 0)
			pagescan_condition_and(ret, &next);
	}
	return r;
}

static int parse_or(struct parser *p, struct pagescan_condition *ret)
{
	struct pagescan_condition next;
	int r = parse_and(p, ret);

	while (r == 0 && *p->at == '|') {
		p->at++;
		r = parse_and(p, &next);
		if (r == 0)
			pagescan_condition_or(ret, &next);
	}
	return r;
}

int pagescan_expr_parse(const char *text, struct pagescan_expr **ret, struct pagescan_error *reterr)
{
	struct parser p = {.text = text, .at = text, .reterr = reterr};
	struct pagescan_condition condition;
	struct pagescan_expr *expr;
	int r;

	if (!text || !ret)
		return pagescan_error_set(reterr, -EINVAL, "there is no condition to read");
	if (strnlen(text, MAX_LENGTH + 1) > MAX_LENGTH)
		return pagescan_error_set(reterr, -EINVAL, "a condition of more than %d characters",
					  MAX_LENGTH);
	r = parse_or(&p, &condition);
	if (r == 0 && *p.at)
		r = fail_expecting(&p, "'&', '|' or the end");
	if (r < 0)
		return r;
	expr = malloc(sizeof(*expr));
	if (!expr)
		return pagescan_error_set(reterr, -ENOMEM, "out of memory");
	expr->condition = condition;
	*ret = expr;
	return 0;
}

void pagescan_expr_free(struct pagescan_expr *expr)
{
	free(expr);
}

bool pagescan_expr_matches(const struct pagescan_expr *expr, uint64_t categories)
{
	return pagescan_condition_matches(&expr->condition, categories);
}

uint64_t pagescan_expr_get_categories(const struct pagescan_expr *expr)
{
	return pagescan_condition_depends(&expr->condition);
}
