# Every target makes .venv and installs by itself; nothing else is needed beyond Python 3.11 and pip.
PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
PYTHON := python3
endif
BIN := .venv/bin

.PHONY: demo test check bench clean

demo: .venv/train
	$(BIN)/steadfit demo --out demo

test: .venv/test  # a file's tests stay in one process, with what its fixtures trained; plain pytest runs all in one
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules src/steadfit -q

bench: .venv/test
	$(BIN)/python benchmarks/mixture.py
	$(BIN)/python benchmarks/spd.py
	$(BIN)/python benchmarks/density.py
	$(BIN)/python benchmarks/fusion.py
	$(BIN)/python benchmarks/warp.py
	$(BIN)/python benchmarks/conformal.py
	$(BIN)/python benchmarks/contamination.py
	$(BIN)/python benchmarks/families.py
	$(BIN)/python benchmarks/anchor.py
	$(BIN)/python benchmarks/classes.py
	$(BIN)/python benchmarks/poses.py
	$(BIN)/python benchmarks/faces.py
	$(BIN)/python benchmarks/bodies.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/decode_once.py
	$(BIN)/python benchmarks/huge_images.py
	$(BIN)/python benchmarks/pose_projects.py
	$(BIN)/python benchmarks/mutations.py
	$(BIN)/python benchmarks/reading.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/train: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train]"
	touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,test]"
	touch $@ .venv/train

clean:
	rm -rf .venv demo runs
