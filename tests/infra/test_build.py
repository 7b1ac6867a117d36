"""The layer's builder leaves out what nobody imports, and neither grows nor changes unnoticed."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dev.local import ROOT


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_layer", ROOT / "layers" / "common" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    for name in (
        "sqlalchemy/dialects/postgresql/base.py",
        "sqlalchemy/dialects/mysql/base.py",
        "sqlalchemy/testing/suite.py",
        "botocore/session.py",
        "_cffi_backend.so",
        "cffi/api.py",
        "mangum/__init__.py",
        "mangum/types.pyi",
        "mangum/tests/test_it.py",
        "mangum-1.dist-info/RECORD",
        "mangum-1.dist-info/METADATA",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("words = 1\n")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_nobody_imports_is_left_out(build: ModuleType, layer: Path) -> None:
    build._prune(layer)
    assert names(layer) == {
        "sqlalchemy/dialects/postgresql/base.py",
        "_cffi_backend.so",
        "mangum/__init__.py",
        "mangum-1.dist-info/METADATA",
    }


def test_the_same_files_have_the_same_digest_wherever_they_are(
    build: ModuleType, layer: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "layer"
    layer.rename(other)
    before = build._digest(other)
    other.rename(layer)
    assert build._digest(layer) == before
    (layer / "mangum" / "__init__.py").write_text("words = 2\n")
    assert build._digest(layer) != before


def test_growing_beyond_the_budget_fails(
    build: ModuleType, layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build._report(layer, "arm64", (0.0, 0.0))
    monkeypatch.setattr(build, "BUDGET_MB", 0)
    with pytest.raises(SystemExit, match="leave something out"):
        build._report(layer, "arm64", (0.0, 0.0))


def test_another_python_would_compile_what_lambda_ignores(
    build: ModuleType, layer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "PYTHON", (3, 9))
    monkeypatch.setattr(build.sys, "argv", ["build.py", str(layer)])
    with pytest.raises(SystemExit, match=r"Python 3\.13"):
        build.main()


def test_everything_the_layer_needs_of_ours_is_in_its_folder(build: ModuleType) -> None:
    assert {path.name for path in Path(build.HERE).iterdir()} >= {"academy", "requirements.txt", "Makefile"}
