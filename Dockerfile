# The bot and its engine. PyTorch's wheels include CUDA, so the host needs only the NVIDIA driver and Container Toolkit.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

WORKDIR /app

# The large dependencies come before the code, so upgrading the bot does not download them again.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        extras = project['optional-dependencies']; \
        print(*project['dependencies'], *extras['postgres'], *extras['tagger'], sep='\n')" > requirements.txt \
    && pip install --constraint constraints.txt --requirement requirements.txt

COPY README.md LICENSE ./
COPY bot bot
COPY inference inference
COPY storage storage
RUN pip install --constraint constraints.txt --no-deps . \
    && useradd --create-home --uid 1000 anima \
    && install --directory --owner=anima --group=anima /data /models

USER anima
WORKDIR /data
ENV DATABASE_URL=sqlite:////data/anima.db \
    ANIMA_MODELS=/models \
    HEALTH_PORT=8080 \
    HF_HOME=/data/huggingface \
    XDG_CACHE_HOME=/data/cache
VOLUME ["/data", "/models"]

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]

ENTRYPOINT ["anima"]
CMD ["run"]
