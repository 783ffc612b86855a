"""A bundled application has every module: PyInstaller sees import statements, not `import_module`."""

from __future__ import annotations

from modulefinder import ModuleFinder
from pathlib import Path

import llmmetrics
from llmmetrics.instrumentation.process_wide import DOORS
from llmmetrics.wire import FORMATS


def test_what_is_imported_by_name_is_in_an_import_statement_too(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("import llmmetrics")
    # this package alone, so that no other is searched
    finder = ModuleFinder(path=[str(Path(llmmetrics.__file__).parents[1])])
    finder.run_script(str(program))
    by_name = [f"wire.{each}" for each in FORMATS.modules]
    by_name += [f"instrumentation.{door}" for _, door in DOORS]
    by_name += llmmetrics._MODULES
    assert {f"llmmetrics.{each}" for each in by_name} - finder.modules.keys() == set()
