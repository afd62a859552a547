# The two commands are `make run` and `make test`; `make install` alone does the installing.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install run test lint screenshots

install: .venv/installed

# With a DISCORD_TOKEN in .env the bot runs on Discord. Without one it opens the sandbox: the bot in a Discord of one's
# own, with no account, no GPU and no download. With PROMPT it draws that one picture there instead.
run: .venv/installed
	@$(BIN)/anima $(if $(PROMPT),sandbox --prompt '$(subst ','\'',$(PROMPT))',start)

test: .venv/installed-dev
	$(BIN)/pytest -n auto --dist loadgroup

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Takes the README's pictures of the sandbox anew.
screenshots: .venv/installed-dev
	$(BIN)/python -m bot.sandbox.screenshots

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"Anima Bot needs Python 3.11 or later, and $(PYTHON) is " + sys.version.split()[0] + \
		". Name another one: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
