#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 800
#
# BPF programs, gates and relay on Debian 12's own kernel, 6.1: the oldest that is served.
# shellcheck source-path=SCRIPTDIR source=lib/suite.sh
. "$(dirname "$0")/lib/suite.sh"

tests=(prog/test_frames prog/test_load prog/test_traffic prog/test_tags prog/test_budgets net/sandbox
	net/kernel_features net/clock net/vlan)
suite_run bookworm "${@:-${tests[@]}}"
