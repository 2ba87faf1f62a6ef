# One Makefile, no recursion: a/b.c -> $(BUILD)/obj/a/b.o, programs in $(BUILD)/bin/. `make help` lists the targets.
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

VERSION := $(shell cat VERSION)
PREFIX ?= /usr/local
DESTDIR ?=
# Address of the manual, printed by `hq doc` where the pages are not installed.
DOC_URL ?=
CC ?= gcc
AR ?= ar
OBJCOPY ?= objcopy
ifeq ($(origin CXX),default)
CXX := $(if $(findstring clang,$(CC)),clang++,g++)
endif
PYTEST ?= python3 -m pytest
WERROR ?= -Werror
# V=1 shows whole command lines.
V ?= 0
ifeq ($(V),0)
say = @echo '  $(1)	$@';
else
say =
endif
SAN ?=
COV ?=

# Variants live beside the plain build: build/san, build/tsan, build/cov.
ifeq ($(SAN),1)
VARIANT := san
VARIANT_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPT := -O1
else ifeq ($(SAN),thread)
VARIANT := tsan
VARIANT_FLAGS := -fsanitize=thread -fno-omit-frame-pointer
OPT := -O1
else ifeq ($(COV),1)
VARIANT := cov
VARIANT_FLAGS := --coverage
OPT := -O0
else
VARIANT :=
VARIANT_FLAGS := -fstack-protector-strong -D_FORTIFY_SOURCE=2
OPT := -O2
endif
ifeq ($(VARIANT),)
BUILD ?= build
else
BUILD ?= build/$(VARIANT)
endif

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
        -Wcast-qual -Wundef $(WERROR)
TEST_WARN := $(filter-out -Wconversion,$(WARN))
GEN := $(BUILD)/gen
CPPFLAGS += -I. -isystem $(GEN) -D_GNU_SOURCE -DHQ_VERSION='"$(VERSION)"' -MD -MP
CFLAGS_ALL = -std=c11 -g $(OPT) $(VARIANT_FLAGS) $(CFLAGS)
CXXFLAGS_ALL = -std=c++17 -g $(OPT) $(VARIANT_FLAGS) $(CXXFLAGS)
LDFLAGS_ALL = $(VARIANT_FLAGS) $(LDFLAGS)

# ---- third-party libraries: static where the system has the archive
LIBDIR := $(shell $(CC) -print-file-name=libc.so | xargs dirname | xargs realpath 2>/dev/null)
static = $(if $(wildcard $(LIBDIR)/lib$(1).a),-l:lib$(1).a,-l$(1))
NNG_LIB := $(BUILD)/nng/libnng.a
NNG_LIBS := $(NNG_LIB) $(call static,mbedtls) $(call static,mbedx509) $(call static,mbedcrypto)
BASE_LIBS := $(call static,sodium) $(call static,protobuf-c) $(call static,jansson) $(call static,yaml) \
             $(call static,ev) -lm -lpthread
HWLOC_LIBS := $(call static,hwloc) -ludev -lm -lpthread
# hq-stepd shares its topology with libpmix: the same hwloc as that, so the shared one.
PMIX_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags-only-I pmix 2>/dev/null))
PMIX_LIBS := $(shell pkg-config --libs pmix 2>/dev/null || echo -lpmix) -lhwloc

