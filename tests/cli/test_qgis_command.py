"""The plugin as files: put into profiles of QGIS, taken away, packed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import geoclass
from geoclass.cli.main import main

FILES = {"__init__.py", "metadata.txt", "schema.json", "icon.svg", "plugin.py", "algorithm.py"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where QGIS keeps its data; it has not been started yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("QGIS_CUSTOM_CONFIG_PATH", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path / "QGIS"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["qgis", *map(str, arguments)])


def plugin_of(profile: Path) -> Path:
    return profile / "python" / "plugins" / "geoclass_qgis"


def test_install_and_uninstall(home: Path) -> None:
    profile = home / "QGIS3" / "profiles" / "default"
    settings = profile / "QGIS" / "QGIS3.ini"
    settings.parent.mkdir(parents=True)
    before = "[PythonPlugins]\nother=true\n\n[qgis]\ntitle=%1 \\xe9\nItems=@Invalid()\n"
    settings.write_text(before)
    done = run("install")
    assert done.exit_code == 0, done.output
    plugin = plugin_of(profile)
    assert {file.name for file in plugin.iterdir()} >= FILES
    assert f"version={geoclass.__version__}\n" in (plugin / "metadata.txt").read_text()
    assert "map" in json.loads((plugin / "schema.json").read_text())["commands"]
    assert Path((plugin / "program.txt").read_text()).name == "geoclass"
    switched = before.replace("[PythonPlugins]\n", "[PythonPlugins]\ngeoclass_qgis=true\n")
    assert settings.read_text() == switched

    (plugin / "old.py").touch()  # of an older version
    assert run("install").exit_code == 0
    assert not (plugin / "old.py").exists()
    assert settings.read_text() == switched

    assert run("uninstall").output == f"removed {plugin}\n"
    assert list(plugin.parent.iterdir()) == []
    assert run("uninstall").output == f"there is no plugin in {profile}\n"


def test_profile_that_qgis_starts_with_is_taken_in_each_version(home: Path) -> None:
    for version, default in (("QGIS3", "work"), ("QGIS4", "default")):
        profiles = home / version / "profiles"
        profiles.mkdir(parents=True)
        (profiles / "profiles.ini").write_text(f"[core]\ndefaultProfile={default}\n")
    assert run("install").exit_code == 0
    for profile in ("QGIS3/profiles/work", "QGIS4/profiles/default"):
        assert plugin_of(home / profile).is_dir()
        settings = home / profile / "QGIS" / f"{profile[:5]}.ini"
        assert "geoclass_qgis=true" in settings.read_text()


def test_profile_that_is_not_there_is_refused(home: Path) -> None:
    (home / "QGIS3" / "profiles" / "work").mkdir(parents=True)
    done = run("install", "--profile", "wrok")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: QGIS has no profile wrok: give one of work")
    assert run("install", "--profile", "work").exit_code == 0


def test_zip_holds_the_plugin_but_no_path_of_this_machine(tmp_path: Path) -> None:
    out = tmp_path / "plugin.zip"
    assert run("zip", "-o", out).exit_code == 0
    with zipfile.ZipFile(out) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert {f"geoclass_qgis/{name}" for name in FILES} <= set(names)
    assert not [name for name in names if "program.txt" in name or "__pycache__" in name]


def test_output_goes_with_zip_alone(home: Path, tmp_path: Path) -> None:
    for arguments in (("zip",), ("install", "-o", tmp_path / "x.zip")):
        done = run(*arguments)
        assert done.exit_code == 1
        assert "goes with zip" in done.stderr
    assert not home.exists()
