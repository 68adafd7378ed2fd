# Sourced by the client tests: starts a server of their own and exports ZENOBE_ENDPOINT, unless that is set.
# The server is ended, by its process id, when the script ends.
if [ -z "${ZENOBE_ENDPOINT:-}" ]; then
  zenobe_data=$(mktemp -d)
  "${ZENOBE_BIN:?names the server binary}" --listen 127.0.0.1:0 --port-file "$zenobe_data/port" --data-dir "$zenobe_data/data" --ttl-interval 1 > "$zenobe_data/log" 2>&1 &
  zenobe_pid=$!
  trap 'kill $zenobe_pid; wait $zenobe_pid; rm -rf "$zenobe_data"' EXIT
  for _ in $(seq 200); do
    [ -s "$zenobe_data/port" ] && break
    kill -0 $zenobe_pid || { cat "$zenobe_data/log"; exit 1; }
    sleep 0.05
  done
  export ZENOBE_ENDPOINT="http://$(cat "$zenobe_data/port")"
fi
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
export AWS_EC2_METADATA_DISABLED=true AWS_ENDPOINT_URL_DYNAMODB="$ZENOBE_ENDPOINT"
export AWS_ENDPOINT_URL_DYNAMODB_STREAMS="$ZENOBE_ENDPOINT"
