"""What the pages in docs show is run."""

import re

import pytest

from tests.conftest import PROJECT

PAGES = sorted((PROJECT / "docs").rglob("*.md"))
PAGES = [p for p in PAGES if "_build" not in p.parts and "generated" not in p.parts]


#: tests/test_how_to.py runs the pages of these folders, each in a folder of its own
ELSEWHERE = ("how-to", "explanation")


@pytest.mark.parametrize("page", [p for p in PAGES if "```python" in p.read_text() and p.parent.name not in ELSEWHERE],
                         ids=lambda p: p.name)
def test_python_blocks_run(page):
    namespace: dict = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        run(block, namespace)
    if "losses" in namespace:
        assert namespace["losses"][-1] < 0.7 * namespace["losses"][0]


def run(block, namespace):
    exec(compile(block, "docs", "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pictures_and_commands_exist(page):
    text = page.read_text()
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", text):
        assert (page.parent / picture).is_file(), picture
    for script in re.findall(r"python (docs/\S+\.py)", text):
        assert (PROJECT / script).is_file(), script
