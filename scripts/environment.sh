# Sourced by the other scripts: from any folder to the project's own Python environment.
#
# Makes .venv where there is none that works, and installs the package into it when pyproject.toml is newer
# than the last installation. $extras names what else is installed (default: test). Leaves the
# interpreter's path in $python.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
stamp=$root/.venv/.geoclass-installed

fail() {
    echo "Error: $1" >&2
    exit 1
}

if ! "$python" -m pip --version >/dev/null 2>&1; then
    base=
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            base=$candidate
            break
        fi
    done
    [ -n "$base" ] || fail "geoclass needs Python 3.11 or newer; install it, or name it with PYTHON=/path/to/python3"
    echo "making a Python environment in $root/.venv"
    "$base" -m venv --clear "$root/.venv" ||
        fail "python could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
fi

# The stamp holds what was installed, so that a changed pyproject.toml is installed again.
# "test" includes all that the others need.
extras=${extras:-test}
sum=$(cksum <"$root/pyproject.toml")
case $(cat "$stamp" 2>/dev/null) in
"$sum $extras" | "$sum test") ;;
*)
    echo "installing geoclass and its dependencies (a few minutes the first time)"
    "$python" -m pip install --quiet --disable-pip-version-check --editable "$root[$extras]" ||
        fail "the installation failed; see above, check the network and the free disk space, and start again"
    echo "$sum $extras" >"$stamp"
    ;;
esac
