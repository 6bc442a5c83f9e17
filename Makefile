# SPDX-License-Identifier: BSD-2-Clause
# sluice: one build graph. "make help" lists the targets.
#
# Variables: BUILD=dir  CC=gcc|clang  SANITIZE=1 (ASan+UBSan, own directory)  V=1 (show commands)
#            WERROR=1 (warnings are errors; CI sets it)  DESTDIR= PREFIX=/usr

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

PREFIX     ?= /usr
SYSCONFDIR ?= /etc
DESTDIR    ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG      ?= clang
LLVM_STRIP ?= llvm-strip
BPFTOOL    ?= $(firstword $(wildcard /usr/sbin/bpftool /sbin/bpftool) bpftool)
SANITIZE   ?=
V          ?=
BUILD      ?= $(if $(SANITIZE),build/san,build)
Q          := $(if $(V),,@)
say         = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

VERSION := $(shell cat VERSION)

# ---- user space ---------------------------------------------------------------------------
OPTIM    ?= -O2
CFLAGS   ?= -g $(OPTIM)
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wvla -Wno-unused-parameter $(if $(WERROR),-Werror)
HARDEN   := -fstack-protector-strong -fPIE $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
comma    := ,
SANFLAGS := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' $(WARN) $(HARDEN) $(SANFLAGS) \
            -I$(BUILD)/gen -isystem /usr/include/libnl3
BASE_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SANFLAGS)

LIBS_LIB     := -lcyaml -lyaml -ljansson -lcrypto
LIBS_sluiced := -lbpf -lelf -lnl-route-3 -lnl-3 -lnftables -luring -lseccomp -lmicrohttpd $(LIBS_LIB)
LIBS_sluice  := $(LIBS_LIB)
LIBS_repod   := -lmicrohttpd -lsqlite3 -larchive $(LIBS_LIB) -lpthread
LIBS_repo    := -lcurl $(LIBS_LIB)
LIBS_bundle  := -larchive -lcurl $(LIBS_LIB)
LIBS_agent   := -lcurl -lmicrohttpd -lgnutls -lsqlite3 -larchive $(LIBS_LIB) -lpthread
LIBS_cluster := -lmicrohttpd -lgnutls -lsqlite3 -larchive $(LIBS_LIB) -lpthread
LIBS_unit    := -larchive

