# The simulator: all pure modules and the encoding of records in one program.
$(BUILD)/sim/sim: $(call obj,$(SIM_SRC)) $(HQD_LIB) $(CORE_LIB) $(ALLOCCORE_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(HQD_LIB) $(CORE_LIB) $(ALLOCCORE_LIB) $(COMMON_LIB) $(BASE_LIBS)

SEEDS ?=
SIM_SEEDS ?= $(or $(SEEDS),40)
QUALITY_SEEDS ?= $(or $(SEEDS),300)
SIM_STEPS ?= 150
.PHONY: sim
sim: $(BUILD)/sim/sim $(BUILD)/sim/quality $(BUILD)/sim/cluster ## run the simulator and the scheduler's quality proof from fixed seeds (SEEDS=N for more)
	$< --list tests/sim/seeds.txt
	$< --seeds $(SIM_SEEDS) --steps $(SIM_STEPS)
	$< --seed 1 --workers 2000 --steps $(SIM_STEPS)
	$< --elastic
	$(BUILD)/sim/cluster waiting --seeds $(or $(SEEDS),100)
	$(BUILD)/sim/cluster graphs --seeds $(or $(SEEDS),200)
	$(BUILD)/sim/quality --seeds $(QUALITY_SEEDS) --limit 300

# Quality of plans against an exact solver, which only this program links.
QUALITY_SRC := $(wildcard tests/sim/quality/*.c)
$(BUILD)/sim/quality: $(call obj,$(QUALITY_SRC)) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB) $(BASE_LIBS) -lglpk

# Flow of work through a cluster in virtual time.
CLUSTER_SRC := $(wildcard tests/sim/cluster/*.c)
$(BUILD)/sim/cluster: $(call obj,$(CLUSTER_SRC)) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB) $(BASE_LIBS)
