# The image of agentcron: `docker build --tag agentcron .`
#
# With a binary that is there, the first stage is not needed. Put it at FOLDER/src/target/release/agentcron:
# `docker build --build-context build=FOLDER --tag agentcron .`

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin agentcron

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="agentcron" \
      org.opencontainers.image.description="A cron scheduler daemon for LangGraph agent servers" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
# The certificate authorities for the agent server and for receivers, and the one folder that the daemon writes to.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --mode=0750 --owner=10001 --group=10001 /var/lib/agentcron
COPY --from=build /src/target/release/agentcron /usr/bin/agentcron
# `${{ credential.NAME }}` in the configuration is the secret NAME of the container.
ENV CREDENTIALS_DIRECTORY=/run/secrets
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
VOLUME /var/lib/agentcron
EXPOSE 2025
STOPSIGNAL SIGTERM
# `agentcron health` without --alive also fails when something needs a person, which no restart cures.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/usr/bin/agentcron", "health", "--alive"]
ENTRYPOINT ["/usr/bin/agentcron"]
CMD ["run"]