# ---- sources
PROTO := $(wildcard proto/*.proto)
PROTO_C := $(PROTO:proto/%.proto=$(GEN)/proto/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)
COMMON_SRC := $(wildcard common/*.c)
CORE_SRC := $(wildcard hqd/core/*.c hqd/sched/*.c)
AGENT_SRC := $(wildcard hq-workerd/core/*.c)
ALLOCCORE_SRC := $(wildcard hq-allocd/core/*.c)
ALLOCD_SRC := $(filter-out hq-allocd/main.c,$(wildcard hq-allocd/*.c))
HQD_SRC := $(filter-out hqd/main.c,$(wildcard hqd/*.c))
WORKERD_SRC := $(filter-out hq-workerd/main.c,$(wildcard hq-workerd/*.c))
STEPD_SRC := $(filter-out hq-workerd/stepd/main.c,$(wildcard hq-workerd/stepd/*.c))
HQ_SRC := $(filter-out hq/main.c,$(wildcard hq/*.c))
HQ_CXX := $(wildcard hq/*.cc)
SIM_SRC := $(wildcard tests/sim/*.c)
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

COMMON_LIB := $(BUILD)/lib/libcommon.a
CORE_LIB := $(BUILD)/lib/libhqdcore.a
AGENT_LIB := $(BUILD)/lib/libagent.a
ALLOCCORE_LIB := $(BUILD)/lib/liballoccore.a
ALLOCD_LIB := $(BUILD)/lib/libhqallocd.a
HQD_LIB := $(BUILD)/lib/libhqd.a
WORKERD_LIB := $(BUILD)/lib/libworkerd.a
STEPD_LIB := $(BUILD)/lib/libstepd.a
HQ_LIB := $(BUILD)/lib/libhq.a
BINS := $(foreach p,hqd hq-workerd hq-allocd hq,$(if $(wildcard $(p)/main.c),$(BUILD)/bin/$(p))) $(BUILD)/bin/hq-stepd

.PHONY: all
all: $(BINS) ## build the programs into build/bin/

$(GEN)/proto/%.pb-c.c $(GEN)/proto/%.pb-c.h &: proto/%.proto | $(GEN)/proto
	$(call say,GEN)protoc-c --c_out=$(GEN) $<
$(GEN)/proto:
	mkdir -p $@

$(BUILD)/obj/gen/%.o: $(GEN)/proto/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -I$(GEN) -D_GNU_SOURCE -std=c11 -g $(OPT) $(VARIANT_FLAGS) -c $< -o $@
$(BUILD)/obj/tests/%.o: tests/%.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(TEST_WARN) -c $< -o $@
$(BUILD)/obj/bench/%.o: bench/%.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(TEST_WARN) -c $< -o $@
# C++ is only the shim of the TOML library.
$(BUILD)/obj/%.o: %.cc
	@mkdir -p $(@D)
	$(call say,CXX)$(CXX) $(CPPFLAGS) $(CXXFLAGS_ALL) -Wall -Wextra -Wshadow $(WERROR) -c $< -o $@
$(BUILD)/obj/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(WARN) -c $< -o $@
$(BUILD)/obj/hq-workerd/stepd/%.o: CPPFLAGS += $(PMIX_CFLAGS)
# Style and script of the report, as arrays of lines.
PAGE := $(GEN)/hq/report_page.inc
$(PAGE): hq/report.css hq/report.js
	@mkdir -p $(@D)
	$(call say,GEN)for kind in css js; do echo "static const char *const report_$$kind[] = {"; \
	  sed 's/\\/\\\\/g; s/"/\\"/g; s/^/"/; s/$$/\\n",/' hq/report.$$kind; echo "};"; done >$@
$(BUILD)/obj/hq/report_page.o: | $(PAGE)
$(BUILD)/obj/hq/cmd_doc.o: CPPFLAGS += -DHQ_DOC_URL='"$(DOC_URL)"'
.SECONDARY:

$(COMMON_LIB): $(call obj,$(COMMON_SRC)) $(PROTO_C:$(GEN)/proto/%.c=$(BUILD)/obj/gen/%.o)
$(CORE_LIB): $(call obj,$(CORE_SRC))
$(AGENT_LIB): $(call obj,$(AGENT_SRC))
$(ALLOCCORE_LIB): $(call obj,$(ALLOCCORE_SRC))
$(ALLOCD_LIB): $(call obj,$(ALLOCD_SRC))
$(HQD_LIB): $(call obj,$(HQD_SRC))
$(WORKERD_LIB): $(call obj,$(WORKERD_SRC))
$(STEPD_LIB): $(call obj,$(STEPD_SRC))
$(HQ_LIB): $(call obj,$(HQ_SRC)) $(HQ_CXX:%.cc=$(BUILD)/obj/%.o)
$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^

# Debian's nng with some of its symbols redirected to common/nng_cure.c (docs/decisions); from 1.10 on as it is.
NNG_MINOR := $(lastword $(shell echo NNG_MINOR_VERSION | $(CC) -E -P -include nng/nng.h - 2>/dev/null))
NNG_CURED := $(if $(filter 0 1 2 3 4 5 6 7 8 9,$(NNG_MINOR)),sendmsg readv accept close epoll_wait sysconf)
$(NNG_LIB): $(LIBDIR)/libnng.a common/nng_cure.c
	@mkdir -p $(@D)
	@$(OBJCOPY) $(foreach s,$(NNG_CURED),--redefine-sym $(s)=nng_cure_$(s)) $< $@
	@nm -u $@ | awk '$$2 ~ /^nng_cure_/ {seen[$$2] = 1} {sub(/@.*/, "", $$2); left[$$2] = 1} \
	  END {n = split("$(NNG_CURED)", want, " "); for (i = 1; i <= n; i++) if (left[want[i]] || !seen["nng_cure_" want[i]]) bad = 1; \
	  if (bad) {print "nng: cures not in place"; exit 1}}'

