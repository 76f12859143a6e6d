.PHONY: test lint peers throughput

test: ## set up and pass the tests
	bash .ci/run

lint: ## what tests/test_style.py checks, mended where a tool can
	.venv/bin/ruff check --fix . && .venv/bin/ruff format . && .venv/bin/mypy

.venv-peers: benchmarks/requirements-peers.txt
	python3.11 -m venv .venv-peers && .venv-peers/bin/pip install -q -r benchmarks/requirements-peers.txt

throughput: .venv-peers ## training throughput beside a bare loop and PyTorch
	.venv/bin/python benchmarks/training_throughput.py --peer-python .venv-peers/bin/python
