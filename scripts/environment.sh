# Sourced by the other scripts: from any folder to the project's own Python environment.
#
# Makes .venv where there is none that works, and installs the package into it when pyproject.toml or the
# lock is newer than the last installation. $extras names what else is installed (default: test). Leaves
# the interpreter's path in $python.

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

# Versions and hashes stand in packaging/lock, which scripts/lock writes; "test" includes all that the
# others need. The stamp holds what was installed, so that what has changed is installed again.
extras=${extras:-test}
lock=$root/packaging/lock
sum=$(cat "$root/pyproject.toml" "$lock"/*.txt | cksum)

install() {
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps "$@"
}

install_locked() {
    install --require-hashes --only-binary :all: --requirement "$lock/$1.txt"
}

install_all() {
    # torch for processors, where one of pip's sources has it: PyPI's for Linux is the one for GPUs,
    # which needs their libraries.
    install_locked cpu 2>/dev/null || install_locked cuda || return
    install_locked "$extras" || return
    install --no-build-isolation --editable "$root"
}

case $(cat "$stamp" 2>/dev/null) in
"$sum $extras" | "$sum test") ;;
*)
    echo "installing geoclass and its dependencies (a few minutes the first time)"
    install_all ||
        fail "the installation failed; see above, check the network and the free disk space, and start again"
    echo "$sum $extras" >"$stamp"
    ;;
esac
