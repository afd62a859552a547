# `make run` starts the bot, `make test` runs the tests. Both install what they need first; `make install` only installs.
# `run.py` does the work of the first two, and works without make too.

PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests

.PHONY: install run test lint coverage screenshots translations

install: .venv/installed

# With a DISCORD_TOKEN in .env the bot runs on Discord; without one it opens the sandbox in the browser.
# With PROMPT it generates that one image in the sandbox and saves it: make run PROMPT="1girl, smile"
run: .venv/installed
	@$(BIN)/python run.py $(if $(PROMPT),sandbox --prompt '$(subst ','\'',$(PROMPT))')

# One folder or file: make test TESTS=tests/storage
test: .venv/installed-dev
	$(BIN)/pytest -n auto --dist loadgroup $(TESTS)

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Shows which lines the tests run, in processes that they start too; htmlcov/index.html shows them in the code.
coverage: .venv/installed-dev
	$(BIN)/pytest -n auto --dist loadgroup --cov --cov-report=term-missing:skip-covered --cov-report=html $(TESTS)

# Brings every catalog up to date with the sentences in the code; LANGUAGE=fr adds the catalogs for French. `anima` is
# what the bot says, `page` what the sandbox's page says.
LOCALES := bot/text/locales
PAGE_KEYWORDS := --no-default-keywords --keyword t --keyword tPlural:1,2 --keyword tElements --keyword ClientRefused
translations: .venv/installed-dev
	$(BIN)/pybabel --quiet extract --mapping-file babel.cfg --add-location file --output $(LOCALES)/anima.pot .
	$(BIN)/pybabel --quiet extract --mapping-file babel-page.cfg $(PAGE_KEYWORDS) --add-location file \
		--output $(LOCALES)/page.pot .
	$(foreach domain,anima page,$(if $(LANGUAGE),test -e $(LOCALES)/$(LANGUAGE)/LC_MESSAGES/$(domain).po || \
		$(BIN)/pybabel --quiet init --domain $(domain) \
		--input-file $(LOCALES)/$(domain).pot --output-dir $(LOCALES) --locale $(LANGUAGE) --width 100 &&) \
		$(BIN)/pybabel --quiet update --domain $(domain) --input-file $(LOCALES)/$(domain).pot --output-dir $(LOCALES) \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 100 &&) true

# Takes the README's screenshots of the sandbox again.
screenshots: .venv/installed-dev
	$(BIN)/python -m bot.sandbox.screenshots

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) run.py --install

.venv/installed-dev: pyproject.toml constraints.txt
	@$(PYTHON) run.py --install dev
	@touch $@
