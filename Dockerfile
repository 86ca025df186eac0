# webtext in a small image: no root, and nothing of it is written to while it runs.
#
#   docker build -t webtext .
#   docker run --read-only --tmpfs /tmp -v /big/disk:/data webtext build webtext --data /data/corpus
#
# All that it writes goes to /data and /tmp; compiled kernels are kept in /data/.cache.
FROM python:3.11-slim AS made
COPY . /src
RUN python -m venv /opt/webtext
RUN /opt/webtext/bin/python -m pip install --no-cache-dir --upgrade pip
RUN /opt/webtext/bin/python -m pip install --no-cache-dir --constraint /src/constraints.txt /src
# nothing can be compiled there later; some packages carry files for other Pythons, which fail
RUN /opt/webtext/bin/python -m compileall -q /opt/webtext || true

FROM python:3.11-slim
COPY --from=made /opt/webtext /opt/webtext
ENV PATH=/opt/webtext/bin:$PATH HOME=/tmp XDG_CACHE_HOME=/data/.cache PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home webtext && install -d -o webtext /data
USER 10001
WORKDIR /data
VOLUME /data
ENTRYPOINT ["webtext"]
CMD ["--help"]
