#!/bin/sh
# What the image runs: `registry` or `sync` with the configuration at /etc/carnet, `probe` to ask it whether it
# serves, `init` to make a federation's files; anything else as a command of its own, such as `carnet ls dev`.
set -eu
folder=${CARNET_CONFIG_FOLDER:-/etc/carnet}
what=${1:-carnet}
[ $# -eq 0 ] || shift
case $what in
  registry) exec python -m carnet_server --config "$folder/environment.yaml" "$@" ;;
  sync) exec python -m carnet_sync --config "$folder/sync.yaml" "$@" ;;
  probe)
    config=$folder/environment.yaml
    [ -e "$config" ] || config=$folder/sync.yaml
    exec python -m carnet.serving.probe --config "$config" "$@"
    ;;
  init) exec python /opt/carnet/lib/make_config.py "$@" ;;
  *) exec "$what" "$@" ;;
esac
