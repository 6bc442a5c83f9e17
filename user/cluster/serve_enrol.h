/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates over HTTPS: the CA's for everybody, one for who is to become a node (enrolment.h)
 * and a new one for who is (renew.h).
 */
#ifndef CLUSTER_SERVE_ENROL_H
#define CLUSTER_SERVE_ENROL_H

#include "serve.h"

/* GET /v1/ca */
enum MHD_Result serve_ca(struct request *request);
/* POST /v1/enrol {"node", "request", "token"} */
enum MHD_Result serve_enrol(struct request *request);
/* POST /v1/renew {"request"} */
enum MHD_Result serve_renew(struct request *request);

#endif
