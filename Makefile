.PHONY: test lint docs peers throughput scores windows loss-speed preparation broken-inputs

test: ## set up and pass the tests
	bash .ci/run

lint: ## what tests/test_style.py checks, mended where a tool can
	.venv/bin/ruff check --fix . && .venv/bin/ruff format . && .venv/bin/mypy

docs: ## the site, in site/, after what is written from the code: configs/base.yaml, the page of losses
	.venv/bin/python -m tfseg.losses.page docs
	.venv/bin/python docs/generate/base.py
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet

.venv-peers: benchmarks/requirements-peers.txt
	python3.11 -m venv .venv-peers && .venv-peers/bin/pip install -q -r benchmarks/requirements-peers.txt

throughput: .venv-peers ## training throughput beside a bare loop and PyTorch
	.venv/bin/python benchmarks/training_throughput.py --peer-python .venv-peers/bin/python

scores: .venv-peers ## surface scores of a tumour beside MONAI, medpy and surface-distance
	.venv/bin/python benchmarks/scores.py --peer-python .venv-peers/bin/python

loss-speed: .venv-peers ## time and memory of every loss beside MONAI's
	.venv/bin/python benchmarks/losses.py --clock --threads $$(nproc) --rounds 3 --peer-python .venv-peers/bin/python

windows: .venv-peers ## sliding-window prediction beside MONAI
	.venv/bin/python benchmarks/windows.py --peer-python .venv-peers/bin/python

preparation: .venv-peers ## preparing scans beside MONAI, the input pipeline's rate, and memory; HIPPOCAMPUS and BRATS name folders
	.venv/bin/python benchmarks/preparation.py --peer-python .venv-peers/bin/python --pipeline --memory \
		$(if $(HIPPOCAMPUS),--hippocampus $(HIPPOCAMPUS)) $(if $(BRATS),--brats $(BRATS))

broken-inputs: ## hundreds of broken inputs, which every command must refuse in one line
	PYTHONPATH=. .venv/bin/python benchmarks/broken_inputs.py
