# One image for the API and the workers. The base is pinned by the digest of its index, for every platform; a newer one:
#   docker buildx imagetools inspect python:3.12-slim-bookworm
ARG PYTHON_IMAGE=python:3.12.15-slim-bookworm@sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /tools \
 && /tools/bin/pip install --require-hashes -r requirements/build.txt \
 && python -m venv --without-pip /opt/otp-relay \
 && /tools/bin/pip --python /opt/otp-relay/bin/python install --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY app app
COPY workers workers
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /tools/bin/pip --python /opt/otp-relay/bin/python install --no-deps --no-index /dist/*.whl

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="otp-relay" \
      org.opencontainers.image.description="Rings a phone with a one-time code, one POST at a time" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /opt/otp-relay /opt/otp-relay
COPY deploy/healthcheck.py /opt/otp-relay/healthcheck.py
# Nothing is written but to /tmp, so the root file system may be read-only.
ENV PATH=/opt/otp-relay/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELAY_CONFIG=/etc/otp-relay/relay.toml
USER 65532:65532
EXPOSE 8080 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "/opt/otp-relay/healthcheck.py"]
ENTRYPOINT ["otp-relay"]
CMD ["api", "--config", "/etc/otp-relay/relay.toml"]