objs      = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(addsuffix /*.c,$(1)))))
LIB_OBJ  := $(call objs,user/lib)
# sluiced alone joins gate and relay; tests link the same objects, without its main.
DAEMON_OBJ := $(filter-out %/main.o,$(call objs,user/sluiced user/gate user/relay))

# user/repo/ is two programs: cli*.c is sluice-repo, the rest sluice-repod.
REPO_CLI_OBJ  := $(filter $(BUILD)/obj/user/repo/cli%,$(call objs,user/repo))
REPOD_OBJ     := $(filter-out $(BUILD)/obj/user/repo/cli%,$(call objs,user/repo))
PROGRAMS := $(BUILD)/sluiced $(BUILD)/sluice $(BUILD)/sluice-repod $(BUILD)/sluice-repo \
            $(BUILD)/sluice-agent $(BUILD)/sluice-bundle $(BUILD)/sluice-cluster

# ---- BPF ----------------------------------------------------------------------------------
MULTIARCH := $(shell $(CC) -print-multiarch 2>/dev/null)
BPF_SRC   := $(sort $(wildcard bpf/*.bpf.c))
BPF_OBJ   := $(patsubst bpf/%.bpf.c,$(BUILD)/bpf/%.bpf.o,$(BPF_SRC))
BPF_FLAGS := -g -O2 -target bpf -mcpu=v3 -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror) \
             $(if $(MULTIARCH),-idirafter /usr/include/$(MULTIARCH))
SKEL      := $(BUILD)/gen/sluice.skel.h

.PHONY: all programs deps tools fuzzers tests demo check check-vm check-cluster fuzz bench soak lint install uninstall deb clean help FORCE
all: programs ## build everything (programs and BPF objects)

programs: $(PROGRAMS)

$(BUILD)/sluiced: $(BUILD)/obj/user/sluiced/main.o $(DAEMON_OBJ) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_sluiced)

$(BUILD)/sluice: $(call objs,user/sluice) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_sluice)

$(BUILD)/sluice-repod: $(REPOD_OBJ) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_repod)

$(BUILD)/sluice-repo: $(REPO_CLI_OBJ) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_repo)

$(BUILD)/sluice-agent: $(call objs,user/agent) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_agent)

$(BUILD)/sluice-cluster: $(call objs,user/cluster) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_cluster)

$(BUILD)/sluice-bundle: $(call objs,user/bundle) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_bundle)

# The same programs with fault points that kill them: what the crash tests run.
FAULT      := $(BUILD)/obj/selftests/lib/fault.o
CRASH_TEST := $(BUILD)/selftests/repo/sluice-repod $(BUILD)/selftests/cluster/sluice-agent \
              $(BUILD)/selftests/cluster/sluice-cluster
$(BUILD)/selftests/repo/sluice-repod: $(REPOD_OBJ) $(FAULT) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_repod)

$(BUILD)/selftests/cluster/sluice-agent: $(call objs,user/agent) $(FAULT) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_agent)

$(BUILD)/selftests/cluster/sluice-cluster: $(call objs,user/cluster) $(FAULT) $(BUILD)/libsluice.a
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS_cluster)

$(BUILD)/libsluice.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Only gate/load.c (and the BPF program tests) see the skeleton.
$(BUILD)/obj/user/gate/load.o: $(SKEL)
$(BUILD)/obj/selftests/prog/%.o: $(SKEL)

# Objects are rebuilt when compiler or flags change.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(BASE_CFLAGS) $(CFLAGS))' | cmp -s - $@ || \
	 printf '%s\n' '$(subst ','\'',$(CC) $(BASE_CFLAGS) $(CFLAGS))' > $@

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c -o $@ $<
	$(Q)$(LLVM_STRIP) -g $@

# One object holds all programs, so that they share one copy of every map.
$(BUILD)/bpf/sluice.o: $(BPF_OBJ)
	$(call say,GENOBJ,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKEL): $(BUILD)/bpf/sluice.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name sluice > $@

# ---- tests --------------------------------------------------------------------------------
# selftests/{unit,prog,net,bench}/X.c is one program each; shared code is in *_lib.c files.
test_bins  = $(patsubst %.c,$(BUILD)/%,$(filter-out %_lib.c,$(sort $(wildcard selftests/$(1)/*.c))))
UNIT_BIN  := $(call test_bins,unit)
PROG_BIN  := $(call test_bins,prog)
NET_BIN   := $(call test_bins,net)
BENCH_BIN := $(call test_bins,bench)

define test_program
$$(BUILD)/selftests/$(1)/%: $$(BUILD)/obj/selftests/$(1)/%.o $$(call objs,selftests/$(1)/lib) \
		$$(DAEMON_OBJ) $$(BUILD)/libsluice.a
	$$(call say,LINK,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(BASE_LDFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(LIBS_$(1)) $$(LIBS_sluiced)
endef
$(foreach kind,unit prog net bench,$(eval $(call test_program,$(kind))))

# selftests/tools/X.c: what scripts use (tap wires, floods, odd peers); plain libc programs.
TOOLS := $(patsubst selftests/tools/%.c,$(BUILD)/tools/%,$(sort $(wildcard selftests/tools/*.c)))
$(BUILD)/tools/%: $(BUILD)/obj/selftests/tools/%.o
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ -lcrypto -lpthread

tools: $(TOOLS)

tests: programs tools $(CRASH_TEST) $(UNIT_BIN) $(PROG_BIN) $(NET_BIN) ## build programs and tests

# As root on a fresh machine these install what is missing, then build, then run. They build on all
# processors unless who calls says how many (-j).
BUILD_ALL = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
deps:
	@scripts/deps.sh

demo: deps ## the main job, shown end to end (root; KEEP=1 leaves the lab up)
	@$(BUILD_ALL) programs tools
	@BUILD=$(BUILD) scripts/demo

check: ## all tests (root; TESTS=pattern, SANITIZE=1)
	@scripts/deps.sh deb
	@$(BUILD_ALL) tests $(if $(SANITIZE),,fuzzers)
	@BUILD=$(BUILD) SANITIZE=$(SANITIZE) selftests/run $(TESTS)

check-vm: deps ## the tests in virtual machines alone: Debian 12's and 13's kernels, real clients (root)
	@$(BUILD_ALL) tests
	@BUILD=$(BUILD) SANITIZE= selftests/run 'vm/*'

check-cluster: deps ## the cluster at full size: machines that boot, etcd, PostgreSQL, Patroni (root)
	@DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd-container mmdebstrap tcpdump openssh-client
	@$(BUILD_ALL) programs
	@BUILD=$(BUILD) CLUSTER=1 selftests/run 'cluster/*'

# Whole programs beside run's cases: CASE names any of both kinds, and all run without one.
BENCH_WHOLE := tenants moments scale flood raise packet agents cluster
BENCH_CASES := $(filter-out $(BENCH_WHOLE),$(CASE))
bench: deps ## compare with the direct path and with peers (root; CASE= SUBJECT= ROUNDS=)
	@$(BUILD_ALL) programs tools $(BENCH_BIN) $(BUILD)/selftests/prog/test_speed
ifneq ($(or $(BENCH_CASES),$(if $(CASE),,all)),)
	@BUILD=$(BUILD) CASE='$(BENCH_CASES)' selftests/bench/run
endif
	@set -e; for whole in $(filter $(BENCH_WHOLE),$(or $(CASE),$(BENCH_WHOLE))); do \
		BUILD=$(BUILD) selftests/bench/$$whole; done

SECONDS ?= 600
soak: deps ## mixed traffic for SECONDS (default 600): memory and descriptors stay flat (root)
	@$(BUILD_ALL) programs tools
	@BUILD=$(BUILD) SOAK=$(SECONDS) V=1 selftests/net/soak.sh

# libFuzzer targets, from the same sources as the programs; always clang.
FUZZ_BIN := $(patsubst selftests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard selftests/fuzz/fuzz_*.c)))
FUZZ_FLAGS := -std=gnu11 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' $(WARN) -g -O1 \
              -fsanitize=address,undefined -fno-sanitize-recover=all -Ibuild/gen
FUZZ_LIB := $(patsubst %.c,build/fuzz/obj/%.o,$(sort $(wildcard user/lib/*.c)))
# What a target is linked with beside user/lib/.
# A whole connection: relay/ over I/O in memory; fuzz_conn.c includes worker.c and parent.c itself.
FUZZ_WITH_conn := $(patsubst %,selftests/fuzz/lib/%.c,fake fake_ring peer) -Wl,--wrap=close,--wrap=fcntl,--wrap=sendmsg \
             $(filter-out %/io.c %/ring.c %/sandbox.c %/worker.c %/parent.c,$(wildcard user/relay/*.c))
# The parent as a worker meets it, without what would start or reach anything.
FUZZ_WITH_proto := $(patsubst %,user/sluiced/%.c,worker worker_start patience origins management mailbox loop) -Wl,--wrap=syscall,--wrap=connect
# A web server under bundle/, libcurl's transfers played by the target.
FUZZ_WITH_web := $(patsubst %,user/bundle/%.c,http web) -lcurl
# What an agent in a VM reads; fuzz_agent.c includes agent_run.c and agent_dpkg.c itself.
FUZZ_WITH_agent := user/agent/agent_state.c
# The agent's swarm, its transfers, disk and clock played by the target.
FUZZ_WITH_swarm := $(patsubst %,user/agent/%.c,swarm swarm_begin swarm_fetch swarm_source swarm_trust) selftests/fuzz/lib/fake_curl.c \
             -Wl,--wrap=clock_gettime
# The whole control machine, whose main() the target calls.
FUZZ_WITH_serve := $(wildcard user/cluster/*.c) -Dmain=cluster_program -Wno-missing-prototypes \
             -lmicrohttpd -lgnutls -lsqlite3
# All of sluice-repod below the HTTP library, whose part the target plays, as it does that of threads and tools.
FUZZ_WITH_repod := $(filter-out %/jobs.c %/waiters.c user/repo/cli%,$(wildcard user/repo/*.c)) -Dmain=repod_program \
             selftests/fuzz/lib/played.c \
             -Wno-missing-prototypes -Wl,--wrap=time,--wrap=getrandom,--wrap=MHD_create_response_from_buffer \
             -Wl,--wrap=MHD_add_response_header -lmicrohttpd -lsqlite3
# A namespace's packet filter, libnl's socket and libnftables played by the target.
FUZZ_WITH_ruleset := $(patsubst %,user/gate/%.c,ruleset notrack netlink) -isystem /usr/include/libnl3 -lnl-3 -lnftables \
             $(patsubst %,-Wl$(comma)--wrap=%,nl_connect nl_socket_modify_cb nl_send_simple nl_recvmsgs_default \
             nft_run_cmd_from_buffer)
TIME ?= 60
fuzzers: $(FUZZ_BIN)
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<
build/fuzz/libsluice.a: $(FUZZ_LIB)
	$(Q)rm -f $@ && ar rcs $@ $^
build/fuzz/%: selftests/fuzz/%.c build/fuzz/libsluice.a $(wildcard selftests/fuzz/*.h selftests/fuzz/lib/*.[ch] \
		user/*/*.[ch])
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_WITH_$(patsubst fuzz_%,%,$*)) \
		build/fuzz/libsluice.a $(LIBS_LIB) -larchive

fuzz: deps ## run every fuzz target for TIME seconds (default 60)
	@$(BUILD_ALL) fuzzers
	@selftests/fuzz/run $(TIME)

lint: programs ## format, shell, man pages, static analysis
	@scripts/lint

# ---- installation -------------------------------------------------------------------------
install: all ## install under DESTDIR and PREFIX
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' BUILD='$(BUILD)' scripts/install.sh install

uninstall: ## remove what install put there (configuration stays)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' BUILD='$(BUILD)' scripts/install.sh uninstall

deb: ## build the Debian packages, in build/deb (root, or the tools are there)
	@scripts/deps.sh deb
	@OUT=$(BUILD)/deb scripts/make_deb

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(BUILD)/obj $(BUILD)/bpf build/fuzz/obj -name '*.d' 2>/dev/null)
