/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers that routes.c names. docs/repository.md documents each request. */
#ifndef REPO_API_H
#define REPO_API_H

#include "request.h"

/* api_packages.c */
void api_packages_list(struct request *request);
void api_packages_show(struct request *request);
void api_packages_content(struct request *request);
void api_packages_file(struct request *request);
void api_packages_delete(struct request *request);
void api_packages_visibility(struct request *request);
/* Replies with a package's row. */
void api_packages_reply(struct request *request, unsigned status, int64_t id);

/* api_uploads.c */
int api_uploads_put_begin(struct request *request);
int api_uploads_append_begin(struct request *request);
void api_uploads_create(struct request *request);
void api_uploads_list(struct request *request);
void api_uploads_show(struct request *request);
void api_uploads_append(struct request *request);
void api_uploads_finish(struct request *request);
void api_uploads_delete(struct request *request);

/* api_admin.c */
void api_status(struct request *request);
void api_log(struct request *request);
void api_tokens_list(struct request *request);
void api_tokens_create(struct request *request);
void api_tokens_revoke(struct request *request);
void api_fsck(struct request *request);

/* api_publish.c */
void api_publish(struct request *request);
void api_publish_show(struct request *request);
void api_key_show(struct request *request);
void api_key_make(struct request *request);
void api_key_armored(struct request *request);
void api_key_binary(struct request *request);

/* api_instruct.c */
void api_desired(struct request *request);
void api_events(struct request *request);
void api_instruct(struct request *request);
void api_instructions(struct request *request);
void api_instruct_cancel(struct request *request);
void api_instruct_report(struct request *request);
void api_instruct_pending(struct request *request);
void api_instruct_key_show(struct request *request);
void api_instruct_key(struct request *request);

/* tree.c */
void tree_own(struct request *request);
void tree_view(struct request *request);

/* page.c */
void page_packages(struct request *request);
void page_log(struct request *request);

/* page_instructions.c */
void page_instructions(struct request *request);

#endif
