# The simulator: all pure modules and the encoding of records in one program.
$(BUILD)/sim/sim: $(call obj,$(SIM_SRC)) $(HQD_LIB) $(CORE_LIB) $(ALLOCCORE_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(HQD_LIB) $(CORE_LIB) $(ALLOCCORE_LIB) $(COMMON_LIB) $(BASE_LIBS)

SIM_SEEDS ?= 40
SIM_STEPS ?= 150
.PHONY: sim
sim: $(BUILD)/sim/sim ## run the simulator from fixed seeds
	$< --list tests/sim/seeds.txt
	$< --seeds $(SIM_SEEDS) --steps $(SIM_STEPS)
	$< --seed 1 --workers 2000 --steps $(SIM_STEPS)
	$< --elastic

# Quality of plans against an exact solver, which only this program links.
QUALITY_SRC := $(wildcard tests/sim/quality/*.c)
$(BUILD)/sim/quality: $(call obj,$(QUALITY_SRC)) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $(filter %.o,$^) $(HQD_LIB) $(CORE_LIB) $(COMMON_LIB) $(BASE_LIBS) -lglpk
