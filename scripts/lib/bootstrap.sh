# Sourced by the commands: makes sure that there is a Python to run them with.
# Needs $here, the folder of the command; with_python NAME ARGS... ends in lib/NAME.py.

# -E -s: the user's PYTHON* variables are meant for the user's program, not for ours.
with_python() {
  python=/usr/bin/python3
  [ -x "$python" ] || python=$(command -v python3) || install_python
  module=$1
  shift
  exec "$python" -B -E -s "$here/lib/$module.py" "$@"
}

install_python() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$(basename "$0"): needs the Debian package python3; install it with: apt-get install python3" >&2
    exit 1
  fi
  echo "$(basename "$0"): installing python3" >&2
  export DEBIAN_FRONTEND=noninteractive
  if ! output=$(apt-get -qq update 2>&1 && apt-get -qq -y --no-install-recommends install python3 2>&1 </dev/null); then
    echo "$output" >&2
    exit 1
  fi
  python=/usr/bin/python3
}
