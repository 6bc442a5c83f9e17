#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# timeout: 800
#
# BPF programs, gates and relay on Debian 13's kernel, 6.12, as Debian 12 has it in its backports.
# shellcheck source-path=SCRIPTDIR source=lib/suite.sh
. "$(dirname "$0")/lib/suite.sh"

tests=(prog/test_frames prog/test_load prog/test_traffic prog/test_tags prog/test_budgets net/sandbox
	net/kernel_features net/vlan)
suite_run bookworm-backports "${@:-${tests[@]}}"
