# A machine on which the main job runs: no compiler, no CUDA. `docker build -t ldwsccd .` builds
# the environment; `docker run --rm -v "$PWD/demo_out:/ldwsccd/demo_out" ldwsccd` runs `make demo`
# and leaves the page in demo_out/. Arguments for the demo: `-e ARGS="..."`.
FROM python:3.11-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ldwsccd
COPY . .
# The CPU build of torch is a tenth of the usual one: name its index, or a wheel in this folder.
ARG TORCH=torch==2.13.0
ARG PIP_EXTRA_INDEX_URL
RUN make env TORCH="$TORCH" MMCV=lite && rm -rf /root/.cache/pip

ENV ARGS=""
CMD ["sh", "-c", "make demo ARGS=\"$ARGS\""]