$(BUILD)/bin/hqd: $(BUILD)/obj/hqd/main.o $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB) $(NNG_LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB) $(NNG_LIBS) $(BASE_LIBS)
$(BUILD)/bin/hq-workerd: $(BUILD)/obj/hq-workerd/main.o $(WORKERD_LIB) $(AGENT_LIB) $(COMMON_LIB) $(NNG_LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(WORKERD_LIB) $(AGENT_LIB) $(COMMON_LIB) $(NNG_LIBS) $(BASE_LIBS) $(HWLOC_LIBS)
$(BUILD)/bin/hq-stepd: $(BUILD)/obj/hq-workerd/stepd/main.o $(STEPD_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(STEPD_LIB) $(COMMON_LIB) $(BASE_LIBS) $(PMIX_LIBS)
$(BUILD)/bin/hq-allocd: $(BUILD)/obj/hq-allocd/main.o $(ALLOCD_LIB) $(ALLOCCORE_LIB) $(COMMON_LIB) $(NNG_LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(ALLOCD_LIB) $(ALLOCCORE_LIB) $(COMMON_LIB) $(NNG_LIBS) $(BASE_LIBS)
# hq is fully static in the plain build: it starts twice as fast. The linker's one warning (host names need the same libc
# at run time, which the README says) is hushed where it can be.
HUSH := $(shell ld --help 2>/dev/null | grep -q -- '--no-warnings' && echo -Wl,--no-warnings)
$(BUILD)/bin/hq: $(BUILD)/obj/hq/main.o $(HQ_LIB) $(COMMON_LIB) $(NNG_LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS_ALL) $(if $(VARIANT),,-static $(HUSH)) -o $@ $(filter %.o,$^) $(HQ_LIB) $(COMMON_LIB) $(NNG_LIBS) $(BASE_LIBS) -lstdc++

# ---- tests
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
UNIT_HELP := $(call obj,$(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c)))
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_HELP) $(HQD_LIB) $(CORE_LIB) $(WORKERD_LIB) $(AGENT_LIB) $(HQ_LIB) $(COMMON_LIB) $(NNG_LIB) \
  $(ALLOCD_LIB) $(ALLOCCORE_LIB) $(STEPD_LIB)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(LDFLAGS_ALL) -o $@ $< $(UNIT_HELP) $(STEPD_LIB) $(ALLOCD_LIB) $(ALLOCCORE_LIB) $(HQD_LIB) $(CORE_LIB) $(WORKERD_LIB) $(AGENT_LIB) $(HQ_LIB) $(COMMON_LIB) \
	  $(NNG_LIBS) $(BASE_LIBS) $(HWLOC_LIBS) -lcmocka -lstdc++

-include tests/sim/sim.mk
-include Makefile.targets

ALL_OBJ := $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
-include $(ALL_OBJ)
